"""How long a milestone took over the exchanges of an endpoint: exact quantiles, of both ends of
what is known by polling. Who counts says `summary`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace

import numpy as np

from soundstage.reports.words import between, seconds
from soundstage.results import quantiles as exact
from soundstage.results import survival
from soundstage.results.columns import Columns, Floats

QUANTILES = (0.5, 0.9, 0.95, 0.99)
#: In place of a quantile that so few values do not tell.
TOO_FEW = "–"
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile in seconds, +inf if that share never got there.

    `low` and `high` bound it with 95% confidence; nan where n is too small to bound it.
    `estimated`: it reaches into exchanges that were cut, so it is that of Kaplan and Meier.
    """

    order: float
    value: float
    low: float
    high: float
    estimated: bool = False

    @property
    def words(self) -> str:
        """`1.24 s`, `∞`; `≈ 1.24 s` where it is estimated."""
        return f"≈ {seconds(self.value)}" if self.estimated else seconds(self.value)


@dataclass(frozen=True, slots=True)
class MilestoneSummary:
    """How long a milestone took over `n` exchanges, of which `reached` got there.

    `intended` counts from the intended start and is the number to quote, `actual` from the
    actual start. `times` are the sorted seconds from the intended start, +inf included. Of times
    that are known by polling these are the high ends; `low` has the low ones, None where all are
    exact.
    """

    name: str
    n: int
    reached: int
    intended: tuple[Quantile, ...]
    actual: tuple[Quantile, ...]
    times: Floats
    low: MilestoneSummary | None = None

    def said(self, place: int, *, actual: bool = False) -> str:
        """The quantile at this place of `QUANTILES`: `1.24 s`; `1.10 to 1.24 s` of both ends; `–`
        of too few values to tell (of a single one, p50 is that value).
        """
        if place and not self.tells(place):
            return TOO_FEW
        high = (self.actual if actual else self.intended)[place].words
        return high if self.low is None else between(self.low.said(place, actual=actual), high)

    def tells(self, place: int) -> bool:
        """Whether there are enough values for the quantile at this place of `QUANTILES`."""
        return exact.tells(QUANTILES[place], self.n)

    def bounds(self, place: int) -> tuple[float, float]:
        """The interval of a quantile from the intended start, wide enough for both ends."""
        lowest = self if self.low is None else self.low
        return lowest.intended[place].low, self.intended[place].high


def quantiles(ordered: Floats, orders: Iterable[float] = QUANTILES) -> tuple[Quantile, ...]:
    """Exact quantiles of sorted values with their intervals; none of no values."""
    n = len(ordered)
    if n == 0:
        return ()

    def at(rank: int) -> float:
        return float(ordered[rank - 1]) if 1 <= rank <= n else math.nan

    found = []
    for order in orders:
        low, high = exact.interval_ranks(order, n, CONFIDENCE)
        found.append(Quantile(order, at(exact.rank(order, n)), at(low), at(high)))
    return tuple(found)


def _with_cut(times: Floats, cut: Floats) -> tuple[Quantile, ...]:
    """The quantiles of times of which some are not known, as they were cut (nan: it was not)."""
    unknown = np.isinf(times) & ~np.isnan(cut)
    if not unknown.any():
        return quantiles(np.sort(times))
    found = survival.quantiles(times[~unknown], cut[unknown], QUANTILES, CONFIDENCE)
    return tuple(Quantile(*astuple(each)) for each in found)


def milestone_summary(columns: Columns, name: str) -> MilestoneSummary:
    """A milestone over the measured rows, of which there are some."""
    high = _ends(columns, name, low=False)
    if columns.is_exact(name):
        return high
    low = _ends(columns, name, low=True)
    first, last = _in_order(low.intended, high.intended)
    early, late = _in_order(low.actual, high.actual)
    low = replace(low, intended=first, actual=early)
    return replace(high, intended=last, actual=late, low=low)


def _in_order(
    low: tuple[Quantile, ...], high: tuple[Quantile, ...]
) -> tuple[tuple[Quantile, ...], tuple[Quantile, ...]]:
    """Both ends of each quantile, the lower first: estimated of exchanges that were cut, that of
    the low ends may be the later one, or none at all.
    """
    pairs = [(a, b) if a.value <= b.value else (b, a) for a, b in zip(low, high, strict=True)]
    return tuple(a for a, _ in pairs), tuple(b for _, b in pairs)


def _ends(columns: Columns, name: str, *, low: bool) -> MilestoneSummary:
    times, late, cut = columns.times(name, low=low), columns.late(name), columns.cut(name)
    reached = int(np.count_nonzero(np.isfinite(times)))
    actual = _with_cut(times, cut)
    # In place: of a million rows each of these takes 8 MB.
    times += late
    cut += late
    intended = _with_cut(times, cut)
    times.sort()
    return MilestoneSummary(name, columns.asked(name), reached, intended, actual, times)
