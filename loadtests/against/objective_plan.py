"""What is said in advance of looks at objectives: when they are, at which level, and about how many
songs they take.
"""

from __future__ import annotations

import numpy as np

from soundstage.errors import UsageError
from soundstage.loadtests.schedule.scenario import Scenario
from soundstage.output import visible
from soundstage.reports.decision.looks import look_sizes
from soundstage.results import verdicts
from soundstage.results.slo import Slo, parse

_SEED, _RUNS = 16, 300


def level_of(looks: int) -> float:
    """Of the interval at each of so many looks."""
    return 1 - (1 - verdicts.LEVEL) / looks


def expected_songs(slo: Slo, sizes: tuple[int, ...], share: float) -> float:
    """After how many songs an objective is decided on average, if so large a share of them does
    well, and they do not depend on each other.
    """
    rng, level, wanted = np.random.default_rng(_SEED), level_of(len(sizes)), verdicts.required(slo)
    bounds = [verdicts.thresholds(wanted, size, level) for size in sizes]
    steps = np.diff([0, *sizes])
    good = np.cumsum(rng.binomial(steps, share, (_RUNS, len(sizes))), axis=1)
    decided = np.array(
        [
            (column >= needs) | (column < misses)
            for column, (needs, misses) in zip(good.T, bounds, strict=True)
        ]
    )
    decided[-1] = True  # the last look ends it
    return float(np.mean(np.array(sizes)[decided.argmax(axis=0)]))


def planned_looks(scenario: Scenario, looks: int) -> str:
    """What is named in advance, in lines. Raises UsageError where nothing is to be looked at."""
    if not scenario.slos:
        raise UsageError("--looks is for --against BASELINE, or for objectives: --slo")
    songs = sum(moment >= scenario.warmup_s for moment in scenario.schedule())
    sizes = look_sizes(max(1, songs), looks)
    shown = ", ".join(f"{size:,}" for size in sizes)
    level = level_of(len(sizes)) * 100
    lines = [f"objectives are looked at after {shown} songs, each interval {level:.6g}%"]
    for slo in map(parse, scenario.slos):
        if slo.kind == "count":
            continue
        wanted = verdicts.required(slo)
        few, half = (expected_songs(slo, sizes, share) for share in (1.0, (1 + wanted) / 2))
        lines.append(
            f"{slo.text}: decided after about {few:,.0f} songs if all meet it, {half:,.0f} if "
            f"{(1 - wanted) / 2:.1%} do not; at the most {sizes[-1]:,}"
        )
    return visible.lines([f"  {line}" for line in lines])
