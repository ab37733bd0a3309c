"""A comparison in words: the cells that its text, Markdown and HTML share, and its JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from soundstage.reports.compare.arms import Arm
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.compare.gates import GateOutcome
from soundstage.reports.compare.headline import detail, label_of, title
from soundstage.reports.compare.interval import Estimate, Ratio
from soundstage.reports.compare.stage_change import StageChange, signed
from soundstage.reports.words import (
    headline,
    outcome_words,
    percent,
    plain,
    plural,
    seconds,
    target_facts,
)
from soundstage.results.quantiles import finite

FORMAT = 1
#: At most this many lines of anything that a run can have any number of.
LINE_LIMIT = 60
#: Longest text of a rule or an example in JSON.
TEXT_LIMIT = 2000


def target(made: Comparison) -> tuple[str, str | None, list[str]]:
    """What the runs were made against: its name, what the answer therefore does not mean, and
    what else is known of it.
    """
    facts = made.base.runs[0].facts
    said = headline({**facts, "verdict": "pass", "status": "complete", "reason": None})
    known, others = (_facts(arm.runs[0].facts) for arm in (made.base, made.candidate))
    if others != known:
        known = [f"base: {', '.join(known) or '–'}", f"candidate: {', '.join(others) or '–'}"]
    return said.target, said.caveat, known


def _facts(run: Mapping[str, Any]) -> list[str]:
    """As the report has them, but for the seed: that should differ."""
    return target_facts({**run, "target": {**run["target"], "seed": None}})


def arm_words(arm: Arm) -> str:
    """`2026-11-21T08-36-15-load-3f2a (98.5% of 400 ok · 6 timeout)`"""
    outcomes = _sum(series.outcomes for run in arm.runs for series in run.series.values())
    names = ", ".join(plain(run.id, 80) for run in arm.runs[:3])
    if len(arm.runs) > 3:
        names += f" and {len(arm.runs) - 3} more"
    runs = f"{plural(len(arm.runs), 'run')}: " if len(arm.runs) > 1 else ""
    return f"{names} ({runs}{outcome_words(outcomes, 0, 0) or 'no exchange that counts'})"


def value(outcome: GateOutcome, estimate: Estimate) -> str:
    """A quantile in seconds, or a rate in percent."""
    if outcome.gate.order is None:
        return percent(estimate.value, 1) if estimate.value else "0%"
    return seconds(estimate.value)


def bounds(outcome: GateOutcome, estimate: Estimate) -> str:
    """`1.20 s – 1.31 s`, ∞ for an open end; empty where neither end is known."""
    if outcome.gate.order is None:
        return f"{estimate.low:.1%} – {estimate.high:.1%}"
    if math.isinf(estimate.low) and math.isinf(estimate.high):
        return ""
    low = "?" if estimate.low == -math.inf else seconds(estimate.low)
    return f"{low} – {seconds(estimate.high)}"


def interval(outcome: GateOutcome) -> str:
    """`-3.0% to +6.1%`; `?` for an open end."""
    one = outcome.change
    if outcome.gate.order is None:
        return f"{one.low * 100:+.2g} to {one.high * 100:+.2g} points"
    low = "?" if one.low <= 0 else signed(one.low)
    high = "?" if math.isinf(one.high) else signed(one.high)
    return f"{low} to {high}"


def verdict(outcome: GateOutcome) -> str:
    """The word for it; `faster` where a pass is surely an improvement."""
    if outcome.verdict == "pass":
        if outcome.faster:
            return "better"
        return "no alarm" if outcome.gate.guard else "pass"
    return outcome.verdict


def method(made: Comparison) -> str:
    """How the gates were judged, in a sentence."""
    k = len(made.gates)
    level = made.gates[0].level if made.gates else 1 - made.options.alpha
    how = {
        "samples": "from the exchanges of one run an arm",
        "pairs": "from the differences of pairs of runs",
        "runs": "from the spread between runs",
    }[made.gates[0].method if made.gates else "samples"]
    return (
        f"margin {made.options.margin * 100:g}%, alpha {made.options.alpha * 100:g}% over "
        f"{plural(k, 'gate')} (each interval {level * 100:.4g}%), {how}"
    )


def stage_interval(one: StageChange) -> str:
    low = "?" if one.change.low <= 0 else signed(one.change.low)
    high = "?" if math.isinf(one.change.high) else signed(one.change.high)
    return f"{low} to {high}"


def to_json(made: Comparison) -> dict[str, Any]:
    """The whole comparison. Times are seconds, changes ratios (of rates: differences); null is
    infinite, an open bound, or unknown.
    """
    return {
        "format": FORMAT,
        "verdict": made.verdict,
        "exit_code": made.exit_code,
        "title": title(made),
        "detail": detail(made),
        "target": made.base.runs[0].facts["target"]["kind"],
        "base": _arm(made.base),
        "candidate": _arm(made.candidate),
        "paired": made.paired,
        "margin": made.options.margin,
        "rate_margin": made.options.rate_margin,
        "alpha": made.options.alpha,
        "refused": [_obstacle(each) for each in made.refused],
        "allowed": [_obstacle(each) for each in made.allowed],
        "notes": list(made.notes),
        "gates": [_gate(each) for each in made.gates],
        "stages": [
            {
                "api": each.pairing.api,
                "endpoint": each.pairing.endpoint,
                "stage": plain(each.name, 200),
                "base": _estimate(each.base, each.n_base),
                "candidate": _estimate(each.candidate, each.n_candidate),
                "change": _ratio(each.change),
                "shift_s": finite(each.shift),
                "share": finite(each.share),
                "moved": each.moved,
            }
            for each in made.stages
        ],
        "shifts": [
            {
                "of": label_of(each),
                "api": each.pairing.api,
                "endpoint": each.pairing.endpoint,
                "milestone": each.milestone,
                "hodges_lehmann": finite(each.ratio),
                "mann_whitney_p": finite(each.p),
            }
            for each in made.shifts
        ],
        "rules": [
            {
                "rule": each.id,
                "api": each.api,
                "endpoint": each.endpoint,
                "kind": each.kind,
                "text": plain(each.text, TEXT_LIMIT),
                "example": plain(each.example, TEXT_LIMIT),
                "base": list(each.base),
                "candidate": list(each.candidate),
            }
            for each in made.rules
        ],
        "drift": [each.to_json() for each in made.drift],
        "calibration": made.calibration.to_json() if made.calibration else None,
    }


def _arm(arm: Arm) -> list[dict[str, Any]]:
    return [
        {
            "id": run.id,
            "created": run.facts["created"],
            "profile": run.facts["target"].get("profile"),
            "exchanges": sum(series.n for series in run.series.values()),
            "outcomes": _sum(series.outcomes for series in run.series.values()),
        }
        for run in arm.runs
    ]


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total


def _gate(outcome: GateOutcome) -> dict[str, Any]:
    gate, need = outcome.gate, outcome.need
    return {
        "gate": gate.name,
        "kind": "rate" if gate.order is None else "quantile",
        "guard": gate.guard,
        "verdict": outcome.verdict,
        "better": outcome.faster,
        "base": _estimate(outcome.base, outcome.n_base),
        "candidate": _estimate(outcome.candidate, outcome.n_candidate),
        "change": _ratio(outcome.change),
        "level": outcome.level,
        "margin": outcome.margin,
        "method": outcome.method,
        "need": None
        if need is None
        else {"unit": need.unit, "more": need.count, "text": need.text},
    }


def _obstacle(each: Any) -> dict[str, str]:
    return {"reason": each.reason, "message": each.message, "run": each.run}


def _estimate(one: Estimate, n: int) -> dict[str, Any]:
    return {
        "value": finite(one.value),
        "low": finite(one.low),
        "high": finite(one.high),
        "n": n,
    }


def _ratio(one: Ratio) -> dict[str, Any]:
    return {"value": finite(one.value), "low": finite(one.low), "high": finite(one.high)}
