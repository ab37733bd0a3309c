"""Schedules of arrivals are what they say, whatever the target does."""

from __future__ import annotations

import math
from itertools import islice, pairwise

import pytest

from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.schedule.arrivals import (
    PROCESSES,
    Phase,
    constant,
    poisson,
    schedule,
    share,
)

_PHASES: dict[str, list[Phase]] = {
    "steady": arrivals.steady(20.0, 30.0),
    "ramp up": arrivals.ramp(0.0, 40.0, 30.0),
    "ramp down": arrivals.ramp(40.0, 0.0, 30.0),
    "steps": arrivals.steps([5.0, 0.0, 40.0], 10.0),
    "spike": arrivals.spike(5.0, 80.0, 10.0, 5.0, 15.0),
    "soak": arrivals.soak(20.0, 3.0, 30.0),
    "replay": arrivals.replay([3.0, 1.0, 1.0, 29.0]),
    "chained": [
        *arrivals.steady(10.0, 7.0),
        *arrivals.replay([0.0, 0.5, 3.0]),
        *arrivals.ramp(10.0, 50.0, 20.0),
    ],
}


def _distance(sample: list[float]) -> float:
    """Kolmogorov's distance of a sample from the uniform distribution on [0, 1]."""
    n = len(sample)
    ordered = enumerate(sorted(sample))
    return max(max((i + 1) / n - value, value - i / n) for i, value in ordered)


def _critical(n: int) -> float:
    """Kolmogorov's bound at 0.1%."""
    return 1.95 / math.sqrt(n)


def test_constant_arrivals_are_exactly_evenly_spaced_and_do_not_drift() -> None:
    moments = list(constant(rate=7.0, duration=100.0))
    assert moments == [n / 7.0 for n in range(700)]


def test_constant_arrivals_stop_before_the_duration_is_over() -> None:
    assert list(constant(2.0, 1.0)) == [0.0, 0.5]
    assert list(constant(2.0, 0.0)) == []
    assert len(list(constant(0.1, 30.0))) == 3, "0.1 * 30 is a little more than 3"


def test_an_infinite_schedule_goes_on_until_nobody_asks() -> None:
    for kind in PROCESSES:
        moments = list(islice(schedule(arrivals.steady(10.0, math.inf), kind), 1000))
        assert len(moments) == 1000
        assert 80 < moments[-1] < 120


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", _PHASES)
def test_moments_never_fall_and_lie_within_the_phases(name: str, process: str) -> None:
    phases = _PHASES[name]
    moments = list(schedule(phases, process, seed=3))
    assert moments
    assert moments == sorted(moments)
    assert all(0 <= moment < arrivals.length(phases) for moment in moments)


@pytest.mark.parametrize("name", _PHASES)
def test_constant_arrivals_are_as_many_as_the_integral_of_the_rate(name: str) -> None:
    phases = _PHASES[name]
    many = len(list(schedule(phases, "constant")))
    assert abs(many - arrivals.expected(phases)) <= 1


def test_constant_arrivals_go_on_evenly_where_the_rate_changes() -> None:
    moments = list(schedule(arrivals.steps([1.0, 2.0], 2.5), "constant"))
    assert moments == pytest.approx([0.0, 1.0, 2.0, 2.75, 3.25, 3.75, 4.25, 4.75])


def test_constant_arrivals_on_a_ramp_come_where_its_integral_is_whole() -> None:
    moments = list(schedule(arrivals.ramp(0.0, 10.0, 10.0), "constant"))
    assert moments == pytest.approx([math.sqrt(2 * n) for n in range(50)])
    falling = list(schedule(arrivals.ramp(10.0, 0.0, 10.0), "constant"))
    assert [10 - moment for moment in falling] == pytest.approx(
        [math.sqrt(2 * (50 - n)) for n in range(50)]
    )


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    assert list(poisson(5.0, 60.0, seed=1)) == list(poisson(5.0, 60.0, seed=1))
    assert list(poisson(5.0, 60.0, seed=1)) != list(poisson(5.0, 60.0, seed=2))


def test_poisson_arrivals_have_the_rate_and_exponential_gaps() -> None:
    rate, duration = 50.0, 200.0
    moments = list(poisson(rate, duration, seed=11))
    expected = rate * duration
    assert abs(len(moments) - expected) < 4 * math.sqrt(expected)
    gaps = [b - a for a, b in pairwise([0.0, *moments])]
    assert _distance([1 - math.exp(-rate * gap) for gap in gaps]) < _critical(len(gaps))


def test_the_dispersion_of_poisson_counts_is_one() -> None:
    moments = list(poisson(20.0, 500.0, seed=4))
    counts = [0] * 500
    for moment in moments:
        counts[int(moment)] += 1
    mean = sum(counts) / 500
    variance = sum((count - mean) ** 2 for count in counts) / 499
    assert 0.75 < variance / mean < 1.25


@pytest.mark.parametrize("name", ["ramp up", "ramp down", "steps", "spike", "soak"])
def test_poisson_arrivals_follow_the_rate_as_it_changes(name: str) -> None:
    """Given their number, the moments are a sample of the rate as a density; and time measured in
    expected arrivals (the integral of the rate) makes their gaps exponential with mean 1.
    """
    phases = _PHASES[name]
    whole = arrivals.expected(phases)

    def integral(moment: float) -> float:
        passed = 0.0
        for phase in phases:
            assert isinstance(phase, arrivals.Piece)
            inside = min(max(moment, 0.0), phase.seconds)
            slope = (phase.end - phase.start) / phase.seconds
            passed += inside * (phase.start + phase.start + slope * inside) / 2
            moment -= phase.seconds
        return passed

    for seed in (1, 2):
        levels = [integral(moment) for moment in schedule(phases, "poisson", seed)]
        assert abs(len(levels) - whole) < 4 * math.sqrt(whole)
        assert _distance([level / whole for level in levels]) < _critical(len(levels))
        gaps = [b - a for a, b in pairwise([0.0, *levels])]
        assert _distance([1 - math.exp(-gap) for gap in gaps]) < _critical(len(gaps))


def test_a_replay_gives_the_recorded_moments_at_its_pace() -> None:
    recorded = [0.0, 0.25, 0.25, 4.0]
    assert list(schedule(arrivals.replay(recorded))) == recorded
    assert list(schedule(arrivals.replay(recorded, pace=2.0))) == [0.0, 0.125, 0.125, 2.0]
    later = [*arrivals.steady(1.0, 3.0), *arrivals.replay(recorded)]
    assert list(schedule(later, "constant"))[3:] == [3.0, 3.25, 3.25, 7.0]


def test_the_rate_that_is_asked_for_is_known_at_any_moment() -> None:
    phases = [*arrivals.ramp(0.0, 10.0, 10.0), *arrivals.replay([0.0, 5.0]), *_PHASES["steady"]]
    assert arrivals.rate_at(phases, 5.0) == pytest.approx(5.0)
    assert arrivals.rate_at(phases, 12.0) is None
    assert arrivals.rate_at(phases, 20.0) == 20.0
    assert arrivals.rate_at(phases, 1000.0) is None


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_what_workers_take_of_a_schedule_is_together_the_whole_of_it(workers: int) -> None:
    phases = _PHASES["chained"]
    whole = list(enumerate(schedule(phases, "poisson", 5)))
    parts = [list(share(schedule(phases, "poisson", 5), k, workers)) for k in range(workers)]
    assert sorted(pair for part in parts for pair in part) == whole
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_there_is_no_worker_beyond_the_last() -> None:
    with pytest.raises(ValueError, match="no worker 2 among 2"):
        share(constant(1.0), 2, 2)
