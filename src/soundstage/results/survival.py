"""Quantiles of times of which some are not known: the exchange was cut before it got there.

A time that was cut after c seconds is longer than c, and no more is known. Two bounds need no
assumption: with every cut time at its cut (the best case) and with each at never (the worst). Where
both give the same quantile, that is it, and its interval is that of the order statistics. Where
they differ, the quantile *reaches into* the cut ones, and is estimated by the product-limit
estimator (Kaplan and Meier 1958), which lies between them: what was cut is taken to go on like
those that were still under way at that moment. That is right for exchanges that the end of the run
cut, whatever they were doing; its interval is that of Brookmeyer and Crowley (1982), on the log-log
scale, and holds for many exchanges.

Times are seconds; +inf is one that is known never to come (a failure, a timeout). The estimator is
SciPy's, which is loaded only where a quantile reaches into what was cut.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soundstage.results import quantiles as exact

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

#: Rounding in a product of some thousand factors.
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class QuantileEstimate:
    """A quantile in seconds, +inf if that share never got there, as far as is known. `low` and
    `high` bound it; nan where so few cannot. `estimated`: it reaches into what was cut.
    """

    order: float
    value: float
    low: float
    high: float
    estimated: bool


def quantiles(
    known: Sequence[float] | Values,
    cut: Sequence[float] | Values,
    orders: Iterable[float],
    level: float = 0.95,
) -> tuple[QuantileEstimate, ...]:
    """The quantiles of `known` times and of those that were `cut` after so many seconds each.

    None of no values at all. Raises ValueError for nan, for a cut at infinity, and for an order out
    of (0, 1).
    """
    import numpy as np

    times, cuts = np.asarray(known, dtype=np.float64), np.asarray(cut, dtype=np.float64)
    if np.isnan(times).any() or not np.isfinite(cuts).all():
        raise ValueError("times must not be nan, and cut times must be finite")
    n = len(times) + len(cuts)
    if n == 0:
        return ()
    worst = np.sort(np.concatenate([times, np.full(len(cuts), math.inf)]))
    best = np.sort(np.concatenate([times, cuts]))
    curve: _Curve | None = None
    found = []
    for order in orders:
        at = exact.rank(order, n) - 1
        ranks = exact.interval_ranks(order, n, level)
        if best[at] == worst[at]:
            # The interval may reach into them all the same: then each end takes its safe case.
            low = float(best[ranks[0] - 1]) if ranks[0] >= 1 else math.nan
            high = float(worst[ranks[1] - 1]) if ranks[1] <= n else math.nan
            found.append(QuantileEstimate(order, float(worst[at]), low, high, False))
            continue
        curve = curve or _Curve(times, cuts, level)
        found.append(QuantileEstimate(order, *curve.quantile(order), True))
    return tuple(found)


class _Curve:
    """The share that is still under way after each time, with its confidence band."""

    def __init__(self, times: Values, cuts: Values, level: float) -> None:
        import numpy as np
        from scipy import stats

        finite = times[np.isfinite(times)]
        # One that never comes is under way for longer than anybody looked.
        last = max(finite.max(initial=0.0), cuts.max(initial=0.0)) + 1.0
        never = np.full(len(times) - len(finite), last)
        sample = stats.CensoredData(uncensored=finite, right=np.concatenate([cuts, never]))
        left: Any = stats.ecdf(sample).sf
        self._moments: Values = left.quantiles
        self._share: Values = left.probabilities
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # The scale has no value where all or none are left: said by a warning, and by nan.
            warnings.simplefilter("ignore", RuntimeWarning)
            band = left.confidence_interval(level, method="log-log")
        whole = self._share >= 1 - _TINY
        low, high = band.low.probabilities, band.high.probabilities
        self._low: Values = np.where(np.isnan(low), np.where(whole, 1.0, 0.0), low)
        self._high: Values = np.where(np.isnan(high), 1.0, high)

    def quantile(self, order: float) -> tuple[float, float, float]:
        """The quantile and its bounds: where the curve, and each side of its band, has fallen to
        1 - order. A bound that is never reached is nan.
        """
        rest = 1 - order
        value = self._first(self._share, rest)
        low, high = self._first(self._low, rest), self._first(self._high, rest)
        return (
            value,
            low if low <= value and math.isfinite(low) else math.nan,
            high if math.isfinite(high) else math.nan,
        )

    def _first(self, share: Values, rest: float) -> float:
        """The first moment after which no more than `rest` is left; +inf if there is none."""
        import numpy as np

        reached = np.flatnonzero(share <= rest + _TINY)
        return float(self._moments[reached[0]]) if len(reached) else math.inf
