"""Whether something is seen less or more often than before: Fisher's exact test on counts of
exchanges, and how many more exchanges would decide.

Exchanges are counted, never chunks: the chunks of one exchange are no independent evidence. The
hypergeometric tail is summed in logarithms with the standard library, since this runs where SciPy
would take longer to load than to answer. Source: R. A. Fisher, Statistical Methods for Research
Workers, section 21.02; the number of tests that count follows R. E. Tarone, Biometrics 46 (1990).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import exp, inf, lgamma
from typing import NamedTuple

#: The chance of one false finding or more in a comparison of two runs that are alike.
LEVEL = 0.01
#: More exchanges than this are not asked for.
MOST_NEEDED = 100_000
_ROUNDING = 1 + 1e-9


class Presence(NamedTuple):
    """Something was seen in `base` of `base_n` exchanges, and in `candidate` of `candidate_n`."""

    base: int
    base_n: int
    candidate: int
    candidate_n: int

    @property
    def shares(self) -> tuple[float, float]:
        """How often, from 0 to 1, in each; nan where there was nothing to see it in."""
        base = self.base / self.base_n if self.base_n else float("nan")
        candidate = self.candidate / self.candidate_n if self.candidate_n else float("nan")
        return base, candidate


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) if 0 <= k <= n else -inf


def fisher(seen: Presence) -> float:
    """The chance of a table at least as far off in the direction in which this one is off, were
    both sides alike: one tail of the hypergeometric distribution, doubled; at most 1.
    """
    base, base_n, candidate, candidate_n = seen
    whole, marked = base_n + candidate_n, base + candidate
    if not base_n or not candidate_n or marked in (0, whole):
        return 1.0
    low, high = max(0, marked - base_n), min(candidate_n, marked)
    fewer = candidate * base_n <= base * candidate_n
    tail = range(candidate, low - 1, -1) if fewer else range(candidate, high + 1)
    total = _log_choose(whole, marked)
    p = 0.0
    for count in tail:
        term = exp(_log_choose(candidate_n, count) + _log_choose(base_n, marked - count) - total)
        p += term
        if term <= p * 1e-12:  # they only get smaller; far out even the first is nothing
            break
    return min(1.0, 2 * p)


def significant(p: float, level: float) -> bool:
    """Whether a p is small enough, with room for the rounding of its logarithms."""
    return p / _ROUNDING <= level


def smallest(seen: Presence) -> float:
    """The smallest p that any table with these margins could have had."""
    marked, whole = seen.base + seen.candidate, seen.base_n + seen.candidate_n
    if marked in (0, whole):
        return 1.0
    low, high = max(0, marked - seen.base_n), min(seen.candidate_n, marked)
    return min(
        fisher(Presence(marked - count, seen.base_n, count, seen.candidate_n))
        for count in (low, high)
    )


def level_of_each(tables: list[Presence], level: float = LEVEL) -> float:
    """The level at which each table is to be tested so that all together keep `level`: Bonferroni
    over those that could be significant at all, since the others cannot err (Tarone 1990).
    """
    attainable = sorted(smallest(table) for table in tables)
    for tests in range(1, len(attainable) + 1):
        if bisect_right(attainable, level / tests, key=lambda p: p / _ROUNDING) <= tests:
            return level / tests
    return level


def needed(seen: Presence, level: float = LEVEL) -> int | None:
    """About how many more exchanges of the candidate decide, if it goes on as it has begun; None
    if no number does that could be asked for, as the base is too small. (Then other features may
    have become testable, which shares out the level anew.)
    """
    if not seen.candidate_n or not seen.base_n:
        return None
    share = seen.candidate / seen.candidate_n

    def decides(more: int) -> bool:
        n = seen.candidate_n + more
        return significant(fisher(Presence(seen.base, seen.base_n, round(share * n), n)), level)

    more = 1 + bisect_left(range(1, MOST_NEEDED + 1), True, key=decides)
    return more if more <= MOST_NEEDED else None
