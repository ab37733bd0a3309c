"""A change of level is found where it is, and noise is left alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from soundstage.reports.history.changepoints import ALPHA, FEWEST, Floats, changes, detectable


def series(*levels: tuple[int, float], sigma: float = 0.03, seed: int = 1) -> list[float]:
    rng = np.random.default_rng(seed)
    return [math.log(level) + rng.normal(0, sigma) for many, level in levels for _ in range(many)]


def test_a_step_is_found_between_the_runs_that_it_lies_between() -> None:
    (found,) = changes(series((12, 10.0), (8, 13.0)))
    assert found.at == 12
    assert found.ratio == pytest.approx(1.3, rel=0.03)
    assert found.p <= ALPHA


def test_a_slow_down_and_its_repair_are_two_changes() -> None:
    found = changes(series((10, 1.0), (10, 1.5), (10, 1.0)))
    assert [each.at for each in found] == [10, 20]
    assert found[0].ratio > 1.4
    assert found[1].ratio < 0.75


def test_one_bad_run_is_no_change_of_level() -> None:
    logs = series((20, 1.0))
    logs[9] += 1.0
    assert changes(logs) == []


def noise(kind: str, rng: np.random.Generator, n: int) -> Floats:
    """Logs of runs without a change: as they scatter, or as they may."""
    if kind == "heavy tails":
        return 0.1 * rng.standard_t(3, n)
    if kind == "skewed":
        return 0.1 * rng.lognormal(0, 1, n)
    if kind == "two levels":
        return 0.5 * rng.integers(0, 2, n) + rng.normal(0, 0.02, n)
    return rng.normal(0, 0.1, n)


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "skewed", "two levels"])
@pytest.mark.parametrize("many", [8, 9, 10, 11, 12, 20])
def test_noise_alone_cries_wolf_no_more_often_than_it_says(many: int, kind: str) -> None:
    alarms = sum(
        bool(changes(noise(kind, np.random.default_rng((many, seed)), many).tolist()))
        for seed in range(200)
    )
    # Binomial(200, 0.01) exceeds 8 once in 5,000 times.
    assert alarms <= 8


@pytest.mark.parametrize(
    ("before", "after", "scatter", "times", "found"),
    [
        (4, 4, 0.05, 10.0, 50),
        (4, 4, 0.2, 10.0, 50),
        (4, 4, 0.05, 1.2, 35),
        (8, 4, 0.05, 1.2, 35),
        (16, 4, 0.1, 1.5, 42),
    ],
)
def test_a_step_is_found_as_often_as_the_documentation_says(
    before: int, after: int, scatter: float, times: float, found: int
) -> None:
    """At the place where it is, or one run beside it; of 50 series."""
    hits = 0
    for seed in range(50):
        logs = series((before, 1.0), (after, times), sigma=scatter, seed=seed)
        hits += any(abs(each.at - before) <= 1 for each in changes(logs))
    assert hits >= found


@pytest.mark.proof
@pytest.mark.parametrize(("before", "scatter"), [(4, 0.05), (4, 0.2), (8, 0.1), (16, 0.1)])
def test_what_is_said_to_be_detectable_is_found_in_about_four_cases_of_five(
    before: int, scatter: float
) -> None:
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng((7, seed))
        quiet = rng.normal(0, scatter, before + 4)
        least = detectable(quiet.tolist(), ())
        assert least is not None
        # What is said of one series is tried on the next.
        logs = rng.normal(0, scatter, before + 4)
        logs[before:] += math.log(least)
        hits += bool(changes(logs.tolist()))
    assert 60 <= hits <= 97


@pytest.mark.parametrize("many", range(FEWEST))
def test_fewer_than_eight_runs_say_nothing_whatever_they_show(many: int) -> None:
    logs = series((many // 2, 1.0), (many - many // 2, 10.0), sigma=0.001)
    assert changes(logs) == []
    assert detectable(logs, ()) is None


def test_a_tenfold_step_in_four_and_four_runs_is_told() -> None:
    (found,) = changes(series((4, 1.0), (4, 10.0), sigma=0.05))
    assert found.at == 4
    assert found.ratio == pytest.approx(10, rel=0.1)


def test_equal_runs_are_no_change() -> None:
    assert changes([math.log(0.1)] * 9) == []
    assert changes([math.log(0.1)] * 20) == []
    assert [each.at for each in changes([0.0] * 4 + [1.0] * 4)] == [4]


def test_a_change_too_small_to_matter_is_not_shown() -> None:
    assert changes(series((30, 1.0), (30, 1.02), sigma=0.001)) == []


def test_few_runs_say_nothing_and_the_same_runs_say_the_same() -> None:
    assert changes(series((2, 1.0), (3, 9.0))) == []
    logs = series((9, 1.0), (9, 1.2), sigma=0.1)
    assert changes(logs) == changes(logs)
    with pytest.raises(ValueError, match="finite"):
        changes([1.0, math.inf])
