"""What a comparison can tell in this environment: measured on A/A runs, runs of the same thing.

The log quantile of a run differs from run to run for two reasons: its sample, which the exact
interval tells, and the environment (neighbours, caches, the hour). Here the second is what is
left of the variance between the runs when the first is taken off. From both follows how large a
change must be to be found in 80% of the comparisons. The formulas are those of normal deviates,
so the figures are advice, not gates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from soundstage.errors import UsageError
from soundstage.reports.decision import interval
from soundstage.reports.decision.arms import Arm
from soundstage.reports.decision.gates import Gate
from soundstage.reports.decision.interval import Floats, Noise, student_t

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
    detectable: Mapping[str, float]
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
        return {"format": FORMAT, **asdict(self)}


def _finite(value: Any) -> float:
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{number} is no noise")
    return number


#: What each field of a gate in a file is read with.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "name": str,
    "runs": int,
    "n": int,
    "quantile": float,
    "spread": float,
    "sampling": float,
    "noise": _finite,
    "detectable": lambda value: {str(pairs): float(size) for pairs, size in value.items()},
    "passing_pairs": lambda value: None if value is None else int(value),
    "verdicts": lambda value: {str(word): int(count) for word, count in value.items()},
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
                GateNoise(**{name: read(gate[name]) for name, read in _READERS.items()})
                for gate in data["gates"]
            ),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        why = f"not a calibration that `--calibrate` wrote: {error!r}"
        raise UsageError(f"{place}: {why}") from error


def calibrate(arm: Arm, gates: Sequence[Gate], margin: float, alpha: float) -> Calibration:
    """Measure the noise of each quantile gate. Raises UsageError for fewer than three runs."""
    if len(arm.runs) < LEAST_RUNS:
        raise UsageError(
            f"--calibrate: {len(arm.runs)} runs; the noise between runs shows from {LEAST_RUNS} on,"
            " and ten tell it well"
        )
    level = 1 - alpha / max(1, len(gates))
    measured = [_gate(arm, gate, level, margin) for gate in gates if gate.order is not None]
    return Calibration(
        runs=tuple(run.id for run in arm.runs),
        target=str(arm.runs[0].facts["target"]["kind"]),
        margin=margin,
        alpha=alpha,
        gates=tuple(each for each in measured if each is not None),
    )


def _gate(arm: Arm, gate: Gate, level: float, margin: float) -> GateNoise | None:
    """None where some run has no quantile of that order: too many never got there."""
    q, limit, tail = gate.order or 0.5, math.log1p(margin), (1 + level) / 2
    series = arm.series(gate.pairing.place)
    # Of times that are known by polling, the spread is that of the high ends.
    runs = [each.times[gate.what] for each in series]
    lows = [each.lows(gate.what) for each in series]
    logs = np.array(interval.log_quantiles(runs, q))
    if not np.isfinite(logs).all():
        return None
    spread = float(logs.std(ddof=1))
    sampling = math.sqrt(float(np.mean([_standard_error(run, q) ** 2 for run in runs])))
    noise = Noise(math.sqrt(max(0.0, spread**2 - sampling**2)), len(runs) - 1)
    # The sample's part is known from the theory, and holds even if these few runs agree by luck.
    pair = math.sqrt(2) * math.hypot(sampling, noise.sd)

    def found(pairs: int) -> float:
        """The log change, beyond the limit, that so many pairs find in 80%."""
        if pairs == 1:
            half = math.hypot(_normal(tail) * math.sqrt(2) * sampling, noise.half(level))
            return half + _normal(POWER) * pair
        df = pairs - 1
        return (student_t(df, tail) + student_t(df, POWER)) * pair / math.sqrt(pairs)

    verdicts = {"pass": 0, "inconclusive": 0, "fail": 0}
    for one, other in list(combinations(range(len(runs)), 2))[:_MOST_PAIRS]:
        cases = (runs[one], lows[other]), (lows[one], runs[other])
        said = {interval.verdict(interval.of_samples(*case, q, level), limit) for case in cases}
        verdicts[said.pop() if len(said) == 1 else "inconclusive"] += 1
    return GateNoise(
        name=gate.name,
        runs=len(runs),
        n=min(map(len, runs)),
        quantile=float(np.exp(logs.mean())),
        spread=spread,
        sampling=sampling,
        noise=noise.sd,
        detectable={str(pairs): math.expm1(min(limit + found(pairs), 50.0)) for pairs in PAIRS},
        passing_pairs=next((p for p in range(2, _MOST_PAIRS + 1) if found(p) <= limit), None),
        verdicts=verdicts,
    )


def _normal(order: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(order))


def _standard_error(ordered: Floats, q: float) -> float:
    """Of the log quantile of a sample, from the length of its exact 68.3% interval."""
    _, low, high = map(interval.log, interval.estimate(ordered, q, 0.6827))
    return (high - low) / 2 if math.isfinite(low) and math.isfinite(high) else 0.0


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
