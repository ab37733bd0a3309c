"""When the chunks of one stream came, and how many of them together: read by read while it goes on,
moment by moment when it is over.

Bytes that leave a sender in one piece need not come in one read, and none of two reads a
millisecond apart says more than the other: what came together is a *moment*. It is kept small, as
thousands of streams are open at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
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
#: A moment that one read was, and one chunk: how long after the one before (ns), and the bytes of
#: the connection and of the body since then. Nearly all are that; a 0 in place of the time stands
#: for one that is not, and has an entry of its own.
_LONE: Final = Struct("<IHH")
_lone = _LONE.pack
_SHORT: Final = 2**16
#: Any other: its first byte (monotonic ns), how long it lasted (ns), chunks, bytes, flags.
_ENTRY: Final = Struct("<qIIIIB")
_MOST_BYTES: Final = MOST_MOMENTS * _LONE.size
#: (stage, track) of chunks, each once for all streams; more are not shared.
_SHARED: Final[dict[tuple[str | None, Track], tuple[str | None, Track]]] = {}
_MOST_SHARED: Final = 1_024
#: Nor is a track of a longer name, or a larger number: what is shared stays small.
_LONGEST_SHARED, _LARGEST_SHARED = 100, 255


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
    """The reads of one stream as they come, which began at `started_ns` (monotonic), and what the
    chunks in them are, as far as somebody knows (`saw`).
    """

    __slots__ = (
        "_at_ns",
        "_before_ns",
        "_began_ns",
        "_body",
        "_events",
        "_flags",
        "_kept",
        "_others",
        "_runs",
        "_started_ns",
        "_wire",
    )

    def __init__(self, started_ns: int) -> None:
        self._started_ns = self._at_ns = self._before_ns = started_ns
        self._kept = bytearray()
        self._others: bytearray | None = None
        # (stage, track), how often in a row, and so on: reports of one stage come one by one.
        self._runs: list[Any] = []
        self._wire = self._body = 0
        # Of the moment that may still go on; `_began_ns` is 0 where the last one is kept already.
        self._began_ns = self._events = self._flags = 0

    def saw(self, stage: str | None, track: Track, many: int = 1) -> None:
        """What the next chunk was, or so many of them."""
        runs = self._runs
        if runs:
            last = runs[-2]
            if last[0] is stage and last[1] == track:
                runs[-1] += many
                return
        pair = (stage, track)
        runs += (_SHARED.get(pair) or _shared(pair), many)

    def lone(self, at_ns: int, wire: int, body: int) -> None:
        """As `read`, of a read that was one chunk, whole: what nearly all are."""
        gap = at_ns - self._at_ns
        if self._began_ns and gap > _SAME_NS and not (self._flags & _MID and gap <= _GOES_ON_NS):
            self._keep()
        sent, carried, kept = wire - self._wire, body - self._body, self._kept
        if (
            self._began_ns
            or not _SAME_NS < gap <= _MOST
            or not 0 <= sent < _SHORT
            or not 0 <= carried < _SHORT
            or len(kept) >= _MOST_BYTES
        ):
            self.read(at_ns, wire, body, 1, mid=False)
            return
        kept += _lone(gap, sent, carried)
        self._at_ns, self._wire, self._body = at_ns, wire, body

    def read(self, at_ns: int, wire: int, body: int, events: int, *, mid: bool) -> None:
        """A read whose newest byte came at `at_ns` (monotonic): bytes by then, and the chunks that
        it completed; `mid`: another one has begun.
        """
        last = self._at_ns
        if not self._began_ns and self._kept and at_ns - last <= _SAME_NS:
            self._take_back()
        began = self._began_ns
        gap, length = at_ns - last, at_ns - began
        if began and (
            (gap <= _SAME_NS and length <= _LONGEST_NS)
            or (self._flags & _MID and gap <= _GOES_ON_NS and length <= _LONGEST_MID_NS)
        ):
            self._events += events
            self._flags = self._flags & _LATE | _MID * mid
            at_ns = max(at_ns, last)
        else:
            if began:
                self._keep()
            self._before_ns = last
            self._began_ns, self._events, self._flags = at_ns, events, _MID * mid
        self._at_ns, self._wire, self._body = at_ns, wire, body
        if self._events > 1 and (late := time.monotonic_ns() - at_ns) > _LATE_NS:
            silent = self._began_ns - self._before_ns
            self._flags |= _LATE * (late > silent // _LATE_PART)

    def _take_back(self) -> None:
        """The last moment, which was one chunk, goes on."""
        gap, _, _ = _LONE.unpack_from(self._kept, len(self._kept) - _LONE.size)
        del self._kept[-_LONE.size :]
        self._began_ns, self._before_ns = self._at_ns, self._at_ns - gap
        self._events, self._flags = 1, 0

    def _keep(self) -> None:
        """Keep the moment that is over; of numbers beyond any cap the low bits."""
        began = self._began_ns
        self._began_ns = 0
        if len(self._kept) >= _MOST_BYTES:
            return
        if self._others is None:
            self._others = bytearray()
        self._kept += _lone(0, 0, 0)
        self._others += _ENTRY.pack(
            began,
            self._at_ns - began & _MOST,
            self._events & _MOST,
            self._wire & _MOST,
            self._body & _MOST,
            self._flags,
        )

    def whole(self, work_s: float | None, doubt: str | None) -> ArrivalTimes:
        """All of it, once the stream is over."""
        if self._began_ns:
            self._keep()
        runs = self._runs
        chunks = chain.from_iterable(map(repeat, runs[::2], runs[1::2]))
        return ArrivalTimes(tuple(self._moments()), tuple(chunks), work_s, doubt)

    def _moments(self) -> Iterator[ArrivalMoment]:
        others = _ENTRY.iter_unpack(self._others or b"")
        at_ns, wire, body = self._started_ns, 0, 0
        for gap, sent, carried in _LONE.iter_unpack(self._kept):
            if gap:
                at_ns, wire, body = at_ns + gap, wire + sent & _MOST, body + carried & _MOST
                seconds = (at_ns - self._started_ns) / _SECOND_NS
                yield ArrivalMoment(seconds, seconds, 1, wire, body)
                continue
            began, span, events, wire, body, flags = next(others)
            first = (began - self._started_ns) / _SECOND_NS
            last = first + span / _SECOND_NS
            mid, late = bool(flags & _MID), bool(flags & _LATE)
            yield ArrivalMoment(first, last, events, wire, body, mid, late)
            at_ns = began + span


def _shared(pair: tuple[str | None, Track]) -> tuple[str | None, Track]:
    """`pair`, to be held once by all streams that have it."""
    track = pair[1]
    if isinstance(track, str):
        small = len(track) <= _LONGEST_SHARED
    else:
        small = track is None or 0 <= track <= _LARGEST_SHARED
    if small and len(_SHARED) < _MOST_SHARED:
        _SHARED[pair] = pair
    return pair


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
    for stage, track in chunks:
        log.saw(stage, track)
    return log.whole(None, doubt)


def of_json(
    said: dict[str, Any], chunks: Iterable[tuple[str | None, Track]], doubt: str | None
) -> ArrivalTimes:
    """From what `ArrivalTimes.to_json` gave, whose shape has been looked at."""
    return ArrivalTimes(tuple(_moments(said["moments"])), tuple(chunks), said["work"], doubt)


def _moments(rows: Iterable[list[Any]]) -> Iterator[ArrivalMoment]:
    for began, at, events, wire, body, flags in rows:
        yield ArrivalMoment(began, at, events, wire, body, bool(flags & _MID), bool(flags & _LATE))
