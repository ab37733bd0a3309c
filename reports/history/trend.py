"""How milestones went from run to run: a series for each quantile, and where its level changed.

A series holds runs that can be compared by eye: the same endpoint of the same API version, against
the same kind of target. Bundles in, values out; `trend_page` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from soundstage.errors import SoundstageError
from soundstage.reports.history.changepoints import LevelChange, changes
from soundstage.reports.run.milestone_times import Quantile
from soundstage.reports.run.summary import expected_milestones, summarise
from soundstage.reports.words import between, milestone_label, plain, plural, seconds
from soundstage.results.bundle import Bundle
from soundstage.results.quantiles import finite
from soundstage.results.run_history import RunEntry

#: Quantiles that have a series of their own.
ORDERS = (0.5, 0.95)


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
    """One quantile of one milestone over two runs or more, the oldest first. `changes` are told by
    the place of the run that brought them.
    """

    target: str
    api: str
    endpoint: str
    milestone: str
    order: float
    points: tuple[Point, ...]
    changes: tuple[LevelChange, ...]
    label: str

    @property
    def name(self) -> str:
        """`v6 stream TTC p95, emulator`"""
        where = f"{plain(self.api, 40)} {plain(self.endpoint, 20)}"
        return f"{where} {self.label} p{self.order * 100:g}, {self.target}"

    @property
    def sentence(self) -> str:
        """What it comes to. Of runs that never got there no level can be worked out."""
        lost = [point for point in self.points if point.level is None]
        last = self.points[-1]
        said = f"{plural(len(self.points), 'run')}; the last {last.words}"
        for change in self.changes:
            percent = abs(change.ratio - 1) * 100
            how = "slower" if change.ratio > 1 else "faster"
            since = plain(self.points[change.at].run.id, 80)
            said += f"; {percent:.0f}% {how} since {since} (p = {change.p:.2g})"
        if not self.changes:
            said += "; no change of level" + (" among those that got there" if lost else "")
        if lost:
            said += f"; {plural(len(lost), 'run')} never got there"
        if last.level is None:
            got = [at for at, point in enumerate(self.points) if point.level is not None]
            first = self.points[got[-1] + 1 if got else 0]
            said += f", none since {plain(first.run.id, 80)}"
        if any(point.low for point in self.points):
            said += "; times by polling, levels are those of their high ends"
        return said + "."

    def to_json(self) -> dict[str, Any]:
        """Times in seconds; null is a moment that never came, or an open bound."""
        return {
            "target": self.target,
            "api": self.api,
            "endpoint": self.endpoint,
            "milestone": self.milestone,
            "order": self.order,
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


def trend(entries: Iterable[RunEntry], milestones: Sequence[str] = ()) -> list[TrendSeries]:
    """The series of these runs, by endpoint and milestone; all milestones unless some are named. A
    bundle that is damaged is left out.
    """
    found: dict[tuple[str, str, str, str, float], list[Point]] = {}
    labels: dict[tuple[str, str, str], str] = {}
    for entry in sorted(entries, key=lambda each: (each.created or "", each.id)):
        try:
            bundle = Bundle.open(entry.path)
            expected = expected_milestones(bundle.run, list(bundle.rules()))
            summary = summarise(bundle.exchanges(), expected, bundle.run)
        except SoundstageError:
            continue
        for group in summary.groups:
            for one in group.milestones:
                place = group.api, group.endpoint, one.name
                labels[place] = milestone_label(group.names, one.name)
                if milestones and one.name not in milestones:
                    continue
                for at, quantile in enumerate(one.intended):
                    if quantile.order in ORDERS:
                        low = None if one.low is None else one.low.intended[at]
                        key = str(entry.target_kind), *place, quantile.order
                        found.setdefault(key, []).append(Point(entry, one.n, quantile, low))
    return [
        TrendSeries(*key, tuple(points), _changes(points), labels[key[1:4]])
        for key, points in found.items()
        if len(points) > 1
    ]


def _changes(points: Sequence[Point]) -> tuple[LevelChange, ...]:
    known = [(at, point.level) for at, point in enumerate(points) if point.level is not None]
    found = changes([level for _, level in known])
    return tuple(LevelChange(known[each.at][0], each.ratio, each.p) for each in found)
