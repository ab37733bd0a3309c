"""The search for a capacity: the highest arrival rate at which all objectives are met.

A state machine without I/O: ask it for the `next_trial`, give it what came out, ask again. First
the rate is doubled in brief trials (or halved) until one rate meets the objectives and another
does not, then the bracket is halved on the logarithmic scale. A trial that cannot tell is repeated;
what still cannot tell goes by the measured values. In the end both sides are tried again, and a
side that does not hold is given up: one lucky trial decides nothing. A side that counts as missed
without that being shown is tried some more.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from soundstage.loadtests.capacity.trial_counts import TrialCounts, TrialOutcome, worst
from soundstage.results.verdicts import FAIL, INCONCLUSIVE, PASS

#: The first rate is halved at most this often before it is said that there is none.
_HALVINGS = 10
#: A bracket is never halved more often than this, whatever the noise.
_MOST_TRIALS = 60
#: A trial in which the generator gave out is run so many times more before it counts as its limit:
#: a machine may have other things to do for a moment.
_MORE_TRIES = 2
#: A brief trial has no fewer exchanges than this.
_LEAST_BRIEF = 100
FIRST_RATE = 1.0


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How to search: the first rate (arrivals a second), the highest (None: any), the width of
    the bracket to stop at (a share), the least number of measured exchanges and of seconds in a
    trial, the warm-up before each (seconds; None: a third of its length), and how many more
    trials the answer has to pass.
    """

    first: float = FIRST_RATE
    most: float | None = None
    precision: float = 0.05
    exchanges: int = 1000
    seconds: float = 0.0
    warmup_s: float | None = None
    confirm: int = 2
    brief: float = 0.25

    def length(self, rate: float, brief: bool = False) -> float:
        """Seconds of a trial, warm-up left out."""
        many = self.exchanges
        if brief:
            many = max(min(many, _LEAST_BRIEF), math.ceil(many * self.brief))
        return max(self.seconds, many / rate)

    def warmup(self, rate: float, brief: bool = False) -> float:
        """Seconds of its warm-up: queues that begin empty have to fill first."""
        return self.length(rate, brief) / 3 if self.warmup_s is None else self.warmup_s


@dataclass(slots=True)
class _RateTrials:
    """All trials at one rate, taken together."""

    trials: list[TrialOutcome] = field(default_factory=list)

    @property
    def counts(self) -> list[TrialCounts]:
        """Of each objective, over all trials."""
        together = list(self.trials[0].counts)
        for trial in self.trials[1:]:
            together = [a + b for a, b in zip(together, trial.counts, strict=True)]
        return together

    @property
    def verdict(self) -> str:
        """That of most trials by themselves, so that one in which the machine had a hiccup does not
        decide; else of all taken together, since several may tell what one cannot.
        """
        own = [trial.verdict for trial in self.trials]
        for said in (FAIL, PASS):
            if 2 * own.count(said) > len(own):
                return said
        return worst(counts.verdict for counts in self.counts)

    @property
    def met(self) -> bool:
        """Whether this rate counts as one at which the objectives are met."""
        said = self.verdict
        return said == PASS or (said == INCONCLUSIVE and all(each.met for each in self.counts))


@dataclass(frozen=True, slots=True)
class CapacityFinding:
    """What a search found, in arrivals a second: `rate` is the highest at which the objectives
    are met; at `low` that is shown, and at `high` that one is missed (95% intervals). None where
    there is no such rate. `verdict`: found, at_least, none or unfinished.
    """

    rate: float | None
    low: float | None
    high: float | None
    verdict: str
    reason: str | None


class CapacitySearch:
    """Finds the highest rate that meets the objectives. `next_trial`, then `add`, until None."""

    def __init__(self, limits: SearchLimits) -> None:
        self.limits = limits
        self.rates: dict[float, _RateTrials] = {}
        self.limit: str | None = None
        self._most = limits.most or math.inf
        self._first = min(limits.first, self._most)
        self._tried = 0
        self._invalid: Counter[float] = Counter()

    def next_trial(self) -> float | None:
        """The rate to try next; None at the end."""
        return self._next_rate() if self._tried < _MOST_TRIALS else None

    def is_brief(self, rate: float) -> bool:
        """Whether the next trial at this rate may be a brief one: as long as the rate is doubled,
        most rates are far below the capacity, and one that is not is tried again in the end.
        """
        return rate not in self.rates and self.bracket()[1] is None

    def add(self, outcome: TrialOutcome) -> None:
        """What a trial came to."""
        self._tried += 1
        if outcome.invalid is not None:
            self._invalid[outcome.rate] += 1
            if self._invalid[outcome.rate] > _MORE_TRIES:
                # The generator's limit says nothing of the target: it bounds the search.
                self._most = min(self._most, outcome.rate / (1 + self.limits.precision))
                self.limit = outcome.invalid
            return
        self.rates.setdefault(outcome.rate, _RateTrials()).trials.append(outcome)

    def finding(self) -> CapacityFinding:
        """What is known by now."""
        met, missed = self.bracket()
        shown = [rate for rate, each in self.rates.items() if each.verdict == PASS]
        low = max((rate for rate in shown if met is not None and rate <= met), default=None)
        over = [rate for rate, each in self.rates.items() if each.verdict == FAIL]
        high = min((rate for rate in over if met is None or rate > met), default=None)
        verdict, reason = self._answer(met, missed)
        return CapacityFinding(met, low, high, verdict, reason)

    def _answer(self, met: float | None, missed: float | None) -> tuple[str, str | None]:
        if self.next_trial() is not None or self._tried >= _MOST_TRIALS:
            why = "it was stopped" if self._tried < _MOST_TRIALS else "too noisy to be found"
            return "unfinished", f"the search is not at its end: {why}"
        if met is None:
            if self.limit is not None and missed is None:
                return "unfinished", self.limit
            lowest = min(self.rates, default=self._first)
            return "none", f"the objectives are missed even at {lowest:.3g}/s"
        if missed is None:
            bound = self.limit or f"no more than {self.limits.most:g}/s was asked for"
            return "at_least", f"the target did not reach its limit: {bound}"
        narrow = missed / met <= 1 + self.limits.precision
        return "found", None if narrow else self.limit

    # ------------------------------------------------------------------ the order of trials

    def bracket(self) -> tuple[float | None, float | None]:
        """The highest rate below every one that misses, and the lowest that misses."""
        missed = min((rate for rate, each in self.rates.items() if not each.met), default=None)
        bound = math.inf if missed is None else missed
        met = max(
            (rate for rate, each in self.rates.items() if each.met and rate < bound), default=None
        )
        return met, missed

    def _next_rate(self) -> float | None:
        for rate, each in self.rates.items():
            if each.verdict == INCONCLUSIVE and self._unconfirmed(rate):
                return rate
        met, missed = self.bracket()
        if met is None and missed is None:
            return None if self._first > self._most else self._first
        if met is None:
            assert missed is not None
            return (
                None
                if missed < self._first / 2 ** (_HALVINGS - 0.5)
                else min(missed / 2, self._most)
            )
        if missed is None:
            if met >= self._most * (1 - 1e-9):
                return self._unconfirmed(met)
            return min(2 * met, self._most)
        between = min(math.sqrt(met * missed), self._most)
        if missed / met > 1 + self.limits.precision and between > met * (1 + 1e-9):
            return between
        undecided = missed if self.rates[missed].verdict != FAIL else None
        return (
            self._unconfirmed(met)
            or self._unconfirmed(missed)
            or (undecided and self._unconfirmed(undecided, 2 * self.limits.confirm))
        )

    def _unconfirmed(self, rate: float, more: int | None = None) -> float | None:
        """The rate if it has not yet been tried so many times `more` (as often as the answer has
        to be), and can be.
        """
        wanted = self.limits.confirm if more is None else more
        done = len(self.rates[rate].trials) > wanted
        return None if done or self._invalid[rate] > _MORE_TRIES else rate
