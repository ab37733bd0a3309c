"""Exact quantiles and exact intervals, of times and of rates. Nothing here assumes a distribution.

Values are numbers in any unit and any order; +inf is a value like another (a moment that never
came), nan is refused. NumPy and SciPy are loaded when they are needed.

**Quantile** of order q over n values: the value of rank ceil(n q), the inverse of the empirical
distribution function (Hyndman and Fan 1996, definition 1). It is always a value that occurred, so
it fits the order statistics that bound it.

**Interval**: two order statistics, their ranks taken from the binomial distribution of how many
values lie below the true quantile (Conover 1999, 3.2). The two tails hold at most (1 - level) / 2
each, whatever the distribution, ties and infinities included. It agrees with
`scipy.stats.quantile_test(x, p=q).confidence_interval(level)`, of which the module alone takes a
second to load, except that a missing bound is -inf or +inf here (nan there): comparisons then do
what they should.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]


def finite(value: float) -> float | None:
    """A number as JSON has it: None for what never came (+inf) or nobody knows (nan)."""
    return value if math.isfinite(value) else None


def rank(q: float, n: int) -> int:
    """The rank, from 1, of the quantile of order `q` among `n` values: ceil(n q), at least 1."""
    return min(n, max(1, math.ceil(round(q * n, 9))))


@lru_cache(maxsize=4096)
def interval_ranks(q: float, n: int, level: float) -> tuple[int, int]:
    """The ranks, from 1, of the values that bound the quantile of order `q` among `n` values with
    confidence `level`; 0 and n + 1 mean that there are too few values for that bound.

    Raises ValueError unless 0 < q < 1 and 0 < level < 1.
    """
    _check(q, level)
    if n < 1:
        return 0, n + 1
    least, at_most = _binomial(n, q)
    tail = (1 - level) / 2
    # The least k with P(Binomial(n, q) <= k) >= share, for both shares.
    low, high = (least + int(at_most.searchsorted(share)) for share in (tail, 1 - tail))
    return low, high + 1


def _binomial(n: int, q: float) -> tuple[int, Values]:
    """A number k, and P(Binomial(n, q) <= k) of it and of those that follow, as far as these
    differ from 0 and 1 by more than any level asks for. Not SciPy's: to import `scipy.special`
    takes four tenths of a second, and its `bdtr` is wrong by 0.001 at eight million values.
    """
    import numpy as np

    mode = min(n, int((n + 1) * q))
    # Twelve standard deviations leave 1e-30; small numbers, whose tail is longer, are all there.
    reach = int(12 * math.sqrt(n * q * (1 - q))) + 40
    low, high = max(0, mode - reach), min(n, mode + reach)
    below, above = np.arange(mode - 1, low - 1, -1), np.arange(mode, high)
    odds = q / (1 - q)
    weights = np.concatenate(
        (
            np.cumprod((below + 1) / ((n - below) * odds))[::-1],
            [1.0],
            np.cumprod((n - above) / (above + 1) * odds),
        )
    )
    at_most: Values = np.cumsum(weights)
    # The last one is no number less than 1, whatever was rounded.
    return low, np.append(at_most[:-1] / at_most[-1], math.inf)


def quantile(values: Values, q: float) -> float:
    """The quantile of order `q`, +inf if that share never got there.

    `values` is one-dimensional, in any order, and is left as it is. Raises ValueError for no
    values, for nan among them, and unless 0 < q < 1.
    """
    _check(q)
    found: Values = _ordered(values, (rank(q, _size(values)) - 1,))
    return float(found[0])


def interval(values: Values, q: float, level: float = 0.95) -> tuple[float, float]:
    """The bounds of the true quantile of order `q` with confidence `level`.

    -inf and +inf stand for a bound that so few values cannot give (`needed` says how many can).
    Raises ValueError for no values, nan among them, or `q` or `level` out of (0, 1).
    """
    low, high = interval_ranks(q, _size(values), level)
    n = len(values)
    inside = tuple(each - 1 for each in (low, high) if 1 <= each <= n)
    found = dict(zip(inside, _ordered(values, inside), strict=True))
    return (
        float(found.get(low - 1, -math.inf)),
        float(found.get(high - 1, math.inf)),
    )


def rate_interval(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The bounds, in [0, 1], of the rate behind `k` events in `n` trials: Clopper and Pearson
    (1934), which never covers less than `level`. (0, 1) for no trials.

    Raises ValueError unless 0 <= k <= n and 0 < level < 1.
    """
    _check(0.5, level)
    if not 0 <= k <= n:
        raise ValueError(f"{k} events in {n} trials")
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high


def needed(q: float, level: float = 0.95) -> int:
    """The least number of values that bounds the quantile of order `q` on both sides: 6 for the
    median at 95%, 72 for p95, 368 for p99.
    """
    _check(q, level)
    tail = (1 - level) / 2
    # Below: P(no value under it) = (1 - q)^n < tail. Above: P(all under it) = q^n <= tail.
    n = max(1, math.ceil(math.log(tail) / math.log(max(q, 1 - q))) - 1)
    while (1 - q) ** n >= tail or q**n > tail:
        n += 1
    return n


def tells(q: float, n: int) -> bool:
    """Whether `n` values are enough for a quantile of order `q` to be read out: from 2 for the
    median, 20 for p95, 100 for p99. Of fewer it is the largest of them, whatever its name says.
    """
    return n * (1 - q) >= 1 - 1e-9


def _check(q: float, level: float = 0.5) -> None:
    if not 0 < q < 1:
        raise ValueError(f"a quantile's order lies between 0 and 1: {q}")
    if not 0 < level < 1:
        raise ValueError(f"a level of confidence lies between 0 and 1: {level}")


def _size(values: Values) -> int:
    if len(values) == 0:
        raise ValueError("a quantile of no values")
    return len(values)


def _ordered(values: Values, places: tuple[int, ...]) -> Values:
    """The values at these places of the sorted order, without sorting the rest."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    if np.isnan(array).any():
        raise ValueError("a quantile of values that are no numbers (nan)")
    chosen = list(places)
    found: Values = np.partition(array, sorted(set(chosen)))[chosen] if chosen else array[:0]
    return found
