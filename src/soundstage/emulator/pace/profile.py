"""What a profile is: how long the chunks of a generation take, how many generations run at once,
and how often they end badly, with the distributions that its delays are drawn from. Times are
seconds. Values and draws; where profiles come from is `profiles.py`'s
business.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Protocol

from soundstage.emulator.pace.capacity import SlowDown
from soundstage.generation.walk import Step

_NOTHING: Mapping[str, Any] = {}


class Delay(Protocol):
    """A distribution of times that are not negative."""

    @property
    def mean(self) -> float:
        """Its expected value, in seconds."""

    def draw(self, rng: random.Random) -> float:
        """Seconds. Draws nothing from `rng` where there is nothing to choose."""


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Given by its median and the sigma of its logarithm: a sigma of 0.35 puts 95% of the delays
    between half and twice the median. A median of 0 means no delay at all.
    """

    median: float
    sigma: float = 0.0

    @property
    def mean(self) -> float:
        """median * exp(sigma^2 / 2) (Johnson, Kotz and Balakrishnan 1994, 14.3)."""
        return self.median * math.exp(self.sigma**2 / 2)

    def draw(self, rng: random.Random) -> float:
        if not self.median or not self.sigma:
            return self.median
        return self.median * math.exp(self.sigma * rng.gauss(0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Exponential:
    """Without memory: the service times of M/M/c."""

    mean: float

    def draw(self, rng: random.Random) -> float:
        # 1 - u lies in (0, 1], so its logarithm exists.
        return -self.mean * math.log(1.0 - rng.random()) if self.mean else 0.0


@dataclass(frozen=True, slots=True)
class ConstantDelay:
    """Always the same."""

    mean: float

    def draw(self, rng: random.Random) -> float:
        return self.mean


def delay(data: Mapping[str, Any]) -> Delay:
    """The distribution that a profile's data names; `profile.schema.json` says what may stand
    there, and has been asked before.
    """
    if "exponential" in data:
        return Exponential(data["exponential"])
    if "constant" in data:
        return ConstantDelay(data["constant"])
    return Lognormal(data["median"], data.get("sigma", 0.0))


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """How many chunks of a stage a generation has: numbers, and their weights added up."""

    numbers: tuple[int, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, weights: Mapping[int, float]) -> ChunkCounts:
        """From the weight of each number."""
        numbers = tuple(sorted(weights))
        return cls(numbers, tuple(accumulate(weights[number] for number in numbers)))

    def draw(self, rng: random.Random) -> int:
        """A number of chunks. Draws nothing from `rng` where there is nothing to choose."""
        if len(self.numbers) == 1:
            return self.numbers[0]
        drawn = rng.random() * self.weights[-1]
        return self.numbers[bisect_right(self.weights, drawn, 0, len(self.numbers) - 1)]


@dataclass(frozen=True, slots=True)
class ApiProfile:
    """How generations of one API version go. `chunks` is by stage, `failures` the share of
    generations that fail right after a stage, `refusals` the share of requests by error.
    """

    default: Delay
    stages: Mapping[str, Delay] = field(default_factory=dict)
    first: Delay | None = None
    service: Delay | None = None
    chunks: Mapping[str, ChunkCounts] = field(default_factory=dict)
    failures: Mapping[str, float] = field(default_factory=dict)
    refusals: Mapping[str, float] = field(default_factory=dict)

    @property
    def takes_no_time(self) -> bool:
        """Whether every chunk is due at once."""
        delays = (self.default, *self.stages.values(), self.first, self.service)
        return not any(each.mean for each in delays if each is not None)

    def work_s(self, stage: str) -> float:
        """How long a stage takes by itself, in seconds, on average: 0 where only the whole does."""
        return 0.0 if self.service is not None else self.stages.get(stage, self.default).mean

    def due(self, steps: Sequence[Step], rng: random.Random) -> list[float]:
        """When each chunk is due, in seconds after the start; never falling."""
        known, usual = self.stages.get, self.default
        courses = [known(step.stage, usual) for step in steps]
        if courses and self.first is not None:
            courses[0] = self.first
        due = list(accumulate([course.draw(rng) for course in courses]))
        if self.service is None or not due:
            return due
        whole = self.service.draw(rng)
        if not due[-1]:
            return [whole] * len(due)
        return [*(whole * (moment / due[-1]) for moment in due[:-1]), whole]

    def failure(self, rng: random.Random) -> str | None:
        """The stage after which a generation fails; None if it does not."""
        return _one_of(self.failures, rng)

    def refusal(self, rng: random.Random) -> str | None:
        """The error that a request gets for no fault of its own; None if it gets none."""
        return _one_of(self.refusals, rng)


def _one_of(shares: Mapping[str, float], rng: random.Random) -> str | None:
    if not shares:
        return None
    drawn = rng.random()
    for name, share in shares.items():
        drawn -= share
        if drawn < 0:
            return name
    return None


@dataclass(frozen=True, slots=True)
class Profile:
    """`course` is that of every API version that has none of its own in `apis`. `progress` is the
    power by which percentages grow, None where they are drawn.
    """

    name: str
    description: str
    course: ApiProfile
    apis: Mapping[str, ApiProfile] = field(default_factory=dict)
    jitter: Delay | None = None
    slots: int | None = None
    queue: int | None = None
    slowdown: SlowDown | None = None
    progress: float | None = None
    fitted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def limited(self) -> bool:
        """Whether generations get in each other's way, so that there is a capacity to keep."""
        return self.slots is not None or self.slowdown is not None

    @property
    def refuses(self) -> bool:
        """Whether requests are refused by chance, at some API version."""
        return any(each.refusals for each in (self.course, *self.apis.values()))

    @property
    def takes_no_time(self) -> bool:
        """Whether a generation is over as soon as it begins, whatever its API version."""
        held_up = self.jitter is not None and self.jitter.mean > 0
        courses = (self.course, *self.apis.values())
        return not held_up and all(each.takes_no_time for each in courses)

    def of(self, api: str) -> ApiProfile:
        """How generations of an API version go."""
        return self.apis.get(api, self.course)

    def schedule(
        self, api: str, steps: Sequence[Step], rng: random.Random, speed: float
    ) -> list[float]:
        """When each chunk is due, in seconds after the start, if nobody is in the way; never
        falling. `speed` divides every delay.
        """
        due = self.of(api).due(steps, rng)
        if self.jitter is not None:
            # What is held up holds up what follows: bytes of one connection stay in order.
            due = list(accumulate((moment + self.jitter.draw(rng) for moment in due), max))
        return [moment / speed for moment in due]

    def percentages(self, schedule: Sequence[float]) -> list[int] | None:
        """How far the generation is at each chunk, 0 to 100; None where the profile does not say.
        Without any time to go by, the chunks are counted.
        """
        if self.progress is None or not schedule:
            return None
        whole = schedule[-1]
        shares = [
            moment / whole if whole else (number + 1) / len(schedule)
            for number, moment in enumerate(schedule)
        ]
        return [int(100 * share**self.progress) for share in shares]
