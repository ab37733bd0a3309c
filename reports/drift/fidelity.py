"""How near an emulator is to the live API, stage by stage: two runs held against each other.

    fidelity(live, emulated, findings) -> Fidelity   rows in, values out

How the table is told, and the command, are `fidelity_table`'s business.

This is no regression test: neither arm is better than the other, and a difference that is proved
but small is no fault of a stand-in. A quantity is *far* where the distance is larger than both
what a stand-in may have and what chance gives to so few exchanges.

Distances are between 0 and 1: of two shares their difference, of two sets of times the statistic
of Kolmogorov and Smirnov, the largest difference between their distribution functions, where
moments that lie closer together than `TOO_SHORT_S` count as the same. The score of a stage is 1
less its largest distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from soundstage.errors import NoDataError
from soundstage.reports.drift import drift
from soundstage.reports.drift.fidelity_arm import RESULT, FidelityArm, arms, column
from soundstage.reports.run.stage_time import spent
from soundstage.results.quantiles import quantile, rate_interval

Floats = npt.NDArray[np.float64]

#: A stand-in may be off by this much: a share, an order, a distribution of times.
MAY_DIFFER = 0.2
#: And the quantiles of its times by this factor.
MAY_BE_TIMES = 1.25
#: What takes this long more or less is the business of sockets and schedulers, not of an API.
TOO_SHORT_S = 0.01
#: With fewer exchanges than this in either arm nothing is said.
FEWEST = 20
#: The chance of calling a quantity far that is alike, for each of them.
LEVEL = 0.001
QUANTILES = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class TimesFidelity:
    """Times of both arms in seconds, as quantiles (p50, p95) and the distance between them."""

    what: str
    live: tuple[float, ...]
    emulated: tuple[float, ...]
    distance: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Share:
    """How often something was so in either arm: of `n` exchanges in `k`."""

    what: str
    live: tuple[int, int]
    emulated: tuple[int, int]
    distance: float
    verdict: str


@dataclass(frozen=True, slots=True)
class StageFidelity:
    """One stage of an endpoint. `shapes` are the differences of its payloads, None where a run has
    none on record; `order` is with the stage whose place differs most.
    """

    name: str
    presence: Share
    order: Share | None
    chunks: tuple[float, float]
    times: tuple[TimesFidelity, ...]
    shapes: tuple[str, ...] | None
    verdict: str
    score: float

    @property
    def reasons(self) -> list[str]:
        """What is far, in words."""
        shares = [each for each in (self.presence, self.order) if each is not None]
        far = [each.what for each in shares if each.verdict == "far"]
        far += [each.what for each in self.times if each.verdict == "far"]
        return [*far, *(["shapes"] if self.shapes else [])]


@dataclass(frozen=True, slots=True)
class EndpointFidelity:
    """An endpoint of an API version: its stages, and how its exchanges ended."""

    api: str
    endpoint: str
    n: tuple[int, int]
    stages: tuple[StageFidelity, ...]
    outcomes: tuple[Share, ...]
    verdict: str
    score: float


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The whole: `verdict` is the worst of the endpoints', `score` the mean of theirs. `notes` are
    what a reader must know before trusting it.
    """

    endpoints: tuple[EndpointFidelity, ...]
    verdict: str
    score: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The table as JSON."""
        return {"fidelity": 1, **asdict(self)}


# --- two arms into a table ------------------------------------------------------------------------


def fidelity(
    live: Iterable[Mapping[str, Any]],
    emulated: Iterable[Mapping[str, Any]],
    findings: Sequence[drift.DriftFinding] | None = None,
    *,
    speeds: tuple[float, float] = (1.0, 1.0),
    notes: Sequence[str] = (),
) -> Fidelity:
    """The table of two runs' rows of `exchanges.ndjson.gz`. `findings` is the drift between what
    the two were seen to send, None if a run has no record of it; `speeds` is how many times faster
    than life each ran, and their times are multiplied by it.

    Raises NoDataError if the two have no endpoint in common.
    """
    mine, theirs = arms(live, speeds[0]), arms(emulated, speeds[1])
    places = [place for place in sorted(mine) if place in theirs]
    if not places:
        raise NoDataError("the two runs have no endpoint in common: there is nothing to compare")
    only = [f"{api} {endpoint}" for api, endpoint in sorted({*mine} ^ {*theirs})]
    said = [*notes, *(f"{place}: in one of the runs only" for place in only)]
    # Where times are scaled, so is what the machines themselves take.
    shortest = TOO_SHORT_S * max(1.0, *speeds)
    endpoints = tuple(
        _endpoint(place, mine[place], theirs[place], findings, shortest) for place in places
    )
    return Fidelity(
        endpoints,
        _worst(each.verdict for each in endpoints),
        _mean(each.score for each in endpoints),
        tuple(said),
    )


def _endpoint(
    place: tuple[str, str],
    live: FidelityArm,
    emulated: FidelityArm,
    findings: Sequence[drift.DriftFinding] | None,
    shortest: float,
) -> EndpointFidelity:
    times = spent(live.spent), spent(emulated.spent)
    names = sorted({*live.reached, *emulated.reached}, key=lambda name: _median_of(live, name))
    stages = tuple(_stage(place, name, live, emulated, times, findings, shortest) for name in names)
    outcomes = tuple(
        _share(f"outcome {name}", live.outcomes[name], live.n, emulated.outcomes[name], emulated.n)
        for name in sorted({*live.outcomes, *emulated.outcomes})
    )
    return EndpointFidelity(
        *place,
        (live.n, emulated.n),
        stages,
        outcomes,
        _worst([each.verdict for each in stages] + [each.verdict for each in outcomes]),
        _mean([each.score for each in stages] + [1 - each.distance for each in outcomes]),
    )


def _median_of(arm: FidelityArm, name: str) -> tuple[float, str]:
    column = arm.reached.get(name)
    return (float(np.median(np.frombuffer(column))) if column else math.inf, name)


def _stage(
    place: tuple[str, str],
    name: str,
    live: FidelityArm,
    emulated: FidelityArm,
    shares: tuple[Mapping[str, Floats], Mapping[str, Floats]],
    findings: Sequence[drift.DriftFinding] | None,
    shortest: float,
) -> StageFidelity:
    here, there = (np.frombuffer(arm.reached.get(name) or column()) for arm in (live, emulated))
    presence = _share("presence", len(here), live.whole, len(there), emulated.whole)
    times = [_times("reached", here, there, shortest)]
    took, takes = (each.get(name, np.empty(0)) for each in shares)
    # 0 stands for an exchange without the stage.
    times.append(_times("spent", took[took > 0], takes[takes > 0], shortest))
    told = tuple(each for each in times if each is not None)
    order = _order(name, live, emulated)
    shapes = None if findings is None else _shapes(place, name, findings)
    verdicts = [each.verdict for each in (presence, order, *told) if each is not None]
    distances = [each.distance for each in (presence, order, *told) if each is not None]
    return StageFidelity(
        name,
        presence,
        order,
        (_each(live.chunks[name], len(here)), _each(emulated.chunks[name], len(there))),
        told,
        shapes,
        _worst([*verdicts, *(["far"] if shapes else [])]),
        1 - max(distances),
    )


def _each(chunks: int, exchanges: int) -> float:
    return chunks / exchanges if exchanges else math.nan


def _order(name: str, live: FidelityArm, emulated: FidelityArm) -> Share | None:
    """The stage whose place before or after this one differs most."""
    shares = []
    for pair in sorted({*live.both, *emulated.both}):
        if name in pair and live.both[pair] and emulated.both[pair]:
            other = pair[1] if pair[0] == name else pair[0]
            k = [
                arm.before[pair] if pair[0] == name else arm.both[pair] - arm.before[pair]
                for arm in (live, emulated)
            ]
            share = _share(f"before {other}", k[0], live.both[pair], k[1], emulated.both[pair])
            shares.append(share)
    return max(shares, key=lambda share: share.distance, default=None)


def _shapes(
    place: tuple[str, str], stage: str, findings: Sequence[drift.DriftFinding]
) -> tuple[str, ...]:
    wanted = None if stage == RESULT else stage
    return tuple(
        each.text
        for each in findings
        if (each.api, each.endpoint) == place
        and (each.stage or None) == wanted
        and each.effect != "info"
        and each.verdict == "drift"
        and each.kind.startswith("field")
    )


def _share(what: str, k: int, n: int, k_too: int, n_too: int) -> Share:
    if min(n, n_too) == 0:
        return Share(what, (k, n), (k_too, n_too), 0.0, "unclear")
    distance = abs(k / n - k_too / n_too)
    mine, theirs = rate_interval(k, n, 1 - LEVEL), rate_interval(k_too, n_too, 1 - LEVEL)
    apart = mine[1] < theirs[0] or theirs[1] < mine[0]
    verdict = "near" if distance <= MAY_DIFFER / 2 or not apart else "far"
    return Share(what, (k, n), (k_too, n_too), distance, _if_enough(verdict, n, n_too))


def _times(what: str, live: Floats, emulated: Floats, shortest: float) -> TimesFidelity | None:
    if not len(live) or not len(emulated):
        return None
    distance = kolmogorov(live, emulated, shortest)
    mine = tuple(quantile(live, q) for q in QUANTILES)
    theirs = tuple(quantile(emulated, q) for q in QUANTILES)
    n, m = len(live), len(emulated)
    # The asymptotic critical value (Smirnov 1948): distances beyond it are no chance.
    chance = math.sqrt(-math.log(LEVEL / 2) / 2 * (n + m) / (n * m))
    off = any(
        max(a, b) > MAY_BE_TIMES * min(a, b) + shortest for a, b in zip(mine, theirs, strict=True)
    )
    far = distance > chance and (distance > MAY_DIFFER or off)
    return TimesFidelity(what, mine, theirs, distance, _if_enough("far" if far else "near", n, m))


def kolmogorov(a: Floats, b: Floats, shortest: float) -> float:
    """The two-sample statistic: the largest difference of the empirical distribution functions,
    wherever one of them stands within `shortest` of the moment that it is looked at.
    """

    def ahead(one: Floats, other: Floats) -> float:
        below = np.arange(1, len(one) + 1) / len(one)
        below_other = np.searchsorted(other, one + shortest, side="right") / len(other)
        return float((below - below_other).max())

    a, b = np.sort(a), np.sort(b)
    return max(0.0, ahead(a, b), ahead(b, a))


def _if_enough(verdict: str, n: int, m: int) -> str:
    return verdict if min(n, m) >= FEWEST else "unclear"


def _worst(verdicts: Iterable[str]) -> str:
    """far if one is; near if the rest are, and something could be said at all."""
    found = set(verdicts)
    return "far" if "far" in found else "near" if "near" in found else "unclear"


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else math.nan
