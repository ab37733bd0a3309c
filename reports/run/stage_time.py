"""Where the time of a stream goes: its whole length, shared out among its stages.

A row tells of each stage its first and last arrival and how many there were, no more. Between two
neighbouring ones of these moments

- the stages that are *under way* (their first chunk has come, their last has not) share the time
  in proportion to how often their chunks come, `(count - 1) / (last - first)`;
- if none is under way, the time belongs to the stage whose moment ends it: it was waited for.

The tracks of a stage are taken together. So the shares of one exchange add up to the time of its
last chunk, and a stage that got slower shows in its own share instead of in all that follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from soundstage.results.columns import SampledExchange

Floats = npt.NDArray[np.float64]

#: The sample (`columns.ExchangeSample`) of whole exchanges of an endpoint that are shared out.
SAMPLE = 20_000
#: Stages told apart; a hostile API could send any number of names.
STAGE_LIMIT = 40
_PIECE = 10_000


def spent(exchanges: Sequence[SampledExchange]) -> dict[str, Floats]:
    """By stage, the seconds that it took in each exchange (0 where it did not come), in the order
    in which stages come on average.
    """
    names: dict[str, int] = {}
    for passed in dict.fromkeys(each.names for each in exchanges):
        for key in passed:
            name = key.partition("#")[0]
            if name not in names and len(names) < STAGE_LIMIT:
                names[name] = len(names)
    if not names:
        return {}
    tables, moments = [], np.zeros((2, len(names)))
    for begin in range(0, len(exchanges), _PIECE):
        first, last, count = _tables(exchanges[begin : begin + _PIECE], names)
        came = count > 0
        moments += np.where(came, first, 0.0).sum(axis=0), came.sum(axis=0)
        tables.append(shared(first, last, count))
    mean = moments[0] / moments[1]
    table = np.concatenate(tables)
    order = sorted(names, key=lambda name: float(mean[names[name]]))
    return {name: np.ascontiguousarray(table[:, names[name]]) for name in order}


def _tables(
    exchanges: Sequence[SampledExchange], names: Mapping[str, int]
) -> tuple[Floats, Floats, Floats]:
    """First and last arrival and number of each stage (columns) in each exchange (rows)."""
    shape = len(exchanges), len(names)
    first, last, count = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape)
    alike: dict[tuple[str, ...], list[int]] = {}
    for line, each in enumerate(exchanges):
        alike.setdefault(each.names, []).append(line)
    for passed, lines in alike.items():
        rows = np.array([exchanges[line].flat for line in lines]).reshape(len(lines), -1, 3)
        for place, key in enumerate(passed):
            number = names.get(key.partition("#")[0])
            if number is None:
                continue
            begin, end, times = rows[:, place].T
            first[lines, number] = np.minimum(first[lines, number], begin)
            last[lines, number] = np.maximum(last[lines, number], end)
            count[lines, number] += times
    return first, last, count


def shared(first: Floats, last: Floats, count: Floats) -> Floats:
    """Seconds of each stage (columns) in each exchange (rows).

    `first` and `last` are seconds since the start, `count` how many chunks; a stage that did not
    come has count 0. The result of a row adds up to the largest `last` in it.
    """
    came = count > 0
    first = np.where(came, first, 0.0)
    last = np.where(came, np.maximum(last, first), 0.0)
    length = last - first
    with np.errstate(divide="ignore", invalid="ignore"):
        often = np.where(length > 0, np.maximum(count - 1, 1) / length, 0.0)
    stages = first.shape[1]
    # Each stage has two moments; absent ones lie at 0, where no time passes.
    moments = np.concatenate([first, last], axis=1)
    order = np.argsort(moments, axis=1, kind="stable")
    ordered = np.take_along_axis(moments, order, axis=1)
    spent = np.zeros_like(first)
    before = np.zeros(len(first))
    lines = np.arange(len(first))
    for step in range(2 * stages):
        now = ordered[:, step]
        passed = now - before
        under_way = np.where((first <= before[:, None]) & (last >= now[:, None]) & came, often, 0.0)
        whole = under_way.sum(axis=1)
        alone = whole <= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            spent += np.where(alone[:, None], 0.0, under_way / whole[:, None]) * passed[:, None]
        spent[lines[alone], order[alone, step] % stages] += passed[alone]
        before = now
    return spent
