"""Quantiles of times of which some were cut: against published figures, known truth, and bounds."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from soundstage.results import quantiles as exact
from soundstage.results.survival import quantiles

INF = math.inf
#: Weeks in remission under 6-mercaptopurine, of 21 patients (Freireich et al., Blood 21, 1963): a
#: data set on which every survival package is tried.
_ENDED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
_CUT = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]


def test_the_median_and_its_interval_are_the_published_ones() -> None:
    (median,) = quantiles(_ENDED, _CUT, (0.5,))
    assert median.estimated
    assert median.value == 23
    assert median.low == 13
    assert math.isnan(median.high), "fewer than half had relapsed: no upper bound"


def test_without_cut_times_quantiles_are_the_exact_ones() -> None:
    rng = random.Random(4)
    times = [rng.lognormvariate(0, 1) for _ in range(500)] + [INF] * 20
    for found in quantiles(times, [], (0.5, 0.9, 0.99)):
        assert not found.estimated
        assert found.value == exact.quantile(np.array(times), found.order)
        low, high = exact.interval(np.array(times), found.order)
        assert (found.low, found.high) == (low, high)


def test_a_quantile_that_no_cut_time_can_change_is_exact() -> None:
    done = [1.0, 2.0, 3.0, 4.0] * 30
    half, most = quantiles(done, [9.0] * 3, (0.5, 0.99))
    assert (half.value, half.estimated) == (3.0, False)
    assert (most.value, most.estimated) == (INF, True), "what was cut at 9 s may take forever"


def test_what_failed_counts_as_never_and_not_as_cut() -> None:
    failed, cut = ([1.0] * 90 + [INF] * 10, []), ([1.0] * 90, [0.5] * 10)
    assert quantiles(*failed, (0.95,))[0].value == INF
    assert quantiles(*cut, (0.95,))[0].value == 1.0, "they go on as the others did"
    both = quantiles([1.0] * 90 + [INF] * 10, [0.5] * 5, (0.85, 0.95))
    assert [each.value for each in both] == [1.0, INF]


def test_estimates_lie_between_the_best_and_the_worst_case_and_come_near_the_truth() -> None:
    rng = np.random.default_rng(8)
    truth = -math.log(0.5)
    errors, pessimistic, covered = [], [], 0
    for _ in range(100):
        times, limits = rng.exponential(1.0, 400), rng.uniform(0, 2.0, 400)
        known, cut = times[times <= limits], limits[times > limits]
        (found,) = quantiles(known, cut, (0.5,))
        best = exact.quantile(np.concatenate([known, cut]), 0.5)
        worst = exact.quantile(np.concatenate([known, np.full(len(cut), INF)]), 0.5)
        assert found.estimated
        assert best <= found.value <= worst
        errors.append(found.value / truth - 1)
        pessimistic.append(worst / truth - 1)
        covered += found.low <= truth and not found.high < truth
    assert abs(np.mean(errors)) < 0.02
    assert np.median(pessimistic) > 0.3, "counting them as never would have overrated it much"
    assert covered >= 90


def test_of_nothing_but_cut_times_nothing_is_known() -> None:
    (found,) = quantiles([], [1.0, 2.0], (0.5,))
    assert (found.value, found.estimated) == (INF, True)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert quantiles([], [], (0.5,)) == ()


@pytest.mark.parametrize(("known", "cut"), [([math.nan], []), ([1.0], [INF]), ([1.0], [math.nan])])
def test_times_that_are_none_are_refused(known: list[float], cut: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        quantiles(known, cut, (0.5,))
