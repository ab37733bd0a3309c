"""Some exchanges of an endpoint, with all that their rows tell of stages: what is worked out from
single exchanges, and not from columns, is worked out from these.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

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


class _StageTable:
    """Exchanges that passed the same stages and reached the same milestones. `places`: which ones
    of the sample they are; `flat`: first, last and count of each of their stages, one after the
    other; `reached`: likewise seconds to each of their milestones; `late`: seconds from the
    intended start to the actual one; `silence`: nan if unknown; `well`: 1 for one that ended well.
    """

    __slots__ = ("flat", "late", "places", "reached", "silence", "well")

    def __init__(self) -> None:
        self.flat, self.silence = array("d"), array("d")
        self.reached, self.late = array("d"), array("d")
        self.places, self.well = array("q"), array("b")

    def thin(self, stages: int, milestones: int) -> None:
        """Keep those in every second place of the sample, at half of it."""
        places = np.array(self.places)
        kept = places % 2 == 1
        self.flat = array("d", np.array(self.flat).reshape(-1, 3 * stages)[kept].tobytes())
        reached = np.array(self.reached).reshape(len(places), milestones)
        self.reached = array("d", reached[kept].tobytes())
        self.late = array("d", np.array(self.late)[kept].tobytes())
        self.silence = array("d", np.array(self.silence)[kept].tobytes())
        self.well = array("b", np.array(self.well)[kept].tobytes())
        self.places = array("q", (places[kept] // 2).tobytes())


class ExchangeSample:
    """Exchanges of one endpoint that passed any stage, evenly spread over all that are added: all
    of them up to twice `size`, then every second, and so on, so that at least `size` are there.

    They are kept as one flat array for all that passed the same stages: an object for each would
    take four times the memory, and the time to make it.
    """

    __slots__ = ("_kept", "_met", "_size", "_stride", "_tables")

    def __init__(self, size: int = SAMPLE) -> None:
        #: By the names of the stages, and those of the milestones.
        self._tables: dict[tuple[tuple[str, ...], tuple[str, ...]], _StageTable] = {}
        self._size = size
        self._met = self._kept = 0
        self._stride = 1

    def __len__(self) -> int:
        return self._kept

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in a row that has stages. Raises ValueError at stages of another shape."""
        self._met += 1
        if self._met % self._stride:
            return
        stages, silence = row["stages"], row.get("silence")
        reached = {name: at for name, at in row.get("milestones", {}).items() if at is not None}
        names = tuple(stages)
        key = names, tuple(reached)
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = _StageTable()
        table.flat.extend(chain.from_iterable(stages.values()))
        table.reached.extend(reached.values())
        table.late.append((row.get("started_ns", 0) - row.get("intended_ns", 0)) / 1e9)
        table.silence.append(silence[0] if silence else math.nan)
        table.well.append(row.get("outcome") == "ok")
        table.places.append(self._kept)
        if len(table.flat) != 3 * len(names) * len(table.places):
            raise ValueError("a stage is [first, last, count]")
        self._kept += 1
        self._thin_to_size()

    def merge(self, other: ExchangeSample) -> None:
        """Take in those that came after, of which another one took its sample."""
        while self._stride < other._stride:
            self._thin()
        while other._stride < self._stride:
            other._thin()
        for key, table in other._tables.items():
            mine = self._tables.setdefault(key, _StageTable())
            mine.flat.extend(table.flat)
            mine.reached.extend(table.reached)
            mine.late.extend(table.late)
            mine.silence.extend(table.silence)
            mine.well.extend(table.well)
            mine.places.extend(self._kept + place for place in table.places)
        self._kept += other._kept
        self._met += other._met
        self._thin_to_size()

    def _thin_to_size(self) -> None:
        while self._kept >= 2 * self._size:
            self._thin()

    def _thin(self) -> None:
        for key, table in list(self._tables.items()):
            table.thin(*map(len, key))
            if not table.places:
                del self._tables[key]
        self._kept //= 2
        self._stride *= 2

    def tables(self) -> Iterator[tuple[tuple[str, ...], Floats]]:
        """(names of stages, array): for each exchange that passed these, and each of its stages,
        [first, last, count].
        """
        for (names, _), table in self._tables.items():
            yield names, np.array(table.flat).reshape(-1, len(names), 3)

    def until(self, milestone: str) -> Iterator[tuple[tuple[str, ...], Floats, Floats, Floats]]:
        """The same of the exchanges that reached a milestone, and for each of them the seconds to
        it since the actual start, and those from the intended start to that.
        """
        for (names, reached), table in self._tables.items():
            if milestone in reached:
                times = np.array(table.reached).reshape(-1, len(reached))
                at = times[:, reached.index(milestone)]
                yield (
                    names,
                    np.array(table.flat).reshape(-1, len(names), 3),
                    at,
                    np.array(table.late),
                )

    def exchanges(self) -> Iterator[SampledExchange]:
        """Each exchange that is kept, those that passed the same stages together, if they reached
        the same milestones.
        """
        for (names, _), table in self._tables.items():
            steps = iter(table.flat)
            stages = zip(steps, steps, steps, strict=True)
            for silence, well in zip(table.silence, table.well, strict=True):
                known = None if math.isnan(silence) else silence
                yield SampledExchange(dict(zip(names, stages, strict=False)), known, bool(well))
