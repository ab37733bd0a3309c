"""Which stage got slower: the seconds that each stage took in the two arms. Shown, never a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soundstage.reports.compare import interval
from soundstage.reports.compare.arms import EndpointSeries
from soundstage.reports.compare.gates import Pairing
from soundstage.reports.compare.interval import Estimate, Ratio
from soundstage.reports.words import percent, plain, seconds, signed

Floats = npt.NDArray[np.float64]

#: A stage moved if the interval of its median leaves 1 out, and it makes up so much of the shift.
_SHARE = 0.10
_LEVEL = 0.99
#: Of the middle of each stage's times, so that a few stragglers do not name the stage.
_TRIM = 0.05


@dataclass(frozen=True, slots=True)
class StageChange:
    """One stage: the median seconds it took, in exchanges where it took any, and the ratio of the
    medians with a 99% interval. `shift`: how many seconds longer it took on average (trimmed
    means over all whole exchanges); `share`: of the shift of all stages, above 1 where others got
    faster, nan if there was none.
    """

    pairing: Pairing
    name: str
    base: Estimate
    candidate: Estimate
    n_base: int
    n_candidate: int
    change: Ratio
    shift: float
    share: float
    moved: bool

    @property
    def sentence(self) -> str:
        """`running: 9.1 s → 11.8 s (+30%), 96% of the shift`"""
        times = f"{seconds(self.base.value)} → {seconds(self.candidate.value)}"
        text = f"{plain(self.name, 40)}: {times} ({signed(self.change.value)})"
        if self.share >= 1:  # others made up for a part of it
            text += ", all of the shift"
        elif self.share > 0:
            text += f", {percent(self.share, 1)} of the shift"
        return text


def stage_changes(
    pairing: Pairing, base: Sequence[EndpointSeries], candidate: Sequence[EndpointSeries]
) -> list[StageChange]:
    """The stages that both arms have, in the order in which they come."""
    arms = [_together(arm) for arm in (base, candidate)]
    names = [name for name in arms[0] if name in arms[1]]
    shifts = {name: _trimmed(arms[1][name]) - _trimmed(arms[0][name]) for name in names}
    whole = sum(shifts.values())
    # What moved is judged by its part in all movement, so that two stages that moved against each
    # other both show.
    movement = sum(map(abs, shifts.values()))
    found = []
    for name in names:
        times = [np.sort(arm[name][arm[name] > 0]) for arm in arms]
        if not all(map(len, times)):
            continue
        estimates = [interval.estimate(each, 0.5, _LEVEL) for each in times]
        d, low, high = interval.of_samples(times[0], times[1], 0.5, _LEVEL)
        surely = low > 0 or high < 0
        share = shifts[name] / whole if whole else math.nan
        found.append(
            StageChange(
                pairing=pairing,
                name=name,
                base=estimates[0],
                candidate=estimates[1],
                n_base=len(times[0]),
                n_candidate=len(times[1]),
                change=Ratio(*map(_exp, (d, low, high))),
                shift=shifts[name],
                share=share,
                moved=surely and abs(shifts[name]) >= _SHARE * movement,
            )
        )
    return found


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


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)
