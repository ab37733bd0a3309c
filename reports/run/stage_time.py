"""Where the time of a stream goes: its whole length, shared out among its stages.

A row tells of each stage its first and last arrival and how many there were, no more. Between two
neighbouring ones of these moments

- the stages that are *under way* (their first chunk has come, their last has not) share the time
  in proportion to how often their chunks come, `(count - 1) / (last - first)`;
- if none is under way, the time belongs to the stage whose moment ends it: it was waited for.

So the shares of one exchange add up to the time of its last chunk, and a stage that got slower
shows in its own share instead of in all that follow. The tracks of a stage are taken together.
(The time to one milestone is told in `milestone_parts`.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from soundstage.results.arrivals.exchange_sample import ExchangeSample

Floats = npt.NDArray[np.float64]

#: The sample (`arrivals.exchange_sample`) of whole exchanges of an endpoint that are shared out.
SAMPLE = 20_000
#: Stages told apart; a hostile API could send any number of names.
STAGE_LIMIT = 40
_PIECE = 10_000


def spent(sample: ExchangeSample) -> dict[str, Floats]:
    """By stage, the seconds that it took in each exchange of a sample (0 where it did not come), in
    the order in which stages come on average.
    """
    tables = list(sample.tables())
    names: dict[str, int] = {}
    for labels, _ in tables:
        for label in labels:
            name = label.partition("#")[0]
            if name not in names and len(names) < STAGE_LIMIT:
                names[name] = len(names)
    if not names:
        return {}
    shape = len(sample), len(names)
    first, last, count = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape)
    begin = 0
    for labels, stages in tables:
        rows = slice(begin, begin + len(stages))
        begin += len(stages)
        for at, label in enumerate(labels):
            number = names.get(label.partition("#")[0])
            if number is not None:
                np.minimum(first[rows, number], stages[:, at, 0], out=first[rows, number])
                np.maximum(last[rows, number], stages[:, at, 1], out=last[rows, number])
                count[rows, number] += stages[:, at, 2]
    came = count > 0
    mean = np.where(came, first, 0.0).sum(axis=0) / came.sum(axis=0)
    # In pieces: what is needed meanwhile takes ten times the memory of the result.
    pieces = [slice(at, at + _PIECE) for at in range(0, len(sample), _PIECE)]
    table = np.concatenate([shared(first[at], last[at], count[at]) for at in pieces])
    order = sorted(names, key=lambda name: float(mean[names[name]]))
    return {name: np.ascontiguousarray(table[:, names[name]]) for name in order}


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
