"""Whether the chunks of a stream were held back on their way, as far as their arrivals can tell.

What is compared is the contract with the clock: between some chunks lies work that takes time
(`takes_time`), so that they cannot have been made in one moment. If they came in one, something
collected them. One such moment shows little (a lost packet holds up what follows it, too), so it
takes a stream whose work *all* came together after a second of silence or more; or one that came in
blocks of the same size in bytes, or by a clock. docs/explanation/how-time-is-taken.md.

Values in, values out. What cannot be told is not judged, and says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import comb, gcd
from typing import Final, NamedTuple

from soundstage.conformance.timing.moments import MOST_MOMENTS, ArrivalMoment, ArrivalTimes, Track
from soundstage.contract.protocol import Protocol, Stage
from soundstage.wire.channel import READ_BYTES

#: An exchange that was over sooner is not judged, and a silence that is shorter shows nothing.
LEAST_S: Final = 1.0
#: Where all that takes time takes less than this, what lasted a second only waited: for its turn,
#: or for a lost packet.
_LEAST_WORK_S: Final = 0.5
#: Times that are only known to this are too coarse to tell what came together.
_COARSE_S: Final = 0.01
#: A block of bytes or of time that came before the next was held for so long at least.
_BLOCK_S: Final = 0.2
#: Of the chunks of a stream that came in blocks, so many came with others.
_MOST_SHARE: Final = 0.5
#: So many chunks in one moment, or moments with such chunks, that came with one of their own stage
#: before them: fewer may be a clock of the API's own, that reports twice when it strikes.
_CERTAIN: Final = 2
#: What buffers are emptied by, in seconds; how far off they may be, and how unlikely it must be
#: that times lie so by chance.
_TICKS_S: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0)
_OFF_S, _CHANCE = 0.012, 1e-3
#: Of a tick, so much later a busy machine may empty what it holds.
_LATE_SHARE: Final = 0.25
#: Sizes of buffers are multiples of this; of a single block that is all there is, of that.
_UNIT, _LARGE_UNIT = 1_024, 4_096
_LEAST_BLOCK: Final = 512
#: So many moments a message describes.
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A stream whose chunks were held back: "whole" (until all of it was there), in blocks of
    "bytes", or of "seconds"; `block`: how large they are, 0 where nobody can say. `message` has the
    picture of arrivals.
    """

    kind: str
    block: float
    message: str
    moments: tuple[ArrivalMoment, ...]

    def lows(self, milestones: Mapping[str, float], exact: frozenset[str]) -> dict[str, float]:
        """Since when milestones may have been reached, in seconds since the request: of those that
        came in a block, when the one before it was there. `exact` are reached by what empties the
        buffer, the end of the stream.
        """
        found = {}
        for name, seconds in milestones.items():
            if name in exact:
                continue
            low = self._low(seconds)
            if low is not None:
                found[name] = low
        return found

    def _low(self, seconds: float) -> float | None:
        before = 0.0
        for moment in self.moments:
            if moment.began - 1e-6 <= seconds <= moment.at + 1e-6:
                alone = moment.events < 2 and self.kind == "whole"
                return None if alone else min(before, seconds)
            before = moment.at
        return None


class ArrivalFinding(NamedTuple):
    """What arrivals show: that the stream was `held` back, or why that is not judged (`reason`);
    both None: chunks came as they were made.
    """

    held: HeldBack | None = None
    reason: str | None = None


class _Work(NamedTuple):
    """A chunk that takes time: the moments that it came in, and in which its work had begun at the
    earliest; `once`: its stage is a step, and no report that comes any number of times.
    """

    moment: int
    since: int
    stage: str
    once: bool


def judge(protocol: Protocol, arrivals: ArrivalTimes) -> ArrivalFinding:
    """Hold the arrivals of a stream against the stages that take time."""
    moments = arrivals.moments
    if arrivals.doubt is not None:
        return ArrivalFinding(reason=arrivals.doubt)
    lasted = moments[-1].at if moments else 0.0
    if lasted < LEAST_S:
        return ArrivalFinding(
            reason=f"it lasted {lasted:.2g} s, and arrivals are judged from 1 s on"
        )
    if arrivals.work_s is not None and arrivals.work_s < _LEAST_WORK_S:
        said = f"at this target all that takes time takes {arrivals.work_s:.2g} s"
        return ArrivalFinding(reason=f"{said}, too little to be told")
    if len(moments) >= MOST_MOMENTS:
        return ArrivalFinding(reason="it came in too many moments to be looked at")
    if (known := _resolution(moments)) > _COARSE_S:
        return ArrivalFinding(reason=f"its times are only known to {known:g} s")
    work = list(_work(protocol, arrivals))
    if not work:
        return ArrivalFinding(
            reason="no chunk came that takes time to make, after what it comes after"
        )
    held = _whole(arrivals, work) or _blocks(arrivals, work)
    if held is None:
        return ArrivalFinding()
    if _may_be_ours(held) and any(each.late for each in moments if each.events > 1):
        return ArrivalFinding(reason="it was read late, so that nobody knows when its chunks came")
    return ArrivalFinding(held=held)


def _may_be_ours(held: HeldBack) -> bool:
    """Whether a reader that is late would see the same. The kernel's stamps lie on no ticks of
    ours, and what we read is cut at no multiples but those of our own reads.
    """
    return held.kind == "whole" or (held.kind == "bytes" and held.block % READ_BYTES == 0)


# --- what takes time ------------------------------------------------------------------------------


def _work(protocol: Protocol, arrivals: ArrivalTimes) -> Iterator[_Work]:
    """The chunks that take time, with the moment of what they come after."""
    first: dict[tuple[str, Track], int] = {}
    before: dict[tuple[str, Track], int] = {}
    began: int | None = None
    for number, (name, track) in zip(_moment_of(arrivals), arrivals.chunks, strict=False):
        stage = protocol.by_name.get(name) if name is not None else None
        if stage is None or name is None:
            continue
        if stage.takes_time:
            since = _since(stage, track, first, began)
            last = before.get((name, track))
            if last is not None and (since is None or last >= since):
                since = last
            if since is not None:
                yield _Work(number, since, name, stage.times[1] is not None)
            before[name, track] = number
        first.setdefault((name, track), number)
        began = number if began is None else began


def _moment_of(arrivals: ArrivalTimes) -> Iterator[int]:
    """For each chunk the number of its moment."""
    for number, moment in enumerate(arrivals.moments):
        for _ in range(moment.events):
            yield number


def _since(
    stage: Stage, track: Track, first: Mapping[tuple[str, Track], int], began: int | None
) -> int | None:
    """The moment in which all that a chunk comes after had come first; None if it has not."""
    groups = (*stage.after, *stage.after_all)
    if not groups:
        return began
    latest = None
    for group in groups:
        came = [
            moment
            for (name, of), moment in first.items()
            if name in group and (of == track or of is None or track is None)
        ]
        if not came:
            return None
        latest = min(came) if latest is None else max(latest, min(came))
    return latest


# --- what was held back ---------------------------------------------------------------------------


def _whole(arrivals: ArrivalTimes, work: Sequence[_Work]) -> HeldBack | None:
    """All work came in one moment, after a second in which nothing came."""
    number = work[0].moment
    if any(each.moment != number or each.since != number for each in work):
        return None
    moments = arrivals.moments
    silent = moments[number].began - (moments[number - 1].at if number else 0.0)
    if silent < LEAST_S:
        return None
    many = moments[number].events
    said = f"{many} of {len(arrivals.chunks)} chunks came together after {silent:.2f} s of silence"
    return HeldBack("whole", 0.0, f"{said}: {_picture(arrivals)}", moments)


def _blocks(arrivals: ArrivalTimes, work: Sequence[_Work]) -> HeldBack | None:
    """The chunks came in blocks of the same size, in bytes or in seconds."""
    moments = arrivals.moments
    together = sum(each.events for each in moments if each.events > 1)
    if together < _MOST_SHARE * len(arrivals.chunks) or not (telling := _telling(moments, work)):
        return None
    if (size := _block_bytes(moments)) is not None:
        said = f"chunks came in blocks of {size:,} bytes" if size else "chunks came in equal blocks"
        return HeldBack("bytes", float(size), f"{said}: {_picture(arrivals)}", moments)
    if telling >= _CERTAIN and (tick := _tick(moments)) is not None:
        said = f"chunks came in blocks, one in {tick:g} s"
        return HeldBack("seconds", tick, f"{said}: {_picture(arrivals)}", moments)
    return None


def _telling(moments: Sequence[ArrivalMoment], work: Sequence[_Work]) -> int:
    """How much there is in moments after a silence that cannot have been made together: a step and
    the next tell most, so many reports of one stage as much, two of them little.
    """
    of_one: dict[tuple[int, str], int] = {}
    for each in work:
        number = each.moment
        silent = moments[number].began - (moments[number - 1].at if number else 0.0)
        if silent < _BLOCK_S or each.since != number:
            continue
        if each.once:
            return _CERTAIN
        of_one[number, each.stage] = of_one.get((number, each.stage), 0) + 1
    return max(_CERTAIN * (max(of_one.values(), default=0) >= _CERTAIN), len(of_one))


def _block_bytes(moments: Sequence[ArrivalMoment]) -> int | None:
    """The size of the blocks, 0 where they are as large as each other and nobody knows by what
    measure; None if there are none.
    """
    ends = moments[:-1]
    inside = sum(each.mid for each in ends)
    if not ends or 2 * inside < len(ends):
        return None
    for count in ([each.wire for each in ends], [each.body for each in ends]):
        sizes = [after - before for before, after in zip([0, *count], count, strict=False)]
        exact = [size for size in sizes if size >= _UNIT and size % _UNIT == 0]
        if len(exact) > 1 and 5 * len(exact) >= 3 * len(sizes):
            return reduce(gcd, exact)
        if len(sizes) == 1 and exact and exact[0] % _LARGE_UNIT == 0:
            silent = moments[1].began - moments[0].at
            return exact[0] if silent >= LEAST_S or moments[0].began >= LEAST_S else None
    # Behind a head of its own, each block in a frame of its own: equal, but for the first.
    sizes = [after.wire - before.wire for before, after in pairwise(ends)]
    if len(sizes) > 1 and min(sizes) >= _LEAST_BLOCK and len(set(sizes)) == 1:
        return 0
    return None


def _tick(moments: Sequence[ArrivalMoment]) -> float | None:
    """The seconds after which a buffer was emptied, again and again; None if it was not so. The
    last moment is that of the end of the stream, whenever that is.
    """
    times = [each.began for each in moments[:-1]]
    for points in (times, [0.0, *times]):
        for tick in reversed(_TICKS_S):
            if any(_by_chance(points, first, tick) <= _CHANCE for first in points):
                return tick
    return None


def _by_chance(points: Sequence[float], first: float, tick: float) -> float:
    """How likely it is that times lie by chance where these do: on the ticks of a clock that struck
    at `first`, a few of them somewhat later, as a busy machine is. Never so likely: 1.
    """
    exact = 0
    if any(after - before < tick / 2 for before, after in pairwise(points)):
        return 1.0
    for each in points:
        off = (each - first + tick / 2) % tick - tick / 2
        if not -_OFF_S <= off <= _LATE_SHARE * tick:
            return 1.0
        exact += off <= _OFF_S
    late = len(points) - exact
    ways = comb(len(points), late)
    return float(ways * _LATE_SHARE**late * (2 * _OFF_S / tick) ** (exact - 1))


def _resolution(moments: Sequence[ArrivalMoment]) -> float:
    """To what times are known, in seconds, as far as they show it: whole numbers of what."""
    thousandths = [each.at * 1_000 for each in moments]
    if any(abs(each - round(each)) > 1e-6 for each in thousandths):
        return 0.001
    return reduce(gcd, (round(each) for each in thousandths)) / 1_000 or 0.001


def _picture(arrivals: ArrivalTimes) -> str:
    """Which chunk came when, and how many together."""
    said, number = [], 0
    before = 0
    for moment in arrivals.moments:
        if moment.events:
            last = number + moment.events - 1
            which = f"chunks {number} to {last}" if moment.events > 1 else f"chunk {number}"
            said.append(f"at {moment.at:.3f} s {which} ({moment.body - before:,} bytes)")
            number, before = last + 1, moment.body
    rest = len(said) - _SHOWN
    more = [f"and {rest} moments more"] if rest > 0 else []
    return ", ".join([*said[:_SHOWN], *more])
