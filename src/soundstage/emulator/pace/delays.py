"""The distributions that delays are drawn from. Times are seconds; nothing here knows a stage."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


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
