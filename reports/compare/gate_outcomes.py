"""What each gate of a comparison says of two arms: pass, fail, or how much more would decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soundstage.reports.compare import interval
from soundstage.reports.compare.arms import EndpointSeries, Place
from soundstage.reports.compare.decisive_size import (
    Need,
    events_needed,
    exchanges_needed,
    runs_needed,
)
from soundstage.reports.compare.gates import TIMEOUT_RATE, Gate, Rules
from soundstage.reports.compare.interval import Interval
from soundstage.results.quantiles import needed


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What a gate says. `base` and `candidate` are quantiles in seconds (shares for a rate) with
    their intervals, over `n_base` and `n_candidate` exchanges; `change` is the ratio (the
    difference of shares for a rate). `level`: of every interval here. `method`: "samples",
    "pairs" or "runs", what the interval's spread is taken from. `faster`: surely not slower.
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

    @property
    def faster(self) -> bool:
        """Whether the candidate is surely better, by however little."""
        return self.change.high < (0.0 if self.gate.order is None else 1.0)


def judge(
    gates: Sequence[Gate],
    base: Mapping[Place, Sequence[EndpointSeries]],
    candidate: Mapping[Place, Sequence[EndpointSeries]],
    rules: Rules,
) -> list[GateOutcome]:
    """What each gate says of the two arms, given as the series of their runs by place."""
    level = 1 - rules.alpha / max(1, len(gates))
    return [
        (_of_rate if gate.order is None else _of_quantile)(
            gate, base[gate.pairing.place], candidate[gate.pairing.place], level, rules
        )
        for gate in gates
    ]


def _of_quantile(
    gate: Gate,
    base: Sequence[EndpointSeries],
    candidate: Sequence[EndpointSeries],
    level: float,
    rules: Rules,
) -> GateOutcome:
    q, limit, paired = gate.order or 0.5, math.log1p(rules.margin), rules.paired
    arms = [[run.times[gate.what] for run in arm] for arm in (base, candidate)]
    need = None
    if len(base) == len(candidate) == 1:
        method, noise = "samples", rules.noise.get(gate.name)
        (one,), (other,) = arms
        sides = [interval.estimate(run, q, level) for run in (one, other)]
        change = interval.of_samples(one, other, q, level, noise)
        said = interval.verdict(change, limit)
        if said == "inconclusive":
            need = exchanges_needed(one, other, q, level, limit, noise)
    else:
        method = "pairs" if paired else "runs"
        sides = [interval.estimate_of_runs(arm, q, level) for arm in arms]
        change = interval.of_runs(arms[0], arms[1], q, level, paired=paired)
        said = interval.verdict(change, limit)
        fewest = min(len(run) for arm in arms for run in arm)
        if fewest < math.ceil(round(1 / (1 - q), 6)):
            # The quantile of so few is their greatest value, whatever it estimates.
            said, count = "inconclusive", needed(q, level) - fewest
            words = f"each run needs at least {count:,} more exchanges"
            need = Need("exchange", count, words)
        elif said == "inconclusive":
            need = runs_needed(arms[0], arms[1], q, level, limit, paired=paired)
    return GateOutcome(
        gate=gate,
        verdict=said,
        base=sides[0],
        candidate=sides[1],
        n_base=sum(map(len, arms[0])),
        n_candidate=sum(map(len, arms[1])),
        change=change.ratio(),
        level=level,
        margin=rules.margin,
        method=method,
        need=need,
    )


def _of_rate(
    gate: Gate,
    base: Sequence[EndpointSeries],
    candidate: Sequence[EndpointSeries],
    level: float,
    rules: Rules,
) -> GateOutcome:
    counts = [
        [(run.timeouts if gate.what == TIMEOUT_RATE else run.errors, run.n) for run in arm]
        for arm in (base, candidate)
    ]
    sums = [(sum(k for k, _ in arm), sum(n for _, n in arm)) for arm in counts]
    sides = [interval.share(k, n, level) for k, n in sums]
    change = interval.rate_change(counts[0], counts[1], level, paired=rules.paired)
    margin, need = rules.rate_margin, None
    said = interval.verdict(change, margin)
    if said == "inconclusive" and gate.guard:
        said = "pass"
    elif said == "inconclusive":
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
