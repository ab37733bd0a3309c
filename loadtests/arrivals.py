"""When requests start: schedules of arrivals, as pure functions.

A schedule is absolute: moments in seconds since the run began, never falling, that do not depend
on how the target answers (an open loop). Nothing here waits or sends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import count
from random import Random

Schedule = Iterator[float]


def constant(rate: float, duration: float) -> Schedule:
    """`rate` arrivals a second, evenly spaced, from 0 until before `duration` seconds (which may
    be infinite). The moments do not drift: the n-th is n / rate.
    """
    for number in count():
        moment = number / rate
        if moment >= duration:
            return
        yield moment


def poisson(rate: float, duration: float, seed: int) -> Schedule:
    """A Poisson process of `rate` arrivals a second before `duration` seconds (which may be
    infinite): independent exponential gaps (Ross, Introduction to Probability Models, 5.3.3).
    The same seed gives the same moments.
    """
    rng = Random(f"arrivals/{seed}")
    moment = rng.expovariate(rate)
    while moment < duration:
        yield moment
        moment += rng.expovariate(rate)


#: The kinds of schedule by name: (rate, duration, seed) -> moments.
SCHEDULES: dict[str, Callable[[float, float, int], Schedule]] = {
    "poisson": poisson,
    "constant": lambda rate, duration, seed: constant(rate, duration),
}


def schedule(kind: str, rate: float, duration: float = math.inf, seed: int = 0) -> Schedule:
    """A schedule by the name of its kind; KeyError if there is none."""
    return SCHEDULES[kind](rate, duration, seed)
