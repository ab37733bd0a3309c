"""The verdict of a comparison in words, and what follows from it: how much, why, whether to ship,
what to look at next. What every format says first.

Plain text throughout; whoever writes a format escapes it for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from soundstage.reports.compare.comparison import Comparison, breaks
from soundstage.reports.compare.comparison_words import (
    Row,
    change_bounds,
    change_of,
    more,
    times_broken,
    values_of,
)
from soundstage.reports.compare.stage_growth import GateChange, StageGrowth
from soundstage.reports.decision.arms import Arm
from soundstage.reports.decision.gate_outcomes import GateOutcome
from soundstage.reports.decision.gates import GAP_RATE
from soundstage.reports.run.milestone_parts import LATE, REST
from soundstage.reports.words import place_words, plain, plural, seconds

#: Gates that are told one by one, and other stages that are named beside the one that matters.
_GATES, _OTHERS = 3, 2
#: What went the other way is worth telling from this share of a change on; a part is greater than
#: the whole beyond this factor.
_WORTH, _ROUNDING = 0.05, 1.005
#: Time before and after all stages is told where it makes up such a share.
_LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class ReaderAnswer:
    """One question that a reader has, in a word or two, and the answer."""

    question: str
    said: str


def title(made: Comparison) -> str:
    """The verdict in one line."""
    match made.verdict:
        case "not comparable":
            if len(made.refused) == 1:
                return f"Not comparable: {made.refused[0].message}"
            return f"Not comparable, for {len(made.refused)} reasons"
        case "contract broken":
            rules = sum(each.breaking for each in made.rules)
            sent = sum(map(breaks, made.drift))
            parts = [plural(rules, "rule")] if rules else []
            parts += [f"{plural(sent, 'breaking change')} of what is sent"] if sent else []
            return f"Contract broken: {' and '.join(parts)}"
        case "slower":
            word = "Slower" if all(each.gate.order for each in made.failing()) else "Worse"
            return f"{word}: {_said(made.failing())}"
        case "inconclusive":
            few = plural(len(made.undecided()), "gate")
            return f"Inconclusive: {few} of {len(made.gates)} cannot tell"
    if not made.gates:
        return "No worse: the contract is kept as before"
    if faster := [each for each in made.gates if each.faster]:
        return f"No worse, and better: {_said(faster)}"
    return f"No worse: every gate is within {made.gate_rules.margin * 100:g}%"


def answers(made: Comparison) -> list[ReaderAnswer]:
    """What a reader asks next, in that order; what nobody can tell is not among it."""
    match made.verdict:
        case "not comparable":
            return _not_compared(made)
        case "contract broken":
            found = _broken(made)
        case "slower":
            found = [ReaderAnswer("How much", _much(each)) for each in made.failing()[:_GATES]]
        case "inconclusive":
            found = [ReaderAnswer("So far", _much(each)) for each in made.undecided()[:_GATES]]
        case _:
            found = _no_worse(made)
    found += [ReaderAnswer("Why", said) for said in reasons(made)]
    return [*found, _ship(made)]


def reasons(made: Comparison) -> list[str]:
    """Why a gate failed: the stage in which the time went, or how exchanges ended. One of each
    milestone; of a comparison without a failed gate, why it is better. May be empty.
    """
    rates = [each for each in made.failing() if each.gate.order is None]
    said = [why(each) + _also(made, each) for each in shown_changes(made)]
    return [*said, *(_why_worse(each, made) for each in rates[:1])]


def detail(made: Comparison) -> str:
    """The answer that matters most beneath the verdict, in one line; may be empty."""
    match made.verdict:
        case "slower":
            return next(iter(reasons(made)), "")
        case "inconclusive":
            return answers(made)[-1].said
        case "pass":
            return next(iter(reasons(made)), "")
    return answers(made)[0].said


def shown_changes(made: Comparison) -> list[GateChange]:
    """The changes whose stages are told: of gates that failed, else of those that are better; of
    each milestone the first that can be pinned on stages, and of those that come of the same stages
    the first.
    """
    found: dict[object, GateChange] = {}
    for each in _by_milestone(made):
        found.setdefault(_culprit_key(each), each)
    return list(found.values())[:_GATES]


def _by_milestone(made: Comparison) -> list[GateChange]:
    failing = bool(made.failing())
    found: dict[object, GateChange] = {}
    for each in made.changes:
        if failing == (each.outcome.verdict == "fail"):
            place = each.outcome.gate.pairing, each.outcome.gate.what
            if place not in found or (each.culprits() and not found[place].culprits()):
                found[place] = each
    return list(found.values())


def _culprit_key(each: GateChange) -> object:
    gate, names = each.outcome.gate, frozenset(one.name for one in each.culprits())
    return (gate.pairing, names) if names else (gate.pairing, each.why_not or gate.what)


def growth_rows(change: GateChange) -> list[Row]:
    """Cells beneath `GROWTH_HEAD`, and a last row that they add up to."""
    rows = [
        (
            stage_words(one),
            seconds(one.base),
            seconds(one.candidate),
            signed_seconds(one.growth),
            f"{signed_seconds(one.growth - one.half)} to {signed_seconds(one.growth + one.half)}",
        )
        for one in change.stages
        if one.is_stage
        or max(one.base, one.candidate) >= _LEAST_SHARE * change.outcome.candidate.value
    ]
    whole = change.outcome
    sides = seconds(whole.base.value), seconds(whole.candidate.value)
    return [*rows, (whole.gate.label, *sides, signed_seconds(change.change), "")]


def growth_caption(change: GateChange) -> str:
    """What the rows are of."""
    return (
        f"where {signed_seconds(change.change)} of {change.outcome.gate.label} lie "
        f"(of the {change.n_base:,} and {change.n_candidate:,} exchanges nearest to it; parts add "
        "up):"
    )


def why(change: GateChange) -> str:
    """`of +1.21 s in v6 stream TTSR p95, +1.10 s lie in streaming_ready of track 1 (800 ms →
    1.90 s)`
    """
    gate = change.outcome.gate.label
    if change.why_not:
        return f"{gate}: {change.why_not}"
    whole = signed_seconds(change.change)
    found = change.culprits()
    if not found:
        parts = ", ".join(_part(one) for one in change.most())
        return f"{gate}: no single stage explains {whole}; the most: {parts or 'none'}"
    against = [one for one in change.against() if abs(one.growth) >= _WORTH * abs(change.change)]
    if len(found) == 1 and abs(found[0].growth) > abs(change.change) * _ROUNDING:
        one = found[0]
        less = "others got faster" if change.change > 0 else "others got slower"
        rest = (
            f"{less}: {_list(against)}" if against else "the others changed by no more than chance"
        )
        return (
            f"{whole} in {gate} come of {stage_words(one)}: "
            f"{signed_seconds(one.growth)} ({_times(one)}); {rest}"
        )
    lie = " and ".join(
        f"{signed_seconds(one.growth)} {lies}in {stage_words(one)} ({_times(one)})"
        for lies, one in zip(("lie ", ""), found, strict=False)
    )
    rest = f"; the other way: {_list(against)}" if against else ""
    return f"of {whole} in {gate}, {lie}{rest}"


def _also(made: Comparison, change: GateChange) -> str:
    """The other milestones that come of the same."""
    key = _culprit_key(change)
    others = [each for each in _by_milestone(made) if each is not change]
    labels = [each.outcome.gate.label for each in others if _culprit_key(each) == key]
    return f"; so does {' and '.join(labels[:_OTHERS])}{more(labels, _OTHERS)}" if labels else ""


def stage_words(one: StageGrowth) -> str:
    """`streaming_ready of track 1`, `streaming_ready, while running went on`"""
    if one.name == LATE:
        return "the time before requests were sent"
    if one.name == REST:
        return "the time after the last stage"
    if one.meanwhile:
        return f"{plain(one.name, 40)} and the waits while it went on"
    track = f" of track {plain(one.track, 12)}" if one.track and one.sure else ""
    beside = f", while {plain(one.beside, 40)} went on" if one.beside and one.sure else ""
    return plain(one.name, 40) + track + beside


def signed_seconds(value: float) -> str:
    """`+1.21 s`, `-30.0 ms`, `±0`"""
    if abs(value) < 5e-5:
        return "±0"
    return f"{'+' if value > 0 else '-'}{seconds(abs(value))}"


def next_step(made: Comparison) -> str:
    """What to look at in the report of the candidate, or what to do; empty where there is nothing
    to look for.
    """
    match made.verdict:
        case "contract broken":
            return "the findings of the candidate: which exchanges, what was sent"
        case "slower":
            culprits = [one for each in made.changes[:1] for one in each.culprits()]
            if culprits:
                named = " and ".join(stage_words(one) for one in culprits)
                return f"both reports, for {named}: slow all the while, or from a moment on?"
            if any(each.gate.what == GAP_RATE for each in made.failing()):
                return "what listeners hear in the candidate's report: which track, how long a gap"
            if any(each.gate.order is None for each in made.failing()):
                return "the failures of the candidate: status, reason, endpoint"
            return "the times of both runs over time: a moment, or all the while?"
    return ""


def _said(outcomes: Sequence[GateOutcome]) -> str:
    """`v6 stream TTC p50 +31%; v6 stream TTC p95 +40% and 2 more`"""
    words = [f"{each.gate.label} {change_of(each)}" for each in outcomes[:2]]
    return "; ".join(words) + more(outcomes, 2)


def _much(each: GateOutcome) -> str:
    """`v6 stream TTSR p95: 3.90 s → 5.10 s, +31% (surely between +22% and +41%; 10% allowed)`"""
    base, candidate = values_of(each)
    allowed = f"{each.margin * 100:g}%" if each.gate.order else f"{each.margin * 100:g} points"
    bounds = change_bounds(each)
    return (
        f"{each.gate.label}: {base} → {candidate}, {change_of(each)} "
        f"({each.level * 100:.4g}% interval {bounds}; up to +{allowed} is let pass)"
    )


def _not_compared(made: Comparison) -> list[ReaderAnswer]:
    found = []
    if len(made.refused) > 1:
        found = [ReaderAnswer("Why not", one.words) for one in made.refused]
    words = ",".join(dict.fromkeys(each.reason for each in made.refused))
    hint = f"make runs that are alike; or, if that is what you mean to compare: --allow {words}"
    return [*found, ReaderAnswer("Next", hint)]


def _broken(made: Comparison) -> list[ReaderAnswer]:
    drift, rules = filter(breaks, made.drift), (one for one in made.rules if one.breaking)
    found = [f"{place_words(one.api, one.endpoint)}: {one.text}" for one in drift]
    found += [
        f"{one.rule}: {one.example or one.text} ({times_broken(one)} exchanges)" for one in rules
    ]
    answer = [ReaderAnswer("Broken", plain(found[0], 300) + more(found, 1))]
    return answer + [ReaderAnswer("Also worse", _much(each)) for each in made.failing()[:_GATES]]


def _no_worse(made: Comparison) -> list[ReaderAnswer]:
    timed = [each for each in made.gates if each.gate.order is not None]
    better = [each for each in timed if each.faster]
    if better:
        return [ReaderAnswer("How much", _much(each)) for each in better[:_GATES]]
    if not timed:
        return []
    # The one that is nearest to its margin says how far all the others are from it.
    worst = max(timed, key=lambda each: each.widest.high)
    return [ReaderAnswer("At worst", _much(worst))]


def _ship(made: Comparison) -> ReaderAnswer:
    match made.verdict:
        case "contract broken":
            said = "No: clients may break"
        case "slower":
            said = "No: it is surely worse by more than its gates let pass"
        case "inconclusive":
            needs = [(each, each.need) for each in made.undecided() if each.need is not None]
            said = "Not known yet"
            if needs:
                hardest, need = max(needs, key=lambda pair: pair[1].count or math.inf)
                said += f": {hardest.gate.label}: {need.text}"
        case _:
            said = "Nothing here speaks against it: contract kept as before, no gate failed"
            if not made.gates:
                said = "Nothing here speaks against it: the contract is kept as before"
    return ReaderAnswer("Ship it?", said)


def _why_worse(each: GateOutcome, made: Comparison) -> str:
    """`v6 stream error rate: 12 timeout (base: 0), 3 refused (base: 0)`"""
    if each.gate.what == GAP_RATE:
        before = round(each.base.value * each.n_base)
        now = round(each.candidate.value * each.n_candidate)
        return f"{each.gate.label}: {plural(now, 'song')} with a gap (base: {before:,})"
    sides = [_endings(arm, each) for arm in (made.base, made.candidate)]
    grown = sorted(
        (name for name in sides[1] if name != "ok" and sides[1][name] > sides[0].get(name, 0)),
        key=lambda name: sides[0].get(name, 0) - sides[1][name],
    )
    said = [
        f"{sides[1][name]:,} {plain(name, 20)} (base: {sides[0].get(name, 0):,})" for name in grown
    ]
    return f"{each.gate.label}: {', '.join(said[:_GATES]) or 'no outcome grew by itself'}"


def _endings(arm: Arm, each: GateOutcome) -> dict[str, int]:
    runs = arm.series(each.gate.pairing.place)
    names: Iterable[str] = dict.fromkeys(name for run in runs for name in run.outcomes)
    return {name: sum(run.outcomes.get(name, 0) for run in runs) for name in names}


def _part(one: StageGrowth) -> str:
    return f"{stage_words(one)} {signed_seconds(one.growth)}"


def _list(found: Sequence[StageGrowth]) -> str:
    return ", ".join(map(_part, found[:_OTHERS])) + more(found, _OTHERS)


def _times(one: StageGrowth) -> str:
    return f"{seconds(one.base)} → {seconds(one.candidate)}"
