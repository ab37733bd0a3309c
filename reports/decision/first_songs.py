"""The first songs of an arm by intended start: who is looked at, whatever ended first.

Rows come in as they stand in a bundle, in any order, or one after another from a run.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np

from soundstage.reports.decision.arms import EndpointSeries, Place, series_of
from soundstage.results.columns import DROPPED, Columns, is_probe

_SECOND_NS = 1_000_000_000
#: Whole exchanges are not looked at.
_SAMPLE = 1


def is_song(row: Mapping[str, Any]) -> bool:
    """Whether a row counts: a song was due in the measured window, and was asked for."""
    return not (row.get("warmup") or is_probe(row) or row["outcome"] == DROPPED)


class FirstSongs:
    """Songs of one arm in the order of their intended start, and what they come to. `expected` has
    the milestones of each endpoint: one that no song reached was never reached.
    """

    def __init__(self, expected: Mapping[Place, Iterable[str]]) -> None:
        self.n = 0
        self._expected = {place: tuple(names) for place, names in expected.items()}
        self._columns: dict[Place, Columns] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the next song in: a row of exchanges.ndjson.gz."""
        place = row["api"], row["endpoint"]
        columns = self._columns.get(place)
        if columns is None:
            columns = self._columns[place] = Columns(_SAMPLE, times_only=True)
        columns.add(row)
        self.n += 1

    def series(self) -> dict[Place, list[EndpointSeries]]:
        """What they are by now, by endpoint: as one run of an arm has it."""
        return {
            place: [series_of(columns, self._expected.get(place, ()))]
            for place, columns in self._columns.items()
        }


class RecordedSongs:
    """The songs of a bundle: the first of them by intended start, and when each was sent."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], most: int) -> None:
        self._intended = array("q")
        order = count()
        first = heapq.nsmallest(
            most, ((row["intended_ns"], next(order), row) for row in self._noted(rows))
        )
        self.rows = [row for _, _, row in first]

    def _noted(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for row in rows:
            if is_song(row):
                self._intended.append(row["intended_ns"])
                yield row

    @property
    def n(self) -> int:
        """How many songs there are in all."""
        return len(self._intended)

    def when_ended(self, n: int) -> float:
        """Seconds of the run at which the first n songs had all ended."""
        ends = (
            row["started_ns"] / _SECOND_NS + (row.get("ended") or _last(row))
            for row in self.rows[:n]
        )
        return float(max(ends))

    def sent_by(self, seconds: float) -> int:
        """How many songs had been due by then."""
        due = np.frombuffer(self._intended, dtype=np.int64)
        return int(np.count_nonzero(due <= seconds * _SECOND_NS))


def _last(row: Mapping[str, Any]) -> float:
    return max((at for at in row["milestones"].values() if at is not None), default=0.0)
