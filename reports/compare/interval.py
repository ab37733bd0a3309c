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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from soundstage.results.quantiles import interval_ranks, needed, rank

Floats = npt.NDArray[np.float64]

#: More than so many times what was measured is no advice: "no number of samples decides soon".
MOST_FACTOR = 1000
MOST_RUNS = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantile in seconds with its bounds; -inf and +inf are open bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """Candidate over base: 1.2 is 20% slower. `low` and `high` bound it, 0 and +inf: open.
    nan where neither arm got there.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Noise:
    """How much the log quantile of a run differs from run to run beyond its sample: the standard
    deviation, estimated with so many degrees of freedom.
    """

    sd: float
    df: int


def estimate(ordered: Floats, q: float, level: float) -> Estimate:
    """The quantile of order `q` of sorted values, and its exact interval."""
    n = len(ordered)
    low, high = interval_ranks(q, n, level)
    return Estimate(
        value=float(ordered[rank(q, n) - 1]),
        low=float(ordered[low - 1]) if low >= 1 else -math.inf,
        high=float(ordered[high - 1]) if high <= n else math.inf,
    )


def estimate_of_runs(runs: Sequence[Floats], q: float, level: float) -> Estimate:
    """The geometric mean of the runs' quantiles with its interval by Student's t on their logs;
    the median run and open bounds where some are infinite, open bounds for a single run.
    """
    logs = [_log(float(run[rank(q, len(run)) - 1])) for run in runs]
    if not all(map(math.isfinite, logs)):
        return Estimate(_exp(float(np.median(logs))), -math.inf, math.inf)
    middle = float(np.mean(logs))
    if len(logs) < 2:
        return Estimate(math.exp(middle), -math.inf, math.inf)
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    half = float(stdtrit(len(logs) - 1, (1 + level) / 2)) * float(np.std(logs, ddof=1))
    half /= math.sqrt(len(logs))
    return Estimate(math.exp(middle), math.exp(middle - half), _exp(middle + half))


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)


def _log(value: float) -> float:
    """The logarithm of a time; 1 ns stands for none."""
    return value if value == math.inf else math.log(max(value, 1e-9))


def _log_low(value: float) -> float:
    return -math.inf if value == -math.inf else _log(value)


def mover(base: Estimate, candidate: Estimate) -> tuple[float, float, float]:
    """(d, L, U) of the log ratio. d is nan where both are infinite."""
    b, lb, ub = _log(base.value), _log_low(base.low), _log(base.high)
    c, lc, uc = _log(candidate.value), _log_low(candidate.low), _log(candidate.high)
    d = math.nan if b == c == math.inf else c - b
    if math.isfinite(d) and math.isfinite(lc) and math.isfinite(ub):
        low = d - math.hypot(c - lc, ub - b)
    else:
        low = -math.inf if ub == math.inf else lc - ub
    if math.isfinite(d) and math.isfinite(uc) and math.isfinite(lb):
        high = d + math.hypot(uc - c, b - lb)
    else:
        high = math.inf if uc == math.inf else uc - lb
    return d, low, high


def widened(
    bounds: tuple[float, float, float], noise: Noise, level: float
) -> tuple[float, float, float]:
    """The bounds with the noise between two single runs, measured on A/A runs, added to them."""
    from scipy.special import stdtrit

    d, low, high = bounds
    apart = float(stdtrit(max(1, noise.df), (1 + level) / 2)) * noise.sd * math.sqrt(2)
    if not math.isfinite(d):
        return d, low - apart, high + apart
    return d, d - math.hypot(d - low, apart), d + math.hypot(high - d, apart)


def of_samples(
    base: Floats, candidate: Floats, q: float, level: float, noise: Noise | None = None
) -> tuple[float, float, float]:
    """(d, L, U) of the log ratio of the quantiles of two single runs."""
    found = mover(estimate(base, q, level), estimate(candidate, q, level))
    return found if noise is None else widened(found, noise, level)


def of_runs(
    base: Sequence[Floats], candidate: Sequence[Floats], q: float, level: float, *, paired: bool
) -> tuple[float, float, float]:
    """(d, L, U) of the log ratio of the quantiles of several runs an arm (at least three runs in
    all). `paired`: the runs of the same place in both sequences belong together.
    """
    logs = [[_log(float(run[rank(q, len(run)) - 1])) for run in arm] for arm in (base, candidate)]
    pairs = list(zip(base, candidate, strict=True)) if paired else list(product(base, candidate))
    single = [of_samples(one, other, q, level) for one, other in pairs]
    least, most = min(each[1] for each in single), max(each[2] for each in single)
    if not all(map(math.isfinite, [*logs[0], *logs[1]])):
        middle = [each[0] for each in single]
        whole = float(np.median(middle)) if not any(map(math.isnan, middle)) else math.nan
        return whole, least, most
    d, half = _t_interval(logs[0], logs[1], level, paired=paired)
    return d, max(d - half, least), min(d + half, most)


def _t_interval(
    base: Sequence[float], candidate: Sequence[float], level: float, *, paired: bool
) -> tuple[float, float]:
    """The mean difference and half the length of its interval by Student's t."""
    from scipy.special import stdtrit

    if paired:
        apart = np.subtract(candidate, base)
        df = float(len(apart) - 1)
        error = float(apart.std(ddof=1)) / math.sqrt(len(apart))
        d = float(apart.mean())
    else:
        d = float(np.mean(candidate) - np.mean(base))
        sizes = len(base), len(candidate)
        if min(sizes) >= 2:
            parts = [float(np.var(arm, ddof=1)) / len(arm) for arm in (base, candidate)]
            error = math.sqrt(sum(parts))
            below = sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
            df = sum(parts) ** 2 / below if below else float(sum(sizes) - 2)
        else:
            df = float(sum(sizes) - 2)
            pooled = sum(float(np.var(arm)) * len(arm) for arm in (base, candidate)) / df
            error = math.sqrt(pooled * (1 / sizes[0] + 1 / sizes[1]))
    return d, float(stdtrit(df, (1 + level) / 2)) * error


def verdict(low: float, high: float, margin: float) -> str:
    """`pass` if the ratio is surely below 1 + margin, `fail` if surely above, `inconclusive`."""
    limit = math.log1p(margin)
    if high < limit:
        return "pass"
    return "fail" if low > limit else "inconclusive"


def samples_needed(
    base: Floats,
    candidate: Floats,
    q: float,
    level: float,
    margin: float,
    noise: Noise | None = None,
) -> int | None:
    """How many exchanges an arm (the smaller one) would decide if all further ones were like those
    seen: the least size at which the gate would give pass or fail. None if none within
    `MOST_FACTOR` times as many would.
    """
    have = min(len(base), len(candidate))

    def decided(factor: float) -> bool:
        grown = [_grown(arm, q, level, factor) for arm in (base, candidate)]
        bounds = mover(*grown)
        if noise is not None:
            bounds = widened(bounds, noise, level)
        return verdict(bounds[1], bounds[2], margin) != "inconclusive"

    floor = max(1.0, needed(q, level) / have)
    if decided(floor):
        return math.ceil(floor * have)
    found = least(decided, floor, MOST_FACTOR)
    return None if found is None else math.ceil(found * have)


def least(holds: Callable[[float], bool], low: float, most: float) -> float | None:
    """A number above `low` from which `holds`, to 2%; None if it does not up to `most`."""
    high = low
    while not holds(high):
        low, high = high, high * 2
        if low >= most:
            return None
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _grown(ordered: Floats, q: float, level: float, factor: float) -> Estimate:
    """What `estimate` would say of `factor` times as many values of the same distribution. Between
    the values that there are, the quantile function is taken to be straight on the log scale.
    """
    n = len(ordered)
    more = math.ceil(n * factor)
    low, high = interval_ranks(q, more, level)

    def at(share: float) -> float:
        place = min(float(n), max(1.0, share * n + 0.5))
        below = math.floor(place)
        left, right = float(ordered[below - 1]), float(ordered[min(n, below + 1) - 1])
        if place == below or left == right or right == math.inf:
            return left if place == below else right
        return math.exp(_log(left) + (place - below) * (_log(right) - _log(left)))

    return Estimate(
        value=at(q),
        low=at((low - 0.5) / more) if low >= 1 else -math.inf,
        high=at((high - 0.5) / more) if high <= more else math.inf,
    )


def runs_needed(
    base: Sequence[Floats],
    candidate: Sequence[Floats],
    q: float,
    level: float,
    margin: float,
    *,
    paired: bool,
) -> int | None:
    """How many runs an arm (pairs, if paired) would decide if their spread stays as it is; None if
    none up to `MOST_RUNS` would.
    """
    from scipy.special import stdtrit

    logs = [[_log(float(run[rank(q, len(run)) - 1])) for run in arm] for arm in (base, candidate)]
    if not all(map(math.isfinite, [*logs[0], *logs[1]])):
        return None
    d, _ = _t_interval(logs[0], logs[1], level, paired=paired)
    if paired:
        spread, lost = float(np.std(np.subtract(logs[1], logs[0]), ddof=1)), 1
    else:
        parts = [float(np.var(arm, ddof=1)) for arm in logs if len(arm) > 1]
        spread, lost = math.sqrt(2 * sum(parts) / len(parts)), 2
    for runs in range(max(len(base), len(candidate)) + 1, MOST_RUNS + 1):
        df = float(runs - 1 if lost == 1 else 2 * (runs - 1))
        half = float(stdtrit(df, (1 + level) / 2)) * spread / math.sqrt(runs)
        if verdict(d - half, d + half, margin) != "inconclusive":
            return runs
    return None


def shift(base: Floats, candidate: Floats, most: int = 1500) -> tuple[float, float]:
    """Hodges and Lehmann's estimate of the ratio (the median ratio of a candidate's time to a base
    time) and the p-value of the Mann-Whitney test. Shown, never a gate: it asks whether the arms
    differ at all, not by how much a quantile does.

    The estimate is over `most` evenly spaced order statistics an arm, the test over all values.
    """
    picked = []
    for arm in (base, candidate):
        places = np.linspace(0, len(arm) - 1, min(len(arm), most)).astype(np.int64)
        picked.append(np.log(np.maximum(arm[places], 1e-9)))
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


def rate_change(
    base: tuple[int, int], candidate: tuple[int, int], level: float
) -> tuple[float, float, float]:
    """(difference, L, U) of two shares given as (k, n), by MOVER from their Clopper-Pearson
    intervals.
    """
    from soundstage.results.quantiles import rate_interval

    shares = [k / n if n else 0.0 for k, n in (base, candidate)]
    (lb, ub), (lc, uc) = (rate_interval(k, n, level) for k, n in (base, candidate))
    d = shares[1] - shares[0]
    low = d - math.hypot(shares[1] - lc, ub - shares[0])
    return d, low, d + math.hypot(uc - shares[1], shares[0] - lb)


def rate_change_of_runs(
    base: Sequence[tuple[int, int]],
    candidate: Sequence[tuple[int, int]],
    level: float,
    *,
    paired: bool,
) -> tuple[float, float, float]:
    """As `rate_change` for several runs an arm: the wider of that of all exchanges together and of
    Student's t on the shares of the runs, since errors come in bursts.
    """
    together = [(sum(k for k, _ in arm), sum(n for _, n in arm)) for arm in (base, candidate)]
    d, low, high = rate_change(together[0], together[1], level)
    if len(base) + len(candidate) < 3 or (paired and len(base) < 2):
        return d, low, high
    shares = [[k / n if n else 0.0 for k, n in arm] for arm in (base, candidate)]
    mean, half = _t_interval(shares[0], shares[1], level, paired=paired)
    return d, min(low, mean - half), max(high, mean + half)
