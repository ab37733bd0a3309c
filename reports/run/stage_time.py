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
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: So many whole exchanges of an endpoint are shared out; beyond, every second of them, and so on.
SAMPLE = 20_000
#: Stages told apart; a hostile API could send any number of names.
STAGE_LIMIT = 40
_PIECE = 10_000


@dataclass(slots=True)
class StageSample:
    """Takes the stages of exchanges as they come, and keeps an even sample of bounded size."""

    _names: dict[str, int] = field(default_factory=dict)
    _rows: list[list[tuple[int, float, float, int]]] = field(default_factory=list)
    _every: int = 1
    _seen: int = 0

    def add(self, stages: Mapping[str, Sequence[Any]]) -> None:
        """One exchange's `stages`: by name (`stage#track`), [first, last, count], seconds."""
        self._seen += 1
        if self._seen % self._every:
            return
        row: list[tuple[int, float, float, int]] = []
        names = self._names
        for key, (first, last, count) in stages.items():
            name = key.partition("#")[0]
            number = names.get(name)
            if number is None:
                if len(names) >= STAGE_LIMIT:
                    continue
                number = names[name] = len(names)
            row.append((number, first, last, count))
        self._rows.append(row)
        if len(self._rows) >= 2 * SAMPLE:
            del self._rows[::2]
            self._every *= 2

    def spent(self) -> dict[str, Floats]:
        """By stage, the seconds that it took in each exchange of the sample (0 where it did not
        come), in the order in which stages come on average.
        """
        if not self._rows:
            return {}
        pieces = [
            self._shared(self._rows[begin : begin + _PIECE])
            for begin in range(0, len(self._rows), _PIECE)
        ]
        table = np.concatenate(pieces)
        come: dict[int, list[float]] = {n: [] for n in self._names.values()}
        for row in self._rows:
            for number, first, *_ in row:
                come[number].append(first)
        order = sorted(
            self._names, key=lambda name: float(np.mean(come[self._names[name]] or [np.inf]))
        )
        return {name: np.ascontiguousarray(table[:, self._names[name]]) for name in order}

    def _shared(self, rows: list[list[tuple[int, float, float, int]]]) -> Floats:
        n, stages = len(rows), len(self._names)
        first = np.full((n, stages), np.inf)
        last = np.full((n, stages), -np.inf)
        count = np.zeros((n, stages))
        for line, row in enumerate(rows):
            for number, begin, end, times in row:
                first[line, number] = min(first[line, number], begin)
                last[line, number] = max(last[line, number], end)
                count[line, number] += times
        return shared(first, last, count)


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
