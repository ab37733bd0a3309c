"""What became of faults: the answers that got one, those that had no place for it, and how many may
still get one that is limited to a count.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol

from soundstage.emulator.asked import Asked
from soundstage.emulator.injection import Chosen

log = logging.getLogger("soundstage.emulator")

_OUTCOMES: Final = ("applied", "not_applicable")


class Counters(Protocol):
    """Numbers by name, which several processes may share (`State`)."""

    def count(self, name: str, by: int = 1) -> int:
        """Add to a number; returns what it is then."""

    def counts(self, prefix: str) -> dict[str, int]:
        """The numbers whose names begin so, by the rest of the name."""


class _OwnCounters:
    """Numbers of this process alone."""

    def __init__(self) -> None:
        self._all: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> int:
        self._all[name] += by
        return self._all[name]

    def counts(self, prefix: str) -> dict[str, int]:
        return {n.removeprefix(prefix): v for n, v in self._all.items() if n.startswith(prefix)}


class Tally:
    """The numbers of one emulator, whichever of its processes counts. Where faults were set anew,
    `version` is another, and what is limited to a count begins at none.
    """

    def __init__(self, counters: Counters | None = None) -> None:
        self._counters: Counters = counters or _OwnCounters()
        self.version = 0

    def counts(self, asked: Iterable[Asked]) -> dict[str, dict[str, int]]:
        """By the name of the fault: answers that got it, and answers that had no place for it; of
        all that were counted, and of `asked`.
        """
        found: dict[str, dict[str, int]] = {
            each.name: dict.fromkeys(_OUTCOMES, 0) for each in asked
        }
        for key, number in self._counters.counts("fault ").items():
            outcome, _, name = key.partition(" ")
            found.setdefault(name, dict.fromkeys(_OUTCOMES, 0))[outcome] = number
        return found

    def take(self, chosen: Chosen) -> bool:
        """Whether a fault that is limited to a count may strike once more; takes one off."""
        asked = chosen.asked
        if asked.count is None:
            return True
        if self._counters.count(self._budget(asked)) <= asked.count:
            return True
        self._counters.count(self._budget(asked), -1)
        return False

    def applied(self, chosen: Chosen) -> None:
        """An answer got a fault."""
        self._count(chosen, "applied")

    def missed(self, chosen: Chosen) -> None:
        """A fault was taken for an answer that had no place for it: gives it back."""
        if chosen.asked.count is not None:
            self._counters.count(self._budget(chosen.asked), -1)
        self.lost(chosen)

    def lost(self, chosen: Chosen) -> None:
        """An answer had no place for a fault; the first time, say so."""
        if self._count(chosen, "not_applicable") == 1:
            name = chosen.fault.name
            log.warning("the fault %s had no place in an answer, which was sent without it", name)

    def drawn(self, what: str) -> int:
        """The number of the next draw of a kind."""
        return self._counters.count(f"drawn {what}")

    def _budget(self, asked: Asked) -> str:
        return f"taken {self.version} {asked.text}"

    def _count(self, chosen: Chosen, outcome: str) -> int:
        return self._counters.count(f"fault {outcome} {chosen.fault.name}")
