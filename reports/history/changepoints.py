"""Where a series of runs changed its level: circular binary segmentation with permutation tests.

The series are logs of quantiles, one a run, in order of time. Of all stretches within a series the
one is taken whose mean differs most from that of the rest, for their sizes m and n - m,

    T = |mean(stretch) - mean(rest)| * sqrt(m (n - m) / n)

(Olshen, Venkatraman, Lucito and Wigler 2004; a stretch that reaches to an end is the classical
CUSUM cut, Page 1955). Stretch and what is left on either side have `LEAST` runs or more. How often
as great a T comes of chance is asked of the series itself: its values are shuffled `SHUFFLES`
times, since without a change their order means nothing, and p = (1 + shuffles at least as great) /
(1 + SHUFFLES) (Phipson and Smyth 2010). With p <= `ALPHA` the ends of the stretch are cuts, and
the parts between cuts are searched in the same way.

In the end every cut must stand by itself: between its two neighbouring parts, at the same level,
by at least `SMALLEST`; the least certain is dropped until all do. Seeded: the same runs give the
same answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

#: Fewer runs than this on a side say nothing of a level.
LEAST: Final = 3
SHUFFLES: Final = 1999
ALPHA: Final = 0.01
#: A change by less than this is noise to a reader, however certain.
SMALLEST: Final = math.log(1.03)
#: So many of the newest runs are looked at: the search takes the square of it.
MOST: Final = 200

#: Scores that are worked out at once, to bound the memory.
_AT_ONCE: Final = 2_000_000

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LevelChange:
    """The level changed between the runs `at - 1` and `at` (zero-based places in the series) by
    the factor `ratio`; `p` is that of the test between the two parts beside it.
    """

    at: int
    ratio: float
    p: float


def changes(logs: Sequence[float], seed: int = 0) -> list[LevelChange]:
    """The changes of a series of finite logs, in order of time, among its last `MOST` values."""
    skipped = max(0, len(logs) - MOST)
    values = np.asarray(logs[skipped:], dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a series with values that are no finite numbers")
    rng = np.random.default_rng(seed)
    cuts = sorted(_cuts(values, 0, len(values), rng))
    while cuts:
        found = [_between(values, cuts, place, rng) for place in range(len(cuts))]
        weak = [
            place
            for place, each in enumerate(found)
            if each.p > ALPHA or abs(math.log(each.ratio)) < SMALLEST
        ]
        if not weak:
            return [LevelChange(each.at + skipped, each.ratio, each.p) for each in found]
        del cuts[max(weak, key=lambda place: found[place].p)]
    return []


def _between(
    values: Floats, cuts: Sequence[int], place: int, rng: np.random.Generator
) -> LevelChange:
    """The change at a cut, tested between the parts on both sides of it."""
    borders = [0, *cuts, len(values)]
    low, at, high = borders[place : place + 3]
    part = values[low:high]
    starts, ends = np.array([at - low]), np.array([high - low])
    p = _chance(part, starts, ends, float(_scores(part[np.newaxis, :], starts, ends)[0, 0]), rng)
    return LevelChange(at, math.exp(part[at - low :].mean() - part[: at - low].mean()), p)


def _cuts(values: Floats, low: int, high: int, rng: np.random.Generator) -> set[int]:
    """The places of all cuts within a part."""
    part = values[low:high]
    n = len(part)
    if n < 2 * LEAST:
        return set()
    starts, ends = _stretches(n)
    scores = _scores(part[np.newaxis, :], starts, ends)[0]
    best = int(np.argmax(scores))
    if _chance(part, starts, ends, float(scores[best]), rng) > ALPHA:
        return set()
    cuts = {int(starts[best]), int(ends[best])} - {0, n}
    borders = [0, *sorted(cuts), n]
    found = {low + cut for cut in cuts}
    for left, right in pairwise(borders):
        found |= _cuts(values, low + left, low + right, rng)
    return found


def _stretches(n: int) -> tuple[Places, Places]:
    """The starts and the ends of all stretches of a series of `n`; those that begin at 0 and their
    complements are the same cut, so only those that do not are taken.
    """
    starts, ends = np.triu_indices(n + 1, k=LEAST)
    fits = (starts >= LEAST) & ((ends == n) | (n - ends >= LEAST))
    return starts[fits], ends[fits]


def _chance(
    part: Floats, starts: Places, ends: Places, score: float, rng: np.random.Generator
) -> float:
    """How probable a score as great is where the order means nothing."""
    as_great, left = 0, SHUFFLES
    rows_at_once = max(1, _AT_ONCE // len(starts))
    while left:
        rows = min(left, rows_at_once)
        shuffled = rng.permuted(np.tile(part, (rows, 1)), axis=1)
        # A shuffle that only turns the values round gives the same score up to rounding.
        greatest = _scores(shuffled, starts, ends).max(axis=1)
        as_great += int((greatest >= score - 1e-12).sum())
        left -= rows
    return (1 + as_great) / (1 + SHUFFLES)


def _scores(rows: Floats, starts: Places, ends: Places) -> Floats:
    """T of every stretch of every row."""
    n = rows.shape[1]
    sums = np.zeros((len(rows), n + 1))
    np.cumsum(rows, axis=1, out=sums[:, 1:])
    size = (ends - starts).astype(np.float64)
    inside = sums[:, ends] - sums[:, starts]
    outside = sums[:, -1:] - inside
    found: Floats = np.abs(inside / size - outside / (n - size)) * np.sqrt(size * (n - size) / n)
    return found
