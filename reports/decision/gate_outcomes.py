"""What each gate of a comparison says of two arms: pass, fail, or how much more would decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from soundstage.reports.decision import interval
from soundstage.reports.decision.arms import EndpointSeries, Place
from soundstage.reports.decision.decisive_size import (
    Need,
    events_needed,
    exchanges_needed,
    runs_needed,
)
from soundstage.reports.decision.gates import GAP_RATE, TIMEOUT_RATE, Gate, Rules
from soundstage.reports.decision.interval import Floats, Interval
from soundstage.reports.words import seconds
from soundstage.results.quantiles import needed


@dataclass(frozen=True, slots=True)
class BestCase:
    """What a gate would say if times that are known by polling were as favourable as they may be:
    `base` and `candidate` are of their low ends, and `change` is that from the base's high ends to
    the candidate's low ones.
    """

    base: Interval
    candidate: Interval
    change: Interval


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What a gate says. `base` and `candidate` are quantiles in seconds (shares for a rate) with
    their intervals, over `n_base` and `n_candidate` exchanges; `change` is the ratio (the
    difference of shares for a rate). `level`: of every interval here. `method`: "samples",
    "pairs" or "runs", what the interval's spread is taken from. `faster`: surely not slower.

    Of times that are known by polling `base` and `candidate` are of the high ends, and `change` is
    the most unfavourable: from the base's low ends to the candidate's high ones; `best` is the
    other side, None where all are exact. The verdict is that of both, or inconclusive.
    """

    gate: Gate
    verdict: str
    base: Interval
    candidate: Interval
    n_base: int
    n_candidate: int
    change: Interval
    level: float
    margin: float
    method: str
    need: Need | None = None
    best: BestCase | None = None

    @property
    def widest(self) -> Interval:
        """The change with an interval that holds both cases."""
        low = self.change.low if self.best is None else self.best.change.low
        return self.change._replace(low=low)

    @property
    def faster(self) -> bool:
        """Whether the candidate is surely better, by however little."""
        return self.change.high < (0.0 if self.gate.order is None else 1.0)


def judge(
    gates: Sequence[Gate],
    base: Mapping[Place, Sequence[EndpointSeries]],
    candidate: Mapping[Place, Sequence[EndpointSeries]],
    rules: Rules,
    *,
    among: int | None = None,
) -> list[GateOutcome]:
    """What each gate says of the two arms, given as the series of their runs by place. `among`: how
    many gates share the level, where these are not all of them; then nothing is said of what would
    decide, which takes longer than the rest.
    """
    level = 1 - rules.alpha / max(1, len(gates) if among is None else among)
    return [
        (_of_rate if gate.order is None else _of_quantile)(
            gate,
            base[gate.pairing.place],
            candidate[gate.pairing.place],
            level,
            rules,
            advised=among is None,
        )
        for gate in gates
    ]


def _of_quantile(
    gate: Gate,
    base: Sequence[EndpointSeries],
    candidate: Sequence[EndpointSeries],
    level: float,
    rules: Rules,
    *,
    advised: bool,
) -> GateOutcome:
    q, arms = gate.order or 0.5, (base, candidate)
    highs = [[run.times[gate.what] for run in arm] for arm in arms]
    lows = [[run.lows(gate.what) for run in arm] for arm in arms]
    single = len(base) == len(candidate) == 1
    sides = [_side(arm, q, level, single=single) for arm in highs]
    worst = _pairing(gate, lows[0], highs[1], level, rules, advised=advised)
    best = None
    said, need = worst.said, worst.need
    if any(gate.what in run.low_ends for arm in arms for run in arm):
        good = _pairing(gate, highs[0], lows[1], level, rules, advised=advised)
        said, need = _both(good, worst, math.log1p(rules.margin), [*base, *candidate])
        low_sides = [_side(arm, q, level, single=single) for arm in lows]
        best = BestCase(low_sides[0], low_sides[1], good.change.ratio())
    return GateOutcome(
        gate=gate,
        verdict=said,
        base=sides[0],
        candidate=sides[1],
        n_base=sum(map(len, highs[0])),
        n_candidate=sum(map(len, highs[1])),
        change=worst.change.ratio(),
        level=level,
        margin=rules.margin,
        method="samples" if single else "pairs" if rules.paired else "runs",
        need=need,
        best=best,
    )


def _side(runs: Sequence[Floats], q: float, level: float, *, single: bool) -> Interval:
    if single:
        return interval.estimate(runs[0], q, level)
    return interval.estimate_of_runs(runs, q, level)


class _CaseChange(NamedTuple):
    """What times of two arms say: the change (its logarithm), the verdict, what would decide."""

    change: Interval
    said: str
    need: Need | None


def _pairing(
    gate: Gate,
    base: Sequence[Floats],
    candidate: Sequence[Floats],
    level: float,
    rules: Rules,
    *,
    advised: bool,
) -> _CaseChange:
    q, limit, paired = gate.order or 0.5, math.log1p(rules.margin), rules.paired
    need = None
    if len(base) == len(candidate) == 1:
        noise = rules.noise.get(gate.name)
        change = interval.of_samples(base[0], candidate[0], q, level, noise)
        said = interval.verdict(change, limit)
        if said == "inconclusive" and advised:
            need = exchanges_needed(base[0], candidate[0], q, level, limit, noise)
        return _CaseChange(change, said, need)
    change = interval.of_runs(base, candidate, q, level, paired=paired)
    said = interval.verdict(change, limit)
    fewest = min(len(run) for arm in (base, candidate) for run in arm)
    if fewest < math.ceil(round(1 / (1 - q), 6)):
        # The quantile of so few is their greatest value, whatever it estimates.
        said, count = "inconclusive", needed(q, level) - fewest
        need = Need("exchange", count, f"each run needs at least {count:,} more exchanges")
    elif said == "inconclusive":
        need = runs_needed(base, candidate, q, level, limit, paired=paired)
    return _CaseChange(change, said, need)


def _both(
    best: _CaseChange, worst: _CaseChange, limit: float, runs: Sequence[EndpointSeries]
) -> tuple[str, Need | None]:
    """The verdict of the most favourable and the most unfavourable case together, and what would
    decide where they do not agree or cannot tell.
    """
    if best.said == worst.said != "inconclusive":
        return best.said, None
    apart = best.change.value < limit < worst.change.value
    if best.said == worst.said and not apart:
        return "inconclusive", max(
            (each.need for each in (best, worst) if each.need is not None),
            key=lambda need: need.count or math.inf,
            default=None,
        )
    known = [run.resolution for run in runs if run.resolution is not None]
    most = max(each.widest for each in known)
    if not any(each.exchanges for each in known):
        words = (
            "streams were held back on their way: when their chunks were sent is known to within "
            f"{seconds(most)} at most, and the margin lies in between"
        )
        return "inconclusive", Need("stream that is not held back", None, words)
    words = (
        f"times by polling are known to within {seconds(most)} at most, and the margin lies in "
        "between: polls closer together would decide"
    )
    return "inconclusive", Need("poll", None, words)


def _counted(rate: str, run: EndpointSeries) -> tuple[int, int]:
    """How often what a rate counts came, of how many."""
    if rate == GAP_RATE:
        return run.gapped, run.listened
    return (run.timeouts if rate == TIMEOUT_RATE else run.errors), run.n


def _of_rate(
    gate: Gate,
    base: Sequence[EndpointSeries],
    candidate: Sequence[EndpointSeries],
    level: float,
    rules: Rules,
    *,
    advised: bool,
) -> GateOutcome:
    counts = [[_counted(gate.what, run) for run in arm] for arm in (base, candidate)]
    sums = [(sum(k for k, _ in arm), sum(n for _, n in arm)) for arm in counts]
    sides = [interval.share(k, n, level) for k, n in sums]
    change = interval.rate_change(counts[0], counts[1], level, paired=rules.paired)
    margin, need = rules.rate_margin, None
    said = interval.verdict(change, margin)
    if said == "inconclusive" and gate.guard:
        said = "pass"
    elif said == "inconclusive" and advised:
        need = events_needed(sums, level, margin)
    method = "samples" if len(base) == len(candidate) == 1 else "runs"
    return GateOutcome(
        gate=gate,
        verdict=said,
        base=sides[0],
        candidate=sides[1],
        n_base=sums[0][1],
        n_candidate=sums[1][1],
        change=change,
        level=level,
        margin=margin,
        method=method,
        need=need,
    )
