"""Quantiles and their intervals, against SciPy and by counting how often they cover the truth."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from late_import import LateModule

from soundstage.results.quantiles import (
    interval,
    interval_ranks,
    needed,
    quantile,
    rank,
    rate_interval,
)

stats = LateModule("scipy.stats")


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 20, 71, 72, 100, 367, 368, 1000])
@pytest.mark.parametrize("q", [0.05, 0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_interval_is_that_of_scipy(n, q, level):
    values = np.random.default_rng(n).lognormal(size=n)
    theirs = stats.quantile_test(values, p=q).confidence_interval(level)
    low, high = interval(values, q, level)
    assert low == (-math.inf if math.isnan(theirs.low) else theirs.low)
    assert high == (math.inf if math.isnan(theirs.high) else theirs.high)


@pytest.mark.parametrize("n", [1, 2, 3, 50, 1_000, 99_999, 1_000_000, 8_494_461])
@pytest.mark.parametrize("q", [1e-6, 0.001, 0.25, 0.5, 0.95, 0.9999])
@pytest.mark.parametrize("level", [0.003, 0.5, 0.95, 0.99, 0.99999])
def test_the_ranks_of_an_interval_are_those_of_the_binomial_distribution(n, q, level):
    tail = (1 - level) / 2
    low, high = stats.binom.ppf([tail, 1 - tail], n, q)
    assert interval_ranks(q, n, level) == (low, high + 1)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 19, 20, 21, 100, 999])
@pytest.mark.parametrize("q", [0.01, 0.5, 0.95, 0.99])
def test_the_quantile_is_the_inverse_of_the_empirical_distribution(n, q):
    values = np.random.default_rng(n).permutation(n).astype(float)
    assert quantile(values, q) == np.quantile(values, q, method="inverted_cdf")


def test_a_rank_is_not_led_astray_by_rounding():
    # 0.07 * 100 is 7.000000000000001, whose ceiling is 8.
    assert rank(0.07, 100) == 7
    assert rank(0.95, 20) == 19
    assert rank(0.999999999999, 3) == 3


@pytest.mark.parametrize("q", [0.5, 0.95])
@pytest.mark.parametrize("n", [20, 80, 300])
def test_the_interval_covers_at_least_at_its_level_and_not_by_much_more(q, n):
    level = 0.9
    low, high = interval_ranks(q, n, level)
    rows = np.sort(np.random.default_rng(5).exponential(size=(20_000, n)), axis=1)
    padded = np.pad(rows, ((0, 0), (1, 1)), constant_values=((0, 0), (-math.inf, math.inf)))
    truth = -math.log(1 - q)
    covered = ((padded[:, low] <= truth) & (truth <= padded[:, high])).mean()
    # Exact coverage is P(low <= B < high) of a binomial B; a step of one rank is the slack.
    exact = stats.binom.cdf(high - 1, n, q) - stats.binom.cdf(low - 1, n, q)
    assert covered == pytest.approx(exact, abs=0.01)
    assert exact >= level
    narrower = stats.binom.cdf(high - 2, n, q) - stats.binom.cdf(low, n, q)
    assert narrower < level


def test_the_interval_of_ties_covers_too():
    # A distribution of two points: the true p95 is the upper one.
    rng = np.random.default_rng(9)
    covered = 0
    for _ in range(500):
        low, high = interval(np.where(rng.random(100) < 0.9, 1.0, 2.0), 0.95, 0.95)
        covered += low <= 2.0 <= high
    assert covered >= 0.95 * 500


def test_moments_that_never_came_stay_in():
    values = np.array([1.0, 2.0, 3.0, math.inf, math.inf, math.inf, math.inf, 4.0])
    assert quantile(values, 0.5) == 4.0
    assert quantile(values, 0.95) == math.inf
    low, high = interval(values, 0.5, 0.95)
    assert (low, high) == (1.0, math.inf)


def test_the_values_are_left_as_they_are():
    values = np.array([3.0, 1.0, 2.0])
    quantile(values, 0.5)
    interval(values, 0.5)
    assert values.tolist() == [3.0, 1.0, 2.0]


def test_too_few_values_leave_a_bound_open():
    values = np.arange(5.0)
    assert interval(values, 0.5, 0.95) == (-math.inf, math.inf)
    assert interval(np.arange(60.0), 0.95, 0.95)[1] == math.inf
    assert interval(np.arange(60.0), 0.95, 0.95)[0] > 0


@pytest.mark.parametrize(("q", "least"), [(0.5, 6), (0.95, 72), (0.99, 368), (0.05, 72)])
def test_so_many_values_are_needed_to_bound_a_quantile(q, least):
    assert needed(q, 0.95) == least
    assert np.isfinite(interval(np.arange(float(least)), q, 0.95)).all()
    assert not np.isfinite(interval(np.arange(float(least - 1)), q, 0.95)).all()


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 10), (1, 10), (5, 10), (10, 10), (37, 1000)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_interval_of_a_rate_is_clopper_and_pearsons(k, n, level):
    theirs = stats.binomtest(k, n).proportion_ci(level, method="exact")
    assert rate_interval(k, n, level) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_interval_of_a_rate_covers_at_every_rate():
    n, level = 40, 0.95
    bounds = [rate_interval(k, n, level) for k in range(n + 1)]
    for rate in np.linspace(0.01, 0.99, 50):
        covered = sum(
            stats.binom.pmf(k, n, rate)
            for k, (low, high) in enumerate(bounds)
            if low <= rate <= high
        )
        assert covered >= level - 1e-12


def test_no_trials_say_nothing_about_a_rate():
    assert rate_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: quantile(np.array([]), 0.5),
        lambda: interval(np.array([]), 0.5),
        lambda: quantile(np.array([1.0, math.nan]), 0.5),
        lambda: quantile(np.array([1.0]), 1.0),
        lambda: interval(np.array([1.0]), 0.5, 1.0),
        lambda: rate_interval(3, 2),
        lambda: needed(0.0),
    ],
)
def test_what_has_no_answer_is_refused(call):
    with pytest.raises(ValueError, match=r"values|lies between|trials"):
        call()


def test_a_million_values_take_little_time():
    values = np.random.default_rng(1).lognormal(size=1_000_000)
    began = time.process_time()
    for q in (0.5, 0.95, 0.99):
        quantile(values, q)
        interval(values, q)
    assert time.process_time() - began < 3
