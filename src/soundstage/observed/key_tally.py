"""Counts by key: how often something was seen, and in how many exchanges.

Merging is associative and commutative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Occurrences, and exchanges with at least one.
Counts = list[int]


class KeyTally:
    """How often each of some keys was seen: occurrences, and exchanges with at least one.

    `most` distinct keys are kept; of more than that only the fact (`many`) is.
    """

    __slots__ = ("counts", "many", "most")

    def __init__(self, most: int = 1_000) -> None:
        self.counts: dict[str, Counts] = {}
        self.many = False
        self.most = most

    def note(self, key: str, times: int = 1) -> None:
        """One more occurrence, in the one exchange that is being looked at."""
        counts = self.counts.get(key)
        if counts is not None:
            counts[0] += times
        elif not self.many:
            self.counts[key] = [times, 1]
            self._bound()

    def merge(self, other: KeyTally) -> None:
        """Add what was seen in other exchanges."""
        self.many = self.many or other.many
        for key, (occurrences, exchanges) in other.counts.items():
            mine = self.counts.setdefault(key, [0, 0])
            mine[0] += occurrences
            mine[1] += exchanges
        self._bound()

    def _bound(self) -> None:
        if self.many or len(self.counts) > self.most:
            self.many = True
            self.counts.clear()

    def exchanges(self, key: str) -> int:
        """In how many exchanges the key was seen."""
        return self.counts[key][1] if key in self.counts else 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def to_json(self) -> dict[str, Counts]:
        return {key: list(self.counts[key]) for key in sorted(self.counts)}

    @classmethod
    def of(cls, data: Mapping[str, Any], *, many: bool = False, most: int = 1_000) -> KeyTally:
        tally = cls(most)
        tally.counts = {key: [int(n) for n in counts] for key, counts in data.items()}
        tally.many = many
        tally._bound()
        return tally
