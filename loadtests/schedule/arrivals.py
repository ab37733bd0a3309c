"""When requests start: schedules of arrivals, as pure functions of phases and a seed.

A schedule is absolute: moments in seconds since the run began, never falling, that do not depend
on how the target answers (an open loop). Nothing here waits, sends or reads a file.

A rate that changes is a chain of pieces, linear in each. Moments are found by inversion: the
n-th is where the integral of the rate reaches the n-th point of a process of rate 1, whose gaps
are 1 ("constant") or exponential with mean 1 ("poisson"). For the latter that is exactly the
nonhomogeneous Poisson process of that rate (Cinlar 1975, Introduction to Stochastic Processes,
4.7), with nothing thrown away and nothing approximated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

Schedule = Iterator[float]

#: The kinds of process: how the gaps of a constant rate are distributed.
PROCESSES = ("poisson", "constant")
_NEARLY = 1 - 1e-12


@dataclass(frozen=True, slots=True)
class Piece:
    """`seconds` in which the rate goes in a line from `start` to `end` arrivals a second. Only a
    constant rate may last for ever.
    """

    seconds: float
    start: float
    end: float

    @property
    def expected(self) -> float:
        """How many arrivals it brings on average: the integral of the rate."""
        if self.start == self.end == 0:
            return 0.0
        return self.seconds * (self.start + self.end) / 2

    def when(self, level: float) -> float:
        """The moment (from the piece's beginning) at which the integral reaches `level`."""
        if level == 0:
            return 0.0
        if self.start == self.end:
            return level / self.start
        slope = (self.end - self.start) / self.seconds
        # The root of a quadratic in the form that loses no digits where the slope is small.
        root = math.sqrt(max(0.0, self.start * self.start + 2 * slope * level))
        return min(self.seconds, 2 * level / (self.start + root))


@dataclass(frozen=True, slots=True)
class RecordedArrivals:
    """Arrivals at moments that are given, never falling, all of them within `seconds`."""

    moments: tuple[float, ...]
    seconds: float


#: A part of a run. Phases are chained: each begins where the one before it ends.
Phase = Piece | RecordedArrivals


def steady(rate: float, seconds: float) -> list[Phase]:
    """A constant rate."""
    return [Piece(seconds, rate, rate)]


def ramp(start: float, end: float, seconds: float) -> list[Phase]:
    """From one rate to another in a line."""
    return [Piece(seconds, start, end)]


def steps(rates: Sequence[float], seconds: float) -> list[Phase]:
    """One rate after another, each for `seconds`."""
    return [Piece(seconds, rate, rate) for rate in rates]


def spike(base: float, peak: float, before: float, during: float, after: float) -> list[Phase]:
    """A base rate that jumps to `peak` for a while; `before`, `during` and `after` in seconds."""
    return [
        piece
        for piece in (
            Piece(before, base, base),
            Piece(during, peak, peak),
            Piece(after, base, base),
        )
        if piece.seconds > 0
    ]


def soak(rate: float, rise: float, seconds: float) -> list[Phase]:
    """A constant rate for `seconds`, reached in a line from 0 within the first `rise` of them."""
    level = Piece(seconds - rise, rate, rate)
    return [Piece(rise, 0.0, rate), level] if rise > 0 else [level]


def replay(moments: Iterable[float], pace: float = 1.0, start: float = 0.0) -> list[Phase]:
    """The moments that were recorded, counted from `start`, `pace` times as fast."""
    due = tuple(sorted((moment - start) / pace for moment in moments if moment >= start))
    # It lasts until just after its last arrival, so that this one lies within it, too.
    return [RecordedArrivals(due, math.nextafter(due[-1], math.inf) if due else 0.0)]


def length(phases: Iterable[Phase]) -> float:
    """Seconds that the phases take together."""
    return math.fsum(phase.seconds for phase in phases)


def expected(phases: Iterable[Phase]) -> float:
    """How many arrivals the phases bring on average."""
    return math.fsum(
        len(phase.moments) if isinstance(phase, RecordedArrivals) else phase.expected
        for phase in phases
    )


def rate_at(phases: Iterable[Phase], moment: float) -> float | None:
    """The rate that is asked for at a moment; None in a replay, and once all is over."""
    for phase in phases:
        if moment < phase.seconds:
            if isinstance(phase, RecordedArrivals):
                return None
            if phase.start == phase.end:
                return phase.start
            return phase.start + (phase.end - phase.start) * moment / phase.seconds
        moment -= phase.seconds
    return None


def schedule(phases: Iterable[Phase], process: str = "poisson", seed: int = 0) -> Schedule:
    """The moments of all phases, chained. The same seed gives the same moments.

    `process` is "poisson" or "constant"; it says nothing about recorded moments. Constant
    arrivals go on evenly across pieces: what one leaves of an arrival counts in the next.
    """
    levels = _levels(process, seed)
    level = next(levels)
    began = passed = 0.0
    for phase in phases:
        if isinstance(phase, RecordedArrivals):
            for moment in phase.moments:
                yield began + moment
        elif (through := passed + phase.expected) > passed:
            # What a product of rate and seconds has too much by rounding is no arrival.
            while level < through * _NEARLY:
                moment = phase.when(level - passed)
                # Rounding may put the last one at the very end, which is no longer within.
                yield began + min(moment, math.nextafter(phase.seconds, 0.0))
                level = next(levels)
            passed = through
        began += phase.seconds


def _levels(process: str, seed: int) -> Iterator[float]:
    """The points of a process of rate 1."""
    if process == "constant":
        number = 0
        while True:
            yield float(number)
            number += 1
    if process != "poisson":
        raise ValueError(f"no arrival process is called {process!r}")
    rng = Random(f"arrivals/{seed}")
    level = 0.0
    while True:
        level += rng.expovariate(1.0)
        yield level


def first(moments: Schedule, many: int, since: float = 0.0) -> Schedule:
    """A schedule until it has had so many arrivals from `since` seconds on."""
    left = many
    for moment in moments:
        if left == 0:
            return
        left -= moment >= since
        yield moment


def share(moments: Schedule, which: int, of: int) -> Iterator[tuple[int, float]]:
    """What worker `which` of `of` takes of a schedule: (number of the arrival, moment) of every
    `of`-th one. All workers go through the same seeded schedule, so that what they take together
    is exactly the process that was asked for, whatever it is.

    Raises ValueError for a worker that there is not.
    """
    if not 0 <= which < of:
        raise ValueError(f"no worker {which} among {of}")
    return islice(enumerate(moments), which, None, of)


def constant(rate: float, duration: float = math.inf) -> Schedule:
    """`rate` arrivals a second, evenly spaced, from 0 until before `duration` seconds (which may
    be infinite). The moments do not drift: the n-th is n / rate.
    """
    return schedule(steady(rate, duration), "constant")


def poisson(rate: float, duration: float = math.inf, seed: int = 0) -> Schedule:
    """A Poisson process of `rate` arrivals a second before `duration` seconds (which may be
    infinite): independent exponential gaps. The same seed gives the same moments.
    """
    return schedule(steady(rate, duration), "poisson", seed)
