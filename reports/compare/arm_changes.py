"""What else changed between two arms, beside the gates: rules of the contract, the seconds that
each stage took, and all times of a milestone together. Rules decide; the others are only shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soundstage.reports.decision import interval
from soundstage.reports.decision.arms import Arm, EndpointSeries
from soundstage.reports.decision.gates import Pairing
from soundstage.reports.decision.interval import Floats, Interval
from soundstage.reports.run.rule_results import RuleResult

#: Confidence that a rule is broken more often now, and that a stage moved.
_LEVEL = 0.99
#: A stage moved if the interval of its median leaves 1 out, and it makes up so much of the shift.
_SHARE = 0.10
#: Off both ends of each stage's times, so that a few stragglers do not name the stage.
_TRIM = 0.05
_FAILED = "failed"
#: What becomes of a broken rule, worst first, and how it is said; the first two break the contract.
RULE_KINDS = {
    "broken": "newly broken",
    "more": "broken more often",
    "still": "broken as before",
    "kept": "kept again",
}


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that at least one arm broke. `base` and `candidate`: in how many of how many
    exchanges of the endpoint. `kind`: one of `RULE_KINDS`.
    """

    rule: str
    api: str
    endpoint: str
    kind: str
    text: str
    example: str
    base: tuple[int, int]
    candidate: tuple[int, int]

    @property
    def breaking(self) -> bool:
        """Whether the candidate broke what the base kept, or breaks it more often."""
        return self.kind in ("broken", "more")


def rule_changes(base: Arm, candidate: Arm) -> list[RuleChange]:
    """Every rule that failed in an arm, worst first. A rule fails in an arm if it failed in one of
    its runs; waived ("known") and warning-only rules have not failed.
    """
    arms = [_states(arm) for arm in (base, candidate)]
    found = []
    for rule in sorted({*arms[0], *arms[1]}):
        before, after = (arm.get(rule, []) for arm in arms)
        failed = [any(state.outcome == _FAILED for state in side) for side in (before, after)]
        if not any(failed):
            continue
        counts = _counts(before), _counts(after)
        kind = "kept" if not failed[1] else "still" if failed[0] else "broken"
        if kind == "still" and interval.rate_change([counts[0]], [counts[1]], _LEVEL).low > 0:
            kind = "more"
        said = next(each for each in (*after, *before) if each.outcome == _FAILED)
        example = said.evidence[0].message if said.evidence else ""
        text = said.text or ""
        found.append(RuleChange(rule, said.api, said.endpoint, kind, text, example, *counts))
    order = list(RULE_KINDS)
    return sorted(found, key=lambda each: (order.index(each.kind), -each.candidate[0], each.rule))


def _states(arm: Arm) -> dict[str, list[RuleResult]]:
    states: dict[str, list[RuleResult]] = {}
    for run in arm.runs:
        for rule, state in run.rules.items():
            states.setdefault(rule, []).append(state)
    return states


def _counts(states: Sequence[RuleResult]) -> tuple[int, int]:
    broken = sum(state.broken_in for state in states)
    return broken, max(broken, sum(state.exchanges for state in states))


@dataclass(frozen=True, slots=True)
class StageChange:
    """One stage: the median seconds it took, in exchanges where it took any, and the ratio of the
    medians with a 99% interval. `shift`: how many seconds longer it took on average (trimmed
    means over all whole exchanges); `share`: of the shift of all stages, above 1 where others got
    faster, nan if there was none.
    """

    pairing: Pairing
    name: str
    base: Interval
    candidate: Interval
    n_base: int
    n_candidate: int
    change: Interval
    shift: float
    share: float
    moved: bool


def stage_changes(
    pairing: Pairing, base: Sequence[EndpointSeries], candidate: Sequence[EndpointSeries]
) -> Iterable[StageChange]:
    """The stages that both arms have, in the order in which they come. None where times are known
    by polling: a row has one end of each stage alone, which shows no change of its length.
    """
    if any(run.low_ends for arm in (base, candidate) for run in arm):
        return
    arms = [_together(arm) for arm in (base, candidate)]
    shifts = {
        name: _trimmed(arms[1][name]) - _trimmed(arms[0][name])
        for name in arms[0]
        if name in arms[1]
    }
    whole = sum(shifts.values())
    # What moved is judged by its part in all movement, so that two stages that moved against each
    # other both show.
    movement = sum(map(abs, shifts.values()))
    for name, shift in shifts.items():
        one, other = (np.sort(arm[name][arm[name] > 0]) for arm in arms)
        if not len(one) or not len(other):
            continue
        change = interval.of_samples(one, other, 0.5, _LEVEL)
        surely = change.low > 0 or change.high < 0
        yield StageChange(
            pairing=pairing,
            name=name,
            base=interval.estimate(one, 0.5, _LEVEL),
            candidate=interval.estimate(other, 0.5, _LEVEL),
            n_base=len(one),
            n_candidate=len(other),
            change=change.ratio(),
            shift=shift,
            share=shift / whole if whole else math.nan,
            moved=surely and abs(shift) >= _SHARE * movement,
        )


def _together(arm: Sequence[EndpointSeries]) -> Mapping[str, Floats]:
    names = dict.fromkeys(name for run in arm for name in run.spent)
    return {
        name: np.concatenate([run.spent[name] for run in arm if name in run.spent])
        for name in names
    }


def _trimmed(values: Floats) -> float:
    ordered = np.sort(values)
    cut = int(len(ordered) * _TRIM)
    return float(ordered[cut : len(ordered) - cut].mean()) if len(ordered) else 0.0


@dataclass(frozen=True, slots=True)
class TimesShift:
    """Whether a milestone's times differ at all: the median ratio of a candidate's time to a base
    time (Hodges and Lehmann) and the p-value of Mann and Whitney. Never a gate. Of times that are
    known by polling these are the most unfavourable, from low ends of the base to high ends of the
    candidate, and `best` has the most favourable.
    """

    pairing: Pairing
    milestone: str
    ratio: float
    p: float
    best: tuple[float, float] | None = None


def times_shifts(pairings: Iterable[Pairing], base: Arm, candidate: Arm) -> Iterable[TimesShift]:
    """One of each milestone that a run is known by."""
    for one in pairings:
        for name in one.headline:
            highs = [arm.times(one.place, name) for arm in (base, candidate)]
            lows = [arm.lows(one.place, name) for arm in (base, candidate)]
            if lows[0] is None and lows[1] is None:
                yield TimesShift(one, name, *interval.shift(*highs))
                continue
            ends = [high if low is None else low for low, high in zip(lows, highs, strict=True)]
            best = interval.shift(highs[0], ends[1])
            yield TimesShift(one, name, *interval.shift(ends[0], highs[1]), best)
