"""A change of level is found where it is, and noise is left alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from soundstage.reports.history.changepoints import ALPHA, changes


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


def test_noise_alone_cries_wolf_no_more_often_than_it_says() -> None:
    alarms = sum(bool(changes(series((20, 1.0), sigma=0.2, seed=seed))) for seed in range(200))
    # Binomial(200, 0.01) exceeds 8 once in 5,000 times.
    assert alarms <= 8


def test_a_change_too_small_to_matter_is_not_shown() -> None:
    assert changes(series((30, 1.0), (30, 1.02), sigma=0.001)) == []


def test_few_runs_say_nothing_and_the_same_runs_say_the_same() -> None:
    assert changes(series((2, 1.0), (3, 9.0))) == []
    logs = series((9, 1.0), (9, 1.2), sigma=0.1)
    assert changes(logs) == changes(logs)
    with pytest.raises(ValueError, match="finite"):
        changes([1.0, math.inf])
