"""What a run is compared with while it goes, by which gates and at which looks: all that is said
in advance, and why it cannot be.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from soundstage.errors import TargetError, UsageError
from soundstage.gate.milestone_facts import milestone_facts
from soundstage.loadtests.against.against_options import is_live
from soundstage.loadtests.schedule.arrivals import Piece
from soundstage.loadtests.schedule.scenario import Scenario
from soundstage.loadtests.schedule.traffic import Traffic, catalogue
from soundstage.near_names import did_you_mean
from soundstage.output.cutting import head
from soundstage.reports.compare.comparability import REASONS, obstacles
from soundstage.reports.decision.arms import (
    Arm,
    Place,
    missing_base,
    read_arms,
    resolve,
    run_before_it_begins,
)
from soundstage.reports.decision.gates import (
    MOST,
    Gate,
    Pairing,
    Rules,
    default_gates,
    named_gates,
)
from soundstage.reports.decision.looks import LookPlan, look_sizes
from soundstage.results.milestone_names import milestone_names
from soundstage.results.quantiles import needed


@dataclass(frozen=True, slots=True)
class AskedComparison:
    """A comparison that was asked for. `base` is the run that it is with, None where it is a target
    that is asked in pairs; `expected` has the milestones of each endpoint that is loaded. `pause`:
    no song is sent while a look waits.
    """

    baseline: str
    base: Arm | None
    gates: tuple[Gate, ...]
    plan: LookPlan
    expected: Mapping[Place, tuple[str, ...]]
    allow: frozenset[str] = frozenset()
    pause: bool = False

    @property
    def level(self) -> float:
        """Of each interval."""
        return self.plan.level(len(self.gates))

    def check(self, facts: Mapping[str, Any]) -> None:
        """Raises TargetError where a run with these facts (of run.json, before it begins) is not
        comparable with the base.
        """
        if self.base is not None:
            check_comparable(self.base, facts, self.expected, self.allow)


def asked_comparison(args: argparse.Namespace, scenario: Scenario) -> AskedComparison:
    """What these options ask for. Raises UsageError where there is no such base, gate or number of
    looks, or the base is too small to decide; TargetError for one that is worth nothing.
    """
    for reason in sorted(args.allow - REASONS.keys()):
        near = did_you_mean(reason, REASONS)
        raise UsageError(f"--allow {reason}: no such reason; there are {', '.join(REASONS)}{near}")
    if len(scenario.phases) != 1 or not _is_even(scenario):
        raise UsageError("--against takes one rate throughout: --rate R in place of the scenario's")
    rules = Rules(args.margin, args.rate_margin, args.alpha)
    sizes = look_sizes(MOST if args.most is None else args.most, args.looks)
    base = None if is_live(args.against) else _base(args.against)
    if base is not None:
        _refuse_void(base, args.allow)
    traffic = Traffic(scenario.parts, scenario.seed, corpus=scenario.corpus)
    pairings = _pairings(traffic, base)
    if not pairings:
        loaded = ", ".join(f"{api} {endpoint}" for api, endpoint in catalogue(traffic))
        raise TargetError(f"--against {args.against}: that run has no exchange of {loaded}")
    gates = named_gates(args.gate, pairings) if args.gate else default_gates(pairings)
    asked = AskedComparison(
        baseline=args.against,
        base=base,
        gates=tuple(gates),
        plan=LookPlan(sizes, rules, args.every_gate),
        expected={place: tuple(names) for place, names in catalogue(traffic).items()},
        allow=args.allow,
        pause=args.pause_at_looks,
    )
    _refuse_too_small(asked)
    return asked


def _is_even(scenario: Scenario) -> bool:
    (phase,) = scenario.phases
    return isinstance(phase, Piece) and phase.start == phase.end > 0


def with_songs(scenario: Scenario, most: int) -> Scenario:
    """The scenario, at its rate until so many songs have been sent."""
    (phase,) = scenario.phases
    assert isinstance(phase, Piece)
    return replace(scenario, phases=(replace(phase, seconds=most / phase.start),), songs=most)


def _base(word: str) -> Arm:
    if (why := missing_base([word])) is not None:
        raise UsageError(f"--against {head(word, 200)}: {why}")
    found = resolve(word)
    if len(found) != 1:
        raise UsageError(f"--against {head(word, 200)}: takes one run, not {len(found)}")
    (arm,) = read_arms([found])
    return arm


def _pairings(traffic: Traffic, base: Arm | None) -> list[Pairing]:
    facts = {each.api: milestone_facts(each) for each in traffic.contracts}
    found = []
    for place, names in catalogue(traffic).items():
        common = set(names)
        if base is not None:
            common &= {name for series in base.series(place) for name in series.times}
        if common:
            known = milestone_names({"contracts": facts}, *place, common)
            found.append(Pairing(*place, tuple(sorted(common)), known))
    return found


def _refuse_void(base: Arm, allow: frozenset[str]) -> None:
    for each in obstacles(base, base):
        if each.reason not in allow:
            raise TargetError(f"--against: not a run to compare with: {each.words}")


def _refuse_too_small(asked: AskedComparison) -> None:
    """A base that is so small that a gate could never say anything wastes all that is sent."""
    if asked.base is None:
        return
    for gate in asked.gates:
        have = sum(series.n for series in asked.base.series(gate.pairing.place))
        need = 1 if gate.order is None else needed(gate.order, asked.level)
        if have < need:
            raise UsageError(
                f"--against {head(asked.baseline, 200)}: it has {have:,} songs of "
                f"{gate.pairing.words}, and {gate.name} takes {need:,} at a level of "
                f"{asked.level * 100:.6g}% ({len(asked.gates)} gates at {len(asked.plan.sizes)} "
                "looks): a longer base, or fewer gates or looks"
            )
    most = asked.plan.most
    for gate in asked.gates:
        if gate.order is not None and most < (need := needed(gate.order, asked.level)):
            raise UsageError(
                f"--most {most:,}: {gate.name} takes {need:,} songs at a level of "
                f"{asked.level * 100:.6g}%"
            )


def check_comparable(
    base: Arm, facts: Mapping[str, Any], places: Mapping[Place, Any], allow: frozenset[str]
) -> None:
    """Raises TargetError where a run that is about to begin is not comparable with the base: what
    `compare` refuses, before anything is spent. `facts`: its run.json, as far as it is known.
    """
    # Where the times of a run come from shows once they come.
    told = {**facts, "id": "this run", "clock": base.runs[0].facts["clock"]}
    run = run_before_it_begins(told, places)
    found = [each for each in obstacles(base, Arm((run,))) if each.reason not in allow]
    if found:
        said = "; ".join(each.words for each in found)
        reasons = ",".join(dict.fromkeys(each.reason for each in found))
        raise TargetError(
            f"not comparable with {head(base.runs[0].id, 80)}: {said}; make the runs alike, or, if "
            f"that is what you mean to compare: --allow {reasons}"
        )
