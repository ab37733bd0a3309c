"""Holds a stream against a contract, event by event, driven by the contract's data alone.

Incremental and without I/O: feed it the data of events, ask for violations, close it. After a
violation it goes on from what it saw, so that one broken chunk does not start an avalanche.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from soundstage.conformance.bounded_violations import Findings
from soundstage.conformance.fields import MOST_EXPLAINED, PATTERN_LIMIT, REFUSED, FieldCheck, shown
from soundstage.conformance.stage_order import EMPTY, StageOrder, Track
from soundstage.conformance.stages import compiled, marks_of
from soundstage.conformance.violations import Verdict, Violation, verdict_of
from soundstage.contract import Contract
from soundstage.contract.field_schemas import pointer, type_name
from soundstage.contract.protocol import DocumentedError, Stage
from soundstage.output import outgoing
from soundstage.untrusted import json_text


class SeenEvent(NamedTuple):
    """What one event was. `stage` is None where no documented stage fits, `track` where the chunk
    names none; `milestones` are the names of those that this event reached.
    """

    chunk: dict[str, Any] | None
    stage: str | None
    track: Track
    milestones: tuple[str, ...]


_NOWHERE: set[str] = set()
_UNREADABLE = SeenEvent(None, None, None, ())
_LONGEST_FAILURE = 200
_LOOKED_AT = 2_048
#: Faults that are explained in one stream, and, once they are, in each further chunk of it.
_MOST_IN_ALL = 5_000
_THEN = 20
#: Why a stream is not judged whole that had more faults than are looked for.
_TOO_MUCH_WRONG = "cap.findings"
#: Different values of a field that identifies the stream which are told apart.
_MOST_OTHERS = 1_000


def _whole(value: Any) -> int | None:
    """The integer that a JSON value is (2.0 is one, says JSON Schema); None if it is none."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


class StreamCheck:
    """One stream. `violations` grows as events come; `reason` says why a stream without errors is
    inconclusive (None if it is not), `refusal` which printed error it was answered with. `capped`:
    the bound of ours that an event was over, so that nothing is known of what it says; the stream
    need not be read any further.

    `endpoint` is the name of a stream endpoint, by default the contract's first.
    """

    __slots__ = (
        "_c",
        "_constants",
        "_due",
        "_explained",
        "_flag",
        "_flag_seen",
        "_found",
        "_index",
        "_known",
        "_ledger",
        "_max_depth",
        "_or_due",
        "_others",
        "_reached",
        "_rising",
        "_searched",
        "_unnumbered",
        "capped",
        "events",
        "failed",
        "framing",
        "last_stage",
        "reason",
        "refusal",
    )

    def __init__(
        self, contract: Contract, endpoint: str | None = None, *, max_depth: int = 128
    ) -> None:
        found = contract.endpoints[endpoint] if endpoint else contract.endpoint_of_kind("stream")
        if found is None or found.kind != "stream":
            raise LookupError(f"{contract.api} has no stream endpoint {endpoint or ''}")
        self._c = compiled(contract, found.name)
        self._max_depth = max_depth
        self._ledger = StageOrder(self._c.protocol)
        self._index = index = self._c.protocol.index
        self._due = index.start if index is not None else 0
        self._or_due: int | None = None
        self._unnumbered = 0
        self._constants: dict[str, Any] = {}
        self._known: dict[tuple[str, ...], Any] = {}  # the last values of each set of constants
        self._others: dict[str, set[Any]] = {}
        self._rising: dict[str, int | float | Decimal] = {}
        flag = self._c.protocol.completion
        self._flag = flag.field if flag is not None else None
        self._reached: frozenset[str] = EMPTY
        self._flag_seen = False
        self._found = Findings()
        self._explained = 0
        self._searched = True
        self.capped: str | None = None
        self.reason: str | None = None
        self.failed: str | None = None
        self.refusal: DocumentedError | None = None
        self.events = 0
        self.last_stage: str | None = None
        self.framing: str | None = None

    @property
    def violations(self) -> list[Violation]:
        """What was found so far, as `Findings` keeps it."""
        return self._found.all()

    @property
    def ended(self) -> bool:
        """Whether the chunk that ends the stream has come."""
        return self._ledger.ended

    def verdict(self, *, strict: bool = False) -> Verdict:
        """The verdict so far; final after `close`."""
        return verdict_of(self.violations, self.reason, strict=strict)

    def due(self) -> list[str]:
        """What is still to come, in words: `uploading (track 2)`."""
        return self._ledger.due()

    def event(self, data: bytes) -> SeenEvent:
        """Check the data of the next event."""
        number = self.events
        self.events += 1
        chunk, problems, readable = json_text.parse(data, self._max_depth)
        if problems or type(chunk) is not dict:
            if problems and problems[0].code == json_text.TOO_MANY:
                return self._too_many_values()
            for each in problems:
                self._report(each.code, "json", number, each.path, each.message, each.times)
            if type(chunk) is not dict:
                return self._no_chunk(chunk, readable, number)
        kind = self._c.kind(chunk)
        if kind is None:
            return self._unknown_stage(chunk, number)
        stage, fields, fits, tracked, constant, values, rising = kind
        name = stage.name
        ledger = self._ledger
        track = self._track(chunk) if tracked else None
        if ledger.ended and not ledger.reopened():
            message = f"a chunk of {stage.name} came after the last one"
            self._report("stream.after_end", "end/nothing_after", number, "", message)
            return SeenEvent(chunk, name, track, ())
        if stage.failure and self._is_refusal(chunk, number):
            return SeenEvent(chunk, name, track, ())
        self.last_stage = name
        # The schema says yes or no in one call; only a no is worth a closer look.
        try:
            broken = _NOWHERE if fits is not None and fits(chunk) else None
        except REFUSED:
            broken = None
        if broken is None:
            broken = self._check_fields(fields, chunk, number)
        if tracked:
            self._check_track(track, number)
        # A stage that may come any number of times from now on needs no counting, and it is that
        # of nearly every chunk.
        if track is not None or name not in ledger.settled or ledger.doubtful:
            if stage.failure:
                self.failed = self._failure(stage, chunk)
                ledger.see(stage, track)
            elif not ledger.advance(stage, track):
                ledger.see(stage, track, slip=self._check_order(stage, track, number))
        index = self._index
        if index is not None:
            value = chunk.get(index.field)
            if value == self._due and type(value) is int:
                self._due = value + index.step
                self._or_due = None
                self._unnumbered = 0
            else:
                self._check_index(value, number)
        if values is not None and (known := values(chunk)) != self._known.get(constant):
            self._known[constant] = known
            for field in constant:
                if not (broken and pointer(field) in broken):
                    self._check_constant(field, chunk[field], number)
        for field in rising:
            if not (broken and pointer(field) in broken):
                self._check_rising(field, chunk[field], number)
        flag = self._flag
        if flag is not None and (chunk.get(flag) is not False or ledger.ended):
            self._check_flag(flag, chunk.get(flag), stage, number)
        reached = self._milestones(stage) if stage.milestones else ()
        # Seen(...), in half the time: this line runs once per chunk.
        return tuple.__new__(SeenEvent, (chunk, name, track, reached))

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
        cut = cut or self.capped
        if cut is not None:
            self.reason = cut
        elif self.refusal is not None:
            self.reason = f"api.{self.refusal.name}"
        elif self.failed is not None:
            self.reason = "stream.failed"
        elif not (self._ledger.ended or self._ledger.perhaps_ended()):
            self._unfinished()
        else:
            self._missing_stages()
        if self.reason is None and self._c.given_up:
            self.reason = PATTERN_LIMIT
        if self.reason is None and not self._searched:
            self.reason = _TOO_MUCH_WRONG

    # ------------------------------------------------------------------ one chunk

    def _too_many_values(self) -> SeenEvent:
        self.capped = json_text.TOO_MANY
        self._ledger.see_unknown()
        return _UNREADABLE

    def _no_chunk(self, value: Any, readable: bool, number: int) -> SeenEvent:
        if readable:
            message = f"the chunk is {shown(value)}, of type {type_name(value)}; not an object"
            self._report("json.not_object", "json", number, "", message)
        self._ledger.see_unknown()
        self._check_index(None, number)
        return _UNREADABLE

    def _check_fields(self, fields: FieldCheck, chunk: dict[str, Any], number: int) -> set[str]:
        """The places (JSON pointers) of the fields that are broken."""
        most = MOST_EXPLAINED if self._explained < _MOST_IN_ALL else _THEN
        found, whole = fields.found(chunk, number, most=most)
        self._explained += len(found)
        self._searched = self._searched and whole
        self._found.extend(found)
        return {violation.path for violation in found}

    def _failure(self, stage: Stage, chunk: dict[str, Any]) -> str:
        """What a failure says of itself: the text that it is told by, or any text of the chunk."""
        told_by = dict.fromkeys(name for name, _ in marks_of(stage.when) if name in chunk)
        fields = self._c.protocol.fields
        texts = [name for name, field in fields.items() if field.get("x-role") == "text"]
        for name in (*told_by, *texts):
            if isinstance(chunk.get(name), str) and chunk[name]:
                return outgoing.text(str(chunk[name])[:_LOOKED_AT])[:_LONGEST_FAILURE]
        return " and ".join(f"{name} is {shown(chunk[name])}" for name in told_by)

    def _unknown_stage(self, chunk: dict[str, Any], number: int) -> SeenEvent:
        if self._c.given_up:  # a pattern took too long: it may well be of a stage
            self._ledger.see_unknown()
        else:
            self._report_unknown(chunk, number)
        return SeenEvent(chunk, None, None, ())

    def _report_unknown(self, chunk: dict[str, Any], number: int) -> None:
        if self._ledger.ended and not self._ledger.reopened():
            message = "a chunk of no known stage came after the last one"
            self._report("stream.after_end", "end/nothing_after", number, "", message)
            return
        if self._is_refusal(chunk, number):
            return
        mark, path, message = self._c.mark, "", "no stage is like this"
        if mark and mark in chunk:
            path, message = pointer(mark), f"{message}: {mark} is {shown(chunk[mark])}"
        elif mark:
            message = f"{message}: {mark} is missing"
        self._report("stage.unknown", "stages", number, path, message)
        self._ledger.see_unknown()
        index = self._index
        self._check_index(chunk.get(index.field) if index else None, number)

    def _is_refusal(self, chunk: dict[str, Any], number: int) -> bool:
        """Whether an event is a printed error: a documented refusal, in a stream that had begun."""
        error = self._c.contract.errors.matching(chunk)
        if error is None:
            return False
        message = f"the event is the error “{error.title}” where a chunk is due"
        self._report("http.error_under_success", "http/answer", number, "", message)
        self.refusal = error
        self._ledger.refuse()
        return True

    def _track(self, chunk: dict[str, Any]) -> Track:
        """The track that a chunk names; None if it is of the wrong type, as the schema says."""
        tracks = self._c.protocol.tracks
        assert tracks is not None
        value = chunk[tracks.field]
        if type(value) is float:
            value = _whole(value)
        return value if type(value) in {type(known) for known in tracks.values} else None

    def _check_track(self, track: Track, number: int) -> None:
        tracks = self._c.protocol.tracks
        assert tracks is not None
        if track is not None and track not in tracks.values:
            known = " or ".join(map(str, tracks.values))
            message = f"{tracks.field} is {shown(track)}; expected {known}"
            path = pointer(tracks.field)
            self._report("track.unknown", "tracks/values", number, path, message)

    def _check_order(self, stage: Stage, track: Track, number: int) -> bool:
        """Whether the chunk may be another track's: it comes too often, or ends its own early."""
        ledger = self._ledger
        most = stage.times[1]
        unmet = ledger.unmet(stage, track)
        repeated = most is not None and ledger.times(stage, track) >= most
        if not (unmet or repeated or ledger.track_ended(track)):
            return False
        named = f" of track {shown(track)}" if track is not None else ""
        of_track = named if stage.per_track else ""
        if repeated:
            message = f"{stage.name}{of_track} comes for the {ledger.times(stage, track) + 1}. time"
            # A limit that is our reading is said once: a faithful API may go beyond it all along.
            if stage.most is None or ledger.times(stage, track) == most:
                text = f"{message}; at most {most} expected"
                self._report("stage.repeated", stage.most_rule, number, "", text)
        elif stage.per_track and ledger.track_ended(track) and not ledger.assumed(stage, track):
            message = f"{stage.name} came after the last chunk{of_track}"
            self._report("track.after_end", "tracks/ended", number, "", message)
        for group in unmet:
            names = " or ".join(group)
            rule = f"order/{stage.name}/after/{'|'.join(group)}"
            message = f"{stage.name}{named} came before {names}"
            self._report("stage.order", rule, number, "", message)
        return repeated or (stage.ends == "track" and bool(unmet))

    def _check_constant(self, field: str, value: Any, number: int) -> None:
        if value is None or isinstance(value, dict | list):
            return
        first = self._constants.setdefault(field, value)
        others = self._others.get(field, EMPTY)
        if type(value) is type(first) and value != first and value not in others:
            if len(others) < _MOST_OTHERS:
                self._others.setdefault(field, set()).add(value)
            message = f"{field} is {shown(value)}; it was {shown(first)}"
            self._report("identity.changed", f"constant/{field}", number, pointer(field), message)

    def _check_rising(self, field: str, value: Any, number: int) -> None:
        if type(value) is not int and type(value) is not float and type(value) is not Decimal:
            return
        before = self._rising.get(field)
        if before is not None and value < before:
            message = f"{field} is {shown(value)}; it was {shown(before)}"
            rule = f"never_decrease/{field}"
            self._report("progress.decreased", rule, number, pointer(field), message)
        self._rising[field] = value

    def _check_flag(self, field: str, value: Any, stage: Stage, number: int) -> None:
        if stage.failure:
            return
        if value is True:
            if not (self._ledger.ended or self._ledger.perhaps_ended()):
                message = f"{field} is true; the stream goes on"
                rule = "completion/before_last"
                self._report("field.value", rule, number, pointer(field), message)
            self._flag_seen = True
        elif value is False and self._ledger.ended and not self._flag_seen:
            message = f"{field} is false on the last chunk and was never true"
            self._report("stream.not_closed", "completion/last", number, pointer(field), message)

    def _check_index(self, value: Any, number: int) -> None:
        index = self._index
        if index is None:
            return
        step, due = index.step, self._due
        whole = value if type(value) is Decimal else _whole(value)
        if whole is None:
            # Missing or mistyped, which is reported elsewhere: either the number was left out of a
            # chunk that counts, or an event that does not count stands between two that do.
            self._unnumbered += 1
            return
        expected = self._is_due(whole, step)
        counted = int(whole) if expected or type(whole) is int else due
        first = self._unnumbered == number  # no event before this one has had a number
        self._due, self._or_due, self._unnumbered = counted + step, None, 0
        if expected:
            return
        if first:
            message = f"{index.field} starts at {shown(value)}; expected {index.start}"
            self._report("index.start", "index/start", number, pointer(index.field), message)
            return
        last = due - step
        code = "index.gap" if whole > last else "index.decreased"
        code = "index.repeated" if whole == last else code
        message = f"{index.field} is {shown(value)} after {shown(last)}; expected {shown(due)}"
        self._report(code, "index/consecutive", number, pointer(index.field), message)
        # The count may go on from here, or as if nothing had happened.
        self._or_due = due + step

    def _is_due(self, whole: int | Decimal, step: int) -> bool:
        """Whether a number goes on from what was due, each event without one counted or not."""
        most = self._unnumbered * step
        return any(
            due is not None and due <= whole <= due + most and (whole - due) % step == 0
            for due in (self._due, self._or_due)
        )

    def _milestones(self, stage: Stage) -> tuple[str, ...]:
        names = []
        for milestone in stage.milestones:
            if milestone.name in self._reached:
                continue
            if milestone.at == "first" or self._ledger.on_all_tracks(stage):
                self._reached |= {milestone.name}
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

    def _report(
        self, code: str, rule: str, chunk: int | None, path: str, message: str, times: int = 1
    ) -> None:
        found = self._c.violation(code, rule, chunk, path, message)
        self._found.add(found if times == 1 else replace(found, times=times))
