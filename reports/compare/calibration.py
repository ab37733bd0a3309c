"""What a comparison can tell in this environment: measured on A/A runs, runs of the same thing.

The log quantile of a run differs from run to run for two reasons: its sample, which the exact
interval tells, and the environment (neighbours, caches, the hour). Here the second is what is
left of the variance between the runs when the first is taken off. From both follows how large a
change must be to be found in 80% of the comparisons. The formulas are those of normal deviates,
so the figures are advice, not gates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from soundstage.errors import UsageError
from soundstage.reports.compare import interval
from soundstage.reports.compare.arms import Arm
from soundstage.reports.compare.gates import Gate
from soundstage.reports.compare.interval import Noise
from soundstage.results.quantiles import rank

FORMAT = 1
POWER = 0.80
#: Pairs of runs for which the smallest change that can be found is told.
PAIRS = (1, 3, 5, 10)
LEAST_RUNS = 3
_MOST_PAIRS = 200


@dataclass(frozen=True, slots=True)
class GateNoise:
    """One gate over the A/A runs.

    `runs`, `n`: how many, and the fewest exchanges of one. `spread`: standard deviation of the
    log quantile between runs, `sampling`: the part that the sample explains, `noise`: the rest.
    `detectable`: by pairs of runs, the smallest slow-down (0.2: 20%) that fails in 80% of the
    comparisons. `passing_pairs`: pairs with which an unchanged release passes in 80%, None if 200
    are not enough. `verdicts`: what the gate says of the pairs among the A/A runs themselves.
    """

    name: str
    runs: int
    n: int
    quantile: float
    spread: float
    sampling: float
    noise: float
    detectable: Mapping[int, float]
    passing_pairs: int | None
    verdicts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration: of which runs, for which margin and alpha, and each gate's noise."""

    runs: tuple[str, ...]
    target: str
    margin: float
    alpha: float
    gates: tuple[GateNoise, ...]

    def noise(self) -> dict[str, Noise]:
        """The noise by name of gate."""
        return {each.name: Noise(each.noise, each.runs - 1) for each in self.gates}

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "runs": list(self.runs),
            "target": self.target,
            "margin": self.margin,
            "alpha": self.alpha,
            "gates": [
                {
                    "name": each.name,
                    "runs": each.runs,
                    "n": each.n,
                    "quantile": each.quantile,
                    "spread": each.spread,
                    "sampling": each.sampling,
                    "noise": each.noise,
                    "detectable": {str(pairs): size for pairs, size in each.detectable.items()},
                    "passing_pairs": each.passing_pairs,
                    "verdicts": dict(each.verdicts),
                }
                for each in self.gates
            ],
        }


def from_json(data: Any, place: str) -> Calibration:
    """A calibration as `to_json` wrote it. Raises UsageError for anything else."""
    try:
        if data["format"] != FORMAT:
            raise UsageError(f"{place}: /format: {data['format']!r}, not {FORMAT}")
        return Calibration(
            runs=tuple(map(str, data["runs"])),
            target=str(data["target"]),
            margin=float(data["margin"]),
            alpha=float(data["alpha"]),
            gates=tuple(
                GateNoise(
                    name=str(each["name"]),
                    runs=int(each["runs"]),
                    n=int(each["n"]),
                    quantile=float(each["quantile"]),
                    spread=float(each["spread"]),
                    sampling=float(each["sampling"]),
                    noise=_positive(each["noise"]),
                    detectable={int(key): float(v) for key, v in each["detectable"].items()},
                    passing_pairs=None
                    if each["passing_pairs"] is None
                    else int(each["passing_pairs"]),
                    verdicts={str(key): int(n) for key, n in each["verdicts"].items()},
                )
                for each in data["gates"]
            ),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UsageError(
            f"{place}: not a calibration that `--calibrate` wrote: {error!r}"
        ) from error


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"noise {number}")
    return number


def calibrate(arm: Arm, gates: Sequence[Gate], margin: float, alpha: float) -> Calibration:
    """Measure the noise of each quantile gate. Raises UsageError for fewer than three runs."""
    if len(arm.runs) < LEAST_RUNS:
        raise UsageError(
            f"--calibrate: {len(arm.runs)} runs; the noise between runs shows from {LEAST_RUNS} on,"
            " and ten tell it well"
        )
    level = 1 - alpha / max(1, len(gates))
    timed = [gate for gate in gates if gate.order is not None]
    return Calibration(
        runs=tuple(run.id for run in arm.runs),
        target=str(arm.runs[0].facts["target"]["kind"]),
        margin=margin,
        alpha=alpha,
        gates=tuple(
            each for gate in timed if (each := _gate(arm, gate, level, margin)) is not None
        ),
    )


def _gate(arm: Arm, gate: Gate, level: float, margin: float) -> GateNoise | None:
    """None where some run has no quantile of that order: too many never got there."""
    from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped]

    q = gate.order or 0.5
    runs = [series.times[gate.what] for series in arm.series(gate.pairing.place)]
    values = np.array([float(run[rank(q, len(run)) - 1]) for run in runs])
    if not np.isfinite(values).all():
        return None
    logs = np.log(np.maximum(values, 1e-9))
    spread = float(logs.std(ddof=1))
    errors = [_standard_error(run, q) for run in runs]
    sampling = math.sqrt(float(np.mean(np.square(errors))))
    noise = math.sqrt(max(0.0, spread**2 - sampling**2))
    # The sample's part is known from the theory, and holds even if these few runs agree by luck.
    pair = math.sqrt(2) * math.hypot(sampling, noise)
    limit = math.log1p(margin)
    tail = (1 + level) / 2
    detectable = {}
    for pairs in PAIRS:
        if pairs == 1:
            apart = float(stdtrit(len(runs) - 1, tail)) * noise
            half = math.sqrt(2) * math.hypot(float(ndtri(tail)) * sampling, apart)
            size = limit + half + float(ndtri(POWER)) * pair
        else:
            df = pairs - 1
            size = limit + (
                float(stdtrit(df, tail)) + float(stdtrit(df, POWER))
            ) * pair / math.sqrt(pairs)
        detectable[pairs] = math.expm1(min(size, 50.0))
    passing = next(
        (
            pairs
            for pairs in range(2, _MOST_PAIRS + 1)
            if (float(stdtrit(pairs - 1, tail)) + float(stdtrit(pairs - 1, POWER)))
            * pair
            / math.sqrt(pairs)
            <= limit
        ),
        None,
    )
    verdicts = {"pass": 0, "inconclusive": 0, "fail": 0}
    for one, other in list(combinations(runs, 2))[:_MOST_PAIRS]:
        _, low, high = interval.of_samples(one, other, q, level)
        verdicts[interval.verdict(low, high, margin)] += 1
    return GateNoise(
        name=gate.name,
        runs=len(runs),
        n=min(map(len, runs)),
        quantile=float(np.exp(logs.mean())),
        spread=spread,
        sampling=sampling,
        noise=noise,
        detectable=detectable,
        passing_pairs=passing,
        verdicts=verdicts,
    )


def _standard_error(ordered: interval.Floats, q: float) -> float:
    """Of the log quantile of a sample, from the length of its exact 68.3% interval."""
    found = interval.estimate(ordered, q, 0.6827)
    if not math.isfinite(found.low) or not math.isfinite(found.high):
        return 0.0
    return (math.log(max(found.high, 1e-9)) - math.log(max(found.low, 1e-9))) / 2


def advice(made: Calibration) -> list[str]:
    """What to do with it, in sentences."""
    lines = []
    for each in made.gates:
        parts = [f"two runs of the same thing differ by ±{math.sqrt(2) * each.spread:.1%} (1 sd)"]
        share = each.noise**2 / each.spread**2 if each.spread else 0.0
        if share > 0.5:
            parts.append("most of it from run to run: more runs help, longer ones hardly")
        else:
            parts.append("most of it from the sample: longer runs help as well as more")
        if each.passing_pairs is None:
            parts.append(f"a margin of {made.margin:.0%} is out of reach here")
        else:
            parts.append(
                f"{each.passing_pairs} pairs pass an unchanged release in {POWER:.0%} of the cases"
            )
        lines.append(f"{each.name}: {'; '.join(parts)}")
    return lines
