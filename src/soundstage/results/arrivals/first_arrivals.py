"""The first arrivals of stages in the rows of one endpoint, as a column a stage (`columns`)."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class StageColumn:
    """The first arrivals of a stage, and how many of them in exchanges that ended badly."""

    first: npt.NDArray[np.float32]
    reached_badly: int


class FirstArrivals:
    """Of each stage (`final#1`: of a track) when it first came, in seconds since the actual start,
    as rows with stages are added.

    A column a stage, found by its name: rows come in thousands of orders of stages, and to look
    for columns by these costs more.
    """

    __slots__ = ("_appends", "_badly", "_columns")

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._badly: Counter[str] = Counter()
        #: What takes the arrivals of a stage, looked up once.
        self._appends: dict[str, Callable[[float], None]] = {}

    def __getstate__(self) -> tuple[dict[str, array[float]], Counter[str]]:
        return self._columns, self._badly

    def __setstate__(self, state: tuple[dict[str, array[float]], Counter[str]]) -> None:
        self._columns, self._badly = state
        self._appends = {name: column.append for name, column in self._columns.items()}

    def __len__(self) -> int:
        """How many stages there are."""
        return len(self._columns)

    def add(self, passed: Mapping[str, Sequence[Any]], *, well: bool) -> None:
        """Take in the stages that a row passed, and whether it ended `well`."""
        appends = self._appends
        for name, times in passed.items():
            try:
                appends[name](times[0])
            except KeyError:
                self._column(name).append(times[0])
        if not well:
            self._badly.update(passed.keys())

    def _column(self, name: str) -> array[float]:
        column = self._columns.setdefault(name, array("f"))
        self._appends[name] = column.append
        return column

    def merge(self, other: FirstArrivals) -> None:
        """Take in the rows that came after these, which another one took in."""
        for name, column in other._columns.items():
            self._column(name).extend(column)
        self._badly += other._badly

    def stages(self) -> dict[str, StageColumn]:
        """Each stage that any row passed."""
        return {
            name: StageColumn(np.frombuffer(column, dtype=np.float32), self._badly[name])
            for name, column in self._columns.items()
        }
