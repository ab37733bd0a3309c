"""Some exchanges of an endpoint, with all that their rows tell of stages: what is worked out from
single exchanges, and not from columns, is worked out from these.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: The names of the stages that an exchange passed, and those of the milestones that it reached.
_Names = tuple[tuple[str, ...], tuple[str, ...]]

#: Exchanges of an endpoint that a sample holds at least, if so many are added.
SAMPLE = 2_000


class SampledExchange(NamedTuple):
    """A measured exchange: of each of its stages (`final#1`: of a track) first and last
    arrival, in seconds since it began, and the number of chunks; the longest `silence` in it, and
    whether it ended `well`.
    """

    stages: dict[str, tuple[float, float, float]]
    silence: float | None
    well: bool


class ExchangeSample:
    """Exchanges of one endpoint that passed any stage, evenly spread over all that are added: all
    of them up to twice `size`, then every second, and so on, so that at least `size` are there.

    Each is kept as one flat array: objects for its stages would take four times the memory, and
    the time to make them. They are put together by their stages when somebody asks.
    """

    __slots__ = ("_kept", "_keys", "_met", "_size", "_stride")

    def __init__(self, size: int = SAMPLE) -> None:
        #: With its names, of each: first, last and count of its stages, one after the other; then
        #: seconds to each of its milestones; then seconds from the intended start to the actual
        #: one, the longest silence (nan if unknown), and 1 if it ended well.
        self._kept: list[tuple[_Names, array[float]]] = []
        #: Names that are alike are kept once.
        self._keys: dict[_Names, _Names] = {}
        self._size = size
        self._met = 0
        self._stride = 1

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in a row that has stages. Raises ValueError at stages of another shape."""
        self._met += 1
        if self._met % self._stride:
            return
        stages, silence = row["stages"], row.get("silence")
        reached = {name: at for name, at in row.get("milestones", {}).items() if at is not None}
        names = tuple(stages), tuple(reached)
        numbers = array("d", chain.from_iterable(stages.values()))
        if len(numbers) != 3 * len(stages):
            raise ValueError("a stage is [first, last, count]")
        numbers.extend(reached.values())
        numbers.append((row.get("started_ns", 0) - row.get("intended_ns", 0)) / 1e9)
        numbers.append(silence[0] if silence else math.nan)
        numbers.append(row.get("outcome") == "ok")
        self._keep(names, numbers)
        self._thin_to_size()

    def _keep(self, names: _Names, numbers: array[float]) -> None:
        self._kept.append((self._keys.setdefault(names, names), numbers))

    def merge(self, other: ExchangeSample) -> None:
        """Take in those that came after, of which another one took its sample."""
        while self._stride < other._stride:
            self._thin()
        while other._stride < self._stride:
            other._thin()
        for names, numbers in other._kept:
            self._keep(names, numbers)
        self._met += other._met
        self._thin_to_size()

    def _thin_to_size(self) -> None:
        while len(self._kept) >= 2 * self._size:
            self._thin()

    def _thin(self) -> None:
        """Keep those in every second place."""
        self._kept = self._kept[1::2]
        self._keys = {names: names for names, _ in self._kept}
        self._stride *= 2

    def _alike(self) -> Iterator[tuple[_Names, Floats]]:
        """The numbers of those that have the same names, a row each."""
        found: dict[_Names, list[array[float]]] = {}
        for names, numbers in self._kept:
            found.setdefault(names, []).append(numbers)
        for names, rows in found.items():
            yield names, np.array(rows)

    def tables(self) -> Iterator[tuple[tuple[str, ...], Floats]]:
        """(names of stages, array): for each exchange that passed these, and each of its stages,
        [first, last, count].
        """
        for (stages, _), rows in self._alike():
            yield stages, _stages_of(rows, stages)

    def until(self, milestone: str) -> Iterator[tuple[tuple[str, ...], Floats, Floats, Floats]]:
        """The same of the exchanges that reached a milestone, and for each of them the seconds to
        it since the actual start, and those from the intended start to that.
        """
        for (stages, reached), rows in self._alike():
            if milestone in reached:
                at = rows[:, 3 * len(stages) + reached.index(milestone)]
                yield stages, _stages_of(rows, stages), at, rows[:, -3]

    def exchanges(self) -> Iterator[SampledExchange]:
        """Each exchange that is kept, those that passed the same stages together, if they reached
        the same milestones.
        """
        for (names, _), rows in self._alike():
            for numbers in rows.tolist():
                steps = iter(numbers[: 3 * len(names)])
                stages = dict(zip(names, zip(steps, steps, steps, strict=True), strict=True))
                _, silence, well = numbers[-3:]
                yield SampledExchange(stages, None if math.isnan(silence) else silence, bool(well))


def _stages_of(rows: Floats, stages: Sequence[str]) -> Floats:
    return rows[:, : 3 * len(stages)].reshape(-1, len(stages), 3)
