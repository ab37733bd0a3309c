"""Reads an answer to its end: pieces of body go to the judge, what comes of them is timed and kept.

This runs once for each event of each stream under load, so it is written to be cheap.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from soundstage.conformance.judge import Told
from soundstage.conformance.timing.moments import ArrivalLog
from soundstage.contract.roles import identifier
from soundstage.exchange.exchange import Exchange, Leave
from soundstage.output.cutting import head
from soundstage.process.memory import PARSED, Claim

_SECOND_NS = 1_000_000_000
_NONE_YET = -(2**63)
#: Stands where no chunk is one more of the same.
_ANOTHER = object()
#: More kinds of stage#track than this are an attack on the bundle, not a protocol.
_MOST_STAGES, _LONGEST_STAGE = 64, 100
#: Why a stream that was left is not judged whole.
LEFT = "harness.left"
#: Why nobody can say when bytes came.
UNSTAMPED = "its times are those at which it was read, not those at which it came"
OnComment = Callable[[int, bytes], None]


class ExchangeReader:
    """One exchange while its body comes. `claim`: to the room for its chunks. `comments` is the
    list that the judge's decoder fills, None if nobody asks; `on_comment` gets each with its
    arrival (ns). `keep_chunks`, `keep_bytes`: see `Client`.
    """

    __slots__ = (
        "_arrivals",
        "_claim",
        "_comments",
        "_exchange",
        "_judge",
        "_keep_bytes",
        "_keep_chunks",
        "_leave",
        "_longest_at_ns",
        "_longest_ns",
        "_more",
        "_more_ns",
        "_on_comment",
        "_on_stage",
        "_response",
        "_stage",
        "_stages",
        "_started_ns",
        "_streaming",
        "_tape",
        "_told_ns",
        "last_ns",
    )

    def __init__(
        self,
        exchange: Exchange,
        *,
        keep_bytes: bool,
        keep_chunks: bool,
        claim: Claim,
        comments: list[bytes] | None,
        on_comment: OnComment | None,
    ) -> None:
        self._exchange = exchange
        self._judge = exchange.judge
        self._response = exchange.response
        self._tape = exchange.tape
        self._started_ns = exchange.started_ns
        self._keep_bytes = keep_bytes
        self._keep_chunks = keep_chunks
        self._claim = claim
        self._comments = comments
        self._on_comment = on_comment
        self._on_stage = exchange.call.on_stage
        self._leave = exchange.call.leave_at
        self._streaming = exchange.judge.streaming
        self._told_ns = 0
        # The longest time between two reads that brought events, and when it ended.
        self._longest_ns = _NONE_YET
        self._longest_at_ns = 0
        self._stages = exchange.stages
        # The stage of the last chunk, if it is of no track, and `_ANOTHER` if it is; how many more
        # of it have come that are not noted yet, and when the last of them did.
        self._stage: Any = _ANOTHER
        self._more = self._more_ns = 0
        self._arrivals = ArrivalLog(exchange.started_ns) if exchange.judge.times_tell else None
        self.last_ns = exchange.response.times.head_ns or exchange.started_ns

    def take(self, data: bytes, at_ns: int, last: bool) -> bool:
        """A piece of body, as `Response.reads` gives it; True if no more is wanted."""
        judge = self._judge
        leave = self._leave
        if leave is not None and leave.inside:
            data = self._half_of(leave, data)
        told = judge.feed(data)
        self.last_ns = at_ns
        if self._comments and self._on_comment is not None:
            for comment in self._comments:
                self._on_comment(at_ns, comment)
            self._comments.clear()
        # One event and nothing else, which is what nearly every read brings.
        lone = len(told) == 1 and told[0][0].raw == data
        mid = not lone and judge.mid_event
        if (log := self._arrivals) is not None:
            wire, body = self._response.wire_bytes, judge.body_bytes
            if lone:
                log.lone(at_ns, wire, body)
            else:
                log.read(at_ns, wire, body, len(told), mid=mid)
        if told:
            # The stamp is that of the newest segment: only an event whose last byte is the last of
            # the read is sure to have come with it.
            self.tell(told, at_ns, exact=not (last or mid))
        elif not self._streaming and self._keep_bytes:
            self._tape.append(at_ns, data, False)
        if leave is not None and self._is_left(leave):
            judge.capped = LEFT
        return judge.capped is not None

    def closed(self, work_s: float | None) -> None:
        """All of it has come, and the judge is closed: tell it when that was, and the exchange how
        long it was silent. `work_s`: see `ArrivalTimes`.
        """
        if self._longest_ns != _NONE_YET:
            silent = self._longest_ns / _SECOND_NS
            seconds = (self._longest_at_ns - self._started_ns) / _SECOND_NS
            self._exchange.silence = silent, seconds - silent
        self._note_more()
        if self._arrivals is None or not self._judge.streaming:
            return
        exchange = self._exchange
        doubt = None if exchange.response.timing_source == "kernel" else UNSTAMPED
        arrivals = self._arrivals.whole(work_s, doubt)
        exchange.arrivals = arrivals
        self._judge.take_arrivals(arrivals)

    def _is_left(self, leave: Leave) -> bool:
        """Whether the reader goes away now: with the chunk, or with half of what comes after it."""
        if not self._has_come(leave):
            return False
        return not leave.inside or self._judge.mid_event

    def _has_come(self, leave: Leave) -> bool:
        return any(name.partition("#")[0] == leave.stage for name in self._exchange.stages)

    def _half_of(self, leave: Leave, data: bytes) -> bytes:
        """What is read of a piece where the stream is left in the middle of a chunk."""
        return data[: len(data) // 2] if self._has_come(leave) else data

    def tell(self, told: list[Told], at_ns: int, *, exact: bool) -> None:
        """Time the events of one read. The last is exact if `exact`; the others are coarse."""
        exchange = self._exchange
        if not self._told_ns:
            exchange.milestones["first_chunk"] = (at_ns - self._started_ns) / _SECOND_NS
        else:
            silent_ns = at_ns - self._told_ns
            if silent_ns > self._longest_ns:
                self._longest_ns, self._longest_at_ns = silent_ns, at_ns
        self._told_ns = at_ns
        left = len(told)
        for event, (chunk, stage, track, reached) in told:
            left -= 1
            coarse = left > 0 or not exact
            if coarse:
                exchange.coarse_events += 1
            if self._keep_bytes:
                self._tape.append(at_ns, event.raw, coarse)
            for name in reached:
                exchange.milestones[name] = (at_ns - self._started_ns) / _SECOND_NS
            if stage is self._stage and track is None:  # as of nearly every chunk
                self._more += 1
                self._more_ns = at_ns
            else:
                self._note(stage, track, at_ns)
            if self._on_stage is not None and stage is not None:
                self._on_stage(stage, track)
            if chunk is not None:
                if self._keep_chunks:
                    if self._claim.take(PARSED * len(event.raw)):
                        exchange.chunks.append((stage, chunk))
                    else:
                        exchange.forgotten = True
                    if (heard := exchange.call.on_chunk) is not None:
                        heard(chunk)
                if exchange.message_id is None:
                    exchange.message_id = identifier(exchange.call.contract, chunk)

    def _note(self, stage: str | None, track: Any, at_ns: int) -> None:
        """Time and count a chunk whose stage is not that of the one before."""
        self._note_more()
        if self._arrivals is not None:
            self._arrivals.saw(stage, track)
        noted = False
        if stage is not None:
            name = stage if track is None else _named(stage, track)
            seconds = (at_ns - self._started_ns) / _SECOND_NS
            noted = self._stages.see(name, seconds, _MOST_STAGES)
        self._stage = stage if noted and track is None else _ANOTHER

    def _note_more(self) -> None:
        """Time and count the chunks of the last stage that came after its first."""
        many, self._more = self._more, 0
        if many:
            self._stages.again((self._more_ns - self._started_ns) / _SECOND_NS, many)
            if self._arrivals is not None:
                self._arrivals.saw(self._stage, None, many)


def _named(stage: str, track: Any) -> str:
    """A stage of a track, as rows name it. Interned: all streams of a run have the same few."""
    return sys.intern(head(f"{stage}#{track}", _LONGEST_STAGE, end=""))


class Underway:
    """An exchange whose answer has begun, and whose body is read by whoever waits (`read`) or by an
    event loop (`flow`). `reading` is None where not even a head came. `ended_ns`: when its body was
    over (monotonic ns), 0 before.
    """

    __slots__ = ("_over", "claim", "ended_ns", "exchange", "reading")

    def __init__(self, exchange: Exchange, claim: Claim, reading: ExchangeReader | None) -> None:
        self.exchange = exchange
        self.claim = claim
        self.reading = reading
        self.ended_ns = 0
        self._over: Callable[[BaseException | None], None] | None = None

    @property
    def flows(self) -> bool:
        """Whether an event loop can read it, so that nobody need wait for it (`flow`)."""
        return self.reading is not None and self.exchange.response.flows

    def read(self) -> None:
        """Read the body to its end, and wait for it."""
        with self.exchange.response as response:
            if self.reading is not None:
                for data, at_ns, last in response.reads():
                    if self.reading.take(data, at_ns, last):
                        break
        self.ended_ns = time.monotonic_ns()

    def flow(self, over: Callable[[BaseException | None], None]) -> None:
        """Let the event loop read the body. It calls `over`, which must not wait, once that has
        ended; with what was raised meanwhile, if anything was. That may be before this returns.
        """
        assert self.reading is not None
        self._over = over
        self.exchange.response.flow(self.reading.take, self._flown)

    def _flown(self, failure: BaseException | None) -> None:
        over, self._over = self._over, None
        self.exchange.response.close()
        self.ended_ns = time.monotonic_ns()
        if over is not None:
            over(failure)
