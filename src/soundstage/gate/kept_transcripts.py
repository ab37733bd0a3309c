"""Which transcripts a run keeps, a check or a load: enough that each kind of failure can be looked
at, and no more than a folder holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

from soundstage.results.failure_tally import why_failed

#: Of exchanges that broke the contract or lost their connection: so many, the first that come.
FIRST: Final = 50
#: And of each kind of failure the first few, of at most so many kinds: 429 may come long after 502.
OF_A_KIND: Final = 2
MOST_KINDS: Final = 50
#: In a check each rule that is broken is a kind of its own; no contracts have half as many.
MOST_KINDS_OF_A_CHECK: Final = 1_000
_BROKEN = ("failed", "transport")
_FAILED = (*_BROKEN, "refused", "timeout", "cut")


class TranscriptChoice:
    """Says of each exchange that ends whether its transcript is kept; counts those that are, of at
    most `kinds` kinds of failure.
    """

    def __init__(self, kinds: int = MOST_KINDS) -> None:
        self._most_kinds = kinds
        self._first = 0
        self._kinds: Counter[tuple[tuple[str, bool], str, int | None, str]] = Counter()

    def takes(
        self,
        place: tuple[str, bool],
        outcome: str,
        status: int | None,
        reason: str | None,
        codes: Collection[str],
        *,
        violates: bool,
        rules: Collection[str] = (),
    ) -> bool:
        """Whether to keep it. `place` names its endpoint, and says whether it was in the warm-up:
        what counts has transcripts of its own. `codes` are those of its violations, `violates` its
        verdict. `rules`: those that it breaks, where each of them is to have transcripts.
        """
        if not violates and outcome not in _FAILED:
            return False
        wanted = False
        for why in rules or (why_failed(reason, codes),):
            kind = (place, outcome, status, why)
            if kind in self._kinds or len(self._kinds) < self._most_kinds:
                self._kinds[kind] += 1
                wanted = wanted or self._kinds[kind] <= OF_A_KIND
        if wanted:
            return True
        if not violates and outcome not in _BROKEN:
            return False
        self._first += 1
        return self._first <= FIRST
