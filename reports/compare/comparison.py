"""A comparison of two arms and its verdict. Values in, values out; `compare_cli` reads and prints.

What outranks what: arms that are not comparable are not compared; a contract broken anew outranks
a slow-down; that outranks a gate that cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from soundstage.errors import NoDataError, TargetError
from soundstage.reports.compare import interval
from soundstage.reports.compare.arms import Arm
from soundstage.reports.compare.calibration import Calibration
from soundstage.reports.compare.comparability import Obstacle, notes, obstacles
from soundstage.reports.compare.gate_outcomes import judge
from soundstage.reports.compare.gates import (
    ALPHA,
    MARGIN,
    RATE_MARGIN,
    Gate,
    GateOutcome,
    Pairing,
    Rules,
    default_gates,
    named_gates,
)
from soundstage.reports.compare.rule_change import RuleChange, rule_changes
from soundstage.reports.compare.stage_change import StageChange, stage_changes
from soundstage.reports.drift.drift import DriftFinding, broken
from soundstage.reports.words import HEADLINE_MILESTONES, plain

#: Verdict -> exit code and tone (`wording.Headline`).
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
    """What was asked. `gates` as typed, none for the defaults; `allow`: obstacles that do not
    count, `force`: none does.
    """

    gates: tuple[str, ...] = ()
    margin: float = MARGIN
    rate_margin: float = RATE_MARGIN
    alpha: float = ALPHA
    allow: frozenset[str] = frozenset()
    force: bool = False


@dataclass(frozen=True, slots=True)
class Shift:
    """Whether a milestone's times differ at all: the median ratio of a candidate's time to a base
    time (Hodges and Lehmann) and the p-value of Mann and Whitney. Never a gate.
    """

    pairing: Pairing
    milestone: str
    ratio: float
    p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a comparison shows. `refused` are the obstacles that stood, `allowed` those that
    did not count.
    """

    base: Arm
    candidate: Arm
    options: CompareOptions
    verdict: str
    refused: tuple[Obstacle, ...]
    allowed: tuple[Obstacle, ...]
    notes: tuple[str, ...]
    paired: bool
    gates: tuple[GateOutcome, ...] = ()
    stages: tuple[StageChange, ...] = ()
    shifts: tuple[Shift, ...] = ()
    rules: tuple[RuleChange, ...] = ()
    drift: tuple[DriftFinding, ...] = ()
    pairings: tuple[Pairing, ...] = ()
    calibration: Calibration | None = field(default=None)

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

    def moved(self) -> list[StageChange]:
        """The stages that moved, the one that weighs most first."""
        moved = [each for each in self.stages if each.moved]
        return sorted(moved, key=lambda each: -abs(each.shift))

    def broken(self) -> list[str]:
        """What of the contract is worse, in words."""
        rules = [f"{each.id}: {each.example or each.text}" for each in self.rules if each.breaking]
        sent = [
            f"{plain(each.api, 40)} {plain(each.endpoint, 20)}: {each.text}"
            for each in self.drift
            if breaks(each)
        ]
        return [*sent, *rules]


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
) -> Comparison:
    """Compare two arms. `drift`: what changed in what is sent; `gaps`: why that is not known.

    Raises UsageError for a gate that the runs do not have, NoDataError if they share nothing.
    """
    found = obstacles(base, candidate)
    allowed = [each for each in found if options.force or each.reason in options.allow]
    refused = [each for each in found if each not in allowed]
    pairings = tuple(_pairings(base, candidate))
    paired = interleaved(base, candidate)
    if refused:
        return Comparison(
            base=base,
            candidate=candidate,
            options=options,
            verdict="not comparable",
            refused=tuple(refused),
            allowed=tuple(allowed),
            notes=tuple(notes(base, candidate)),
            paired=paired,
        )
    # A contract check sends too little, and not for its times.
    timed = pairings if base.runs[0].facts["kind"] == _LOAD or options.gates else ()
    gates = named_gates(options.gates, timed) if options.gates else default_gates(timed)
    rules = Rules(
        margin=options.margin,
        rate_margin=options.rate_margin,
        alpha=options.alpha,
        paired=paired,
        noise=calibration.noise() if calibration else None,
    )
    arms = [{place: arm.series(place) for place in arm.places()} for arm in (base, candidate)]
    outcomes = tuple(judge(gates, arms[0], arms[1], rules))
    changes, findings = tuple(rule_changes(base, candidate)), tuple(drift)
    has_rules = any(run.rules for arm in (base, candidate) for run in arm.runs)
    strangers = not pairings and base.places() and candidate.places()
    if strangers or not (outcomes or has_rules or findings):
        raise NoDataError("the two arms have nothing in common that could be compared")
    return Comparison(
        base=base,
        candidate=candidate,
        options=options,
        verdict=_verdict(outcomes, changes, findings),
        refused=(),
        allowed=tuple(allowed),
        notes=(*notes(base, candidate), *gaps),
        paired=paired,
        gates=outcomes,
        stages=tuple(
            change
            for one in timed
            for change in stage_changes(one, arms[0][one.place], arms[1][one.place])
        ),
        shifts=tuple(_shifts(timed, base, candidate)),
        rules=changes,
        drift=findings,
        pairings=pairings,
        calibration=calibration,
    )


def gates_of(
    arm: Arm, texts: Sequence[str], *, allow: frozenset[str] = frozenset(), force: bool = False
) -> list[Gate]:
    """The gates of runs of the same thing. Raises TargetError where they are not comparable."""
    found = [] if force else obstacles(arm, arm)
    for each in found:
        if each.reason not in allow:
            raise TargetError(f"not runs of the same thing: {each.reason}: {each.message}")
    pairings = list(_pairings(arm, arm))
    return named_gates(texts, pairings) if texts else default_gates(pairings)


def _verdict(
    outcomes: Sequence[GateOutcome], rules: Sequence[RuleChange], drift: Sequence[DriftFinding]
) -> str:
    if any(each.breaking for each in rules) or broken(drift):
        return "contract broken"
    said = {each.verdict for each in outcomes}
    return "slower" if "fail" in said else "inconclusive" if "inconclusive" in said else "pass"


def interleaved(base: Arm, candidate: Arm) -> bool:
    """Whether the runs were made in pairs: by their starts, two by two, one of each arm. Then what
    drifts over the day is the same for both of a pair, and they are compared pair by pair.
    """
    if len(base.runs) != len(candidate.runs) or len(base.runs) < 2:
        return False
    order = sorted(
        [
            (run.facts["created"], side)
            for side, arm in enumerate((base, candidate))
            for run in arm.runs
        ]
    )
    twos = [{order[n][1], order[n + 1][1]} for n in range(0, len(order), 2)]
    return all(two == {0, 1} for two in twos)


def _pairings(base: Arm, candidate: Arm) -> Iterable[Pairing]:
    for place in base.places():
        if place in candidate.places():
            known = [set(series.times) for arm in (base, candidate) for series in arm.series(place)]
            yield Pairing(*place, tuple(sorted(set.intersection(*known))))


def _shifts(pairings: Iterable[Pairing], base: Arm, candidate: Arm) -> Iterable[Shift]:
    import numpy as np

    for one in pairings:
        for name in HEADLINE_MILESTONES:
            if name in one.milestones:
                times = [
                    np.concatenate([series.times[name] for series in arm.series(one.place)])
                    for arm in (base, candidate)
                ]
                times = [np.sort(each) for each in times]
                yield Shift(one, name, *interval.shift(times[0], times[1]))
