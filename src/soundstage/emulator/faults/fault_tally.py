"""What became of faults: the answers that got one, those that had no place for it, and how many may
still get one that is limited to a count.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from soundstage.emulator.faults.expression import FaultExpression
from soundstage.emulator.faults.injection import Chosen

log = logging.getLogger("soundstage.emulator")


class FaultTally:
    """The numbers of one emulator: by the name of a fault; of a limit, by how it is written."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._applied: Counter[str] = Counter()
        self._without_place: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()
        self._drawn: Counter[str] = Counter()

    def renew(self) -> None:
        """Faults are set anew: what is limited to a count begins at none."""
        self._taken.clear()

    def counts(self, asked: Iterable[FaultExpression]) -> dict[str, dict[str, int]]:
        """By the name of the fault: answers that got it, and answers that had no place for it; of
        all that were counted, and of `asked`.
        """
        names = [*(each.name for each in asked), *self._applied, *self._without_place]
        return {
            name: {"applied": self._applied[name], "not_applicable": self._without_place[name]}
            for name in dict.fromkeys(names)
        }

    def take(self, chosen: Chosen) -> bool:
        """Whether a fault that is limited to a count may strike once more; takes one off."""
        asked = chosen.asked
        if asked.count is None:
            return True
        if self._taken[asked.text] >= asked.count:
            return False
        self._taken[asked.text] += 1
        return True

    def applied(self, chosen: Chosen) -> None:
        """An answer got a fault."""
        self._applied[chosen.fault.name] += 1

    def missed(self, chosen: Chosen) -> None:
        """A fault was taken for an answer that had no place for it: gives it back."""
        if chosen.asked.count is not None:
            self._taken[chosen.asked.text] -= 1
        self.lost(chosen)

    def lost(self, chosen: Chosen) -> None:
        """An answer had no place for a fault; the first time, say so."""
        name = chosen.fault.name
        self._without_place[name] += 1
        if self._without_place[name] == 1:
            log.warning("the fault %s had no place in an answer, which was sent without it", name)

    def drawn(self, what: str) -> int:
        """The number of the next draw of a kind."""
        self._drawn[what] += 1
        return self._drawn[what]
