"""Which worker takes which arrival of a schedule that all of them go through.

From a moment on, of as many arrivals in a row as there are workers each takes one. Who joins or is
lost changes that for a later moment, of which all hear in time: so that together they send the
schedule that was asked for, each arrival once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: A change is for so many seconds ahead; a worker decides whose an arrival is `DECIDE_S` before it.
LEAD_S = 1.0
DECIDE_S = 0.2


@dataclass(slots=True)
class SharePlan:
    """Entries (from which second on, names of the workers), the latest last."""

    entries: list[tuple[float, list[str]]]

    def owner(self, number: int, moment: float) -> str | None:
        """Who takes arrival `number`, due `moment` seconds after the beginning; None: nobody."""
        for since, workers in reversed(self.entries):
            if moment >= since:
                if not workers:
                    return None
                many = len(workers)
                return workers[(number + _turn(number // many)) % many]
        return None

    def changed(self, since: float, workers: Sequence[str]) -> None:
        """From `since` on it is these workers, in this order."""
        while self.entries and self.entries[-1][0] >= since:
            self.entries.pop()
        self.entries.append((since, list(workers)))

    @property
    def workers(self) -> list[str]:
        """Those of the last entry."""
        return self.entries[-1][1] if self.entries else []

    def to_json(self) -> list[list[object]]:
        """As it is sent to workers."""
        return [[since, workers] for since, workers in self.entries]

    @classmethod
    def of(cls, data: Iterable[Sequence[object]]) -> SharePlan:
        """Read back what `to_json` gave."""
        return cls([(float(since), list(names)) for since, names in data])  # type: ignore[arg-type,call-overload]


def share(whole: int, place: int, many: int) -> int:
    """What falls to the one at `place` (from 0) of so many, if `whole` is dealt out to them; at
    least 1.
    """
    return max(1, whole // many + (place < whole % many))


def _turn(block: int) -> int:
    """By how much a block of arrivals is turned, so that a mixture that repeats does not send the
    same kind of request to the same worker over and over (a multiplicative hash: Knuth, The Art of
    Computer Programming, 6.4).
    """
    return (block * 2_654_435_769 & 0xFFFF_FFFF) >> 16
