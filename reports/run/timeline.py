"""A run in slices of time: what was asked, started and in flight, and how quantiles moved."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soundstage.errors import UsageError
from soundstage.results.quantiles import rank

Floats = npt.NDArray[np.float64]

#: Widths of a slice, in seconds, that people read easily; a run has at most about `_SLICES`.
_WIDTHS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_SLICES = 60


@dataclass(frozen=True, slots=True)
class Timeline:
    """The run in slices of `width` seconds: arrivals asked, started and ended in each, and how
    many exchanges were in flight at most.
    """

    width: float
    asked: tuple[int, ...]
    started: tuple[int, ...]
    ended: tuple[int, ...]
    in_flight: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MilestoneCourse:
    """How a milestone went over the run: by slice of the intended start, how many exchanges (`n`)
    and their p50 and p95 in seconds (+inf: never; nan: nobody started).
    """

    milestone: str
    width: float
    n: tuple[int, ...]
    p50: tuple[float, ...]
    p95: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Generator:
    """How the load generator itself did, in slices of `width` seconds: the latest that an event
    loop was (seconds), and the busiest process (1: a whole core); nan where nobody looked.
    """

    width: float
    lag: tuple[float, ...]
    cpu: tuple[float, ...]
    processes: int


def generator(rows: Iterable[Mapping[str, Any]]) -> Generator | None:
    """What the rows of health.ndjson come to; None of none. Raises UsageError at another row."""
    samples: list[tuple[float, float, float]] = []
    names = set()
    for number, row in enumerate(rows, 1):
        try:
            samples.append((float(row["t"]), float(row["lag_max_s"]), float(row["cpu"])))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"health.ndjson:{number}: not a row of format 1: {error!r}") from error
        names.add(row.get("worker"))
    if not samples:
        return None
    table = np.maximum(np.array(samples), 0.0)
    # A sample comes about each second: in narrower slices there would be holes.
    width = max(2.0, width_of(float(table[:, 0].max())))
    slices = math.floor(float(table[:, 0].max()) / width) + 1
    most = np.full((2, slices), math.nan)
    for series, column in zip(most, (table[:, 1], table[:, 2]), strict=True):
        np.fmax.at(series, _places(table[:, 0], width, slices), column)
    lag, cpu = (tuple(float(each) for each in series) for series in most)
    return Generator(width, lag, cpu, len(names))


def width_of(span: float) -> float:
    """The width of a slice, in seconds, for a run of `span` seconds."""
    return float(next((each for each in _WIDTHS if span / each <= _SLICES), span / _SLICES))


def timeline(asked: Floats, begun: Floats, ended: Floats) -> Timeline | None:
    """The timeline of a run from moments in seconds since it began; None of no exchange."""
    if not len(asked):
        return None
    span = max(float(asked.max()), float(ended.max()) if len(ended) else 0.0)
    width = width_of(span)
    slices = math.floor(span / width) + 1
    in_flight = _in_flight(np.sort(begun), np.sort(ended), width, slices)
    return Timeline(
        width=width,
        asked=in_slices(asked, width, slices),
        started=in_slices(begun, width, slices),
        ended=in_slices(ended, width, slices),
        in_flight=in_flight,
    )


def _in_flight(starts: Floats, ends: Floats, width: float, slices: int) -> tuple[int, ...]:
    """The most that were in flight in each slice: at its edge, or just after one of its starts."""
    edges = np.arange(slices) * width
    most = np.searchsorted(starts, edges, "right") - np.searchsorted(ends, edges, "right")
    after = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, "right")
    np.maximum.at(most, _places(starts, width, slices), after)
    return tuple(int(n) for n in most)


def course(milestone: str, intended: Floats, times: Floats, line: Timeline) -> MilestoneCourse:
    """The quantiles of `times` by slice of `intended`, both in the same order, in seconds."""
    slices = len(line.asked)
    place = _places(intended, line.width, slices)
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(slices + 1))
    sorted_times = times[order]
    counts, medians, tails = [], [], []
    for low, high in itertools.pairwise(bounds):
        n = int(high - low)
        counts.append(n)
        if n == 0:
            medians.append(math.nan)
            tails.append(math.nan)
            continue
        ranks = [rank(0.5, n) - 1, rank(0.95, n) - 1]
        parted = np.partition(sorted_times[low:high], ranks)
        medians.append(float(parted[ranks[0]]))
        tails.append(float(parted[ranks[1]]))
    return MilestoneCourse(milestone, line.width, tuple(counts), tuple(medians), tuple(tails))


def _places(times: Floats, width: float, slices: int) -> npt.NDArray[np.int64]:
    # A thousandth of a slice keeps arrivals that fall on an edge from straying by rounding.
    return np.clip(np.floor(times / width + 0.001), 0, slices - 1).astype(np.int64)


def in_slices(times: Floats, width: float, slices: int) -> tuple[int, ...]:
    """How many of `times` (seconds since the run began) lie in each slice of `width` seconds."""
    counts = np.bincount(_places(times, width, slices), minlength=slices)
    return tuple(int(n) for n in counts)
