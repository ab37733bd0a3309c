"""What trials at a rate came to: how many exchanges did well, and what that shows.

Exchanges under load depend on each other, so counts are kept in batches, which show how much.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from soundstage.results.verdicts import FAIL, INCONCLUSIVE, PASS, thresholds

#: A trial is looked at in so many parts to see how much exchanges depend on each other.
_BATCHES = 8


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """One objective in one trial or several: `share` of the exchanges have to do well. `batches`
    are of exchanges that came after one another: (how many, how many did well, how many may have).

    Exchanges under load are not independent: who queues behind a long one waits, too. How much
    less they tell than independent ones shows in how much the batches differ: the verdict is that
    of n / D exchanges, with D the variance of the batches' shares over the binomial one (the
    design effect of cluster samples; Kish 1965, Survey Sampling, 5.4), at least 1.
    """

    share: float
    batches: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, share: float, flags: Sequence[bool | None]) -> TrialCounts:
        """From what became of each exchange in order: True, False, or None where nobody knows."""
        size = max(1, math.ceil(len(flags) / _BATCHES))
        parts = (flags[at : at + size] for at in range(0, len(flags), size))
        return cls(share, tuple((len(p), p.count(True), p.count(None)) for p in parts))

    def __add__(self, other: TrialCounts) -> TrialCounts:
        return TrialCounts(self.share, self.batches + other.batches)

    @property
    def n(self) -> int:
        """How many exchanges there are."""
        return sum(n for n, _, _ in self.batches)

    @property
    def good(self) -> int:
        """How many did well."""
        return sum(good for _, good, _ in self.batches)

    @property
    def design_effect(self) -> float:
        """How many of these exchanges tell as much as one independent one: 1 or more."""
        n, good = self.n, self.good
        if len(self.batches) < 2 or good in (0, n):
            return 1.0
        mean = good / n
        apart = sum(size * (well / size - mean) ** 2 for size, well, _ in self.batches)
        return max(1.0, apart / (len(self.batches) - 1) / (mean * (1 - mean)))

    @property
    def verdict(self) -> str:
        """Whether the share is shown to be reached, or to be missed."""
        n, good, unknown = self.n, self.good, sum(unknown for _, _, unknown in self.batches)
        if n == 0:
            return INCONCLUSIVE
        effect = self.design_effect
        whole = max(1, int(n / effect))
        needs, misses = thresholds(self.share, whole)
        if int(good / n * whole + 1e-9) >= needs:
            return PASS
        return FAIL if math.ceil((good + unknown) / n * whole - 1e-9) < misses else INCONCLUSIVE

    @property
    def met(self) -> bool:
        """Whether the share that was measured is the one asked for."""
        return self.n > 0 and self.good >= self.share * self.n


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """A trial: its rate, the counts of each objective, and if it was invalid, why. `missed`: it
    was stopped because an objective was shown to be missed, however often one looks.
    """

    rate: float
    counts: tuple[TrialCounts, ...] = ()
    missed: bool = False
    invalid: str | None = None

    @property
    def verdict(self) -> str:
        """Of this trial by itself."""
        return FAIL if self.missed else worst(counts.verdict for counts in self.counts)


def worst(verdicts: Iterable[str]) -> str:
    """That of all together: one that fails decides, then one that cannot be told."""
    found = set(verdicts)
    return next((each for each in (FAIL, INCONCLUSIVE) if each in found), PASS)
