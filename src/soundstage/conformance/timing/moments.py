"""When the chunks of one stream came, and how many of them together: read by read while it goes on,
moment by moment when it is over.

Bytes that leave a sender in one piece need not come in one read, and none of two reads a
millisecond apart says more than the other: what came together is a *moment*. It is kept small, as
thousands of streams are open at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any, Final, NamedTuple

#: The track of a chunk; None where it names none.
Track = int | str | None
_SECOND_NS: Final = 1_000_000_000
#: Reads so near to each other are one moment, as long as it lasts no longer than this …
_SAME_NS, _LONGEST_NS = 1_000_000, 5_000_000
#: … and so are those in which one chunk goes on: whoever writes a chunk writes it whole.
_GOES_ON_NS, _LONGEST_MID_NS = 100_000_000, 250_000_000
#: A read whose newest byte had been there for so long was late: what is in it may have come at any
#: time since the read before.
_LATE_NS: Final = 20_000_000
#: More moments of one stream are not kept: a stream of so many is none that came together.
MOST_MOMENTS: Final = 8_192
_MOST: Final = 2**32 - 1
_MID, _LATE = 1, 2
_ENTRY: Final = Struct("<qIIIIB")


class Moment(NamedTuple):
    """What came together. `began` and `at`: its first and its last byte, in seconds since the
    request; `events`: how many chunks it completed; `wire` and `body`: bytes that had come by then,
    of the connection and of the body; `mid`: it ended inside a chunk; `late`: it was read late.
    """

    began: float
    at: float
    events: int
    wire: int
    body: int
    mid: bool = False
    late: bool = False


def _flags(moment: Moment) -> int:
    return _MID * moment.mid + _LATE * moment.late


class ArrivalTimes(NamedTuple):
    """A whole stream: its moments in order, and (stage, track) of its chunks. `second_s`: how long
    a second of the contract's is at the target, 0 where stages take no time of their own. `doubt`:
    why its times are not those of arrivals, None if they are.
    """

    moments: tuple[Moment, ...]
    chunks: tuple[tuple[str | None, Track], ...]
    second_s: float = 1.0
    doubt: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What a transcript keeps of it."""
        rows = [
            [round(one.began, 6), round(one.at, 6), one.events, one.wire, one.body, _flags(one)]
            for one in self.moments
        ]
        return {"second": round(self.second_s, 6), "moments": rows}


class ArrivalLog:
    """The reads of one stream as they come. `chunks` is filled by whoever knows what they are."""

    __slots__ = ("_at_ns", "_began_ns", "_body", "_events", "_flags", "_kept", "_wire", "chunks")

    def __init__(self) -> None:
        self.chunks: list[tuple[str | None, Track]] = []
        self._kept = bytearray()
        self._began_ns = self._at_ns = self._wire = self._body = self._events = self._flags = 0

    def read(self, at_ns: int, wire: int, body: int, events: int, *, mid: bool) -> None:
        """A read whose newest byte came at `at_ns` (monotonic): bytes by then, and the chunks that
        it completed; `mid`: another one has begun.
        """
        if not self._goes_on(at_ns):
            self._keep()
            self._began_ns, self._events, self._flags = at_ns, 0, 0
        elif at_ns < self._at_ns:
            at_ns = self._at_ns
        self._at_ns, self._wire, self._body = at_ns, wire, body
        self._events += events
        self._flags = self._flags & _LATE | _MID * mid
        if self._events > 1 and time.monotonic_ns() - at_ns > _LATE_NS:
            self._flags |= _LATE

    def _goes_on(self, at_ns: int) -> bool:
        """Whether a read belongs to the moment before it."""
        if not self._at_ns:
            return False
        gap, length = at_ns - self._at_ns, at_ns - self._began_ns
        if gap <= _SAME_NS and length <= _LONGEST_NS:
            return True
        return bool(self._flags & _MID) and gap <= _GOES_ON_NS and length <= _LONGEST_MID_NS

    def _keep(self) -> None:
        if self._at_ns and len(self._kept) < MOST_MOMENTS * _ENTRY.size:
            span = min(self._at_ns - self._began_ns, _MOST)
            many = (min(each, _MOST) for each in (self._events, self._wire, self._body))
            self._kept += _ENTRY.pack(self._began_ns, span, *many, self._flags)

    def whole(self, started_ns: int, second_s: float, doubt: str | None) -> ArrivalTimes:
        """All of it, once the stream is over; it began at `started_ns` (monotonic)."""
        self._keep()
        self._at_ns = 0
        found = []
        for began, span, events, wire, body, flags in _ENTRY.iter_unpack(self._kept):
            first = (began - started_ns) / _SECOND_NS
            last = first + span / _SECOND_NS
            mid, late = bool(flags & _MID), bool(flags & _LATE)
            found.append(Moment(first, last, events, wire, body, mid, late))
        return ArrivalTimes(tuple(found), tuple(self.chunks), second_s, doubt)


def of_times(
    times: Iterable[tuple[float, int]],
    chunks: Iterable[tuple[str | None, Track]],
    doubt: str | None,
) -> ArrivalTimes:
    """From the time (seconds) and the bytes of each chunk, where no more was kept."""
    log = ArrivalLog()
    body = 0
    # No clock of ours can say how late they were read: far in the future, none is.
    far_ns = time.monotonic_ns() + 10**18
    for seconds, size in times:
        body += size
        log.read(far_ns + int(seconds * _SECOND_NS), 0, body, 1, mid=False)
    log.chunks.extend(chunks)
    return log.whole(far_ns, 1.0, doubt)


def of_json(
    said: dict[str, Any], chunks: Iterable[tuple[str | None, Track]], doubt: str | None
) -> ArrivalTimes:
    """From what `ArrivalTimes.to_json` gave, whose shape has been looked at."""
    return ArrivalTimes(
        tuple(_moments(said["moments"])), tuple(chunks), float(said["second"]), doubt
    )


def _moments(rows: Iterable[list[Any]]) -> Iterator[Moment]:
    for began, at, events, wire, body, flags in rows:
        yield Moment(began, at, events, wire, body, bool(flags & _MID), bool(flags & _LATE))
