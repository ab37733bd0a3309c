"""Schedules of arrivals are what they say, whatever the target does."""

from __future__ import annotations

import math
from itertools import islice, pairwise

import pytest

from soundstage.loadtests.arrivals import SCHEDULES, constant, poisson, schedule


def test_constant_arrivals_are_exactly_evenly_spaced_and_do_not_drift() -> None:
    moments = list(constant(rate=7.0, duration=100.0))
    assert moments == [n / 7.0 for n in range(700)]


def test_constant_arrivals_stop_before_the_duration_is_over() -> None:
    assert list(constant(2.0, 1.0)) == [0.0, 0.5]
    assert list(constant(2.0, 0.0)) == []


def test_an_infinite_schedule_goes_on_until_nobody_asks() -> None:
    for kind in SCHEDULES:
        assert len(list(islice(schedule(kind, 10.0), 1000))) == 1000


@pytest.mark.parametrize("kind", SCHEDULES)
def test_moments_never_fall_and_lie_within_the_duration(kind: str) -> None:
    moments = list(schedule(kind, 20.0, 30.0, seed=3))
    assert moments == sorted(moments)
    assert all(0 <= moment < 30.0 for moment in moments)


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    assert list(poisson(5.0, 60.0, seed=1)) == list(poisson(5.0, 60.0, seed=1))
    assert list(poisson(5.0, 60.0, seed=1)) != list(poisson(5.0, 60.0, seed=2))


def test_poisson_arrivals_have_the_rate_and_exponential_gaps() -> None:
    rate, duration = 50.0, 200.0
    moments = list(poisson(rate, duration, seed=11))
    expected = rate * duration
    assert abs(len(moments) - expected) < 4 * math.sqrt(expected)
    gaps = sorted(b - a for a, b in pairwise([0.0, *moments]))
    # Kolmogorov-Smirnov against 1 - exp(-rate x); 1.95 / sqrt(n) is the bound at 0.1%.
    n = len(gaps)
    distance = max(
        max((i + 1) / n - cdf, cdf - i / n)
        for i, cdf in enumerate(1 - math.exp(-rate * gap) for gap in gaps)
    )
    assert distance < 1.95 / math.sqrt(n)


def test_the_dispersion_of_poisson_counts_is_one() -> None:
    moments = list(poisson(20.0, 500.0, seed=4))
    counts = [0] * 500
    for moment in moments:
        counts[int(moment)] += 1
    mean = sum(counts) / 500
    variance = sum((count - mean) ** 2 for count in counts) / 499
    assert 0.75 < variance / mean < 1.25
