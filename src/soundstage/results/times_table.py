"""The times of rows that reached the same milestones, as flat arrays: what `columns` consist of."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class TimesTable:
    """Rows that reached the same milestones: start times, and a row of `times` for each, in seconds
    since the actual start. `lows`: the low ends of these times, None while all are exact. `cut`: of
    those that the harness cut, how long they had lasted by then, by number of the row.
    """

    __slots__ = ("cut", "intended", "lows", "started", "times")

    def __init__(self) -> None:
        self.intended, self.started = array("q"), array("q")
        self.times = array("d")
        self.lows: array[float] | None = None
        self.cut: dict[int, float] = {}

    def add_lows(self, names: Sequence[str], before: int, lows: Mapping[str, float] | None) -> None:
        """Take in the low ends of the row whose `times` began at place `before`, each that has none
        in `lows` with its time. Need not be called while neither `lows` are given nor any are here.
        """
        if self.lows is None:
            self.lows = array("d", self.times[:before])
        highs = self.times[before:]
        if lows is None:
            self.lows.extend(highs)
            return
        pairs = zip(names, highs, strict=True)
        self.lows.extend([high if (low := lows.get(n)) is None else low for n, high in pairs])

    def merge(self, other: TimesTable) -> None:
        """Take in the rows that came after these, which another one took in."""
        rows = len(self.started)
        self.cut |= {rows + place: lasted for place, lasted in other.cut.items()}
        if self.lows is not None or other.lows is not None:
            mine = self.times if self.lows is None else self.lows
            theirs = other.times if other.lows is None else other.lows
            self.lows = array("d", mine)
            self.lows.extend(theirs)
        self.intended.extend(other.intended)
        self.started.extend(other.started)
        self.times.extend(other.times)

    def column(self, place: int | None, width: int, *, low: bool = False) -> Floats:
        """The times (or their low ends) of the milestone at this place of `width`; +inf for None,
        which no row reached.
        """
        rows = len(self.intended)
        if place is None:
            return np.full(rows, math.inf)
        flat = self.times if self.lows is None or not low else self.lows
        return np.frombuffer(flat).reshape(rows, width)[:, place]

    def widths(self) -> Floats:
        """How far the two ends of each time are apart, in seconds; nothing while all are exact."""
        if self.lows is None:
            return np.empty(0)
        return np.frombuffer(self.times) - np.frombuffer(self.lows)
