"""A comparison in words: verdict, labels, figures and table rows, alike in all of its formats.

Plain text throughout; whoever writes a format escapes it for that.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from soundstage.reports.compare.arm_changes import RuleChange, StageChange, TimesShift
from soundstage.reports.compare.calibration import Calibration
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.decision.arms import Arm, ArmRun
from soundstage.reports.decision.gate_outcomes import GateOutcome
from soundstage.reports.decision.interval import Interval
from soundstage.reports.words import (
    between,
    headline,
    outcome_words,
    percent,
    plain,
    plural,
    resolution_words,
    seconds,
    signed,
    target_facts,
)

Row = tuple[str, ...]

#: At most this many lines of anything that a run can have any number of.
LINE_LIMIT = 60

GATE_HEAD = ("gate", "base", "candidate", "change", "interval", "verdict")
STAGE_HEAD = ("stage", "base p50", "candidate p50", "change", "interval")
GROWTH_HEAD = ("part of it", "base", "candidate", "difference", "99% interval")
SHIFT_HEAD = ("times of", "median ratio", "p")
NOISE_HEAD = ("gate", "run to run", "from the sample", "1 pair finds", "5 pairs find", "A/A")

_METHODS = {
    "samples": "from the exchanges of one run an arm",
    "pairs": "from the differences of pairs of runs",
    "runs": "from the spread between runs",
}


def more(things: Sequence[object], shown: int) -> str:
    """` and 3 more`, of things of which only the first are shown; empty if there are no more."""
    return f" and {len(things) - shown} more" if len(things) > shown else ""


def target(made: Comparison) -> tuple[str, str | None, list[str]]:
    """What the runs were made against: its name, what the answer therefore does not mean, and
    what else is known of it.
    """
    first, other = made.base.runs[0], made.candidate.runs[0]
    said = headline({**first.facts, "verdict": "pass", "status": "complete", "reason": None})
    known, others = _facts(first), _facts(other)
    if others != known:
        known = [f"base: {', '.join(known) or '–'}", f"candidate: {', '.join(others) or '–'}"]
    return said.target, said.caveat, known


def _facts(run: ArmRun) -> list[str]:
    """As the report has them, but for the seed: that should differ."""
    return target_facts({**run.facts, "target": {**run.facts["target"], "seed": None}})


def arm_words(arm: Arm) -> str:
    """`2026-11-21T08-36-15-load-3f2a (98.5% of 400 ok · 6 timeout)`"""
    outcomes = outcomes_of(*arm.runs)
    names = ", ".join(plain(run.id, 80) for run in arm.runs[:3]) + more(arm.runs, 3)
    runs = f"{plural(len(arm.runs), 'run')}: " if len(arm.runs) > 1 else ""
    return f"{names} ({runs}{outcome_words(outcomes, 0, 0) or 'no exchange that counts'})"


def outcomes_of(*runs: ArmRun) -> Counter[str]:
    """How the exchanges of these runs ended."""
    total: Counter[str] = Counter()
    for run in runs:
        for series in run.series.values():
            total.update(series.outcomes)
    return total


def method(made: Comparison) -> str:
    """How the gates were judged, in a sentence; empty where there are none."""
    if not made.gates:
        return ""
    rules, first = made.gate_rules, made.gates[0]
    return (
        f"margin {rules.margin * 100:g}%, alpha {rules.alpha * 100:g}% over "
        f"{plural(len(made.gates), 'gate')} (each interval {first.level * 100:.4g}%), "
        f"{_METHODS[first.method]}"
    )


def signed_bounds(change: Interval) -> str:
    """`-3.0% to +6.1%` of a ratio; `?` for an open end."""
    low = "?" if change.low <= 0 else signed(change.low)
    high = "?" if math.isinf(change.high) else signed(change.high)
    return f"{low} to {high}"


def change_of(outcome: GateOutcome) -> str:
    """The change in words: `+31%`, or `+2.1 points` for a rate; `-3% to +31%` of times that are
    known by polling.
    """
    if outcome.gate.order is not None:
        worst = signed(outcome.change.value)
        return worst if outcome.best is None else f"{signed(outcome.best.change.value)} to {worst}"
    return f"{_points(outcome.change.value)} points" if outcome.change.value else "±0 points"


def change_bounds(outcome: GateOutcome) -> str:
    """`-3.0% to +6.1%`, or `-1 to +2.1 points`."""
    one = outcome.widest
    if outcome.gate.order is not None:
        return signed_bounds(one)
    return f"{_points(one.low)} to {_points(one.high)} points"


def value(outcome: GateOutcome, side: Interval, low: Interval | None = None) -> str:
    """The quantile of an arm in seconds, or its rate in percent. `low`: that of the low ends of
    times that are known by polling.
    """
    if outcome.gate.order is None:
        return percent(side.value, 1) if side.value else "0%"
    high = seconds(side.value)
    return high if low is None else between(seconds(low.value), high)


def bounds(outcome: GateOutcome, side: Interval) -> str:
    """`1.20 s – 1.31 s`, ∞ for an open end; empty where neither end is known. `side` is the base or
    the candidate of the outcome; of both ends of its times the interval holds both.
    """
    if outcome.gate.order is None:
        return f"{side.low:.1%} – {side.high:.1%}"
    least = side.low
    if outcome.best is not None:
        least = (outcome.best.base if side is outcome.base else outcome.best.candidate).low
    if math.isinf(least) and math.isinf(side.high):
        return ""
    low = "?" if least == -math.inf else seconds(least)
    return f"{low} – {seconds(side.high)}"


def resolution_lines(made: Comparison) -> list[str]:
    """`v6 job, base: times by polling: known to within …`, a line for each arm."""
    return [
        f"{one.words}, {side}: {resolution_words(known)}" for one, side, known in made.resolutions()
    ]


def verdict(outcome: GateOutcome) -> str:
    """The word for it; `better` where a pass is surely an improvement."""
    if outcome.verdict != "pass":
        return outcome.verdict
    return "better" if outcome.faster else "no alarm" if outcome.gate.guard else "pass"


def values_of(each: GateOutcome) -> tuple[str, str]:
    """The figures of both arms: `3.90 s` and `5.10 s`."""
    lows = (None, None) if each.best is None else (each.best.base, each.best.candidate)
    return value(each, each.base, lows[0]), value(each, each.candidate, lows[1])


def gate_row(each: GateOutcome) -> Row:
    """Cells beneath `GATE_HEAD`."""
    return (each.gate.label, *values_of(each), change_of(each), change_bounds(each), verdict(each))


def moved(made: Comparison) -> list[tuple[str, list[StageChange]]]:
    """Stages that surely take longer, and those that surely take less, each with its caption; none
    that is empty.
    """
    slower = [each for each in made.moved() if each.shift > 0][:LINE_LIMIT]
    faster = [each for each in made.moved() if each.shift <= 0][:LINE_LIMIT]
    said = (("stages that take longer", slower), ("stages that take less", faster))
    return [(caption, found) for caption, found in said if found]


def stage_change(one: StageChange) -> str:
    """`running: 9.1 s → 11.8 s (+30%)`"""
    times = f"{seconds(one.base.value)} → {seconds(one.candidate.value)}"
    return f"{plain(one.name, 40)}: {times} ({signed(one.change.value)})"


def stage_row(one: StageChange) -> Row:
    """Cells beneath `STAGE_HEAD`."""
    return (
        f"{one.pairing.words} {plain(one.name, 40)}",
        seconds(one.base.value),
        seconds(one.candidate.value),
        signed(one.change.value),
        signed_bounds(one.change),
    )


def shift_label(one: TimesShift) -> str:
    """`v6 stream TTC`"""
    return f"{one.pairing.words} {one.pairing.label(one.milestone)}"


def shift_row(one: TimesShift) -> Row:
    """Cells beneath `SHIFT_HEAD`."""
    worst = signed(one.ratio), _p(one.p)
    if one.best is None:
        return shift_label(one), *worst
    best = signed(one.best[0]), _p(one.best[1])
    ratio, p = (between(a, b) for a, b in zip(best, worst, strict=True))
    # Somewhere between a case that is faster and one that is slower there is no difference at all.
    return shift_label(one), ratio, "up to 1" if one.best[0] <= 1 <= one.ratio else p


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "<0.0001"


def noise_rows(calibration: Calibration, made: Comparison | None = None) -> list[Row]:
    """Cells beneath `NOISE_HEAD`, of each gate, or of those that a comparison has."""
    wanted = None if made is None else {each.gate.name for each in made.gates}
    return [
        (
            plain(each.name, 120),
            f"±{each.noise:.1%}",
            f"±{each.sampling:.1%}",
            *(f"+{each.detectable[n]:.0%}" if n in each.detectable else "–" for n in ("1", "5")),
            ", ".join(f"{count} {word}" for word, count in each.verdicts.items() if count),
        )
        for each in calibration.gates
        if wanted is None or each.name in wanted
    ]


def times_broken(one: RuleChange) -> str:
    """`0 of 250 → 9 of 250`"""
    return " → ".join(f"{broken:,} of {many:,}" for broken, many in (one.base, one.candidate))


def _points(share: float) -> str:
    """`+2.1`, `+100`: two digits, never as a power of ten."""
    points = share * 100
    return f"{points:+.0f}" if abs(points) >= 99.5 else f"{points:+.2g}"
