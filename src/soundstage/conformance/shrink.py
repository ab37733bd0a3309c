"""The smallest part of a stream that still shows a violation, and where in the stream it stands.

Chunks are left out, never changed. What is kept must show the *same* violation: its code, its rule,
at the same chunk, with the same message. For what concerns the story of a stream (order, tracks,
its end) it must also be free of stage violations that the whole stream does not have: leaving out
chunks breaks the story by itself, and a lone `uploading` would explain nothing. So an order
violation keeps the chunks that lead up to it, an index violation the two neighbours, a broken field
the chunk alone. No I/O; the same input gives the same result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from soundstage.conformance.bounded_violations import is_rest
from soundstage.conformance.engine import SeenEvent, StreamCheck
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.wire.lines import decoded, sniff_framing

#: Codes that are about the story as a whole, by the part before the dot.
_STORY = frozenset({"stage", "track", "stream"})
#: Of these the chunk alone tells, although they are called after stages or tracks.
_OF_A_CHUNK = frozenset({"stage.unknown", "track.unknown"})
#: A chunk is as much work as so many bytes.
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class EventStream:
    """The events of a body: their data, the framing ("sse" or "lines"; None if it has none), and
    whether the body ended inside an event.
    """

    events: tuple[bytes, ...]
    framing: str | None = None
    unterminated: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """Equal stages in a row: `label` with the track, the number of the first chunk, how many.

    `here`: the violation stands at this one (or at the end, if it is about the whole stream).
    """

    label: str
    first: int
    count: int
    here: bool = False

    def __str__(self) -> str:
        text = self.label if self.count == 1 else f"{self.label} x{self.count}"
        return f">> {text} <<" if self.here else text


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest sub-sequence found. `kept` are numbers of events in the whole stream; `at` is
    the one at which the violation stands, None if it is about the stream as a whole. `expected`
    says what the rule asks, `due` what was still to come there. `minimal`: leaving out any one more
    loses it (False if the limits ended the search); `runs` is how often the engine ran, `work` how
    many chunks it was fed.
    """

    violation: Violation
    kept: tuple[int, ...]
    at: int | None
    trace: tuple[Passage, ...]
    expected: str
    due: tuple[str, ...]
    runs: int
    minimal: bool
    work: int = 0


def stream_of(body: bytes) -> EventStream:
    """The events of a whole body, as `lint` takes them; none if it is no stream."""
    framing = sniff_framing(body)
    if framing not in ("sse", "lines"):
        return EventStream(())
    events, pending = decoded(body, framing)
    data = [event.data for event in events]
    if pending is None:
        return EventStream(tuple(data), framing)
    if framing == "lines" and pending.unterminated:
        return EventStream((*data, pending.data), framing)
    return EventStream(tuple(data), framing, pending.unterminated)


def shrink(
    contract: Contract,
    endpoint: str,
    stream: EventStream,
    rule: str,
    *,
    code: str | None = None,
    chunk: int | None = None,
    runs: int = 2000,
    work: int = 500_000,
) -> Shrunk | None:
    """The smallest sub-sequence of `stream` that shows the violation of `rule` (and `code`), at
    `chunk` if there is one there, else the first.

    `runs` bounds how often the engine runs, `work` how many chunks it is fed in all (a long chunk
    counts for several). None if the
    engine finds no such violation in these events (it is about the head, the body or the end of the
    connection).
    """
    search = _ShrinkSearch(contract, endpoint, stream, runs, work)
    found = [
        violation
        for violation in search.whole
        if violation.rule == rule and code in (None, violation.code) and not is_rest(violation)
    ]
    if not found:
        return None
    target = next((each for each in found if each.chunk == chunk), found[0])
    search.aim(target)
    kept, minimal = search.smallest()
    passages, due = _story(contract, endpoint, stream, target.chunk)
    return Shrunk(
        violation=target,
        kept=kept,
        at=target.chunk if target.chunk != len(stream.events) else None,
        trace=passages,
        expected=contract.rules[rule].text,
        due=due if _about_the_story(target.code) else (),
        runs=search.runs,
        minimal=minimal,
        work=search.work,
    )


def trace_text(trace: Sequence[Passage], most: int = 40) -> str:
    """`initializing, validated, streaming, running x7, >> final (1) <<`; of a longer trace the
    beginning, the place of the violation with what is around it, and the end.
    """
    return ", ".join(map(str, cut_trace(trace, most)))


def cut_trace(trace: Sequence[Passage], most: int = 40) -> list[Passage]:
    """At most about `most` passages; one whose label is "…" counts the chunks left out."""
    if len(trace) <= most:
        return list(trace)
    part = max(1, most // 4)
    here = next((number for number, each in enumerate(trace) if each.here), len(trace) - 1)
    wanted = {
        *range(part),
        *range(max(0, here - part), min(len(trace), here + part)),
        *range(len(trace) - part, len(trace)),
    }
    cut: list[Passage] = []
    for number, passage in enumerate(trace):
        if number in wanted:
            cut.append(passage)
        elif cut and cut[-1].label == "…":
            cut[-1] = Passage("…", cut[-1].first, cut[-1].count + passage.count)
        else:
            cut.append(Passage("…", passage.first, passage.count))
    return cut


def _about_the_story(code: str) -> bool:
    return code.partition(".")[0] in _STORY and code not in _OF_A_CHUNK


class _ShrinkSearch:
    """Asks the engine about sub-sequences of one stream, within limits."""

    def __init__(
        self, contract: Contract, endpoint: str, stream: EventStream, runs: int, work: int
    ) -> None:
        self._contract = contract
        self._endpoint = endpoint
        self._stream = stream
        self._most = (runs, work)
        self.runs = self.work = 0
        self.whole = self._violations(range(len(stream.events)), close=True)

    def aim(self, target: Violation) -> None:
        """Say which violation must still be there."""
        self._target = target
        self._story = _about_the_story(target.code)
        # What `close` says is noise, unless it is what we look for.
        self._close = target.chunk is None or target.chunk >= len(self._stream.events)
        self._allowed = Counter(
            (each.code, each.rule, each.chunk) for each in self.whole if _about_the_story(each.code)
        )

    def smallest(self) -> tuple[tuple[int, ...], bool]:
        """The numbers of the events to keep, and whether none of them can be spared."""
        events = range(len(self._stream.events))
        kept = list(events if self._close else events[: (self._target.chunk or 0) + 1])
        before = len(kept) + 1
        # What is small enough may be spared in larger pieces than before.
        while len(kept) < before and not self._exhausted():
            before = len(kept)
            kept = self._smaller(kept)
        return tuple(kept), not self._exhausted()

    def _smaller(self, kept: list[int]) -> list[int]:
        """These events without pieces of half of them, then of a quarter, down to one."""
        if not self._close:
            # Most often the chunk itself is enough, or the one before it with it.
            for many in (1, 2):
                if many < len(kept) and self._holds(kept[-many:]):
                    kept = kept[-many:]
                    break
        size = max(1, len(kept) // 2)
        while True:
            before = len(kept)
            start = 0
            while start < len(kept):
                if self._exhausted():
                    return kept
                rest = kept[:start] + kept[start + size :]
                if self._holds(rest):
                    kept = rest
                else:
                    start += size
            if size > 1:
                size = max(1, min(size // 2, len(kept) // 2))
            elif len(kept) == before:
                return kept

    def _exhausted(self) -> bool:
        runs, work = self._most
        return self.runs >= runs or self.work >= work

    def _holds(self, kept: Sequence[int]) -> bool:
        """Whether these events show the target, and no story that the whole stream does not."""
        target, shown = self._target, False
        left = self._allowed.copy()
        for each in self._violations(kept, close=self._close):
            key = (each.code, each.rule, each.chunk)
            if key == (target.code, target.rule, target.chunk) and (
                each.path == target.path and each.message == target.message
            ):
                shown = True
            if self._story and _about_the_story(each.code):
                left[key] -= 1
                if left[key] < 0:
                    return False
        return shown

    def _violations(self, kept: Sequence[int], *, close: bool) -> list[Violation]:
        """What the engine says about these events, with their numbers in the whole stream."""
        self.runs += 1
        self.work += len(kept) + sum(len(self._stream.events[n]) for n in kept) // _CHUNK
        check = StreamCheck(self._contract, self._endpoint)
        if self._stream.framing is not None:
            check.framed(self._stream.framing)
        events = self._stream.events
        for number in kept:
            check.event(events[number])
        if close:
            check.close(unterminated=self._stream.unterminated)
        # What is wrong is explained, which takes longer than what is right.
        self.work += sum(each.times for each in check.violations) // 2
        numbers = [*kept, len(events)]
        return [
            each if each.chunk is None else _numbered(each, numbers[each.chunk])
            for each in check.violations
        ]


def _numbered(violation: Violation, number: int) -> Violation:
    if violation.chunk == number:
        return violation
    return replace(violation, chunk=number)


def _story(
    contract: Contract, endpoint: str, stream: EventStream, place: int | None
) -> tuple[tuple[Passage, ...], tuple[str, ...]]:
    """The stages of the whole stream, and what was due before the chunk at `place` (or its end)."""
    check = StreamCheck(contract, endpoint)
    passages: list[Passage] = []
    due: tuple[str, ...] | None = None
    for number, data in enumerate(stream.events):
        here = number == place
        if here:
            due = tuple(check.due())
        label = _label(check.event(data))
        last = passages[-1] if passages else None
        if last is not None and last.label == label and not (here or last.here):
            passages[-1] = Passage(label, last.first, last.count + 1)
        else:
            passages.append(Passage(label, number, 1, here))
    if due is None:
        due = tuple(check.due())
        passages.append(Passage("end", len(stream.events), 1, True))
    return tuple(passages), due


def _label(seen: SeenEvent) -> str:
    if seen.chunk is None:
        return "(unreadable)"
    if seen.stage is None:
        return "(no known stage)"
    track: Any = seen.track
    return seen.stage if track is None else f"{seen.stage} ({track})"
