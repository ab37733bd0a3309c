"""Why a gate failed: the stages in which the time to its milestone grew.

Differences of quantiles do not add: that of the whole is not the sum of those of the stages. What
does add up is how exchanges *near* the quantile spend their time. Of each arm those whose times lie
next to the gate's quantile are taken, and of each of them the share of its time that every stage
made up (`run/stage_time.spent_until`). The mean share of a stage times the quantile is its part of
the quantile; the parts of an arm add up to it, and the differences of the parts of both arms to the
change of the gate. (The expectation of a part of a sum, given the value of the sum, is what
Tasche 1999, "Risk contributions and performance measurement", takes the parts of a quantile to be.)

The tracks of a stage are added, since which of them comes first may be chance; where one makes up
nearly all of what a stage grew by, it is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soundstage.reports.compare.arms import EndpointSeries, Place
from soundstage.reports.compare.gate_outcomes import GateOutcome
from soundstage.reports.compare.interval import Floats
from soundstage.reports.run.stage_time import LATE, REST, spent_until

#: Exchanges near a quantile: so many of each run at least, and this share of those on its thinner
#: side.
_LEAST, _NEAR = 40, 1.0
#: With fewer in an arm nothing is said of stages.
_FEWEST = 10
#: Standard deviations of a growth that is not chance: 99%, both sides.
_SURE = 2.576
#: One stage explains a gate with this share of its change, two do with more.
_ALONE, _TOGETHER = 0.6, 0.8
#: A track that makes up so much of the growth of its stage is named.
_OF_TRACK = 0.8


@dataclass(frozen=True, slots=True)
class StageGrowth:
    """A stage's part of a gate's quantile in both arms, in seconds, and half the length of the 99%
    interval of the difference. `track`: the one that makes up nearly all of it, "" if none does.
    """

    name: str
    track: str
    base: float
    candidate: float
    half: float

    @property
    def growth(self) -> float:
        """Seconds that it takes longer; negative for one that got faster."""
        return self.candidate - self.base

    @property
    def sure(self) -> bool:
        """Whether more than chance."""
        return abs(self.growth) > self.half

    @property
    def is_stage(self) -> bool:
        """Whether it is a stage, and not the time before or after all of them."""
        return self.name not in (LATE, REST)


@dataclass(frozen=True, slots=True)
class GateChange:
    """The change of a gate's quantile by stage, in the order in which they come; they add up to the
    `change`. `n_base`, `n_candidate`: how many exchanges near the quantile were looked at. Without
    stages nobody can tell, and `why_not` says why.
    """

    outcome: GateOutcome
    stages: tuple[StageGrowth, ...] = ()
    n_base: int = 0
    n_candidate: int = 0
    why_not: str = ""

    @property
    def change(self) -> float:
        """Seconds by which the quantile grew."""
        return self.outcome.candidate.value - self.outcome.base.value

    def culprits(self) -> list[StageGrowth]:
        """The one stage, or the two, in which the change lies, the greater first; empty where it
        cannot be pinned on so few.
        """
        way = math.copysign(1.0, self.change)
        found = [one for one in self.stages if one.sure and one.growth * way > 0]
        found = sorted(found, key=lambda one: -abs(one.growth))[:2]
        size = abs(self.change)
        if found and abs(found[0].growth) >= _ALONE * size:
            # A second one is named beside it where it is nearly as great.
            alone = len(found) < 2 or abs(found[1].growth) < 0.5 * abs(found[0].growth)
            return found[:1] if alone else found
        if len(found) == 2 and sum(abs(one.growth) for one in found) >= _TOGETHER * size:
            return found
        return []

    def most(self) -> list[StageGrowth]:
        """The three stages that grew most (or shrank, where the gate is faster), surely or not."""
        way = math.copysign(1.0, self.change)
        found = [one for one in self.stages if one.growth * way > 0]
        return sorted(found, key=lambda one: -abs(one.growth))[:3]

    def against(self) -> list[StageGrowth]:
        """Stages that surely went the other way, the greatest first."""
        way = math.copysign(1.0, self.change)
        found = [one for one in self.stages if one.sure and one.growth * way < 0]
        return sorted(found, key=lambda one: -abs(one.growth))


def gate_changes(
    outcomes: Sequence[GateOutcome],
    base: Mapping[Place, Sequence[EndpointSeries]],
    candidate: Mapping[Place, Sequence[EndpointSeries]],
) -> list[GateChange]:
    """Why, of each gate on a quantile that failed or is surely better: those that failed first,
    else in their own order.
    """
    found = [
        _explained(each, base[each.gate.pairing.place], candidate[each.gate.pairing.place])
        for each in outcomes
        if each.gate.order is not None and (each.verdict == "fail" or each.faster)
    ]
    return sorted(found, key=lambda one: one.outcome.verdict != "fail")


def _explained(
    outcome: GateOutcome, base: Sequence[EndpointSeries], candidate: Sequence[EndpointSeries]
) -> GateChange:
    gate = outcome.gate
    if any(run.low_ends for run in (*base, *candidate)):
        return GateChange(outcome, why_not="polls tell too little of how long stages take")
    if not math.isfinite(outcome.candidate.value) or not math.isfinite(outcome.base.value):
        side, arm = (
            ("candidate", candidate) if math.isinf(outcome.candidate.value) else ("base", base)
        )
        never = sum(int(np.isinf(run.times[gate.what]).sum()) for run in arm)
        many = sum(run.n for run in arm)
        words = f"{never:,} of {many:,} exchanges of the {side} never got there"
        return GateChange(outcome, why_not=words)
    arms = [
        _parts(runs, gate.what, gate.order or 0.5, value)
        for runs, value in ((base, outcome.base.value), (candidate, outcome.candidate.value))
    ]
    names = list(dict.fromkeys(name for arm in arms for name in arm))
    if not any(name not in (LATE, REST) for name in names):
        return GateChange(outcome, why_not="its answers come in one piece, without stages")
    many = [len(next(iter(arm.values()))) if arm else 0 for arm in arms]
    if min(many) < _FEWEST:
        return GateChange(outcome, why_not="too few exchanges to tell in which stage")
    return GateChange(outcome, tuple(_growths(names, arms, many)), *many)


def _parts(
    runs: Sequence[EndpointSeries], milestone: str, order: float, whole: float
) -> dict[str, Floats]:
    """By stage and track its part of `whole`, the quantile of an arm, in each exchange near that
    quantile of its run.
    """
    found: list[dict[str, Floats]] = []
    for run in runs:
        shared = spent_until(run.sample, milestone)
        times = shared.times
        here = np.flatnonzero(np.isfinite(times) & (times > 0))
        if not len(here):
            continue
        near = min(len(here), max(_LEAST, math.ceil(_NEAR * min(order, 1 - order) * len(here))))
        quantile = run.times[milestone][max(0, math.ceil(order * run.n - 1e-9) - 1)]
        middle = int(np.searchsorted(times[here], quantile))
        begin = min(max(0, middle - near // 2), len(here) - near)
        picked = here[begin : begin + near]
        found.append(
            {name: at[picked] / times[picked] * whole for name, at in shared.parts.items()}
        )
    names = dict.fromkeys(name for run in found for name in run)
    sizes = [len(next(iter(run.values()))) for run in found]
    return {
        name: np.concatenate(
            [run.get(name, np.zeros(size)) for run, size in zip(found, sizes, strict=True)]
        )
        for name in names
    }


def _growths(
    names: Sequence[str], arms: Sequence[Mapping[str, Floats]], many: Sequence[int]
) -> list[StageGrowth]:
    tracks: dict[str, list[str]] = {}
    for name in names:
        tracks.setdefault(name.partition("#")[0], []).append(name)
    growths = []
    for stage, labels in tracks.items():
        parts = [
            {label: arm.get(label, np.zeros(n)) for label in labels}
            for arm, n in zip(arms, many, strict=True)
        ]
        sums = [np.sum(list(side.values()), axis=0) for side in parts]
        means = [float(side.mean()) for side in sums]
        error = math.sqrt(sum(float(np.var(side, ddof=1)) / len(side) for side in sums))
        by_track = {
            label.partition("#")[2]: float(parts[1][label].mean() - parts[0][label].mean())
            for label in labels
        }
        grown = means[1] - means[0]
        track = next(
            (
                name
                for name, part in by_track.items()
                if name and part * math.copysign(1, grown) >= _OF_TRACK * abs(grown) > 0
            ),
            "",
        )
        if any(means):
            growths.append(StageGrowth(stage, track, *means, _SURE * error))
    return growths
