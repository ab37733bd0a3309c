"""The search for a capacity: the highest arrival rate at which all objectives are met.

A state machine without I/O: ask it for the `next_trial`, give it what came out, ask again. First
the rate is doubled (or halved) until one rate meets the objectives and another does not, then the
bracket is halved on the logarithmic scale. A trial that cannot tell is repeated, and its counts
are taken together; what still cannot tell goes by the measured values. In the end both sides are
tried again, and a side that does not hold is given up: one lucky trial decides nothing.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from soundstage.errors import UsageError
from soundstage.loadtests.asking import planned as planned_once
from soundstage.loadtests.scenario import Scenario, span
from soundstage.results.verdicts import FAIL, INCONCLUSIVE, PASS, thresholds

INVALID = "invalid"
#: The first rate is halved at most this often before it is said that there is none.
_HALVINGS = 10
#: A bracket is never halved more often than this, whatever the noise.
_MOST_TRIALS = 60
#: A trial in which the generator gave out is run so many times more before it counts as its limit:
#: a machine may have other things to do for a moment.
_MORE_TRIES = 2
_FIRST_RATE = 1.0
#: A trial is looked at in so many parts to see how much exchanges depend on each other.
_BATCHES = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """How to search: the first rate (arrivals a second), the highest (None: any), the width of
    the bracket to stop at (a share), the least number of measured exchanges and of seconds in a
    trial, the warm-up before each (seconds; None: a third of its length), and how many more
    trials the answer has to pass.
    """

    first: float = _FIRST_RATE
    most: float | None = None
    precision: float = 0.05
    exchanges: int = 1000
    seconds: float = 0.0
    warmup_s: float | None = None
    confirm: int = 2

    def length(self, rate: float) -> float:
        """Seconds of a trial, warm-up left out."""
        return max(self.seconds, self.exchanges / rate)

    def warmup(self, rate: float) -> float:
        """Seconds of its warm-up: queues that begin empty have to fill first."""
        return self.length(rate) / 3 if self.warmup_s is None else self.warmup_s


@dataclass(frozen=True, slots=True)
class Counts:
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
    def of(cls, share: float, flags: Sequence[bool | None]) -> Counts:
        """From what became of each exchange in order: True, False, or None where nobody knows."""
        size = max(1, math.ceil(len(flags) / _BATCHES))
        parts = (flags[at : at + size] for at in range(0, len(flags), size))
        return cls(share, tuple((len(p), p.count(True), p.count(None)) for p in parts))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.share, self.batches + other.batches)

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
class Outcome:
    """A trial: its rate, the counts of each objective, and if it was invalid, why. `missed`: it
    was stopped because an objective was shown to be missed, however often one looks.
    """

    rate: float
    counts: tuple[Counts, ...] = ()
    missed: bool = False
    invalid: str | None = None


@dataclass(slots=True)
class _Rate:
    """All trials at one rate, taken together."""

    trials: list[Outcome] = field(default_factory=list)

    @property
    def counts(self) -> list[Counts]:
        """Of each objective, over all trials."""
        together = list(self.trials[0].counts)
        for trial in self.trials[1:]:
            together = [a + b for a, b in zip(together, trial.counts, strict=True)]
        return together

    @property
    def verdict(self) -> str:
        """Of each trial by itself (most were stopped for it), then of all taken together."""
        if 2 * sum(trial.missed for trial in self.trials) > len(self.trials):
            return FAIL
        verdicts = [counts.verdict for counts in self.counts]
        return next((each for each in (FAIL, INCONCLUSIVE) if each in verdicts), PASS)

    @property
    def met(self) -> bool:
        """Whether this rate counts as one at which the objectives are met."""
        said = self.verdict
        return said == PASS or (said == INCONCLUSIVE and all(each.met for each in self.counts))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a search found, in arrivals a second: `rate` is the highest at which the objectives
    are met; at `low` that is shown, and at `high` that one is missed (95% intervals). None where
    there is no such rate. `verdict`: found, at_least, none or unfinished.
    """

    rate: float | None
    low: float | None
    high: float | None
    verdict: str
    reason: str | None


class Search:
    """Finds the highest rate that meets the objectives. `next_trial`, then `add`, until None."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.rates: dict[float, _Rate] = {}
        self.limit: str | None = None
        self._most = limits.most or math.inf
        self._first = min(limits.first, self._most)
        self._tried = 0
        self._invalid: Counter[float] = Counter()

    def next_trial(self) -> float | None:
        """The rate to try next; None at the end."""
        return self._next_rate() if self._tried < _MOST_TRIALS else None

    def add(self, outcome: Outcome) -> None:
        """What a trial came to."""
        self._tried += 1
        if outcome.invalid is not None:
            self._invalid[outcome.rate] += 1
            if self._invalid[outcome.rate] > _MORE_TRIES:
                # The generator's limit says nothing of the target: it bounds the search.
                self._most = min(self._most, outcome.rate / (1 + self.limits.precision))
                self.limit = outcome.invalid
            return
        self.rates.setdefault(outcome.rate, _Rate()).trials.append(outcome)

    def finding(self) -> Finding:
        """What is known by now."""
        met, missed = self._bracket()
        shown = [rate for rate, each in self.rates.items() if each.verdict == PASS]
        low = max((rate for rate in shown if met is not None and rate <= met), default=None)
        over = [rate for rate, each in self.rates.items() if each.verdict == FAIL]
        high = min((rate for rate in over if met is None or rate > met), default=None)
        verdict, reason = self._answer(met, missed)
        return Finding(met, low, high, verdict, reason)

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

    def _bracket(self) -> tuple[float | None, float | None]:
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
        met, missed = self._bracket()
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
        return self._unconfirmed(met) or self._unconfirmed(missed)

    def _unconfirmed(self, rate: float) -> float | None:
        """The rate if it has not yet been tried as often as the answer has to be, and can be."""
        done = len(self.rates[rate].trials) > self.limits.confirm
        return None if done or self._invalid[rate] > _MORE_TRIES else rate


def limits_of(args: argparse.Namespace) -> Limits:
    """The limits that options ask for."""
    return Limits(
        first=args.rate or _FIRST_RATE,
        most=args.max_rate,
        precision=args.precision,
        exchanges=args.exchanges,
        seconds=args.duration or 0.0,
        warmup_s=args.warmup,
        confirm=args.confirm,
    )


def estimate(limits: Limits, capacity: float) -> tuple[int, float, float]:
    """(trials, requests, seconds) that a search would take if that is the capacity, and no trial
    has to be repeated or can be stopped early.
    """
    search = Search(limits)
    requests = seconds = 0.0
    trials = 0
    sure = Counts.of(0.5, [True] * 100), Counts.of(0.5, [False] * 100)
    while (rate := search.next_trial()) is not None:
        length = limits.warmup(rate) + limits.length(rate)
        trials, requests, seconds = trials + 1, requests + rate * length, seconds + length
        search.add(Outcome(rate, (sure[rate > capacity],)))
    return trials, requests, seconds


def planned(target: str, scenario: Scenario, limits: Limits, budget: int | None) -> str:
    """What a search would send and take, in words: nobody knows the capacity beforehand, so for
    some that it may have. Raises UsageError for a mixture that does not exist.
    """
    lines = [f"{target}: a search for the highest rate that meets {', '.join(scenario.slos)}"]
    most = limits.most or math.inf
    for factor in (1, 8, 64):
        capacity = limits.first * factor * 1.3
        if capacity > 2 * most:
            break
        trials, requests, seconds = estimate(limits, capacity)
        lines.append(
            f"  if it is about {capacity:.3g}/s: {trials} trials, {requests:,.0f} requests, "
            f"{span(round(seconds))} or more with the answers' own times"
        )
    once = planned_once(target, scenario, budget).splitlines()
    if len(once) < 2:
        raise UsageError("nothing would be sent")
    limit = "no budget" if budget is None else f"a budget of {budget}"
    lines += [once[1], f"  requests may be billable; {limit}; a live search stops when it is spent"]
    return "\n".join(lines)


def table(trials: Iterable[dict[str, Any]], milestones: Collection[str] = ()) -> list[str]:
    """The curve as lines of text: each rate once per trial, in order of the rate, with these
    milestones or, if there are none, all of them.
    """
    rows = sorted(trials, key=lambda trial: (trial["rate"], trial["seed"]))
    every = dict.fromkeys(name for trial in rows for name in trial["quantiles"])
    names = [name for name in every if name.rpartition(".")[2] in milestones] or list(every)
    heads = ["rate/s", "exchanges", "verdict", *(f"{name} p50 / p95 / p99" for name in names)]
    lines = [heads]
    for trial in rows:
        line = [f"{trial['rate']:.4g}", f"{trial['exchanges']:,}", trial["verdict"]]
        for name in names:
            values = trial["quantiles"].get(name, {})
            line.append(" / ".join(_time(values.get(order)) for order in ("p50", "p95", "p99")))
        lines.append(line)
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]


def _time(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
