"""Holds a stream against a contract, event by event, driven by the contract's data alone.

Incremental and without I/O: feed it the data of events, ask for violations, close it. After a
violation it goes on from what it saw, so that one broken chunk does not start an avalanche.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from soundstage.conformance.across import Across, whole_number
from soundstage.conformance.bounded_violations import Findings
from soundstage.conformance.fields import (
    MOST_EXPLAINED,
    PATTERN_LIMIT,
    REFUSED,
    FieldCheck,
    received,
    shown,
)
from soundstage.conformance.order.milestones import Milestones
from soundstage.conformance.order.stage_order import StageOrder, Track, nth
from soundstage.conformance.remembered_kinds import RareChecks
from soundstage.conformance.stages import compiled
from soundstage.conformance.violations import Compared, Verdict, Violation, verdict_of
from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import pointer, type_name
from soundstage.contract.protocol import DocumentedError, Stage
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
#: Faults that are explained in one stream, and, once they are, in each further chunk of it.
_MOST_IN_ALL = 5_000
_THEN = 20
#: Why a stream is not judged whole that had more faults than are looked for.
_TOO_MUCH_WRONG = "cap.findings"


class StreamCheck:
    """One stream. `violations` grows as events come; `reason` says why a stream without errors is
    inconclusive (None if it is not), `refusal` which printed error it was answered with. `capped`:
    the bound of ours that an event was over, so that nothing is known of what it says; the stream
    need not be read any further.

    `endpoint` is the name of a stream endpoint, by default the contract's first. `request` is the
    body that it answers, None if nobody knows.
    """

    __slots__ = (
        "_across",
        "_c",
        "_closed_well",
        "_explained",
        "_flag",
        "_found",
        "_index",
        "_known",
        "_ledger",
        "_max_depth",
        "_milestones",
        "_report",
        "_searched",
        "_sentinel",
        "_sentinels",
        "_step",
        "_track_name",
        "_tracks",
        "capped",
        "events",
        "failed",
        "framing",
        "last_stage",
        "named",
        "reason",
        "refusal",
    )

    def __init__(
        self,
        contract: Contract,
        endpoint: str | None = None,
        *,
        max_depth: int = 128,
        request: Any = None,
    ) -> None:
        found = contract.endpoints[endpoint] if endpoint else contract.endpoint_of_kind("stream")
        if found is None or found.kind != "stream":
            raise LookupError(f"{contract.api} has no stream endpoint {endpoint or ''}")
        self._c = compiled(contract, found.name)
        self._max_depth = max_depth
        protocol = self._c.protocol
        if request is not None:
            protocol = protocol.for_request(request)
        self._tracks = protocol.tracks
        # None of one that lies deeper.
        self._track_name = protocol.tracks.field.name if protocol.tracks is not None else None
        self._ledger = StageOrder(protocol)
        self._milestones = Milestones(protocol)
        self._index = index = protocol.index
        self._found = Findings()
        self._report = self._found.taking(self._c.violation)
        self._across = Across(index, self._report, protocol.completion)
        self._sentinel = protocol.sentinel.data if protocol.sentinel is not None else None
        self._sentinels = 0
        self.named = self._c.named
        self._closed_well = False
        self._known: dict[tuple[str, ...], Any] = {}  # the last values of each set of constants
        flag = protocol.completion
        # Of one that lies deeper, a name that no chunk has: each is looked at more closely.
        self._flag = None if flag is None else flag.field.name or flag.field.pointer
        self._step = index.step if index is not None else 0
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
        """Whether the stream has said all: the chunk that ends it has come, the text that must end
        it, or the end of a body that nothing else ends.
        """
        sentinel = self._c.protocol.sentinel
        if sentinel is not None and sentinel.required and not self._sentinels:
            return self.failed is not None and self._ledger.ended
        return self._ledger.ended or self._closed_well

    @property
    def at_the_end(self) -> tuple[str, ...]:
        """The milestones that are reached with the end of the body; asked for after `close`."""
        return self._milestones.at_the_end() if self._closed_well else ()

    def verdict(self, *, strict: bool = False) -> Verdict:
        """The verdict so far; final after `close`."""
        return verdict_of(self.violations, self.reason, strict=strict)

    def due(self) -> list[str]:
        """What is still to come, in words: `uploading (track 2)`."""
        return self._ledger.due()

    def event(self, data: bytes, name: str = "") -> SeenEvent:
        """Check the data of the next event, whose `event:` is `name` ("" or "message": none)."""
        number = self.events
        self.events += 1
        if self._sentinel is not None and data == self._sentinel:
            return self._see_sentinel(number)
        seen = json_text.proved(data, self._max_depth) or self._read_closely(data, number)
        if seen is None:
            return _UNREADABLE
        chunk, types = seen
        if type(chunk) is not dict:
            return self._no_chunk(chunk, number)
        kind = self._c.kind(chunk, name if self.named else None, types)
        if kind is None:
            return self._unknown_stage(chunk, number)
        stage, fields, fits, tracked, constant, values, constants, rising, counted, beside = kind
        stage_name = stage.name
        ledger = self._ledger
        track = self._track(chunk) if tracked else None
        if beside is not None and beside.misnamed is not None:
            self._report("event.name", f"{stage_name}/event", number, "", beside.misnamed)
        if self._sentinels or (ledger.ended and not self._may_follow(stage)):
            message = f"a chunk of {stage_name} came after the last one"
            self._report("stream.after_end", "end/nothing_after", number, "", message)
            return SeenEvent(chunk, stage_name, track, ())
        if stage.failure and self._is_refusal(chunk, number):
            return SeenEvent(chunk, stage_name, track, ())
        self.last_stage = stage_name
        # The schema says yes or no in one call; only a no is worth a closer look.
        try:
            broken = _NOWHERE if fits is not None and fits(chunk) else None
        except REFUSED:
            broken = None
        if broken is None:
            broken = self._check_fields(fields, chunk, number)
        if track is not None and track not in ledger.tracks:
            self._check_track(track, number)
        # A stage that may come any number of times from now on needs no counting, and it is that
        # of nearly every chunk.
        if track is not None or stage_name not in ledger.settled or ledger.doubtful:
            if stage.failure:
                self.failed = self._c.said_of_failure(stage, chunk)
                ledger.see(stage, track)
            elif not (stage.anywhere or ledger.advance(stage, track)):
                ledger.see(stage, track, slip=self._check_order(stage, track, number))
        if counted is not None:
            value, across = chunk.get(counted), self._across
            if value == across.due and type(value) is int and not across.astray:
                across.due = value + self._step
            else:
                across.number(value, number)
        if values is not None and (known := values(chunk)) != self._known.get(constant):
            self._known[constant] = known
            for identity, named, at in constants:
                if not (broken and at in broken):
                    self._across.constant(identity, at, chunk[named], number)
        for never, named, at in rising:
            if not (broken and at in broken):
                self._across.rising(never, at, chunk[named], number, track)
        if beside is not None:
            self._check_beside(beside, chunk, number, track, broken)
        flag = self._flag
        if (
            flag is not None
            and (chunk.get(flag) is not False or ledger.ended)
            and not (stage.failure or stage.anywhere)
        ):
            self._across.completion(chunk, ledger, number)
        reached: tuple[str, ...] = ()
        if stage.milestones:
            reached = self._milestones.reached(stage, track, chunk, ledger)
        # SeenEvent(...), in half the time: this line runs once per chunk.
        return tuple.__new__(SeenEvent, (chunk, stage_name, track, reached))

    def framed(self, framing: str) -> None:
        """Say in which framing the events came: "sse" or "lines"."""
        self.framing = framing
        self.named = self.named and framing == "sse"  # lines have no names
        if framing not in self._c.framings:
            promised = " or ".join(self._c.framings)
            message = f"the body is framed as {framing}; expected {promised}"
            compared = Compared(promised, framing)
            self._report("framing.unexpected", "framing", None, "", message, compared)

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
        elif not self._is_whole():
            self._unfinished()
        else:
            if self._tracks is not None:
                self._lost_tracks()
            self._missing_stages()
            if self._sentinel is not None:
                self._missing_sentinel()
        if self.reason is None and self._c.given_up:
            self.reason = PATTERN_LIMIT
        if self.reason is None and not self._searched:
            self.reason = _TOO_MUCH_WRONG

    def _is_whole(self) -> bool:
        """Whether a stream that is over has come to its end."""
        ledger = self._ledger
        if ledger.ended or ledger.perhaps_ended():
            return True
        self._closed_well = ledger.may_close
        return self._closed_well

    # ------------------------------------------------------------------ one chunk

    def _see_sentinel(self, number: int) -> SeenEvent:
        if self._sentinels:
            message = "the text that ends the stream came again"
            self._report("stream.after_end", "end/nothing_after", number, "", message)
        self._sentinels += 1
        self._ledger.see_sentinel()
        return _UNREADABLE

    def _may_follow(self, stage: Stage) -> bool:
        """Whether a chunk may come although the stream has ended: a keep-alive, what may be last
        but need not, or one that shows that the end was none.
        """
        ledger = self._ledger
        if stage.anywhere:
            return True
        if stage.name in self._c.trailing and not ledger.times(stage, None):
            return True
        return ledger.reopened()

    def _check_beside(
        self, kind: RareChecks, chunk: dict[str, Any], number: int, track: Track, broken: set[str]
    ) -> None:
        """What is no plain member of the chunk, or never falls."""
        if kind.number is not None:
            self._across.number(kind.number.of(chunk), number)
        for each in kind.nested:
            self._across.every_constant(each, chunk, number, track, broken)
        for rising in kind.rising:
            for at, value in rising.field.every(chunk):
                if not (broken and at in broken):
                    self._across.rising(rising, at, value, number, track)

    def _read_closely(self, data: bytes, number: int) -> tuple[Any, None] | None:
        """What the data says that is not as it should be, perhaps repaired; None if it cannot be
        read.
        """
        value, problems, readable = json_text.read_closely(data, self._max_depth)
        if problems and problems[0].code == json_text.TOO_MANY:
            self.capped = json_text.TOO_MANY
            self._ledger.see_unknown()
            return None
        for wrong in problems:
            said = wrong.path, wrong.message
            self._report(wrong.code, "json", number, *said, times=wrong.times)
        if readable:
            return value, None
        self._ledger.see_unknown()
        self._across.index(None, number)
        return None

    def _no_chunk(self, value: Any, number: int) -> SeenEvent:
        message = f"the chunk is {shown(value)}, of type {type_name(value)}; not an object"
        compared = Compared("an object", received(value))
        self._report("json.not_object", "json", number, "", message, compared)
        self._ledger.see_unknown()
        self._across.index(None, number)
        return _UNREADABLE

    def _check_fields(self, fields: FieldCheck, chunk: dict[str, Any], number: int) -> set[str]:
        """The places (JSON pointers) of the fields that are broken."""
        most = MOST_EXPLAINED if self._explained < _MOST_IN_ALL else _THEN
        found, whole = fields.found(chunk, number, most=most)
        self._explained += len(found)
        self._searched = self._searched and whole
        self._found.extend(found)
        return {violation.path for violation in found}

    def _unknown_stage(self, chunk: dict[str, Any], number: int) -> SeenEvent:
        if self._c.given_up:  # a pattern took too long: it may well be of a stage
            self._ledger.see_unknown()
        else:
            self._report_unknown(chunk, number)
        return SeenEvent(chunk, None, None, ())

    def _report_unknown(self, chunk: dict[str, Any], number: int) -> None:
        if self._sentinels or (self._ledger.ended and not self._ledger.reopened()):
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
        self._across.index(index.field.of(chunk) if index else None, number)

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
        name = self._track_name
        if name is not None:
            value = chunk[name]
        else:
            assert self._tracks is not None
            value = self._tracks.field.of(chunk)
        if type(value) is float:
            value = whole_number(value)
        return value if type(value) in self._c.track_types else None

    def _check_track(self, track: Track, number: int) -> None:
        tracks = self._tracks
        assert tracks is not None
        ledger = self._ledger
        if not ledger.knows(track):
            known = " or ".join(map(str, ledger.tracks)) or f"{tracks.start} first"
            message = f"{tracks.field} is {shown(track)}; expected {known}"
            path = tracks.field.pointer
            compared = Compared(known, received(track))
            self._report("track.unknown", "tracks/values", number, path, message, compared)

    def _check_order(self, stage: Stage, track: Track, number: int) -> bool:
        """Whether the chunk may be another track's: it comes too often, or ends its own early."""
        ledger = self._ledger
        most = stage.times[1]
        unmet = ledger.unmet(stage, track)
        for_all = ledger.unmet_for_all(stage) if stage.after_all else []
        repeated = most is not None and ledger.times(stage, track) >= most
        if not (unmet or for_all or repeated or ledger.track_ended(track)):
            return False
        named = f" of track {shown(track)}" if track is not None else ""
        of_track = named if stage.per_track else ""
        if repeated:
            so_often = nth(ledger.times(stage, track) + 1)
            message = f"{stage.name}{of_track} comes for the {so_often} time"
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
        for group, lacking in for_all:
            names = " or ".join(group)
            rule = f"order/{stage.name}/after_all/{'|'.join(group)}"
            message = f"{stage.name} came before {names} of track {lacking}"
            self._report("stage.order", rule, number, "", message)
        return repeated or (stage.ends == "track" and bool(unmet))

    # ------------------------------------------------------------------ the end

    def _unfinished(self) -> None:
        if lost := self._ledger.lost_tracks():
            for track in lost:
                message = f"track {track} was never delivered"
                self._report("track.missing", "tracks/all", None, "", message)
            self._missing_stages()
            return
        due = self._ledger.due()
        sentinel = self._c.protocol.sentinel
        if sentinel is not None and sentinel.required and not (due or self._sentinels):
            self._missing_sentinel()  # all that had to come is there, and only the text is not
            return
        if sentinel is not None and sentinel.required and not self._sentinels:
            due.append(sentinel.data.decode())
        after = f"after {self.last_stage}" if self.last_stage else "before its first chunk"
        more = f"; still due: {', '.join(due)}" if due else ""
        message = f"the stream ended {after}{more}"
        self._report("stream.truncated", "end/reached", None, "", message)

    def _lost_tracks(self) -> None:
        """A stream that a closing stage, or its close, has ended may lack a track all the same."""
        for track in self._ledger.never_seen():
            message = f"track {track} was never delivered"
            self._report("track.missing", "tracks/all", None, "", message)

    def _missing_sentinel(self) -> None:
        sentinel = self._c.protocol.sentinel
        if sentinel is not None and sentinel.required and not self._sentinels:
            message = f"the stream ended without {shown(sentinel.data.decode())}"
            self._report("stream.no_sentinel", "end/sentinel", None, "", message)

    def _missing_stages(self) -> None:
        for stage, track, times in self._ledger.missing():
            on = f" of track {track}" if track is not None else ""
            least = stage.times[0]
            came = "once" if times == 1 else f"{times} times"
            message = f"{stage.name}{on} came {came}; at least {least} expected"
            message = f"{stage.name}{on} never came" if not times else message
            self._report("stage.missing", f"times/{stage.name}", None, "", message)
