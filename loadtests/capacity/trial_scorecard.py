"""What a trial at a rate is judged by: its objectives, and the times of its milestones."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from soundstage.loadtests.capacity.trial_counts import TrialCounts
from soundstage.results import quantiles, verdicts
from soundstage.results.row_facts import earliest_since_intended, since_intended
from soundstage.results.slo import Objective
from soundstage.results.verdicts import Scorecard

_ORDERS = (0.5, 0.9, 0.95, 0.99)


class TrialScorecard(Scorecard):
    """A scorecard that also keeps the times of milestones, by `api.endpoint.milestone`, and what
    became of each exchange in turn, for each objective.
    """

    def __init__(self, objectives: Iterable[Objective], names: Mapping[tuple[str, str], Any]):
        super().__init__(objectives)
        self._names = names
        self.times: dict[str, array[float]] = {}
        #: The low ends of the same, once any is not its high end.
        self.lows: dict[str, array[float]] = {}
        self.flags: list[list[bool | None]] = [[] for _ in self.tallies]
        self.n = 0

    def add(self, row: Mapping[str, Any]) -> None:
        if row.get("warmup") or row["outcome"] == "dropped":
            return
        before = [(tally.n, tally.good, tally.unknown) for tally in self.tallies]
        super().add(row)
        for flags, tally, (n, good, unknown) in zip(self.flags, self.tallies, before, strict=True):
            if tally.n > n:
                flags.append(None if tally.unknown > unknown else tally.good > good)
        self.n += 1
        api, endpoint = row["api"], row["endpoint"]
        for name in self._names.get((api, endpoint), ()):
            column = self.times.setdefault(f"{api}.{endpoint}.{name}", array("d"))
            seconds, low = since_intended(row, name), earliest_since_intended(row, name)
            self._keep_low(f"{api}.{endpoint}.{name}", low, seconds)
            column.append(math.inf if seconds is None else seconds)

    def _keep_low(self, name: str, low: float | None, high: float | None) -> None:
        """Before the high end is kept."""
        if name not in self.lows and low != high:
            self.lows[name] = array("d", self.times[name])
        if name in self.lows:
            self.lows[name].append(math.inf if low is None else low)

    def counts(self) -> tuple[TrialCounts, ...]:
        """Of each objective; one about a number of violations is one exchange that did well, or
        did not.
        """
        return tuple(
            TrialCounts.of(1.0, [slo.met_by(tally.events)])
            if (slo := tally.objective.slo).kind == "count"
            else TrialCounts.of(verdicts.required(slo), flags)
            for tally, flags in zip(self.tallies, self.flags, strict=True)
        )

    def quantiles(self) -> dict[str, dict[str, float | None]]:
        """Of each milestone, by p50 and so on, in seconds; None for never. Of times that are known
        by polling, those of the high ends.
        """
        return {name: _quantiles(column) for name, column in self.times.items()}

    def low_quantiles(self) -> dict[str, dict[str, float | None]]:
        """The same of the low ends, of the milestones whose times are known by polling."""
        return {name: _quantiles(column) for name, column in self.lows.items()}

    def quantiles_to_json(self) -> dict[str, Any]:
        """Both as they stand in the row of a trial; the low ends only where there are some."""
        lows = self.low_quantiles()
        return {"quantiles": self.quantiles(), **({"quantiles_low": lows} if lows else {})}


def _quantiles(column: array[float]) -> dict[str, float | None]:
    return {
        f"p{order * 100:g}": quantiles.finite(quantiles.quantile(np.frombuffer(column), order))
        for order in _ORDERS
    }
