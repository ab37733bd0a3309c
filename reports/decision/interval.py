"""How many times slower the candidate is: quantiles of two arms, their ratio, and its interval.

**One run an arm.** Each arm's quantile has its exact interval (order statistics). The interval of
the ratio comes of these two by MOVER, the method of variance estimates recovery (Zou and Donner
2008, "Construction of confidence limits about effect measures"), on the log scale: with
d = ln(candidate) - ln(base),

    L = d - sqrt((c - lc)^2 + (ub - b)^2)       U = d + sqrt((uc - c)^2 + (b - lb)^2)

Where a quantile is infinite (so many never got there) or a bound is open, the difference of the
bounds themselves is taken, L = lc - ub and U = uc - lb, which is wider.

**Several runs an arm.** Runs differ by more than their samples explain, so the runs are the
sample: Student's t on the differences of the log quantiles of pairs, Welch's t where the runs are
not paired, Student's pooled t where one arm has a single run. With few runs that interval is
wide. It is cut where every pair (or every base run with every candidate run) says so by itself:
no lower than the least of their single L, no higher than the greatest of their single U.

Times are seconds, +inf included, and sorted. Values in, values out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from soundstage.results.quantiles import interval_ranks, rank, rate_interval

Floats = npt.NDArray[np.float64]

#: What stands for a time of none on the log scale: 1 ns.
_NO_TIME = 1e-9
#: Order statistics an arm that Hodges and Lehmann's estimate takes: every pair of them is a number.
_SHIFT_POINTS = 1500


class Interval(NamedTuple):
    """A figure and its bounds: seconds, a share, the difference of two shares, or a change as a
    ratio (1.2 is 20% slower) or its logarithm. Infinite bounds are open; a value that nothing is
    known of is nan.
    """

    value: float
    low: float
    high: float

    def ratio(self) -> Interval:
        """The ratio of which this is the logarithm."""
        return Interval(*map(_exp, self))


class Noise(NamedTuple):
    """How much the log quantile of a run differs from run to run beyond its sample: the standard
    deviation, estimated with so many degrees of freedom.
    """

    sd: float
    df: int

    def half(self, level: float) -> float:
        """Half the length of the interval of the difference of two runs that only noise parts."""
        return student_t(self.df, (1 + level) / 2) * self.sd * math.sqrt(2)


def student_t(df: float, order: float) -> float:
    """The quantile of Student's t with at least one degree of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(max(1, df), order))


def verdict(change: Interval, limit: float) -> str:
    """`pass` if the change is surely below the limit, `fail` if surely above, `inconclusive`."""
    if change.high < limit:
        return "pass"
    return "fail" if change.low > limit else "inconclusive"


def quantile(ordered: Floats, q: float) -> float:
    """The quantile of order `q` of sorted values, as `results.quantiles` has it."""
    return float(ordered[rank(q, len(ordered)) - 1])


def estimate(ordered: Floats, q: float, level: float) -> Interval:
    """The quantile of order `q` of sorted values, and its exact interval."""
    n = len(ordered)
    low, high = interval_ranks(q, n, level)
    return Interval(
        quantile(ordered, q),
        float(ordered[low - 1]) if low >= 1 else -math.inf,
        float(ordered[high - 1]) if high <= n else math.inf,
    )


def estimate_of_runs(runs: Sequence[Floats], q: float, level: float) -> Interval:
    """The geometric mean of the runs' quantiles with its interval by Student's t on their logs;
    the median run and open bounds where some are infinite, open bounds for a single run.
    """
    logs = log_quantiles(runs, q)
    if not all(map(math.isfinite, logs)):
        return Interval(_exp(float(np.median(logs))), -math.inf, math.inf)
    middle = float(np.mean(logs))
    if len(logs) < 2:
        return Interval(math.exp(middle), -math.inf, math.inf)
    error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    half = student_t(len(logs) - 1, (1 + level) / 2) * error
    return Interval(middle, middle - half, middle + half).ratio()


def log_quantiles(runs: Sequence[Floats], q: float) -> list[float]:
    """The logarithm of the quantile of order `q` of each run."""
    return [log(quantile(run, q)) for run in runs]


def log(value: float) -> float:
    """The logarithm of a time, of an open bound as well."""
    return value if value == -math.inf else math.log(max(value, _NO_TIME))


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)  # more would overflow


def mover(base: Interval, candidate: Interval, noise: float = 0.0) -> Interval:
    """The log ratio of two quantiles, nan where both are infinite. `noise`: half the length of
    another interval that is independent of both, and is to be added.
    """
    b, lb, ub = map(log, base)
    c, lc, uc = map(log, candidate)
    d = math.nan if b == c == math.inf else c - b
    if math.isfinite(d) and math.isfinite(lc) and math.isfinite(ub):
        low = d - math.hypot(c - lc, ub - b)
    else:
        low = -math.inf if ub == math.inf else lc - ub
    if math.isfinite(d) and math.isfinite(uc) and math.isfinite(lb):
        high = d + math.hypot(uc - c, b - lb)
    else:
        high = math.inf if uc == math.inf else uc - lb
    if not math.isfinite(d):
        return Interval(d, low - noise, high + noise)
    return Interval(d, d - math.hypot(d - low, noise), d + math.hypot(high - d, noise))


def of_samples(
    base: Floats, candidate: Floats, q: float, level: float, noise: Noise | None = None
) -> Interval:
    """The log ratio of the quantiles of two single runs."""
    half = noise.half(level) if noise else 0.0
    return mover(estimate(base, q, level), estimate(candidate, q, level), half)


def of_runs(
    base: Sequence[Floats], candidate: Sequence[Floats], q: float, level: float, *, paired: bool
) -> Interval:
    """The log ratio of the quantiles of several runs an arm (at least three runs in all).
    `paired`: the runs of the same place in both sequences belong together.
    """
    logs = log_quantiles(base, q), log_quantiles(candidate, q)
    pairs = list(zip(base, candidate, strict=True)) if paired else list(product(base, candidate))
    single = [of_samples(one, other, q, level) for one, other in pairs]
    least, most = min(each.low for each in single), max(each.high for each in single)
    if not all(map(math.isfinite, [*logs[0], *logs[1]])):
        return Interval(float(np.median([each.value for each in single])), least, most)
    d, half = t_interval(logs[0], logs[1], level, paired=paired)
    return Interval(d, max(d - half, least), min(d + half, most))


def t_interval(
    base: Sequence[float], candidate: Sequence[float], level: float, *, paired: bool
) -> tuple[float, float]:
    """The mean difference and half the length of its interval by Student's t."""
    d = float(np.mean(candidate) - np.mean(base))
    sizes = len(base), len(candidate)
    if paired:
        df = float(sizes[0] - 1)
        error = float(np.std(np.subtract(candidate, base), ddof=1)) / math.sqrt(sizes[0])
    elif min(sizes) >= 2:
        parts = [float(np.var(arm, ddof=1)) / len(arm) for arm in (base, candidate)]
        error = math.sqrt(sum(parts))
        below = sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
        df = sum(parts) ** 2 / below if below else float(sum(sizes) - 2)
    else:
        df = float(sum(sizes) - 2)
        pooled = sum(float(np.var(arm)) * len(arm) for arm in (base, candidate)) / df
        error = math.sqrt(pooled * (1 / sizes[0] + 1 / sizes[1]))
    return d, student_t(df, (1 + level) / 2) * error


def rate_change(
    base: Sequence[tuple[int, int]],
    candidate: Sequence[tuple[int, int]],
    level: float,
    *,
    paired: bool = False,
) -> Interval:
    """The difference of two shares, each given as the (k, n) of its runs: by MOVER from their
    Clopper-Pearson intervals. Of several runs it is the wider of that and of Student's t on the
    shares of the runs, since errors come in bursts.
    """
    sums = [(sum(k for k, _ in arm), sum(n for _, n in arm)) for arm in (base, candidate)]
    (b, lb, ub), (c, lc, uc) = (share(k, n, level) for k, n in sums)
    d = c - b
    low, high = d - math.hypot(c - lc, ub - b), d + math.hypot(uc - c, b - lb)
    if len(base) + len(candidate) >= 3:
        shares = [[k / n if n else 0.0 for k, n in arm] for arm in (base, candidate)]
        mean, half = t_interval(shares[0], shares[1], level, paired=paired)
        low, high = min(low, mean - half), max(high, mean + half)
    return Interval(d, low, high)


def share(k: int, n: int, level: float) -> Interval:
    """k of n, with its interval of Clopper and Pearson."""
    return Interval(k / n if n else 0.0, *rate_interval(k, n, level))


def shift(base: Floats, candidate: Floats) -> tuple[float, float]:
    """Hodges and Lehmann's estimate of the ratio (the median ratio of a candidate's time to a base
    time, over evenly spaced order statistics of each arm) and the p-value of the Mann-Whitney test.
    Shown, never a gate: it asks whether the arms differ at all, not by how much a quantile does.
    """
    picked = []
    for arm in (base, candidate):
        places = np.linspace(0, len(arm) - 1, min(len(arm), _SHIFT_POINTS)).astype(np.int64)
        picked.append(np.log(np.maximum(arm[places], _NO_TIME)))
    with np.errstate(invalid="ignore"):
        apart = np.subtract.outer(picked[1], picked[0])
    apart[np.isnan(apart)] = 0.0  # neither got there: no difference
    middle = float(np.median(apart, overwrite_input=True))
    return _exp(middle), mann_whitney(base, candidate)


def mann_whitney(base: Floats, candidate: Floats) -> float:
    """The two-sided p-value of sorted values by the normal approximation, with the corrections for
    ties and continuity (Lehmann 1975, 1.4). Not scipy's: to import `scipy.stats` costs a comparison
    half a second and 50 MB.
    """
    from scipy.special import ndtr

    n, m = len(base), len(candidate)
    sides = (np.searchsorted(base, candidate, side).sum() for side in ("left", "right"))
    larger = float(sum(sides)) / 2  # pairs in which the candidate is slower, ties half
    ties = np.unique(np.concatenate([base, candidate]), return_counts=True)[1].astype(np.float64)
    tied = float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1))
    deviation = math.sqrt(n * m / 12 * max(0.0, n + m + 1 - tied))
    if deviation == 0:
        return 1.0
    z = (abs(larger - n * m / 2) - 0.5) / deviation
    return min(1.0, 2 * float(ndtr(-z)))
