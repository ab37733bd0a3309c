"""Whether two arms may be compared at all: what must be the same, and what voids a run.

Each obstacle has a reason, the word that `--allow` takes. What only weakens a comparison is a
note. Which fact of a run means what is `run/workload`'s to say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from soundstage.reports.decision.arms import Arm, ArmRun
from soundstage.reports.run.workload import stated, voids
from soundstage.reports.words import place_words, plain, setting_words

#: Every reason for which a comparison is refused, and what it means.
REASONS: Mapping[str, str] = {
    "kind": "a contract check against a load run",
    "workload": "other versions, endpoints, requests or limits",
    "rate": "another rate, kind or number of arrivals",
    "scenario": "another scenario",
    "target": "another kind of target (emulator, local, live), or one that failed",
    "profile": "another profile or speed of the emulator",
    "contract": "held against another contract",
    "client": "other versions of Soundstage or of what it measures with",
    "generator": "the load generator was saturated: its run is invalid",
    "incomplete": "a run that did not come to its end",
    "budget": "a run that ran out of budget",
    "buffered": "streams of a run were held back on their way: its times are a buffer's",
    "clock": "the clock was set during the run, or another kind of timestamps",
}

#: Reasons that are asked of runs of one kind alone.
_OF_ONE_KIND = frozenset({"workload", "rate", "scenario"})
#: A delivered rate may stray by this share, or by so many standard deviations of a Poisson count.
_RATE_SHARE = 0.10
_RATE_DEVIATIONS = 4.0
#: A version or an endpoint may have so much more or less of the load, or as many deviations.
_MIX_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why the arms cannot be compared; `run` is the id of the run that differs or is void."""

    reason: str
    message: str
    run: str

    @property
    def words(self) -> str:
        """The reason and the message; the reason once, where the message begins with it."""
        said = self.message
        return said if said.startswith(f"{self.reason}: ") else f"{self.reason}: {said}"


def obstacles(base: Arm, candidate: Arm) -> list[Obstacle]:
    """All that stands in the way, without repeats."""
    first = base.runs[0]
    found: dict[tuple[str, str], Obstacle] = {}
    for arm in (base, candidate):
        for run in arm.runs:
            of_run = list(_void(run))
            if run is not first:
                of_run += _differences(first, run)
            for reason, message in of_run:
                found.setdefault((reason, message), Obstacle(reason, message, run.id))
    for place in sorted({*base.places()} ^ {*candidate.places()}):
        side = "base" if place in base.places() else "candidate"
        message = f"only the {side} has exchanges of {place_words(*place)}"
        found.setdefault(("workload", message), Obstacle("workload", message, first.id))
    order = list(REASONS)
    return sorted(found.values(), key=lambda each: order.index(each.reason))


def _void(run: ArmRun) -> Iterator[tuple[str, str]]:
    """What makes a run worthless for comparisons, whatever it is compared with."""
    name = plain(run.id, 80)
    for reason, said in voids(run.facts, run.torn):
        yield reason, f"{name}: {plain(said, 200)}"


def _differences(one: ArmRun, other: ArmRun) -> Iterator[tuple[str, str]]:
    """What two runs should have in common and have not."""
    a, b = one.facts, other.facts
    mine, others = stated(a), stated(b)
    for reason, what in {**mine, **others}:
        # What a check and a load run were asked differs in everything.
        if a["kind"] == b["kind"] or reason not in _OF_ONE_KIND:
            pair = mine.get((reason, what)), others.get((reason, what))
            yield from _differing(reason, plain(what, 40), *pair)
    for api in sorted({*a["contracts"]} & {*b["contracts"]}):
        if a["contracts"][api]["sha256"] != b["contracts"][api]["sha256"]:
            yield "contract", f"the contract of {plain(api, 40)} was changed between the runs"
    yield from _delivered(one, other)
    yield from _mixture(one, other)


def _delivered(one: ArmRun, other: ArmRun) -> Iterator[tuple[str, str]]:
    """Whether as many requests a second really started, where no option said how many."""
    a, b = one.facts["parameters"], other.facts["parameters"]
    stated = a.get("rate") is not None and b.get("rate") is not None
    closed = "closed" in (a.get("loop"), b.get("loop"))
    if stated or closed or one.facts["kind"] != "load" or other.facts["kind"] != "load":
        return
    rates = one.rate, other.rate
    if not all(map(math.isfinite, rates)):
        return
    fewest = min(sum(series.n for series in run.series.values()) for run in (one, other))
    allowed = max(_RATE_SHARE, _RATE_DEVIATIONS * math.sqrt(2 / max(1, fewest)))
    if max(rates) / min(rates) > 1 + allowed:
        yield "rate", f"{rates[0]:.3g} against {rates[1]:.3g} arrivals a second"


def _mixture(one: ArmRun, other: ArmRun) -> Iterator[tuple[str, str]]:
    """Whether versions and endpoints had about the same shares of the load."""
    if one.facts["kind"] != "load" or other.facts["kind"] != "load":
        return
    totals = [sum(series.n for series in run.series.values()) for run in (one, other)]
    if not all(totals):
        return
    allowed = max(_MIX_SHARE, _RATE_DEVIATIONS * math.sqrt(0.5 / min(totals)))
    for place in sorted(one.series.keys() & other.series.keys()):
        shares = [run.series[place].n / n for run, n in zip((one, other), totals, strict=True)]
        if abs(shares[0] - shares[1]) > allowed:
            said = f"{shares[0]:.0%} against {shares[1]:.0%}"
            yield "workload", f"share of {place_words(*place)}: {said}"


def _differing(reason: str, what: str, one: object, other: object) -> Iterator[tuple[str, str]]:
    if one != other:
        yield reason, f"{what}: {setting_words(one, 120)} against {setting_words(other, 120)}"


def notes(base: Arm, candidate: Arm) -> list[str]:
    """What does not forbid the comparison but is to be known when reading it."""
    found = []
    runs = [*base.runs, *candidate.runs]
    machines = {
        f"{run.facts['machine']['system']}, {run.facts['machine']['cpus']} CPUs" for run in runs
    }
    if len(machines) > 1:
        found.append(f"the runs come from different machines: {'; '.join(sorted(machines))}")
    seeds = [_seeds(run) for run in runs]
    if len(runs) > 1 and None not in seeds and len(set(seeds)) < len(seeds):
        found.append(
            "runs of the emulator share their seeds, so they draw the same delays: they look more"
            " alike than two runs are"
        )
    unequal = _unlike(run.facts["parameters"].get("duration_s") for run in runs)
    if unequal:
        found.append(f"the runs were not equally long: {unequal}")
    return [plain(each, 400) for each in found]


def _seeds(run: ArmRun) -> tuple[object, object] | None:
    target = run.facts["target"]
    if target["kind"] != "emulator" or target.get("seed") is None:
        return None
    return target["seed"], run.facts["seed"]


def _unlike(values: Iterable[object]) -> str:
    numbers = sorted({float(each) for each in values if isinstance(each, int | float)})
    if len(numbers) < 2 or numbers[-1] < 1.5 * numbers[0]:
        return ""
    return f"{numbers[0]:g} to {numbers[-1]:g} s"
