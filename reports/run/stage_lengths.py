"""How long stages last, how long nothing is under way before they come, and the longest silences.

A row tells of each stage its first and last arrival. A stage *lasts* from one to the other. The
*gap* before it is the time since anything else came, as far as that can be told: 0 where another
stage was under way (its first chunk had come, its last had not). The longest *silence* of an
exchange is between two reads that brought events, whatever their stages.

All of it is worked out from a sample: of each endpoint at most `SAMPLE` exchanges, evenly spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soundstage.results.quantiles import rank

#: Exchanges of an endpoint that are looked at; beyond, every second of them, and so on.
SAMPLE = 2_000
#: Stages of an exchange that are looked at: others could name any number.
_MOST_STAGES = 64

Passed = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Length:
    """One stage over `n` exchanges that reached it; seconds."""

    n: int
    lasted_p50: float
    lasted_p95: float
    gap_p50: float
    gap_p95: float


@dataclass(frozen=True, slots=True)
class Silence:
    """The longest silences of `n` exchanges; seconds."""

    n: int
    p50: float
    p95: float
    longest: float


class ExchangeSample:
    """Exchanges of one endpoint, evenly spread over all that are added."""

    __slots__ = ("_met", "_stride", "kept")

    def __init__(self) -> None:
        self.kept: list[tuple[Passed, float | None]] = []
        self._met = 0
        self._stride = 1

    def add(self, passed: Passed, silence: Any) -> None:
        """Take the `stages` and the `silence` of a row into account."""
        self._met += 1
        if self._met % self._stride:
            return
        self.kept.append((passed, silence[0] if silence else None))
        if len(self.kept) >= 2 * SAMPLE:
            self._thin()

    def merge(self, other: ExchangeSample) -> None:
        """Take in those that came after, of which another one took its sample."""
        while self._stride < other._stride:
            self._thin()
        while other._stride < self._stride:
            other._thin()
        self.kept += other.kept
        self._met += other._met
        while len(self.kept) >= 2 * SAMPLE:
            self._thin()

    def _thin(self) -> None:
        del self.kept[::2]
        self._stride *= 2

    def lengths(self) -> dict[str, Length]:
        """Of each stage that anybody reached."""
        lasted: dict[str, list[float]] = {}
        gaps: dict[str, list[float]] = {}
        for passed, _ in self.kept:
            stages = [(name, times[0], times[1]) for name, times in passed.items()][:_MOST_STAGES]
            for name, first, last in stages:
                lasted.setdefault(name, []).append(last - first)
                gaps.setdefault(name, []).append(gap(name, first, stages))
        return {
            name: Length(
                len(lasted[name]),
                _at(0.5, lasted[name]),
                _at(0.95, lasted[name]),
                _at(0.5, gaps[name]),
                _at(0.95, gaps[name]),
            )
            for name in lasted
        }

    def silence(self) -> Silence | None:
        """None where no row tells of any."""
        found = [seconds for _, seconds in self.kept if seconds is not None]
        if not found:
            return None
        return Silence(len(found), _at(0.5, found), _at(0.95, found), max(found))


def gap(name: str, first: float, stages: Sequence[tuple[str, float, float]]) -> float:
    """How long nothing was under way before the stage `name` came at `first`. `stages` are those of
    the exchange: (name, first, last) in seconds since it began.
    """
    latest = 0.0
    for other, begun, ended in stages:
        if other == name or begun > first:
            continue
        if ended > first:
            return 0.0
        latest = max(latest, ended)
    return first - latest


def _at(order: float, values: list[float]) -> float:
    return sorted(values)[rank(order, len(values)) - 1] if values else math.nan
