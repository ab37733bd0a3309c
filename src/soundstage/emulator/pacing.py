"""How long each chunk takes: profiles, read from `profiles.json`, and the delays drawn from them.

A delay is lognormal, given by its median in seconds and the sigma of its logarithm (a sigma of
0.35 puts 95% of the delays between half and twice the median).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from soundstage.errors import UsageError
from soundstage.generation.walk import Step


@dataclass(frozen=True, slots=True)
class Delay:
    """A lognormal distribution; a median of 0 means no delay at all."""

    median: float
    sigma: float

    def draw(self, rng: random.Random) -> float:
        """Seconds. Draws nothing from `rng` where there is nothing to choose."""
        if not self.median or not self.sigma:
            return self.median
        return self.median * math.exp(self.sigma * rng.gauss(0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Profile:
    """The delay before a chunk, by the name of its stage; `first` is that of the first chunk of
    a stream, whatever its stage, where it differs.
    """

    name: str
    description: str
    default: Delay
    stages: Mapping[str, Delay]
    first: Delay | None = None

    def schedule(self, steps: Sequence[Step], rng: random.Random, speed: float) -> list[float]:
        """When each chunk is due, in seconds after the request; never falling."""
        due = 0.0
        schedule = []
        for number, step in enumerate(steps):
            delay = self.stages.get(step.stage, self.default)
            if number == 0 and self.first is not None:
                delay = self.first
            due += delay.draw(rng) / speed
            schedule.append(due)
        return schedule


@cache
def profiles() -> Mapping[str, Profile]:
    """Every profile there is, by name."""
    data = json.loads(files(__package__).joinpath("profiles.json").read_bytes())
    return {name: _profile(name, entry) for name, entry in data.items()}


def profile(name: str) -> Profile:
    """The profile of that name; raises UsageError if there is none."""
    try:
        return profiles()[name]
    except KeyError:
        raise UsageError(
            f"no profile is called {name!r}: there are {', '.join(profiles())}"
        ) from None


def _profile(name: str, data: Mapping[str, Any]) -> Profile:
    return Profile(
        name=name,
        description=data["description"],
        default=Delay(**data["default"]),
        stages={stage: Delay(**delay) for stage, delay in data["stages"].items()},
        first=Delay(**data["first"]) if "first" in data else None,
    )
