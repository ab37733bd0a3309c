"""Holds a stream against a contract, event by event, driven by the contract's data alone.

Incremental and without I/O: feed it the data of events, ask for violations, close it. After a
violation it goes on from what it saw, so that one broken chunk does not start an avalanche.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jsonschema_rs

from soundstage.conformance.fields import FieldCheck, pointer, shown
from soundstage.conformance.order import Ledger, Track
from soundstage.conformance.violations import Severity, Verdict, Violation, verdict_of
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint, Stage
from soundstage.contract.schema import type_name
from soundstage.wire import jsontext


class Seen(NamedTuple):
    """What one event was. `stage` is None where no documented stage fits, `track` where the chunk
    names none; `milestones` are the names of those that this event reached.
    """

    chunk: dict[str, Any] | None
    stage: str | None
    track: Track
    milestones: tuple[str, ...]


_UNREADABLE = Seen(None, None, None, ())


class _Compiled:
    """What every stream of one endpoint shares: built once per contract."""

    def __init__(self, contract: Contract, endpoint: Endpoint) -> None:
        protocol = contract.protocol
        self.contract = contract
        self.protocol = protocol
        self.prefix = f"{contract.api}/{endpoint.name}/"
        self.framings = endpoint.framings
        self.stages: list[tuple[Callable[[Any], bool], Stage, FieldCheck]] = []
        for stage in protocol.stages:
            when = jsonschema_rs.Draft202012Validator(stage.when).is_valid
            prefix = f"{stage.name}/"
            fields = FieldCheck(
                contract.rules, endpoint.name, prefix, stage.schema, protocol.fields
            )
            self.stages.append((when, stage, fields))
        # The field that most stages are told by: what to name when no stage fits.
        marks = Counter(
            mark for each in protocol.stages for mark in each.when.get("properties", ())
        )
        self.mark = marks.most_common(1)[0][0] if marks else ""

    def recognise(self, chunk: dict[str, Any]) -> tuple[Stage, FieldCheck] | None:
        """The stage of a chunk, and the check of its fields; None if no stage knows it."""
        for when, stage, fields in self.stages:
            if when(chunk):
                return stage, fields
        return None

    def violation(
        self,
        code: str,
        rule: str,
        chunk: int | None,
        path: str,
        message: str,
    ) -> Violation:
        severity = Severity(self.contract.rules[self.prefix + rule].severity)
        return Violation(code, severity, chunk, path, message, self.prefix + rule)


@cache
def _compile(contract: Contract, endpoint: str) -> _Compiled:
    return _Compiled(contract, contract.endpoints[endpoint])


class StreamCheck:
    """One stream. `violations` grows as events come; `reason` says why a stream without errors is
    inconclusive (None if it is not).

    `endpoint` is the name of a stream endpoint, by default the contract's first.
    """

    def __init__(
        self, contract: Contract, endpoint: str | None = None, *, max_depth: int = 128
    ) -> None:
        found = contract.endpoints[endpoint] if endpoint else contract.endpoint_of_kind("stream")
        if found is None or found.kind != "stream":
            raise LookupError(f"{contract.api} has no stream endpoint {endpoint or ''}")
        self._c = _compile(contract, found.name)
        self._max_depth = max_depth
        self._ledger = Ledger(self._c.protocol)
        self._indexes: tuple[int, ...] = ()
        self._constants: dict[str, list[Any]] = {}
        self._rising: dict[str, Any] = {}
        self._reached: set[str] = set()
        self._flag_seen = False
        self.violations: list[Violation] = []
        self.reason: str | None = None
        self.failed: str | None = None
        self.events = 0
        self.last_stage: str | None = None
        self.framing: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the chunk that ends the stream has come."""
        return self._ledger.ended

    def verdict(self, *, strict: bool = False) -> Verdict:
        """The verdict so far; final after `close`."""
        return verdict_of(self.violations, self.reason, strict=strict)

    def event(self, data: bytes) -> Seen:
        """Check the data of the next event."""
        number = self.events
        self.events += 1
        value, problems, readable = jsontext.parse(data, max_depth=self._max_depth)
        if problems:
            for problem in problems:
                self._report(problem.code, "json", number, problem.path, problem.message)
        if type(value) is not dict:
            if readable:
                message = f"the chunk is {shown(value)}, of type {type_name(value)}; not an object"
                self._report("json.not_object", "json", number, "", message)
            self._ledger.see_unknown()
            self._check_index({}, number)
            return _UNREADABLE
        return self._chunk(value, number)

    def framed(self, framing: str) -> None:
        """Say in which framing the events came: "sse" or "lines"."""
        self.framing = framing
        if framing not in self._c.framings:
            promised = " or ".join(self._c.framings)
            message = f"the body is framed as {framing}; expected {promised}"
            self._report("framing.unexpected", "framing", None, "", message)

    def close(self, *, cut: str | None = None, unterminated: bool = False) -> None:
        """Say that no more events come.

        `cut` is the reason if the harness stopped reading (a cap, a deadline): what was not seen
        then counts neither as kept nor as broken. `unterminated`: the body ended inside an event.
        """
        if unterminated and cut is None:
            message = "the body ends inside an event: its blank line is missing"
            self._report("framing.unterminated", "framing", self.events, "", message)
        if cut is not None:
            self.reason = cut
        elif self.failed is not None:
            self.reason = "stream.failed"
        elif not self._ledger.ended:
            self._unfinished()
        else:
            self._missing_stages()

    # ------------------------------------------------------------------ one chunk

    def _chunk(self, chunk: dict[str, Any], number: int) -> Seen:
        found = self._c.recognise(chunk)
        if found is None:
            self._unknown_stage(chunk, number)
            return Seen(chunk, None, None, ())
        stage, fields = found
        ledger = self._ledger
        track = self._track(chunk)
        if ledger.ended:
            message = f"a chunk of {stage.name} came after the last one"
            self._report("stream.after_end", "end/nothing_after", number, "", message)
            return Seen(chunk, stage.name, track, ())
        self.last_stage = stage.name
        # The schema says yes or no in one call; only a no is worth a closer look.
        if not (fields.fits(chunk) and chunk.keys() <= fields.known):
            self.violations.extend(fields.violations(chunk, number))
        self._check_track(chunk, number)
        if stage.failure:
            self.failed = str(chunk.get("error"))[:200]
        else:
            self._check_order(stage, track, number)
        ledger.see(stage, track)
        self._check_across(chunk, stage, number)
        return Seen(chunk, stage.name, track, self._milestones(stage, track))

    def _unknown_stage(self, chunk: dict[str, Any], number: int) -> None:
        if self._ledger.ended:
            message = "a chunk of no known stage came after the last one"
            self._report("stream.after_end", "end/nothing_after", number, "", message)
            return
        mark = self._c.mark
        shows = f"{mark} is {shown(chunk[mark])}" if mark in chunk else f"{mark} is missing"
        path = pointer(mark) if mark in chunk else ""
        self._report("stage.unknown", "stages", number, path, f"no stage is like this: {shows}")
        self._ledger.see_unknown()
        self._check_index(chunk, number)

    def _track(self, chunk: dict[str, Any]) -> Track:
        tracks = self._c.protocol.tracks
        if tracks is None:
            return None
        value = chunk.get(tracks.field)
        return value if type(value) is int or type(value) is str else None

    def _check_track(self, chunk: dict[str, Any], number: int) -> None:
        tracks = self._c.protocol.tracks
        if tracks is None or tracks.field not in chunk:
            return
        value = chunk[tracks.field]
        same_kind = {type(known) for known in tracks.values}
        if type(value) in same_kind and value not in tracks.values:
            known = " or ".join(map(str, tracks.values))
            message = f"{tracks.field} is {shown(value)}; expected {known}"
            path = pointer(tracks.field)
            self._report("track.unknown", "tracks/values", number, path, message)

    def _check_order(self, stage: Stage, track: Track, number: int) -> None:
        ledger = self._ledger
        of_track = f" of track {track}" if stage.per_track and track is not None else ""
        most = stage.times[1]
        if most is not None and ledger.times(stage, track) >= most:
            message = f"{stage.name}{of_track} comes for the {ledger.times(stage, track) + 1}. time"
            rule = f"times/{stage.name}"
            self._report("stage.repeated", rule, number, "", f"{message}; at most {most} expected")
        elif stage.per_track and ledger.track_ended(track):
            message = f"{stage.name} came after the last chunk{of_track}"
            self._report("track.after_end", "tracks/ended", number, "", message)
        for group in ledger.unmet(stage, track):
            names = " or ".join(group)
            rule = f"order/{stage.name}/after/{'|'.join(group)}"
            message = f"{stage.name}{of_track} came before {names}"
            self._report("stage.order", rule, number, "", message)

    def _check_across(self, chunk: dict[str, Any], stage: Stage, number: int) -> None:
        self._check_index(chunk, number)
        protocol = self._c.protocol
        for constant in protocol.constant:
            value = chunk.get(constant.field)
            if value is None or isinstance(value, dict | list):
                continue
            seen = self._constants.setdefault(constant.field, [])
            if value not in seen:
                if seen and type(value) is type(seen[0]):
                    message = f"{constant.field} is {shown(value)}; it was {shown(seen[0])}"
                    rule = f"constant/{constant.field}"
                    path = pointer(constant.field)
                    self._report("identity.changed", rule, number, path, message)
                seen.append(value)
        for rising in protocol.never_decrease:
            if stage.name in rising.stages:
                value, before = chunk.get(rising.field), self._rising.get(rising.field)
                if type(value) is int:
                    if before is not None and value < before:
                        message = f"{rising.field} is {value}; it was {before}"
                        rule = f"never_decrease/{rising.field}"
                        path = pointer(rising.field)
                        self._report("progress.decreased", rule, number, path, message)
                    self._rising[rising.field] = value
        flag = protocol.completion
        if flag is not None and not stage.failure:
            self._check_flag(flag.field, chunk.get(flag.field), number)

    def _check_flag(self, field: str, value: Any, number: int) -> None:
        if value is True:
            if not self._ledger.ended:
                message = f"{field} is true; the stream goes on"
                rule = "completion/before_last"
                self._report("field.value", rule, number, pointer(field), message)
            self._flag_seen = True
        elif value is False and self._ledger.ended and not self._flag_seen:
            message = f"{field} is false on the last chunk and was never true"
            self._report("stream.not_closed", "completion/last", number, pointer(field), message)

    def _check_index(self, chunk: dict[str, Any], number: int) -> None:
        index = self._c.protocol.index
        if index is None:
            return
        value = chunk.get(index.field)
        step = index.step
        if type(value) is not int:
            # Missing or mistyped, which the schema reports: suppose that it was the right one.
            self._indexes = tuple(due + step for due in self._indexes or (index.start,))
            return
        due = self._indexes
        if not due:
            if value != index.start:
                message = f"{index.field} starts at {value}; expected {index.start}"
                self._report("index.start", "index/start", number, pointer(index.field), message)
            self._indexes = (value + step,)
        elif value in due:
            self._indexes = (value + step,)
        else:
            last = due[0] - step
            code = "index.gap" if value > last else "index.decreased"
            code = "index.repeated" if value == last else code
            message = f"{index.field} is {value} after {last}; expected {due[0]}"
            path = pointer(index.field)
            self._report(code, "index/consecutive", number, path, message)
            # The count may go on from here, or as if nothing had happened.
            self._indexes = (value + step, due[0] + step)

    def _milestones(self, stage: Stage, track: Track) -> tuple[str, ...]:
        if not stage.milestones:
            return ()
        names = []
        tracks = self._c.protocol.tracks
        for milestone in stage.milestones:
            if milestone.name in self._reached:
                continue
            if milestone.at == "all" and stage.per_track and tracks is not None:
                seen = sum(1 for value in tracks.values if self._ledger.times(stage, value))
                if seen < len(tracks.values):
                    continue
            self._reached.add(milestone.name)
            names.append(milestone.name)
        return tuple(names)

    # ------------------------------------------------------------------ the end

    def _unfinished(self) -> None:
        if lost := self._ledger.lost_tracks():
            for track in lost:
                message = f"track {track} was never delivered"
                self._report("track.missing", "tracks/all", None, "", message)
            self._missing_stages()
            return
        due = self._ledger.due()
        after = f"after {self.last_stage}" if self.last_stage else "before its first chunk"
        more = f"; still due: {', '.join(due)}" if due else ""
        message = f"the stream ended {after}{more}"
        self._report("stream.truncated", "end/reached", None, "", message)

    def _missing_stages(self) -> None:
        for stage, track, times in self._ledger.missing():
            on = f" of track {track}" if track is not None else ""
            least = stage.times[0]
            message = f"{stage.name}{on} came {times} times; at least {least} expected"
            message = f"{stage.name}{on} never came" if not times else message
            self._report("stage.missing", f"times/{stage.name}", None, "", message)

    def _report(self, code: str, rule: str, chunk: int | None, path: str, message: str) -> None:
        self.violations.append(self._c.violation(code, rule, chunk, path, message))


@cache
def documented_fields(contract: Contract) -> frozenset[str]:
    """The names of all fields that a contract documents for chunks and results."""
    names = set(contract.protocol.fields)
    for endpoint in contract.endpoints.values():
        if endpoint.response:
            names |= endpoint.response.get("properties", {}).keys()
    for stage in contract.protocol.stages:
        names |= stage.schema.get("properties", {}).keys()
    return frozenset(names)
