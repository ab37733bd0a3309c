"""How many more exchanges or runs would decide a gate that cannot tell, if all that come are like
those that came. An extrapolation, rounded up; none where the change lies too near the margin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from soundstage.reports.decision import interval
from soundstage.reports.decision.interval import Floats, Interval, Noise
from soundstage.results.quantiles import interval_ranks, needed

#: More than so many times what was measured, or so many runs, is no advice.
_MOST_FACTOR, _MOST_RUNS = 1000, 200


@dataclass(frozen=True, slots=True)
class Need:
    """What would decide a gate: `count` more `unit`s an arm than there are, or nothing sensible
    (`count` None), for the reason in `text`.
    """

    unit: str
    count: int | None
    text: str


def exchanges_needed(
    base: Floats, candidate: Floats, q: float, level: float, limit: float, noise: Noise | None
) -> Need:
    """Of two single runs: more exchanges, at least as many as bound the quantile on both sides."""
    have = min(len(base), len(candidate))
    half = noise.half(level) if noise else 0.0

    def decided(factor: float) -> bool:
        change = interval.mover(
            _grown(base, q, level, factor), _grown(candidate, q, level, factor), half
        )
        return interval.verdict(change, limit) != "inconclusive"

    factor = _least(decided, max(1.0, needed(q, level) / have))
    if factor is not None:
        more = max(1, math.ceil(factor * have) - have)
        words = f"about {_rounded(more):,} more exchanges an arm would decide, or several runs"
        return Need("exchange", more, words)
    if noise is not None:
        return Need("run", None, "runs differ too much for one an arm to tell: repeat the runs")
    words = "the change is too near the margin for more exchanges to tell: repeat the runs"
    return Need("run", None, words)


def _grown(ordered: Floats, q: float, level: float, factor: float) -> Interval:
    """What `interval.estimate` would say of `factor` times as many values of the same distribution.
    Between the values that there are, the quantile function is taken to be straight on the log
    scale.
    """
    n = len(ordered)
    more = math.ceil(n * factor)
    low, high = interval_ranks(q, more, level)

    def at(order: float) -> float:
        place = min(float(n), max(1.0, order * n + 0.5))
        below = math.floor(place)
        left, right = float(ordered[below - 1]), float(ordered[min(n, below + 1) - 1])
        if place == below or left == right or right == math.inf:
            return left if place == below else right
        step = interval.log(right) - interval.log(left)
        return math.exp(interval.log(left) + (place - below) * step)

    return Interval(
        at(q),
        at((low - 0.5) / more) if low >= 1 else -math.inf,
        at((high - 0.5) / more) if high <= more else math.inf,
    )


def runs_needed(
    base: Sequence[Floats],
    candidate: Sequence[Floats],
    q: float,
    level: float,
    limit: float,
    *,
    paired: bool,
) -> Need:
    """Of several runs an arm: more runs, or pairs of them, if their spread stays as it is."""
    unit, many = ("pair of runs", "pairs of runs") if paired else ("run", "runs an arm")
    logs = interval.log_quantiles(base, q), interval.log_quantiles(candidate, q)
    if all(map(math.isfinite, [*logs[0], *logs[1]])):
        d, _ = interval.t_interval(logs[0], logs[1], level, paired=paired)
        if paired:
            spread = float(np.std(np.subtract(logs[1], logs[0]), ddof=1))
        else:
            parts = [float(np.var(arm, ddof=1)) for arm in logs if len(arm) > 1]
            spread = math.sqrt(2 * sum(parts) / len(parts))
        have = max(len(base), len(candidate))
        for runs in range(have + 1, _MOST_RUNS + 1):
            df = runs - 1 if paired else 2 * (runs - 1)
            half = interval.student_t(df, (1 + level) / 2) * spread / math.sqrt(runs)
            if interval.verdict(Interval(d, d - half, d + half), limit) != "inconclusive":
                more = runs - have
                return Need(unit, more, f"about {more} more {many} would decide")
    words = "the change is too near the margin, or the runs too unlike, for more runs to tell"
    return Need(unit, None, words)


def events_needed(sums: Sequence[tuple[int, int]], level: float, limit: float) -> Need:
    """Of the rates (k of n) of two arms: more exchanges."""
    have = min(n for _, n in sums)

    def decided(factor: float) -> bool:
        grown = [[(round(k * factor), round(n * factor))] for k, n in sums]
        change = interval.rate_change(grown[0], grown[1], level)
        return interval.verdict(change, limit) != "inconclusive"

    factor = _least(decided, 1.0) if have else None
    if factor is None:
        return Need("exchange", None, "the change is too near the margin for more to tell")
    more = max(1, math.ceil(have * factor) - have)
    return Need("exchange", more, f"about {_rounded(more):,} more exchanges an arm would decide")


def _least(holds: Callable[[float], bool], low: float) -> float | None:
    """The least factor from `low` on at which `holds`, to 2%; None if it does at none."""
    if holds(low):
        return low
    high = low
    while not holds(high):
        low, high = high, high * 2
        if low >= _MOST_FACTOR:
            return None
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _rounded(number: int) -> int:
    """Two digits are all that an extrapolation is worth; always up."""
    if number < 100:
        return number
    unit: int = 10 ** (len(str(number)) - 2)
    return math.ceil(number / unit) * unit
