"""A comparison as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from soundstage.output import visible
from soundstage.reports.compare import comparison_verdict as verdict
from soundstage.reports.compare import comparison_words as words
from soundstage.reports.compare.arm_changes import RuleChange, StageChange, TimesShift
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.compare.stage_growth import GateChange
from soundstage.reports.decision.arms import ArmRun
from soundstage.reports.decision.gate_outcomes import BestCase, GateOutcome
from soundstage.reports.decision.gates import Pairing
from soundstage.reports.decision.looks_taken import bounded
from soundstage.reports.decision.looks_taken import to_json as looks_taken
from soundstage.reports.words import plain
from soundstage.results.polling import Resolution
from soundstage.results.quantiles import finite

FORMAT = 1
#: Longest text of a rule or an example in JSON.
TEXT_LIMIT = 2000


def json_text(document: dict[str, Any]) -> str:
    """A document as it is printed and kept."""
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return visible.in_json(orjson.dumps(document, option=option).decode("utf-8"))


def to_json(made: Comparison) -> dict[str, Any]:
    """The whole comparison. Times are seconds, changes ratios (of rates: differences); null is
    infinite, an open bound, or unknown.
    """
    return {
        "format": FORMAT,
        "verdict": made.verdict,
        "exit_code": made.exit_code,
        "title": verdict.title(made),
        "detail": verdict.detail(made),
        "answers": [asdict(each) for each in verdict.answers(made)],
        "target": made.base.runs[0].facts["target"]["kind"],
        "base": [_run_json(run) for run in made.base.runs],
        "candidate": [_run_json(run) for run in made.candidate.runs],
        "paired": made.gate_rules.paired,
        "margin": made.gate_rules.margin,
        "rate_margin": made.gate_rules.rate_margin,
        "alpha": made.gate_rules.alpha,
        "refused": [asdict(each) for each in made.refused],
        "allowed": [asdict(each) for each in made.allowed],
        "notes": list(made.notes),
        "gates": [_gate_json(each) for each in made.gates],
        **({} if made.looking is None else {"looks": looks_json(made)}),
        **({"polling": polling} if (polling := _polling_json(made)) else {}),
        "changes": [_change_json(each) for each in made.changes],
        "stages": [_stage_json(each) for each in made.stages],
        "shifts": [
            {
                "of": words.shift_label(each),
                "api": each.pairing.api,
                "endpoint": each.pairing.endpoint,
                "milestone": each.milestone,
                "hodges_lehmann": finite(each.ratio),
                "mann_whitney_p": finite(each.p),
                **_best_shift(each),
            }
            for each in made.shifts
        ],
        "rules": [_rule_json(each) for each in made.rules],
        "drift": [each.to_json() for each in made.drift],
        "calibration": made.calibration.to_json() if made.calibration else None,
    }


def looks_json(made: Comparison) -> dict[str, Any]:
    """What each gate said at each look, as run.json of a run that was looked at has it."""
    assert made.looking is not None
    base = made.base.runs[0]
    return looks_taken(made.looking, {"run": base.id, "target": base.facts["target"]["kind"]})


def _polling_json(made: Comparison) -> list[dict[str, Any]]:
    """How well times by polling are known, in seconds; empty where all are exact."""
    return [_resolution_json(*each) for each in made.resolutions()]


def _run_json(run: ArmRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "created": run.facts["created"],
        "profile": run.facts["target"].get("profile"),
        "exchanges": sum(series.n for series in run.series.values()),
        "outcomes": dict(words.outcomes_of(run)),
    }


def _gate_json(outcome: GateOutcome) -> dict[str, Any]:
    gate, need = outcome.gate, outcome.need
    return {
        "gate": gate.name,
        "kind": "rate" if gate.order is None else "quantile",
        "guard": gate.guard,
        "verdict": outcome.verdict,
        "better": outcome.faster,
        "base": {**bounded(outcome.base), "n": outcome.n_base},
        "candidate": {**bounded(outcome.candidate), "n": outcome.n_candidate},
        "change": bounded(outcome.change),
        "level": outcome.level,
        "margin": outcome.margin,
        "method": outcome.method,
        "need": need and {"unit": need.unit, "more": need.count, "text": need.text},
        # Of times that are known by polling the above are of high ends, and the worst change.
        **({} if outcome.best is None else {"best": _best_json(outcome.best)}),
    }


def _best_json(best: BestCase) -> dict[str, Any]:
    return {
        "base": bounded(best.base),
        "candidate": bounded(best.candidate),
        "change": bounded(best.change),
    }


def _best_shift(one: TimesShift) -> dict[str, Any]:
    if one.best is None:
        return {}
    ratio, p = one.best
    return {"best": {"hodges_lehmann": finite(ratio), "mann_whitney_p": finite(p)}}


def _resolution_json(one: Pairing, side: str, known: Resolution) -> dict[str, Any]:
    return {
        "api": one.api,
        "endpoint": one.endpoint,
        "arm": side,
        **{name: finite(each) for name, each in asdict(known).items()},
    }


def _change_json(one: GateChange) -> dict[str, Any]:
    """Why a gate changed: seconds of its quantile, by stage."""
    named = {name for each in one.culprits() for name in (each.name, *each.meanwhile)}
    return {
        "gate": one.outcome.gate.name,
        "change_s": finite(one.change),
        "why": plain(verdict.why(one), TEXT_LIMIT),
        "why_not": one.why_not or None,
        "looked_at": [one.n_base, one.n_candidate],
        "stages": [
            {
                "stage": plain(each.name, 200),
                "track": plain(each.track, 40) or None,
                "base_s": finite(each.base),
                "candidate_s": finite(each.candidate),
                "growth_s": finite(each.growth),
                "half_s": finite(each.half),
                "explains": each.name in named,
            }
            for each in one.stages
        ],
    }


def _stage_json(one: StageChange) -> dict[str, Any]:
    return {
        "api": one.pairing.api,
        "endpoint": one.pairing.endpoint,
        "stage": plain(one.name, 200),
        "base": {**bounded(one.base), "n": one.n_base},
        "candidate": {**bounded(one.candidate), "n": one.n_candidate},
        "change": bounded(one.change),
        "shift_s": finite(one.shift),
        "share": finite(one.share),
        "moved": one.moved,
    }


def _rule_json(one: RuleChange) -> dict[str, Any]:
    texts = {"text": plain(one.text, TEXT_LIMIT), "example": plain(one.example, TEXT_LIMIT)}
    return {**asdict(one), **texts}
