"""Holds a stream against a contract, event by event, driven by the contract's data alone.

Incremental and without I/O: feed it the data of events, ask for violations, close it. After a
violation it goes on from what it saw, so that one broken chunk does not start an avalanche.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from soundstage.conformance.across import Across, whole_number
from soundstage.conformance.bounded_violations import Findings
from soundstage.conformance.fields import (
    MOST_EXPLAINED,
    PATTERN_LIMIT,
    REFUSED,
    received,
    shown,
)
from soundstage.conformance.order.remembered_states import OrderStep, StageMove
from soundstage.conformance.order.shortfalls import (
    missing_sentinel,
    missing_stages,
    missing_tracks,
    unfinished,
)
from soundstage.conformance.order.slips import Slip, of_track, out_of_order
from soundstage.conformance.order.stage_order import StageOrder, Track
from soundstage.conformance.remembered_kinds import Kind, RareChecks
from soundstage.conformance.stages import compiled
from soundstage.conformance.violations import Compared, Verdict, Violation, verdict_of
from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import pointer, type_name
from soundstage.contract.json_schema.proved_members import MemberCheck
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


def _all_hold(checks: tuple[MemberCheck, ...], chunk: dict[str, Any]) -> bool:
    """Whether members are as they should be, each by itself."""
    try:
        for name, is_valid in checks:
            if not is_valid(chunk[name]):
                return False
    except REFUSED:
        return False
    return True


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
        "_found",
        "_known",
        "_max_depth",
        "_report",
        "_searched",
        "_sentinel",
        "_sentinels",
        "_state",
        "_step",
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
        self._state = self._c.states.begun(protocol)
        index = protocol.index
        self._found = Findings()
        self._report = self._found.taking(self._c.violation)
        self._across = Across(index, self._report, protocol.completion)
        self._sentinel = protocol.sentinel.data if protocol.sentinel is not None else None
        self._sentinels = 0
        self.named = self._c.named
        self._closed_well = False
        # By what gets them, the last values of each set of constants, and as which identity they
        # were found to be as they should be.
        self._known: dict[Callable[[Any], Any], tuple[Any, str | None]] = {}
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
            return self.failed is not None and self._state.order.ended
        return self._state.order.ended or self._closed_well

    @property
    def at_the_end(self) -> tuple[str, ...]:
        """The milestones that are reached with the end of the body; asked for after `close`."""
        return self._state.milestones.at_the_end() if self._closed_well else ()

    def verdict(self, *, strict: bool = False) -> Verdict:
        """The verdict so far; final after `close`."""
        return verdict_of(self.violations, self.reason, strict=strict)

    def due(self) -> list[str]:
        """What is still to come, in words: `uploading (track 2)`."""
        return self._state.order.due()

    def event(self, data: bytes, name: str = "") -> SeenEvent:
        """Check the data of the next event, whose `event:` is `name` ("" or "message": none)."""
        number = self.events
        self.events = number + 1
        if data == self._sentinel:
            return self._see_sentinel(number)
        event = name if self.named else None
        read = self._c.read(data, event, self._max_depth) or self._look_closely(data, event, number)
        if read is None:
            return _UNREADABLE
        chunk, (kind, unproved) = read
        if kind is None:
            return self._unknown_stage(chunk, number)
        (
            stage, _, move, of_track, _, values, _, constants, rising, counted, flag,
            beside,
        ) = kind  # fmt: skip
        track: Track = chunk[of_track] if of_track is not None else None
        if beside is not None:
            if beside.misnamed is not None:
                self._report("event.name", f"{stage.name}/event", number, "", beside.misnamed)
            if beside.tracked:
                track = self._track(chunk)
            if beside.milestones:
                move = self._c.states.move(stage, chunk, self._state)
        # What streams do is what others have done before: a step is there already.
        step = self._state.steps.get(move if track is None else (move, track))
        if step is None:
            step = self._first_step(move, track, chunk)
            if step is None and not self._may_come(stage, chunk, number):
                return SeenEvent(chunk, stage.name, track, ())
        self.last_stage = stage.name
        # What identifies the stream, if the last chunk that has it said the same.
        known = None
        if values is not None:
            identified = values(chunk)
            known = self._known.get(values)
            if known is not None and known[0] != identified:
                known = None
        broken, identity = _NOWHERE, None
        if unproved is not None:
            left, identifying, identity = unproved
            if (left and not _all_hold(left, chunk)) or (
                identifying
                and (known is None or known[1] != identity)
                and not _all_hold(identifying, chunk)
            ):
                broken = self._broken(kind, chunk, number)
        else:
            broken = self._broken(kind, chunk, number)
        if step is not None:
            self._state, reached = step
        else:
            reached = self._count(stage, track, chunk, number)
        if counted is not None:
            value, across = chunk[counted], self._across
            if value == across.due and not across.astray:
                across.due = value + self._step
            else:
                across.number(value, number)
        if values is not None and (known is None or known[1] != identity):
            self._known[values] = identified, None if broken else identity
            if known is None:
                for said, named, at in constants:
                    if not (broken and at in broken):
                        self._across.constant(said, at, chunk[named], number)
        for never, named, at in rising:
            if not (broken and at in broken):
                self._across.rising(never, at, chunk[named], number, track)
        if beside is not None:
            self._check_beside(beside, chunk, number, track, broken)
        if flag is not None and (chunk[flag] or self._state.order.ended):
            self._across.completion(chunk, self._state.order, number)
        # SeenEvent(...), in half the time: this line runs once per chunk.
        return tuple.__new__(SeenEvent, (chunk, stage.name, track, reached))

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
            came = bool(self._sentinels)
            self._tell(unfinished(self._state.order, self.last_stage, sentinel_came=came))
        else:
            if not self._state.lacks_nothing():
                self._tell(missing_tracks(self._state.order))
                self._tell(missing_stages(self._state.order))
            if not self._sentinels:
                self._tell(missing_sentinel(self._state.order))
        if self.reason is None and self._c.given_up:
            self.reason = PATTERN_LIMIT
        if self.reason is None and not self._searched:
            self.reason = _TOO_MUCH_WRONG

    def _is_whole(self) -> bool:
        """Whether a stream that is over has come to its end."""
        ledger = self._state.order
        if ledger.ended or ledger.perhaps_ended():
            return True
        self._closed_well = ledger.may_close
        return self._closed_well

    def _tell(self, slips: Iterable[Slip], number: int | None = None) -> None:
        for each in slips:
            self._report(each.code, each.rule, number, each.path, each.message, each.compared)

    # ------------------------------------------------------------------ one chunk

    def _see_sentinel(self, number: int) -> SeenEvent:
        if self._sentinels:
            message = "the text that ends the stream came again"
            self._report("stream.after_end", "end/nothing_after", number, "", message)
        self._sentinels += 1
        self._own_order().see_sentinel()
        return _UNREADABLE

    def _own_order(self) -> StageOrder:
        """The order of this stream, to be changed: it goes on by itself from now on."""
        self._state = self._state.own()
        return self._state.order

    def _first_step(self, move: StageMove, track: Track, chunk: dict[str, Any]) -> OrderStep | None:
        """The step that no stream has made before; None where there is something to say about it,
        or no room to remember it.
        """
        state = self._state
        if not state.shared:
            return None
        may_come = not state.order.ended or self._may_follow(move.stage)
        step = self._c.states.learn(state, move, track, chunk) if may_come else None
        if step is None:
            self._state = state.own()
        return step

    def _may_come(self, stage: Stage, chunk: dict[str, Any], number: int) -> bool:
        """Whether the chunk counts: not what comes after the end, or is an error of no stage."""
        if self._sentinels or (self._state.order.ended and not self._may_follow(stage)):
            message = f"a chunk of {stage.name} came after the last one"
            self._report("stream.after_end", "end/nothing_after", number, "", message)
            return False
        return not (stage.failure and self._is_refusal(chunk, number))

    def _count(
        self, stage: Stage, track: Track, chunk: dict[str, Any], number: int
    ) -> tuple[str, ...]:
        """Count a chunk in the order of this stream alone, and say what is wrong about it; the
        milestones that it reached.
        """
        order = self._state.order
        if (unknown := of_track(order, track)) is not None:
            self._tell([unknown], number)
        if stage.failure:
            self.failed = self._c.said_of_failure(stage, chunk)
            order.see(stage, track)
        elif not (stage.anywhere or order.advance(stage, track)):
            wrong = out_of_order(order, stage, track)
            self._tell(wrong.slips, number)
            order.see(stage, track, slip=wrong.astray)
        if not stage.milestones:
            return ()
        return self._state.milestones.reached(stage, track, chunk, order)

    def _may_follow(self, stage: Stage) -> bool:
        """Whether a chunk may come although the stream has ended: a keep-alive, what may be last
        but need not, or one that shows that the end was none.
        """
        ledger = self._state.order
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
        if kind.flagged:
            self._across.completion(chunk, self._state.order, number)

    def _look_closely(
        self, data: bytes, event: str | None, number: int
    ) -> tuple[dict[str, Any], tuple[Kind | None, None]] | None:
        """The chunk that the data says, perhaps repaired, and its kind, None if no stage knows it;
        None if there is no chunk. Nothing of its fields is proved.
        """
        seen = json_text.proved(data, self._max_depth) or self._read_closely(data, number)
        if seen is None:
            return None
        chunk, types = seen
        if type(chunk) is not dict:
            self._no_chunk(chunk, number)
            return None
        return chunk, (self._c.kind(chunk, event, types), None)

    def _read_closely(self, data: bytes, number: int) -> tuple[Any, None] | None:
        """What the data says that is not as it should be, perhaps repaired; None if it cannot be
        read.
        """
        value, problems, readable = json_text.read_closely(data, self._max_depth)
        if problems and problems[0].code == json_text.TOO_MANY:
            self.capped = json_text.TOO_MANY
            self._own_order().see_unknown()
            return None
        for wrong in problems:
            said = wrong.path, wrong.message
            self._report(wrong.code, "json", number, *said, times=wrong.times)
        if readable:
            return value, None
        self._own_order().see_unknown()
        self._across.index(None, number)
        return None

    def _no_chunk(self, value: Any, number: int) -> None:
        message = f"the chunk is {shown(value)}, of type {type_name(value)}; not an object"
        compared = Compared("an object", received(value))
        self._report("json.not_object", "json", number, "", message, compared)
        self._own_order().see_unknown()
        self._across.index(None, number)

    def _broken(self, kind: Kind, chunk: dict[str, Any], number: int) -> set[str]:
        """The places (JSON pointers) of the fields that are broken, by the whole schema."""
        # It says yes or no in one call; only a no is worth a closer look.
        try:
            if kind.fits is not None and kind.fits(chunk):
                return _NOWHERE
        except REFUSED:
            pass
        most = MOST_EXPLAINED if self._explained < _MOST_IN_ALL else _THEN
        found, whole = kind.fields.found(chunk, number, most=most)
        self._explained += len(found)
        self._searched = self._searched and whole
        self._found.extend(found)
        return {violation.path for violation in found}

    def _unknown_stage(self, chunk: dict[str, Any], number: int) -> SeenEvent:
        if self._c.given_up:  # a pattern took too long: it may well be of a stage
            self._own_order().see_unknown()
        else:
            self._report_unknown(chunk, number)
        return SeenEvent(chunk, None, None, ())

    def _report_unknown(self, chunk: dict[str, Any], number: int) -> None:
        if self._sentinels or (self._state.order.ended and not self._state.order.reopened()):
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
        self._own_order().see_unknown()
        index = self._c.protocol.index
        self._across.index(index.field.of(chunk) if index else None, number)

    def _is_refusal(self, chunk: dict[str, Any], number: int) -> bool:
        """Whether an event is a printed error: a documented refusal, in a stream that had begun."""
        error = self._c.contract.errors.matching(chunk)
        if error is None:
            return False
        message = f"the event is the error “{error.title}” where a chunk is due"
        self._report("http.error_under_success", "http/answer", number, "", message)
        self.refusal = error
        self._own_order().refuse()
        return True

    def _track(self, chunk: dict[str, Any]) -> Track:
        """The track that a chunk names; None if it is of the wrong type, as the schema says."""
        tracks = self._c.protocol.tracks
        assert tracks is not None
        value = tracks.field.of(chunk)
        if type(value) is float:
            value = whole_number(value)
        return value if type(value) in self._c.track_types else None
