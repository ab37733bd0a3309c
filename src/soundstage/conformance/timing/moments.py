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
#: A read whose newest byte had been there for so long, or for such a part of the silence before it,
#: was late: what is in it may have come at any time since the read before.
_LATE_NS: Final = 20_000_000
_LATE_PART: Final = 50
#: More moments of one stream are not kept: a stream of so many is none that came together.
MOST_MOMENTS: Final = 8_192
_MOST: Final = 2**32 - 1
_MID, _LATE = 1, 2
_ENTRY: Final = Struct("<qIIIIB")
_pack = _ENTRY.pack
_MOST_BYTES: Final = MOST_MOMENTS * _ENTRY.size


class ArrivalMoment(NamedTuple):
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


def _flags(moment: ArrivalMoment) -> int:
    return _MID * moment.mid + _LATE * moment.late


class ArrivalTimes(NamedTuple):
    """A whole stream: its moments in order, and (stage, track) of its chunks. `work_s`: how long
    all that takes time takes at the target, in seconds, as far as it says so. `doubt`: why its
    times are not those of arrivals, None if they are.
    """

    moments: tuple[ArrivalMoment, ...]
    chunks: tuple[tuple[str | None, Track], ...]
    work_s: float | None = None
    doubt: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What a transcript keeps of it."""
        rows = [
            [round(one.began, 6), round(one.at, 6), one.events, one.wire, one.body, _flags(one)]
            for one in self.moments
        ]
        return {"work": self.work_s, "moments": rows}


class ArrivalLog:
    """The reads of one stream as they come, which began at `started_ns` (monotonic). `chunks` is
    filled by whoever knows what they are.
    """

    __slots__ = (
        "_at_ns",
        "_before_ns",
        "_began_ns",
        "_body",
        "_events",
        "_flags",
        "_kept",
        "_started_ns",
        "_wire",
        "chunks",
    )

    def __init__(self, started_ns: int) -> None:
        self._started_ns = self._before_ns = started_ns
        self.chunks: list[tuple[str | None, Track]] = []
        self._kept = bytearray()
        self._began_ns = self._at_ns = self._wire = self._body = self._events = self._flags = 0

    def read(self, at_ns: int, wire: int, body: int, events: int, *, mid: bool) -> None:
        """A read whose newest byte came at `at_ns` (monotonic): bytes by then, and the chunks that
        it completed; `mid`: another one has begun.
        """
        last = self._at_ns
        gap, length = at_ns - last, at_ns - self._began_ns
        if last and (
            (gap <= _SAME_NS and length <= _LONGEST_NS)
            or (self._flags & _MID and gap <= _GOES_ON_NS and length <= _LONGEST_MID_NS)
        ):
            self._events += events
            self._flags = self._flags & _LATE | _MID * mid
            at_ns = max(at_ns, last)
        else:
            if last:
                self._keep()
            self._before_ns = last or self._started_ns
            self._began_ns, self._events, self._flags = at_ns, events, _MID * mid
        self._at_ns, self._wire, self._body = at_ns, wire, body
        if self._events > 1 and (late := time.monotonic_ns() - at_ns) > _LATE_NS:
            silent = self._began_ns - self._before_ns
            self._flags |= _LATE * (late > silent // _LATE_PART)

    def _keep(self) -> None:
        """Keep the moment that is over; of numbers beyond any cap the low bits."""
        kept, began = self._kept, self._began_ns
        if len(kept) < _MOST_BYTES:
            kept += _pack(
                began,
                self._at_ns - began & _MOST,
                self._events & _MOST,
                self._wire & _MOST,
                self._body & _MOST,
                self._flags,
            )

    def whole(self, work_s: float | None, doubt: str | None) -> ArrivalTimes:
        """All of it, once the stream is over."""
        if self._at_ns:
            self._keep()
        self._at_ns = 0
        found = []
        for began, span, events, wire, body, flags in _ENTRY.iter_unpack(self._kept):
            first = (began - self._started_ns) / _SECOND_NS
            last = first + span / _SECOND_NS
            mid, late = bool(flags & _MID), bool(flags & _LATE)
            found.append(ArrivalMoment(first, last, events, wire, body, mid, late))
        return ArrivalTimes(tuple(found), tuple(self.chunks), work_s, doubt)


def of_times(
    times: Iterable[tuple[float, int]],
    chunks: Iterable[tuple[str | None, Track]],
    doubt: str | None,
) -> ArrivalTimes:
    """From the time (seconds) and the bytes of each chunk, where no more was kept."""
    # No clock of ours can say how late they were read: far in the future, none is.
    far_ns = time.monotonic_ns() + 10**18
    log = ArrivalLog(far_ns)
    body = 0
    for seconds, size in times:
        body += size
        log.read(far_ns + int(seconds * _SECOND_NS), 0, body, 1, mid=False)
    log.chunks.extend(chunks)
    return log.whole(None, doubt)


def of_json(
    said: dict[str, Any], chunks: Iterable[tuple[str | None, Track]], doubt: str | None
) -> ArrivalTimes:
    """From what `ArrivalTimes.to_json` gave, whose shape has been looked at."""
    return ArrivalTimes(tuple(_moments(said["moments"])), tuple(chunks), said["work"], doubt)


def _moments(rows: Iterable[list[Any]]) -> Iterator[ArrivalMoment]:
    for began, at, events, wire, body, flags in rows:
        yield ArrivalMoment(began, at, events, wire, body, bool(flags & _MID), bool(flags & _LATE))
