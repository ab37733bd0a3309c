"""The stage that a comparison names is the one that was slowed, whatever else got faster."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundstage.reports.compare.stage_growth import GateChange, gate_changes
from soundstage.reports.decision.arms import EndpointSeries
from soundstage.reports.decision.gate_outcomes import judge
from soundstage.reports.decision.gates import Gate, Pairing, Rules
from soundstage.reports.run.milestone_parts import LATE, REST, milestone_parts
from soundstage.results.arrivals.exchange_sample import ExchangeSample

PAIRING = Pairing("v6", "stream", ("streaming_ready", "complete"))
#: Stages in their order: median seconds, and how many chunks.
STAGES = {
    "validated": (0.4, 1),
    "running": (6.0, 4),
    "streaming_ready": (8.0, 1),
    "completed": (10.0, 1),
    "uploading": (3.0, 1),
    "final": (4.0, 1),
}


def exchange(rng: random.Random, longer: Mapping[str, float]) -> dict[str, Any]:
    """A row in which a stage takes so many seconds `longer`, at least none. The second track's
    chunks come close behind those of the first, which may be either.
    """
    now, stages = 0.0, {}
    first, second = rng.sample((1, 2), 2)
    for name, (median, many) in STAGES.items():
        before = now
        now += max(0.0, median * math.exp(0.3 * rng.gauss(0, 1)) + longer.get(name, 0.0))
        begin = now if many == 1 else before + 0.01
        if name in ("streaming_ready", "uploading", "final"):
            stages[f"{name}#{first}"] = [begin, now, many]
            now += 0.05
            stages[f"{name}#{second}"] = [now, now, 1]
        else:
            stages[name] = [begin, now, many]
    ready = min(stages["streaming_ready#1"][0], stages["streaming_ready#2"][0])
    end = max(stages["final#1"][1], stages["final#2"][1])
    return {
        "stages": stages,
        "milestones": {"streaming_ready": ready, "complete": end + 0.002},
        "outcome": "ok",
    }


def series(
    seed: int,
    n: int,
    longer: Mapping[str, float],
    make: Callable[[random.Random, Mapping[str, float]], dict[str, Any]] = exchange,
) -> EndpointSeries:
    rng, sample = random.Random(seed), ExchangeSample(20_000)
    rows = [{"intended_ns": 0, "started_ns": 1_000_000, **make(rng, longer)} for _ in range(n)]
    for row in rows:
        sample.add(row)
    times = {
        name: np.sort([row["milestones"][name] + 0.001 for row in rows])
        for name in ("streaming_ready", "complete")
    }
    return EndpointSeries(n, times, {"ok": n}, {}, sample=sample)


def change(
    milestone: str,
    order: float,
    longer: Mapping[str, float],
    seed: int,
    n: int = 400,
    runs: int = 1,
) -> GateChange:
    """What is said of one gate whose candidate differs so much."""
    base = {PAIRING.place: [series(1000 * seed + at, n, {}) for at in range(runs)]}
    other = {PAIRING.place: [series(2000 * seed + 500 + at, n, longer) for at in range(runs)]}
    outcomes = judge([Gate(PAIRING, milestone, order)], base, other, Rules(margin=0.01))
    (found,) = gate_changes(outcomes, base, other)
    return found


CASES = [
    ("streaming_ready", {"streaming_ready": 4.0, "completed": -6.0}, "streaming_ready"),
    ("streaming_ready", {"validated": 3.0, "running": -1.0}, "validated"),
    ("streaming_ready", {"running": 5.0, "final": -3.0}, "running"),
    ("complete", {"final": 8.0, "streaming_ready": -2.0}, "final"),
    ("complete", {"completed": 9.0, "running": -3.0}, "completed"),
    ("complete", {"uploading": 8.0, "completed": -3.0}, "uploading"),
]


@pytest.mark.parametrize("seed", range(1, 3))
@pytest.mark.parametrize("order", [0.5, 0.95])
@pytest.mark.parametrize(("milestone", "longer", "slowed"), CASES)
def test_the_stage_that_was_slowed_is_the_one_that_is_named(
    milestone: str, longer: dict[str, float], slowed: str, order: float, seed: int
):
    found = change(milestone, order, longer, seed)
    assert [one.name for one in found.culprits()] == [slowed]
    (named,) = found.culprits()
    assert named.growth == pytest.approx(longer[slowed], rel=0.3)
    assert slowed not in [one.name for one in found.against()]


@pytest.mark.parametrize("seed", range(1, 3))
def test_a_stage_that_got_faster_before_the_milestone_is_told_apart(seed: int):
    found = change("complete", 0.5, {"final": 9.0, "streaming_ready": -4.0}, seed)
    assert [one.name for one in found.culprits()] == ["final"]
    assert [one.name for one in found.against()] == ["streaming_ready"]
    assert found.change < next(one.growth for one in found.stages if one.name == "final")


@pytest.mark.parametrize("seed", range(1, 3))
def test_what_comes_after_the_milestone_has_no_part_in_it(seed: int):
    found = change("streaming_ready", 0.5, {"running": 3.0, "final": 30.0}, seed)
    assert [one.name for one in found.culprits()] == ["running"]
    assert "final" not in [one.name for one in found.stages]


def interleaved(rng: random.Random, longer: Mapping[str, float]) -> dict[str, Any]:
    """A row whose chunks come one after the other, as the API sends them: those of `running` and
    `processing` before, between and after the two `streaming_ready`.
    """
    middle = ["running"] * rng.randint(4, 9) + ["processing"] * rng.randint(1, 3)
    middle += ["streaming_ready#1", "streaming_ready#2"]
    rng.shuffle(middle)
    now, stages = 0.0, {}
    for label in ["validated", "running", *middle, "completed", "final#1", "final#2"]:
        stage = label.partition("#")[0]
        median = {"streaming_ready": 4.0, "completed": 8.0}.get(stage, 1.0)
        now += (median + longer.get(stage, 0.0)) * math.exp(0.3 * rng.gauss(0, 1))
        begin, _, many = stages.get(label, (now, now, 0))
        stages[label] = (begin, now, many + 1)
    ready = min(stages["streaming_ready#1"][0], stages["streaming_ready#2"][0])
    milestones = {"streaming_ready": ready, "complete": now}
    return {"stages": stages, "milestones": milestones, "outcome": "ok"}


@pytest.mark.parametrize("seed", range(1, 3))
@pytest.mark.parametrize(
    ("longer", "slowed"),
    [
        ({"streaming_ready": 4.0, "completed": -4.0}, {"streaming_ready"}),
        ({"running": 2.0, "completed": -4.0}, {"running"}),
    ],
)
def test_a_stage_that_went_on_beyond_the_milestone_is_named_with_it(
    longer: dict[str, float], slowed: set[str], seed: int
):
    base = {PAIRING.place: [series(1000 + seed, 400, {}, interleaved)]}
    other = {PAIRING.place: [series(2000 + seed, 400, longer, interleaved)]}
    outcomes = judge([Gate(PAIRING, "streaming_ready", 0.5)], base, other, Rules())
    (found,) = gate_changes(outcomes, base, other)
    (named,) = found.culprits()
    assert {named.name} == slowed
    assert named.beside == "running" or "streaming_ready" in named.meanwhile


def test_two_stages_that_grew_alike_are_both_named():
    found = change("complete", 0.5, {"running": 5.0, "final": 5.0}, 1)
    assert sorted(one.name for one in found.culprits()) == ["final", "running"]


def test_no_stage_is_named_where_all_grew_alike():
    longer = {"running": 3.0, "streaming_ready": 3.0, "completed": 3.0, "final": 3.0}
    found = change("complete", 0.5, longer, 1)
    assert found.culprits() == []
    assert len(found.most()) == 3


def test_a_track_is_named_where_it_alone_grew():
    rng = random.Random(5)
    arms = []
    for late in (0.0, 2.0):
        sample = ExchangeSample(1000)
        for _ in range(300):
            ready = rng.lognormvariate(0, 0.2)
            second = ready + rng.lognormvariate(0, 0.2) + late
            sample.add(
                {
                    "stages": {"ready#1": [ready, ready, 1], "ready#2": [second, second, 1]},
                    "milestones": {"complete": second},
                    "outcome": "ok",
                }
            )
        times = {"complete": milestone_parts(sample, "complete").times}
        arms.append({PAIRING.place: [EndpointSeries(300, times, {"ok": 300}, {}, sample=sample)]})
    outcomes = judge([Gate(PAIRING, "complete", 0.5)], arms[0], arms[1], Rules())
    (found,) = gate_changes(outcomes, arms[0], arms[1])
    assert [(one.name, one.track) for one in found.culprits()] == [("ready", "2")]


@pytest.mark.parametrize("seed", range(1, 4))
def test_several_runs_an_arm_name_the_same_stage(seed: int):
    longer = {"streaming_ready": 5.0, "running": -2.0}
    found = change("streaming_ready", 0.5, longer, seed, n=120, runs=3)
    assert [one.name for one in found.culprits()] == ["streaming_ready"]


@settings(max_examples=30, deadline=None)
@given(
    st.fixed_dictionaries({name: st.floats(-3, 9) for name in STAGES}),
    st.sampled_from([0.5, 0.9, 0.95, 0.99]),
    st.sampled_from(["streaming_ready", "complete"]),
    st.integers(1, 50),
)
def test_the_parts_of_a_gate_add_up_to_its_change(
    longer: dict[str, float], order: float, milestone: str, seed: int
):
    base = {PAIRING.place: [series(seed, 60, {})]}
    other = {PAIRING.place: [series(seed + 100, 60, longer)]}
    outcomes = judge([Gate(PAIRING, milestone, order)], base, other, Rules(margin=1e-6))
    for found in gate_changes(outcomes, base, other):
        growths = [one.growth for one in found.stages]
        assert sum(growths) == pytest.approx(found.change, abs=1e-9)
        assert sum(one.base for one in found.stages) == pytest.approx(found.outcome.base.value)


def test_the_same_thing_twice_seldom_has_a_stage_that_surely_grew():
    """At 99% each, of six stages in 60 pairs: about four by chance."""
    sure = 0
    for seed in range(60):
        one, other = (series(seed + side, 150, {}) for side in (0, 7000))
        base, candidate = {PAIRING.place: [one]}, {PAIRING.place: [other]}
        outcomes = judge([Gate(PAIRING, "complete", 0.5)], base, candidate, Rules())
        for each in outcomes:
            failed = [type(each)(**{**_fields(each), "verdict": "fail"})]
            (found,) = gate_changes(failed, base, candidate)
            sure += sum(one.sure and one.is_stage for one in found.stages)
    assert sure <= 14


def _fields(each: Any) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__dataclass_fields__}


def test_what_never_came_is_told_in_place_of_a_stage():
    base, slow = series(1, 100, {}), series(2, 100, {})
    times = {name: np.sort([*at[:20], *[math.inf] * 80]) for name, at in slow.times.items()}
    lost = EndpointSeries(100, times, {"ok": 20, "timeout": 80}, {}, sample=slow.sample)
    arms = {PAIRING.place: [base]}, {PAIRING.place: [lost]}
    (found,) = gate_changes(judge([Gate(PAIRING, "complete", 0.5)], *arms, Rules()), *arms)
    assert found.stages == ()
    assert found.why_not == "80 of 100 exchanges of the candidate never got there"


def test_an_answer_in_one_piece_has_no_stages():
    times = {"complete": np.linspace(1, 2, 100)}, {"complete": np.linspace(3, 4, 100)}
    arms = [{PAIRING.place: [EndpointSeries(100, at, {"ok": 100}, {})]} for at in times]
    (found,) = gate_changes(judge([Gate(PAIRING, "complete", 0.5)], *arms, Rules()), *arms)
    assert "one piece" in found.why_not


def test_the_time_to_a_milestone_is_shared_out_up_to_it_alone():
    sample = ExchangeSample(100)
    sample.add(
        {
            "stages": {"a": [1.0, 1.0, 1], "many": [2.0, 8.0, 7], "end": [9.0, 9.0, 1]},
            "milestones": {"middle": 5.0, "complete": 9.5},
            "intended_ns": 0,
            "started_ns": 250_000_000,
        }
    )
    parts = {name: at.tolist() for name, at in milestone_parts(sample, "middle").parts.items()}
    assert parts == {LATE: [0.25], "a": [1.0], "many": [4.0], "end": [0.0], REST: [0.0]}
    parts = {name: at.tolist() for name, at in milestone_parts(sample, "complete").parts.items()}
    assert parts == {LATE: [0.25], "a": [1.0], "many": [7.0], "end": [1.0], REST: [0.5]}
    assert milestone_parts(sample, "never").times.tolist() == []


def test_a_wait_during_which_another_stage_went_on_names_it():
    sample = ExchangeSample(100)
    stages = {"a": [1, 1, 1], "many": [2, 8, 7], "b": [5, 5, 1], "c": [9, 9, 1]}
    sample.add({"stages": stages, "milestones": {"b": 5.0, "c": 9.0}})
    found = milestone_parts(sample, "b")
    parts = {name: at.tolist() for name, at in found.parts.items()}
    assert parts == {LATE: [0.0], "a": [1.0], "many": [1.0], "b": [3.0], "c": [0.0], REST: [0.0]}
    assert found.shared["b"].tolist() == [3.0]
    assert found.beside == {"b": "many"}
    found = milestone_parts(sample, "c")
    parts = {name: at.tolist() for name, at in found.parts.items()}
    assert parts == {LATE: [0.0], "a": [1.0], "many": [4.0], "b": [3.0], "c": [1.0], REST: [0.0]}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abcdef"),
            st.tuples(st.floats(0, 50), st.floats(0, 50), st.integers(1, 9)),
            min_size=1,
        ),
        min_size=1,
        max_size=6,
    ),
    st.floats(0.001, 120),
)
def test_the_parts_of_an_exchange_add_up_to_its_time_and_are_never_negative(
    exchanges: list[dict[str, tuple[float, float, int]]], at: float
):
    sample = ExchangeSample(100)
    for stages in exchanges:
        rows = {name: [a, a + b if n > 1 else a, n] for name, (a, b, n) in stages.items()}
        sample.add({"stages": rows, "milestones": {"m": at}})
    found = milestone_parts(sample, "m")
    assert np.sum(list(found.parts.values()), axis=0) == pytest.approx(found.times)
    assert all((part >= 0).all() for part in found.parts.values())
    assert all((found.shared[name] <= found.parts[name] + 1e-9).all() for name in found.shared)


def test_a_sample_that_is_thinned_keeps_milestones_with_their_stages():
    sample, rng = ExchangeSample(50), random.Random(3)
    for number in range(1000):
        row = exchange(rng, {})
        if number % 3 == 0:
            del row["milestones"]["streaming_ready"]
        sample.add(row)
    for milestone in ("complete", "streaming_ready"):
        shared = milestone_parts(sample, milestone)
        assert 30 <= len(shared.times) <= 100
        assert np.sum(list(shared.parts.values()), axis=0) == pytest.approx(shared.times)
