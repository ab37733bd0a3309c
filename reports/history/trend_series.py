"""A series of a trend: one quantile of one milestone from run to run, and what it comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from soundstage.reports.history.changepoints import FEWEST, LEAST, LevelChange, detectable
from soundstage.reports.run.milestone_times import Quantile
from soundstage.reports.words import between, plain, plural, seconds
from soundstage.results.quantiles import finite
from soundstage.results.run_history import RunEntry


@dataclass(frozen=True, slots=True)
class Point:
    """A run in a series: a quantile of `n` exchanges, in seconds, with its 95% interval. Of times
    that are known by polling it is that of the high ends, and `low` that of the low ones.
    """

    run: RunEntry
    n: int
    quantile: Quantile
    low: Quantile | None = None

    @property
    def words(self) -> str:
        """`1.24 s`, or both ends of it."""
        high = seconds(self.quantile.value)
        return high if self.low is None else between(seconds(self.low.value), high)

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval, wide enough for both ends; nan where there is none."""
        return (self.low or self.quantile).low, self.quantile.high

    @property
    def level(self) -> float | None:
        """The log of the quantile, of 1 ns for none at all; None if so many never got there."""
        value = self.quantile.value
        return math.log(max(value, 1e-9)) if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class TrendSeries:
    """One quantile of one milestone, a run or more, the oldest first. `changes` are told by the
    place of the run that brought them; `headline`: the milestone is one that a run is known by.
    """

    api: str
    endpoint: str
    milestone: str
    order: float
    points: tuple[Point, ...]
    changes: tuple[LevelChange, ...]
    label: str
    headline: bool = True

    @property
    def name(self) -> str:
        """`v6 stream TTC p95`"""
        return f"{plain(self.api, 40)} {plain(self.endpoint, 20)} {self.measure}"

    @property
    def measure(self) -> str:
        """`TTC p95`"""
        return f"{self.label} p{self.order * 100:g}"

    @property
    def missing(self) -> int:
        """How many more runs it takes before a change could be told; 0 where it can be."""
        return max(0, FEWEST - len(self._levels))

    @property
    def lost_since(self) -> Point | None:
        """The first of the newest runs that never got there; None where the newest did."""
        if self.points[-1].level is not None:
            return None
        got = [at for at, point in enumerate(self.points) if point.level is not None]
        return self.points[got[-1] + 1 if got else 0]

    @property
    def _levels(self) -> list[float]:
        return [point.level for point in self.points if point.level is not None]

    @property
    def sentence(self) -> str:
        """What it comes to. Of runs that never got there no level can be worked out."""
        lost = len(self.points) - len(self._levels)
        said = f"{plural(len(self.points), 'run')}; the last {self.points[-1].words}"
        for change in self.changes:
            since = plain(self.points[change.at].run.id, 80)
            said += f"; {change_words(change)} since {since} (p = {change.p:.2g})"
        if self.missing:
            said += f"; too few runs to tell: {self.missing} more needed"
        elif not self.changes:
            said += "; no change of level" + (" among those that got there" if lost else "")
        if lost:
            said += f"; {plural(lost, 'run')} never got there"
        if self.lost_since:
            said += f", none since {plain(self.lost_since.run.id, 80)}"
        said += self._reach()
        if any(point.low for point in self.points):
            said += "; times by polling, levels are those of their high ends"
        return said + "."

    def _reach(self) -> str:
        """How small a change would have been told, where none of it is."""
        levels = self._levels
        # Places of changes count runs that never got there, levels do not.
        if self.missing or self.changes:
            return ""
        least = detectable(levels, ())
        if least is None:
            return ""
        by = f"{least:.3g} times" if least >= 3 else f"{(least - 1) * 100:.0f}%"
        return f"; newest {LEAST} runs slower by about {by} or more would show"

    def to_json(self) -> dict[str, Any]:
        """Times in seconds; null is a moment that never came, or an open bound."""
        return {
            "api": self.api,
            "endpoint": self.endpoint,
            "milestone": self.milestone,
            "headline": self.headline,
            "order": self.order,
            "runs_missing": self.missing,
            "points": [
                {
                    "run": point.run.id,
                    "created": point.run.created or "",
                    "n": point.n,
                    "seconds": finite(point.quantile.value),
                    **({"seconds_low": finite(point.low.value)} if point.low else {}),
                    "low": finite(point.bounds[0]),
                    "high": finite(point.bounds[1]),
                }
                for point in self.points
            ],
            "changes": [
                {"run": self.points[one.at].run.id, "ratio": one.ratio, "p": one.p}
                for one in self.changes
            ],
        }


def change_words(change: LevelChange) -> str:
    """`56% slower`, `3.4 times slower`, `12% faster`"""
    if change.ratio >= 3:
        return f"{change.ratio:.3g} times slower"
    how = "slower" if change.ratio > 1 else "faster"
    return f"{abs(change.ratio - 1) * 100:.0f}% {how}"
