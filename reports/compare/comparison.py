"""A comparison of two arms and its verdict. Values in, values out: `cli` reads bundles and prints.

What outranks what: arms that are not comparable are not compared; a contract broken anew outranks
a slow-down; that outranks a gate that cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from soundstage.errors import NoDataError, TargetError
from soundstage.reports.compare.arm_changes import (
    RuleChange,
    StageChange,
    TimesShift,
    rule_changes,
    stage_changes,
    times_shifts,
)
from soundstage.reports.compare.by_looks import LookedArms, by_looks
from soundstage.reports.compare.calibration import Calibration
from soundstage.reports.compare.comparability import Obstacle, notes, obstacles
from soundstage.reports.compare.stage_growth import GateChange, gate_changes
from soundstage.reports.decision.arms import Arm
from soundstage.reports.decision.gate_outcomes import GateOutcome, judge
from soundstage.reports.decision.gates import Gate, Pairing, Rules, default_gates, named_gates
from soundstage.reports.decision.looks import Looking
from soundstage.reports.drift.drift import DriftFinding, broken
from soundstage.results.milestone_names import milestone_names
from soundstage.results.polling import Resolution

#: Verdict -> exit code and tone (`words.Headline`).
VERDICTS: Mapping[str, tuple[int, str]] = {
    "not comparable": (6, "invalid"),
    "contract broken": (1, "fail"),
    "slower": (3, "fail"),
    "inconclusive": (4, "inconclusive"),
    "pass": (0, "pass"),
}
_LOAD = "load"


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What was asked. `gates` as typed, none for the defaults, and the `rules` that they are held
    to; `allow`: obstacles that do not count, `force`: none does.
    """

    gates: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    allow: frozenset[str] = frozenset()
    force: bool = False

    def lets(self, obstacle: Obstacle) -> bool:
        """Whether this obstacle does not count."""
        return self.force or obstacle.reason in self.allow


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a comparison shows. `refused` are the obstacles that stood, `allowed` those that
    did not count. `looking`: how the gates were looked at, None where they were once.
    """

    base: Arm
    candidate: Arm
    gate_rules: Rules
    pairings: tuple[Pairing, ...]
    refused: tuple[Obstacle, ...]
    allowed: tuple[Obstacle, ...]
    notes: tuple[str, ...]
    gates: tuple[GateOutcome, ...] = ()
    changes: tuple[GateChange, ...] = ()
    stages: tuple[StageChange, ...] = ()
    shifts: tuple[TimesShift, ...] = ()
    rules: tuple[RuleChange, ...] = ()
    drift: tuple[DriftFinding, ...] = ()
    calibration: Calibration | None = None
    looking: Looking | None = None

    @property
    def verdict(self) -> str:
        """A key of `VERDICTS`."""
        if self.refused:
            return "not comparable"
        if any(each.breaking for each in self.rules) or broken(self.drift):
            return "contract broken"
        if self.failing():
            return "slower"
        open_ = self.looking is not None and self.looking.verdict == "inconclusive"
        return "inconclusive" if open_ or self.undecided() else "pass"

    @property
    def exit_code(self) -> int:
        return VERDICTS[self.verdict][0]

    @property
    def tone(self) -> str:
        return VERDICTS[self.verdict][1]

    def failing(self) -> list[GateOutcome]:
        return [each for each in self.gates if each.verdict == "fail"]

    def undecided(self) -> list[GateOutcome]:
        return [each for each in self.gates if each.verdict == "inconclusive"]

    def resolutions(self) -> list[tuple[Pairing, str, Resolution]]:
        """Of each endpoint and arm whose times are known by polling, how well: of its worst run."""
        found = []
        for one in self.pairings:
            for side, arm in (("base", self.base), ("candidate", self.candidate)):
                known = [each.resolution for each in arm.series(one.place) if each.resolution]
                if known:
                    found.append((one, side, max(known, key=lambda each: each.widest)))
        return found

    def moved(self) -> list[StageChange]:
        """The stages that moved, the one that weighs most first."""
        moved = [each for each in self.stages if each.moved]
        return sorted(moved, key=lambda each: -abs(each.shift))


def breaks(finding: DriftFinding) -> bool:
    """Whether a finding of drift breaks clients, is proved, and is not waived."""
    return broken([finding])


def compare(
    base: Arm,
    candidate: Arm,
    options: CompareOptions,
    *,
    drift: Iterable[DriftFinding] = (),
    gaps: Iterable[str] = (),
    calibration: Calibration | None = None,
    looked: LookedArms | None = None,
) -> Comparison:
    """Compare two arms. `drift`: what changed in what is sent; `gaps`: why that is not known;
    `looked`: what is to be looked at, where gates are judged by looks.

    Raises UsageError for a gate that the runs do not have, NoDataError if they share nothing.
    """
    found = obstacles(base, candidate)
    made = Comparison(
        base=base,
        candidate=candidate,
        gate_rules=replace(options.rules, paired=interleaved(base, candidate)),
        pairings=tuple(_pairings(base, candidate)),
        refused=tuple(each for each in found if not options.lets(each)),
        allowed=tuple(each for each in found if options.lets(each)),
        notes=tuple(notes(base, candidate)),
    )
    if made.refused:
        return made
    # A contract check sends too little, and not for its times.
    timed = made.pairings if base.runs[0].facts["kind"] == _LOAD or options.gates else ()
    series = [{one.place: arm.series(one.place) for one in timed} for arm in (base, candidate)]
    gates = named_gates(options.gates, timed) if options.gates else default_gates(timed)
    looking = None
    if looked is None:
        outcomes = judge(gates, series[0], series[1], made.gate_rules)
    else:
        looking = by_looks(gates, base, candidate, made.gate_rules, looked)
        outcomes = looking.outcomes()
    compared = replace(
        made,
        notes=(*made.notes, *gaps),
        gates=tuple(outcomes),
        changes=tuple(gate_changes(outcomes, series[0], series[1])),
        stages=tuple(
            change
            for one in timed
            for change in stage_changes(one, series[0][one.place], series[1][one.place])
        ),
        shifts=tuple(times_shifts(timed, base, candidate)),
        rules=tuple(rule_changes(base, candidate)),
        drift=tuple(drift),
        calibration=calibration,
        looking=looking,
    )
    has_rules = any(run.rules for arm in (base, candidate) for run in arm.runs)
    strangers = not made.pairings and base.places() and candidate.places()
    if strangers or not (gates or has_rules or compared.drift):
        raise NoDataError("the two arms have nothing in common that could be compared")
    return compared


def gates_of(arm: Arm, options: CompareOptions) -> list[Gate]:
    """The gates of runs of the same thing. Raises TargetError where they are not comparable."""
    for each in obstacles(arm, arm):
        if not options.lets(each):
            raise TargetError(f"not runs of the same thing: {each.reason}: {each.message}")
    pairings = list(_pairings(arm, arm))
    return named_gates(options.gates, pairings) if options.gates else default_gates(pairings)


def interleaved(base: Arm, candidate: Arm) -> bool:
    """Whether the runs were made in pairs: by their starts, two by two, one of each arm. Then what
    drifts over the day is the same for both of a pair, and they are compared pair by pair.
    """
    if len(base.runs) != len(candidate.runs) or len(base.runs) < 2:
        return False
    starts = [
        (run.facts["created"], side)
        for side, arm in enumerate((base, candidate))
        for run in arm.runs
    ]
    sides = [side for _, side in sorted(starts)]
    return all({one, other} == {0, 1} for one, other in zip(sides[::2], sides[1::2], strict=True))


def _pairings(base: Arm, candidate: Arm) -> Iterable[Pairing]:
    for place in base.places():
        if place in candidate.places():
            known: Sequence[set[str]] = [
                set(series.times) for arm in (base, candidate) for series in arm.series(place)
            ]
            common = set.intersection(*known)
            # What the newer side calls them.
            names = milestone_names(candidate.runs[-1].facts, *place, common)
            both = [each.listened for arm in (base, candidate) for each in arm.series(place)]
            yield Pairing(*place, tuple(sorted(common)), names, all(both))
