"""What each gate of a comparison says of two arms: pass, fail, or how many more would decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from soundstage.reports.compare import interval
from soundstage.reports.compare.arms import EndpointSeries, Place
from soundstage.reports.compare.gates import TIMEOUT_RATE, Gate, GateOutcome, Need, Rules
from soundstage.reports.compare.interval import Estimate, Ratio
from soundstage.results.quantiles import needed, rate_interval


def judge(
    gates: Sequence[Gate],
    base: Mapping[Place, Sequence[EndpointSeries]],
    candidate: Mapping[Place, Sequence[EndpointSeries]],
    rules: Rules,
) -> list[GateOutcome]:
    """What each gate says of the two arms, given as the series of their runs by place."""
    level = 1 - rules.alpha / max(1, len(gates))
    return [
        (_quantile if gate.order is not None else _rate)(
            gate, base[gate.pairing.place], candidate[gate.pairing.place], level, rules
        )
        for gate in gates
    ]


def _quantile(
    gate: Gate,
    base: Sequence[EndpointSeries],
    candidate: Sequence[EndpointSeries],
    level: float,
    rules: Rules,
) -> GateOutcome:
    q, margin = gate.order or 0.5, rules.margin
    arms = [[run.times[gate.what] for run in arm] for arm in (base, candidate)]
    if len(base) == len(candidate) == 1:
        method, noise = "samples", (rules.noise or {}).get(gate.name)
        one, other = arms[0][0], arms[1][0]
        estimates = [interval.estimate(arm[0], q, level) for arm in arms]
        bounds = interval.of_samples(one, other, q, level, noise)
    else:
        paired = rules.paired
        method = "pairs" if paired else "runs"
        estimates = [interval.estimate_of_runs(arm, q, level) for arm in arms]
        bounds = interval.of_runs(arms[0], arms[1], q, level, paired=paired)
    said = interval.verdict(bounds[1], bounds[2], margin)
    fewest = min(len(run) for arm in arms for run in arm)
    need = None
    if method != "samples" and fewest < math.ceil(round(1 / (1 - q), 6)):
        # The quantile of so few is their greatest value, whatever it estimates.
        said = "inconclusive"
        count = needed(q, level) - fewest
        need = Need("exchange", count, f"each run needs at least {count:,} more exchanges")
    elif said == "inconclusive":
        need = _need(arms, gate, level, rules, method)
    d, low, high = (math.nan if math.isnan(each) else _exp(each) for each in bounds)
    return GateOutcome(
        gate=gate,
        verdict=said,
        base=estimates[0],
        candidate=estimates[1],
        n_base=sum(map(len, arms[0])),
        n_candidate=sum(map(len, arms[1])),
        change=Ratio(d, low, high),
        level=level,
        margin=margin,
        method=method,
        need=need,
    )


def _need(
    arms: Sequence[Sequence[interval.Floats]], gate: Gate, level: float, rules: Rules, method: str
) -> Need:
    q, margin = gate.order or 0.5, rules.margin
    if method == "samples":
        noise = (rules.noise or {}).get(gate.name)
        have = min(len(arms[0][0]), len(arms[1][0]))
        total = interval.samples_needed(arms[0][0], arms[1][0], q, level, margin, noise)
        if total is None:
            text = "the change is too near the margin for more exchanges to tell: repeat the runs"
            if noise is not None:
                text = "runs differ too much for one an arm to tell: repeat the runs"
            return Need("run", None, text)
        more = max(1, total - have)
        text = f"about {_round(more):,} more exchanges an arm would decide, or several runs"
        return Need("exchange", more, text)
    unit = "pair of runs" if method == "pairs" else "run"
    total = interval.runs_needed(arms[0], arms[1], q, level, margin, paired=method == "pairs")
    if total is None:
        text = "the change is too near the margin, or the runs too unlike, for more runs to tell"
        return Need(unit, None, text)
    more = total - max(len(arms[0]), len(arms[1]))
    many = {"pairs": f"{more} more pairs of runs", "runs": f"{more} more runs an arm"}[method]
    return Need(unit, more, f"about {many} would decide")


def _rate(
    gate: Gate,
    base: Sequence[EndpointSeries],
    candidate: Sequence[EndpointSeries],
    level: float,
    rules: Rules,
) -> GateOutcome:
    def counted(arm: Sequence[EndpointSeries]) -> list[tuple[int, int]]:
        timeouts = gate.what == TIMEOUT_RATE
        return [(run.timeouts if timeouts else run.errors, run.n) for run in arm]

    shares = [counted(arm) for arm in (base, candidate)]
    sums = [(sum(k for k, _ in arm), sum(n for _, n in arm)) for arm in shares]
    estimates = [Estimate(k / n if n else 0.0, *rate_interval(k, n, level)) for k, n in sums]
    d, low, high = interval.rate_change_of_runs(shares[0], shares[1], level, paired=rules.paired)
    margin = rules.rate_margin
    said = "fail" if low > margin else "pass" if high < margin else "inconclusive"
    need = None
    if said == "inconclusive" and gate.guard:
        said = "pass"
    elif said == "inconclusive":
        need = _rate_need(sums, level, margin)
    method = "samples" if len(base) == len(candidate) == 1 else "runs"
    return GateOutcome(
        gate=gate,
        verdict=said,
        base=estimates[0],
        candidate=estimates[1],
        n_base=sums[0][1],
        n_candidate=sums[1][1],
        change=Ratio(d, low, high),
        level=level,
        margin=margin,
        method=method,
        need=need,
    )


def _rate_need(sums: Sequence[tuple[int, int]], level: float, margin: float) -> Need:
    have = min(n for _, n in sums)

    def decided(factor: float) -> bool:
        grown = [(round(k * factor), round(n * factor)) for k, n in sums]
        _, low, high = interval.rate_change(grown[0], grown[1], level)
        return low > margin or high < margin

    factor = interval.least(decided, 1.0, interval.MOST_FACTOR) if have else None
    if factor is None:
        return Need("exchange", None, "the change is too near the margin for more to tell")
    more = max(1, math.ceil(have * factor) - have)
    return Need("exchange", more, f"about {_round(more):,} more exchanges an arm would decide")


def _round(number: int) -> int:
    """Two digits are all that an extrapolation is worth; always up."""
    if number < 100:
        return number
    unit: int = 10 ** (len(str(number)) - 2)
    return math.ceil(number / unit) * unit


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)
