"""How late things came, in a memory that does not grow: counts by size, to one percent.

    late = Lateness(); late.add(0.012); late.quantile(0.99); later = late - mark

A soak of days measures millions of starts and ticks of the loop; keeping each would fill the
memory. What was over the limit is counted exactly.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

#: What comes later than this, in seconds, is late.
LATE_S = 0.1
#: Values whose ratio is below this may count as one.
_STEP = math.log(1.01)
#: Below this (seconds) nobody asks how late it was.
_LEAST = 1e-6


class Lateness:
    """The distribution of many times in seconds; `n` of them, `late` of them over `LATE_S`."""

    __slots__ = ("_counts", "late", "n")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self.n = self.late = 0
        self._counts: Counter[int] = Counter()
        for value in values:
            self.add(value)

    def add(self, value: float) -> None:
        """Count one."""
        self.n += 1
        self.late += value > LATE_S
        self._counts[_place(value)] += 1

    def merge(self, other: Lateness) -> None:
        """Count all of another one, too."""
        self.n += other.n
        self.late += other.late
        self._counts.update(other._counts)

    def copy(self) -> Lateness:
        """The same, which does not change as this one goes on."""
        return Lateness() + self

    def __add__(self, other: Lateness) -> Lateness:
        whole = Lateness()
        whole.merge(self)
        whole.merge(other)
        return whole

    def __sub__(self, earlier: Lateness) -> Lateness:
        """What came since `earlier`, a copy of this one."""
        rest = Lateness()
        rest.n, rest.late = self.n - earlier.n, self.late - earlier.late
        rest._counts = self._counts - earlier._counts
        return rest

    @property
    def late_share(self) -> float:
        """The share that was over the limit, 0 to 1."""
        return self.late / self.n if self.n else 0.0

    def quantile(self, order: float) -> float:
        """The value of rank ceil(n p) (Hyndman and Fan 1996, definition 1), within half a percent;
        0 of no values.
        """
        rank = max(1, math.ceil(round(order * self.n, 9)))
        for place in sorted(self._counts):
            rank -= self._counts[place]
            if rank <= 0:
                return _value(place)
        return 0.0

    def counted(self) -> list[tuple[float, int]]:
        """How many there were of each size: (seconds within half a percent, number), ascending."""
        return [(_value(place), self._counts[place]) for place in sorted(self._counts)]

    def to_json(self) -> dict[str, object]:
        """As it is shipped to a master."""
        counts = {str(place): count for place, count in self._counts.items()}
        return {"n": self.n, "late": self.late, "counts": counts}

    @classmethod
    def of(cls, data: Mapping[str, object]) -> Lateness:
        """Read back what `to_json` gave. Raises ValueError, KeyError or TypeError if it is none."""
        found = cls()
        found.n, found.late = int(data["n"]), int(data["late"])  # type: ignore[call-overload]
        counts: Mapping[str, int] = data["counts"]  # type: ignore[assignment]
        found._counts = Counter({int(place): int(count) for place, count in counts.items()})
        return found


def _place(value: float) -> int:
    return round(math.log(value / _LEAST) / _STEP) if value > _LEAST else 0


def _value(place: int) -> float:
    return _LEAST * math.exp(place * _STEP) if place > 0 else 0.0
