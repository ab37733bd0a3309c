"""The looks of a comparison as they stand in run.json (`looks`) and in the JSON of `compare`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from soundstage.reports.decision.gate_outcomes import GateOutcome
from soundstage.reports.decision.gates import Gate
from soundstage.reports.decision.interval import Interval
from soundstage.reports.decision.looks import Looking, TakenLook
from soundstage.reports.run.looks_told import bound_words, change_words
from soundstage.results.quantiles import finite


def to_json(looking: Looking, against: Mapping[str, Any]) -> dict[str, Any]:
    """All looks that were taken. Times are seconds, changes ratios (of rates: differences); null is
    an open bound, or never. `against`: what it was compared with.
    """
    plan, deciding = looking.plan, looking.deciding
    return {
        "against": dict(against),
        "sizes": list(plan.sizes),
        "level": plan.level(len(looking.gates)),
        "alpha": plan.rules.alpha,
        "margin": plan.rules.margin,
        "rate_margin": plan.rules.rate_margin,
        "every_gate": plan.every_gate,
        "verdict": looking.verdict,
        "reason": reason(looking),
        "songs": None if deciding is None else deciding.n,
        "sent": None if deciding is None else deciding.sent,
        "taken": [
            {"n": look.n, "sent": look.sent, "seconds": round(look.seconds, 3)}
            for look in looking.looks
        ],
        "gates": [_gate(looking, gate) for gate in looking.gates],
    }


def reason(looking: Looking) -> str:
    """How it ended, in a sentence."""
    deciding = looking.deciding
    if deciding is not None:
        sent = f", {deciding.sent:,} sent" if deciding.sent != deciding.n else ""
        how = "failed" if looking.verdict == "fail" else "passed"
        decided = looking.decided.items()
        names = [name for name, look in decided if look.outcomes[name].verdict == "fail"]
        which = f": {', '.join(names)}" if names else ""
        return f"{how} with {deciding.n:,} songs{sent}{which}"
    open_ = [gate.name for gate in looking.gates if looking.verdict_of(gate) == "inconclusive"]
    which = f": {', '.join(open_)}" if open_ else ""
    if not looking.looks:
        return f"no look was taken: it takes {looking.plan.sizes[0]:,} songs{which}"
    last = looking.looks[-1]
    if looking.verdict == "fail":
        return f"failed, and not every gate is decided with {last.n:,} songs{which}"
    if not looking.over:
        return f"undecided: it ended before {looking.next_size:,} songs had{which}"
    if looking.verdict == "pass":
        return f"no alarm with {last.n:,} songs"
    return f"undecided with {last.n:,} songs, the most that were asked for{which}"


def _gate(looking: Looking, gate: Gate) -> dict[str, Any]:
    look = looking.decided.get(gate.name)
    return {
        "gate": gate.name,
        "label": gate.label,
        "kind": "rate" if gate.order is None else "quantile",
        "guard": gate.guard,
        "verdict": looking.verdict_of(gate),
        "songs": None if look is None else look.n,
        "looks": [
            _at(each, each.outcomes[gate.name])
            for each in looking.looks
            if gate.name in each.outcomes
        ],
    }


def _at(look: TakenLook, outcome: GateOutcome) -> dict[str, Any]:
    return {
        "n": look.n,
        "n_base": outcome.n_base,
        "n_candidate": outcome.n_candidate,
        "base": bounded(outcome.base),
        "candidate": bounded(outcome.candidate),
        "change": bounded(outcome.widest),
        "verdict": outcome.verdict,
    }


def bounded(one: Interval) -> dict[str, float | None]:
    """An interval in JSON: null is an open bound, or infinite."""
    return {name: finite(each) for name, each in one._asdict().items()}


def gate_at_look(outcome: GateOutcome) -> str:
    """`+48% (+21% to +82%) fail`"""
    one, is_rate = outcome.widest, outcome.gate.order is None
    low, high = bound_words(one.low, is_rate), bound_words(one.high, is_rate)
    return f"{change_words(one.value, is_rate)} ({low} to {high}) {outcome.verdict}"
