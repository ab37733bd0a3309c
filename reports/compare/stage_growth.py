"""Why a gate failed: the stages in which the time to its milestone grew.

Differences of quantiles do not add: that of the whole is not the sum of those of the stages. What
does add up is how exchanges *near* the quantile spend their time. Of each arm those whose times lie
next to the gate's quantile are taken, and of each of them the share of its time that every stage
made up (`run/milestone_parts`). The mean share of a stage times the quantile is its part of
the quantile; the parts of an arm add up to it, and the differences of the parts of both arms to the
change of the gate. (The expectation of a part of a sum, given the value of the sum, is what
Tasche 1999, "Risk contributions and performance measurement", takes the parts of a quantile to be.)

The tracks of a stage are added, since which of them comes first may be chance; where one makes up
nearly all of what a stage grew by, it is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soundstage.reports.decision.arms import EndpointSeries, Place
from soundstage.reports.decision.gate_outcomes import GateOutcome
from soundstage.reports.decision.interval import Floats, quantile
from soundstage.reports.run.milestone_parts import LATE, REST, milestone_parts

#: Exchanges near a quantile: so many of each run at least, and this share of those on its thinner
#: side.
_LEAST, _NEAR = 40, 1.0
#: With fewer in an arm nothing is said of stages.
_FEWEST = 10
#: Standard deviations of a growth that is not chance: 99%, both sides.
_SURE = 2.576
#: One stage explains a gate with this share of its change, two do with more.
_ALONE, _TOGETHER = 0.6, 0.8
#: A track that makes up so much of the growth of its stage is named, and another stage that went on
#: during so much of it.
_OF_TRACK, _BESIDE = 0.8, 0.5


@dataclass(frozen=True, slots=True)
class StageGrowth:
    """A stage's part of a gate's quantile in both arms, in seconds, and half the length of the 99%
    interval of the difference. `track`: the one that makes up nearly all of it, "" if none does;
    `beside`: the stage that went on during most of the time by which it grew, so that nobody can
    tell which of the two was waited for; "" for none. `meanwhile`: of a stage that is taken
    together with the waits during which it went on, the stages that came then.
    """

    name: str
    track: str
    beside: str
    base: float
    candidate: float
    half: float
    meanwhile: tuple[str, ...] = ()

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
    #: Stages that went on while others came, each with the waits for those.
    spans: tuple[StageGrowth, ...] = ()

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
            if alone:
                return found[:1]
        spans = [one for one in self.spans if one.sure and one.growth * way >= _ALONE * size]
        if spans:
            return [max(spans, key=lambda one: abs(one.growth))]
        if found and abs(found[0].growth) >= _ALONE * size:
            return found
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
        _near(runs, gate.what, gate.order or 0.5, value)
        for runs, value in ((base, outcome.base.value), (candidate, outcome.candidate.value))
    ]
    if not any(name not in (LATE, REST) for arm in arms for name in arm.parts):
        return GateChange(outcome, why_not="its answers come in one piece, without stages")
    if min(arm.n for arm in arms) < _FEWEST:
        return GateChange(outcome, why_not="too few exchanges to tell in which stage")
    growths, spans = tuple(_growths(*arms)), tuple(_spans(*arms))
    return GateChange(outcome, growths, arms[0].n, arms[1].n, spans=spans)


@dataclass(frozen=True, slots=True)
class _NearParts:
    """By stage and track its part of an arm's quantile, in each exchange near it; how much of that
    was shared with another stage, and with which by stage.
    """

    parts: Mapping[str, Floats]
    shared: Mapping[str, Floats]
    beside: Mapping[str, str]

    @property
    def n(self) -> int:
        return len(next(iter(self.parts.values()), ()))

    def of(self, labels: Sequence[str], *, shared: bool = False) -> Floats:
        """The sum of these labels in each exchange."""
        known = self.shared if shared else self.parts
        return sum((known[each] for each in labels if each in known), np.zeros(self.n))


def _near(runs: Sequence[EndpointSeries], milestone: str, order: float, whole: float) -> _NearParts:
    """Those of the exchanges near the quantile of their run, scaled to `whole`, that of the arm."""
    parts: list[Mapping[str, Floats]] = []
    shared: list[Mapping[str, Floats]] = []
    beside: dict[str, str] = {}
    for run in runs:
        found = milestone_parts(run.sample, milestone)
        times = found.times
        here = np.flatnonzero(np.isfinite(times) & (times > 0))
        if not len(here):
            continue
        near = min(len(here), max(_LEAST, math.ceil(_NEAR * min(order, 1 - order) * len(here))))
        middle = int(np.searchsorted(times[here], quantile(run.times[milestone], order)))
        begin = min(max(0, middle - near // 2), len(here) - near)
        picked = here[begin : begin + near]
        scale = whole / times[picked]
        parts.append({name: at[picked] * scale for name, at in found.parts.items()})
        shared.append({name: at[picked] * scale for name, at in found.shared.items()})
        beside = {**found.beside, **beside}
    sizes = [len(next(iter(run.values()))) for run in parts]
    return _NearParts(_joined(parts, sizes), _joined(shared, sizes), beside)


def _joined(runs: Sequence[Mapping[str, Floats]], sizes: Sequence[int]) -> dict[str, Floats]:
    names = dict.fromkeys(name for run in runs for name in run)
    return {
        name: np.concatenate(
            [run.get(name, np.zeros(size)) for run, size in zip(runs, sizes, strict=True)]
        )
        for name in names
    }


def _growths(base: _NearParts, candidate: _NearParts) -> Iterator[StageGrowth]:
    tracks: dict[str, list[str]] = {}
    for label in dict.fromkeys([*base.parts, *candidate.parts]):
        tracks.setdefault(label.partition("#")[0], []).append(label)
    # What was not sent yet comes first, what came after all stages last, whoever has them.
    for stage in sorted(tracks, key=lambda name: (name == REST) - (name == LATE)):
        labels = tracks[stage]
        sums = [arm.of(labels) for arm in (base, candidate)]
        before, after = (float(side.mean()) for side in sums)
        if not (before or after):
            continue
        grown = after - before

        def of_it(labels: Sequence[str], *, shared: bool = False, grown: float = grown) -> float:
            """The part of the growth that is theirs: 1 for all of it."""
            sides = (arm.of(labels, shared=shared).mean() for arm in (candidate, base))
            one, other = map(float, sides)
            return (one - other) / grown if grown else 0.0

        alone = (each for each in labels if "#" in each and of_it([each]) >= _OF_TRACK)
        named = (arm.beside.get(each, "") for arm in (candidate, base) for each in labels)
        beside = next(filter(None, named), "") if of_it(labels, shared=True) >= _BESIDE else ""
        track = next(alone, "").partition("#")[2]
        yield StageGrowth(stage, track, beside.partition("#")[0], before, after, _half(sums))


def _half(sums: Sequence[Floats]) -> float:
    """Half the length of the interval of the difference of two means."""
    return _SURE * math.sqrt(sum(float(np.var(side, ddof=1)) / len(side) for side in sums))


def _spans(base: _NearParts, candidate: _NearParts) -> Iterator[StageGrowth]:
    """Each stage that went on while others came: its own part and the waits for those together. One
    that sends its chunks more slowly makes all of them longer.
    """
    beside: dict[str, list[str]] = {}
    for label, other in {**base.beside, **candidate.beside}.items():
        if label.partition("#")[0] != other.partition("#")[0]:
            beside.setdefault(other.partition("#")[0], []).append(label)
    for stage, waits in beside.items():
        own = [label for label in candidate.parts if label.partition("#")[0] == stage]
        sums = [arm.of(own) + arm.of(waits, shared=True) for arm in (base, candidate)]
        names = tuple(dict.fromkeys(label.partition("#")[0] for label in waits))
        before, after = (float(side.mean()) for side in sums)
        yield StageGrowth(stage, "", "", before, after, _half(sums), names)
