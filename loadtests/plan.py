"""Which worker takes which arrival of a schedule that all of them go through.

From a moment on, arrival `number` goes to worker `number % how many`. Who joins or is lost changes
that for a later moment, of which all hear in time: so that together they send the schedule that
was asked for, each arrival once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: A change is for so many seconds ahead; a worker decides whose an arrival is `DECIDE_S` before it.
LEAD_S = 1.0
DECIDE_S = 0.2


@dataclass(slots=True)
class Plan:
    """Entries (from which second on, names of the workers), the latest last."""

    entries: list[tuple[float, list[str]]]

    def owner(self, number: int, moment: float) -> str | None:
        """Who takes arrival `number`, due `moment` seconds after the beginning; None: nobody."""
        for since, workers in reversed(self.entries):
            if moment >= since:
                return workers[number % len(workers)] if workers else None
        return None

    def changed(self, since: float, workers: Sequence[str]) -> None:
        """From `since` on it is these workers, in this order."""
        while self.entries and self.entries[-1][0] >= since:
            self.entries.pop()
        self.entries.append((since, list(workers)))
