"""What a comparison says in a line or two: its verdict, what stands beneath it, and labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from soundstage.reports.compare.comparison import Comparison, Shift, breaks
from soundstage.reports.compare.gates import GateOutcome
from soundstage.reports.words import milestone_label, plain, plural, signed


def title(made: Comparison) -> str:
    """The verdict in one line."""
    match made.verdict:
        case "not comparable":
            reasons = list(dict.fromkeys(each.reason for each in made.refused))
            return f"Not comparable: {', '.join(reasons)}"
        case "contract broken":
            rules = sum(each.breaking for each in made.rules)
            sent = sum(map(breaks, made.drift))
            parts = [plural(rules, "rule")] if rules else []
            parts += [f"{plural(sent, 'breaking change')} of what is sent"] if sent else []
            return f"Contract broken: {' and '.join(parts)}"
        case "slower":
            failing = made.failing()
            word = "Slower" if all(each.gate.order for each in failing) else "Worse"
            return f"{word}: {'; '.join(map(said, failing[:2]))}{_more(failing, 2)}"
        case "inconclusive":
            few = plural(len(made.undecided()), "gate")
            return f"Inconclusive: {few} of {len(made.gates)} cannot tell"
    if not made.gates:
        return "No worse: the contract is kept as before"
    faster = [each for each in made.gates if each.faster]
    if faster:
        return "No worse, and better: " + "; ".join(map(said, faster[:2])) + _more(faster, 2)
    return f"No worse: every gate is within {made.options.margin:.0%}"


def detail(made: Comparison) -> str:
    """What stands beneath the verdict: the stage that moved, what would decide; may be empty."""
    if made.verdict == "not comparable":
        words = ",".join(dict.fromkeys(each.reason for each in made.refused))
        return f"If the difference is what you mean to compare: --allow {words}"
    if made.verdict == "contract broken":
        broken, failing = made.broken(), made.failing()
        beside = f". Also worse: {'; '.join(map(said, failing[:2]))}" if failing else ""
        return plain(broken[0], 300) + _more(broken, 1) + beside + _more(failing, 2)
    if made.verdict == "slower":
        moved = made.moved()
        if moved:
            text = "; ".join(each.sentence for each in moved[:2])
            return (
                f"The stage that moved: {text}" if len(moved) == 1 else f"Stages that moved: {text}"
            )
    undecided = [each for each in made.undecided() if each.need is not None]
    if made.verdict == "inconclusive" and undecided:
        hardest = max(undecided, key=lambda each: _weight(each))
        return f"{hardest.gate.label}: {hardest.need.text if hardest.need else ''}"
    return ""


def _weight(outcome: GateOutcome) -> float:
    need = outcome.need
    return math.inf if need is None or need.count is None else float(need.count)


def said(outcome: GateOutcome) -> str:
    """`v6 stream TTC p50 +31%`"""
    return f"{outcome.gate.label} {change_of(outcome)}"


def change_of(outcome: GateOutcome) -> str:
    """The change in words: `+31%`, or `+2.1 points` for a rate."""
    if outcome.gate.order is not None:
        return signed(outcome.change.value)
    return f"{outcome.change.value * 100:+.2g} points" if outcome.change.value else "±0 points"


def _more(things: Sequence[object], shown: int) -> str:
    return f" and {len(things) - shown} more" if len(things) > shown else ""


def label_of(shift: Shift) -> str:
    """`v6 stream TTC`"""
    one = shift.pairing
    return f"{plain(one.api, 40)} {plain(one.endpoint, 20)} {milestone_label(shift.milestone)}"
