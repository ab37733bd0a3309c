"""How the share of songs that are heard without a gap went from run to run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from soundstage.reports.run.heard_playback import Continuity
from soundstage.reports.words import percent, plain, plural
from soundstage.results.quantiles import finite
from soundstage.results.run_history import RunEntry


@dataclass(frozen=True, slots=True)
class ContinuitySeries:
    """Of the songs of one endpoint, the runs in which somebody listened, the oldest first."""

    api: str
    endpoint: str
    points: tuple[tuple[RunEntry, Continuity], ...]

    @property
    def name(self) -> str:
        """`v6 stream without a gap`"""
        return f"{plain(self.api, 40)} {plain(self.endpoint, 20)} without a gap"

    def falls(self) -> Iterator[tuple[RunEntry, Continuity, Continuity]]:
        """Each run whose share is surely below that of the run before, with both: their intervals
        have nothing in common.
        """
        for (_, before), (run, now) in pairwise(self.points):
            if now.bounds[1] < before.bounds[0]:
                yield run, before, now

    @property
    def sentence(self) -> str:
        """What it comes to."""
        said = f"{plural(len(self.points), 'run')}; the last {self.points[-1][1].words}"
        for run, before, now in self.falls():
            shares = " to ".join(percent(each.continuous, each.heard) for each in (before, now))
            said += f"; fell from {shares} with {plain(run.id, 80)}"
        return f"{said}."

    def to_json(self) -> dict[str, Any]:
        """Shares from 0 to 1."""
        return {
            "api": self.api,
            "endpoint": self.endpoint,
            "points": [
                {
                    "run": run.id,
                    "n": each.heard,
                    "continuity": finite(each.share),
                    "low": each.bounds[0],
                    "high": each.bounds[1],
                }
                for run, each in self.points
            ],
            "falls": [run.id for run, _, _ in self.falls()],
        }


Heard = tuple[RunEntry, str, str, Continuity]


def continuity_series(heard: Iterable[Heard]) -> tuple[ContinuitySeries, ...]:
    """The series of what was heard, (run, api, endpoint, share) each, the oldest first."""
    points: dict[tuple[str, str], list[tuple[RunEntry, Continuity]]] = {}
    for run, api, endpoint, share in heard:
        points.setdefault((api, endpoint), []).append((run, share))
    return tuple(
        ContinuitySeries(*place, tuple(points_)) for place, points_ in sorted(points.items())
    )
