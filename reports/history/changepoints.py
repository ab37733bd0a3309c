"""Where a series of runs changed its level: circular binary segmentation, with a test for long
series and one for short ones.

The series are logs of quantiles, one a run, in order of time. Of all stretches within a series the
one is taken whose mean differs most from that of the rest, for their sizes m and n - m,

    R = |mean(stretch) - mean(rest)| * sqrt(m (n - m) / n) / sqrt(sum of squares)

(Olshen, Venkatraman, Lucito and Wigler 2004; a stretch that reaches to an end is the classical
CUSUM cut, Page 1955). R^2 is the share of all scatter that the cut explains; the greatest R belongs
to the greatest t of Student's, R = t / sqrt(t^2 + n - 2). How often as great an R comes of chance
is asked of `DRAWS` series without a change, p = (1 + those at least as great) / (1 + DRAWS)
(Phipson and Smyth 2010). With p <= `ALPHA` the ends of the stretch are cuts, and the parts between
cuts are searched in the same way.

**A series of `SHUFFLED` runs or more** is held against its own shuffles: without a change their
order means nothing, whatever the noise is.

**A shorter one** cannot be: of 4 + 4 runs two of 70 orders part the same values as cleanly, so that
a tenfold step has p = 2/70 at the least. It is held against series of normal numbers instead, the
test of Student's t over all cuts. That assumes that the logs of a quantile scatter about normally
from run to run. Where they jump between two levels at random, four runs of one and then four of the
other come in 2 of 2^8 cases: less than `ALPHA` still, which is why stretch and rest have `LEAST`
runs or more.

**Fewer than `FEWEST`** say nothing.

How often it is wrong and what it finds is measured by `tests/reports/test_changepoints.py`; both
stand in docs/explanation/how-a-trend-is-told.md. Runs whose noise lasts (each like the one before)
are taken for changes more often: a test cannot tell a slow drift of the environment from one of
the API.

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
import scipy.stats

#: From so many runs on a series is held against its shuffles: so many orders there are then.
SHUFFLED: Final = 11
#: The fewest runs on a side of a cut.
LEAST: Final = 4
#: Fewer runs than this are too few to tell a change by.
FEWEST: Final = 2 * LEAST
DRAWS: Final = 4999
ALPHA: Final = 0.01
#: A change by less than this is noise to a reader, however certain.
SMALLEST: Final = math.log(1.03)
#: So many of the newest runs are looked at: the search takes the square of it.
MOST: Final = 200

#: Scores that are worked out at once, to bound the memory, and draws, since most series need few.
_AT_ONCE: Final = 2_000_000
_BLOCK: Final = 500
#: How sure a step is to be found that `detectable` names, as a quantile of the normal distribution.
_POWER: Final = 0.8416

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


def detectable(logs: Sequence[float], found: Sequence[LevelChange]) -> float | None:
    """About the smallest factor by which the newest `LEAST` runs of a series would have to be
    slower to be found, in four cases of five: by how the values scatter beside their changes, and
    by Student's t at `ALPHA` over all cuts. None where there are too few runs to find any.
    """
    values = np.asarray(logs[-MOST:], dtype=np.float64)
    n = len(values)
    if n < FEWEST:
        return None
    borders = [0, *(each.at - max(0, len(logs) - MOST) for each in found), n]
    parts = [values[low:high] for low, high in pairwise(borders)]
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
    scatter = math.sqrt(squares / (n - len(parts)))
    starts, _ = _stretches(n)
    least = float(scipy.stats.t.isf(ALPHA / (2 * len(starts)), n - 2)) + _POWER
    step = least * scatter * math.sqrt(n / (LEAST * (n - LEAST)))
    return math.exp(max(SMALLEST, min(step, 20.0)))


def _between(
    values: Floats, cuts: Sequence[int], place: int, rng: np.random.Generator
) -> LevelChange:
    """The change at a cut, tested between the parts on both sides of it."""
    borders = [0, *cuts, len(values)]
    low, at, high = borders[place : place + 3]
    part = values[low:high]
    ratio = math.exp(part[at - low :].mean() - part[: at - low].mean())
    if len(part) < FEWEST:
        return LevelChange(at, ratio, 1.0)
    starts, ends = np.array([at - low]), np.array([high - low])
    score = float(_scores(part[np.newaxis, :], starts, ends)[0, 0])
    p = _chance(part, starts, ends, score, rng)
    return LevelChange(at, ratio, p)


def _cuts(values: Floats, low: int, high: int, rng: np.random.Generator) -> set[int]:
    """The places of all cuts within a part."""
    part = values[low:high]
    n = len(part)
    if n < FEWEST:
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
    """How probable a score as great is where nothing changed."""
    as_great = drawn = 0
    rows_at_once = max(1, min(_BLOCK, _AT_ONCE // len(starts)))
    while drawn < DRAWS:
        rows = min(DRAWS - drawn, rows_at_once)
        if len(part) >= SHUFFLED:
            unchanged = rng.permuted(np.tile(part, (rows, 1)), axis=1)
        else:
            unchanged = rng.standard_normal((rows, len(part)))
        # A shuffle that only turns the values round gives the same score up to rounding.
        greatest = _scores(unchanged, starts, ends).max(axis=1)
        as_great += int((greatest >= score - 1e-12).sum())
        drawn += rows
        if 1 + as_great > ALPHA * (1 + DRAWS):
            break  # whatever comes now, it is no change
    return (1 + as_great) / (1 + drawn)


def _scores(rows: Floats, starts: Places, ends: Places) -> Floats:
    """R of every stretch of every row; 0 for a row of equal values."""
    n = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    sums = np.zeros((len(rows), n + 1))
    np.cumsum(centred, axis=1, out=sums[:, 1:])
    size = (ends - starts).astype(np.float64)
    # With a mean of 0 the rest sums up to what the stretch does, with the other sign.
    inside = np.abs(sums[:, ends] - sums[:, starts]) * np.sqrt(n / (size * (n - size)))
    scatter = np.sqrt((centred * centred).sum(axis=1, keepdims=True))
    # Values that are equal up to rounding scatter by nothing.
    flat = scatter <= 1e-9 * np.maximum(1.0, np.abs(rows).max(axis=1, keepdims=True))
    found: Floats = np.where(flat, 0.0, inside / np.where(flat, 1.0, scatter))
    return found
