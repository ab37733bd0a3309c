"""What the exchanges of a run come to for `fidelity.py`: columns of numbers, never rows."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from soundstage.errors import UsageError
from soundstage.reports.run.stage_time import SAMPLE
from soundstage.results.columns import is_probe
from soundstage.results.exchange_sample import ExchangeSample
from soundstage.results.intake import ENDPOINTS_LIMIT

#: The one thing that an endpoint tells that does not stream.
RESULT = "(result)"
#: Stages told apart in one endpoint; a hostile API could send any number of names.
_MOST_STAGES = 60
#: Likewise reasons why exchanges ended; beyond, only the outcome counts.
_MOST_ENDINGS = 40


@dataclass(slots=True)
class FidelityArm:
    """What the exchanges of one endpoint come to in one arm.

    By stage: when it was reached in each whole exchange that has it, in seconds since the start,
    and how many chunks of it there were. By pair of stages: in how many exchanges both came, and
    the first before the second.
    """

    n: int = 0
    whole: int = 0
    reached: dict[str, array[float]] = field(default_factory=lambda: defaultdict(column))
    chunks: Counter[str] = field(default_factory=Counter)
    before: Counter[tuple[str, str]] = field(default_factory=Counter)
    both: Counter[tuple[str, str]] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    spent: ExchangeSample = field(default_factory=lambda: ExchangeSample(SAMPLE))

    def add(self, row: Mapping[str, Any], speed: float) -> None:
        """Take in one exchange."""
        self.n += 1
        ending = _ending(row)
        known = ending in self.outcomes or len(self.outcomes) < _MOST_ENDINGS
        self.outcomes[ending if known else row["outcome"]] += 1
        if row["outcome"] != "ok":
            return
        self.whole += 1
        first: dict[str, float] = {}
        for label, (begin, _, count) in row["stages"].items():
            stage = label.partition("#")[0]
            if stage in first or len(self.reached) < _MOST_STAGES or stage in self.reached:
                first[stage] = min(begin, first.get(stage, math.inf))
                self.chunks[stage] += count
        complete = row["milestones"].get("complete")
        if not first and complete is not None:
            first[RESULT] = complete
            self.chunks[RESULT] += 1
        for stage, seconds in first.items():
            self.reached[stage].append(seconds * speed)
        for pair in combinations(sorted(first), 2):
            self.both[pair] += 1
            self.before[pair] += first[pair[0]] < first[pair[1]]
        if row["stages"]:
            stages = {k: (a * speed, b * speed, n) for k, (a, b, n) in row["stages"].items()}
            self.spent.add({**row, "stages": stages})


def column() -> array[float]:
    """No times yet."""
    return array("d")


def _ending(row: Mapping[str, Any]) -> str:
    """How an exchange ended, as far as the target is to be blamed for it."""
    reason = row.get("reason")
    return f"{row['outcome']}: {reason}" if reason and row["outcome"] != "ok" else row["outcome"]


def arms(rows: Iterable[Mapping[str, Any]], speed: float) -> dict[tuple[str, str], FidelityArm]:
    """The exchanges of each endpoint, by (api, endpoint); probes and warm-up stay out, and what
    was never sent. Times are multiplied by `speed`.
    """
    found: dict[tuple[str, str], FidelityArm] = defaultdict(FidelityArm)
    for row in rows:
        if not row.get("warmup") and not is_probe(row) and row["outcome"] != "dropped":
            place = (row["api"], row["endpoint"])
            if place not in found and len(found) >= ENDPOINTS_LIMIT:
                raise UsageError(f"more than {ENDPOINTS_LIMIT:,} endpoints")
            found[place].add(row, speed)
    return found
