"""The search for a capacity, against queues whose capacity theory knows; in virtual time."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable

import pytest
from queueing import capacity, tail

from soundstage.loadtests.capacity import search_words
from soundstage.loadtests.capacity.search import CapacityFinding, CapacitySearch, SearchLimits
from soundstage.loadtests.capacity.trial_counts import TrialCounts, TrialOutcome

Trial = Callable[[float, int], TrialOutcome]


def counts(n: int, good: int) -> TrialCounts:
    """Independent exchanges of which `good` did well, spread evenly."""
    return TrialCounts(0.95, ((n, good, 0),))


def queue(order: float, bound: float, service: float, slots: int, n: int, seed: int) -> Trial:
    """Trials of `n` measured exchanges on a simulated M/M/c queue that is empty at first."""

    def trial(rate: float, number: int) -> TrialOutcome:
        rng = random.Random(f"{seed}/{number}")
        free = [0.0] * slots
        now, good = 0.0, []
        warm = n // 3
        for arrival in range(warm + n):
            now += rng.expovariate(rate)
            ends = max(now, heapq.heappop(free)) + rng.expovariate(1 / service)
            heapq.heappush(free, ends)
            if arrival >= warm:
                good.append(ends - now < bound)
        return TrialOutcome(rate, (TrialCounts.of(order, good),))

    return trial


def sharp(limit: float) -> Trial:
    """A target without any noise: up to the limit all is well, beyond it nothing."""
    return lambda rate, number: TrialOutcome(rate, (counts(400, 400 if rate <= limit else 0),))


def run(trial: Trial, **limits: float) -> tuple[CapacityFinding, list[float]]:
    found = CapacitySearch(SearchLimits(**limits))  # type: ignore[arg-type]
    rates = []
    while (rate := found.next_trial()) is not None:
        rates.append(rate)
        found.add(trial(rate, len(rates)))
        assert len(rates) < 100
    return found.finding(), rates


def test_the_formula_is_right_where_it_is_known() -> None:
    """M/M/1: T is exponential of rate mu - lambda."""
    assert tail(3.0, 0.5, 1.0, 1) == pytest.approx(math.exp(-1.5))
    assert capacity(0.95, 10.0, 1.0, 1) == pytest.approx(1 - math.log(20) / 10)


@pytest.mark.parametrize("limit", [0.003, 0.3, 1.0, 7.7, 130.0])
def test_without_noise_the_answer_is_within_the_precision(limit: float) -> None:
    finding, rates = run(sharp(limit), precision=0.05, confirm=2)
    assert finding.verdict == "found"
    assert finding.rate is not None
    assert finding.high is not None
    assert finding.rate <= limit < finding.high <= finding.rate * 1.05
    assert finding.low == finding.rate
    assert rates.count(finding.rate) == rates.count(finding.high) == 3, "both are confirmed"


@pytest.mark.parametrize("slots", [1, 4, 16])
@pytest.mark.parametrize("seed", range(4))
def test_the_capacity_of_a_queue_is_found_within_a_tenth(slots: int, seed: int) -> None:
    order, service = 0.95, 1.0
    bound = 2 * -math.log(1 - order) * service
    theory = capacity(order, bound, service, slots)
    trial = queue(order, bound, service, slots, 1000, seed)
    finding, rates = run(trial, first=0.1, precision=0.05, confirm=2)
    assert finding.verdict == "found"
    assert finding.rate == pytest.approx(theory, rel=0.10)
    assert finding.low is not None
    assert finding.high is not None
    assert finding.low <= finding.rate < finding.high
    assert len(rates) < 40


@pytest.mark.parametrize("seed", range(3))
def test_brief_trials_far_below_the_capacity_save_time_and_cost_nothing(seed: int) -> None:
    theory = capacity(0.95, 6.0, 1.0, 4)
    limits = SearchLimits(first=0.2)
    found = CapacitySearch(limits)
    briefs = []
    while (rate := found.next_trial()) is not None:
        brief = found.is_brief(rate)
        many = round(limits.length(rate, brief) * rate)
        briefs.append((rate, many))
        found.add(queue(0.95, 6.0, 1.0, 4, many, seed)(rate, len(briefs)))
    assert found.finding().rate == pytest.approx(theory, rel=0.10)
    assert briefs[:4] == [(0.2, 250), (0.4, 250), (0.8, 250), (1.6, 250)]
    assert [many for _, many in briefs[-4:]] == [1000] * 4, "the answer is confirmed in full"


def test_a_brief_trial_is_never_too_brief() -> None:
    assert SearchLimits(exchanges=1000).length(10.0, brief=True) == 25.0
    assert SearchLimits(exchanges=200).length(10.0, brief=True) == 10.0
    assert SearchLimits(exchanges=40).length(10.0, brief=True) == 4.0
    assert SearchLimits(exchanges=40, seconds=60.0).length(10.0, brief=True) == 60.0


def test_a_lucky_trial_does_not_decide() -> None:
    """The first trial at 16/s passes by luck; the limit is 10/s."""
    seen: set[float] = set()

    def lucky(rate: float, number: int) -> TrialOutcome:
        good = rate <= 10 or (rate == 16 and rate not in seen)
        seen.add(rate)
        return TrialOutcome(rate, (counts(400, 400 if good else 0),))

    finding, rates = run(lucky)
    assert rates.count(16) >= 2
    assert finding.rate is not None
    assert 9.5 < finding.rate <= 10


def test_an_unlucky_trial_does_not_decide_either() -> None:
    """The first trial at 8/s fails by bad luck (365 of 400 for p95); the limit is 10/s."""
    seen: set[float] = set()

    def unlucky(rate: float, number: int) -> TrialOutcome:
        bad = 400 if rate > 10 else 35 if rate == 8 and rate not in seen else 0
        seen.add(rate)
        return TrialOutcome(rate, (counts(400, 400 - bad),))

    assert unlucky(8, 0).counts[0].verdict == "fail"
    seen.clear()
    finding, rates = run(unlucky)
    assert rates.count(8) == 3
    assert finding.rate is not None
    assert 9.5 < finding.rate <= 10


@pytest.mark.parametrize("seed", range(4))
def test_a_machine_with_hiccups_does_not_decide_either(seed: int) -> None:
    """In one of ten trials an eighth of the exchanges is slow, whatever the rate."""
    theory = capacity(0.95, 6.0, 1.0, 4)
    trial = queue(0.95, 6.0, 1.0, 4, 1000, seed)

    def disturbed(rate: float, number: int) -> TrialOutcome:
        outcome = trial(rate, number)
        if random.Random(f"hiccup/{seed}/{number}").random() > 0.1:
            return outcome
        size, _, _ = outcome.counts[0].batches[0]
        return TrialOutcome(
            rate, (TrialCounts(0.95, ((size, 0, 0), *outcome.counts[0].batches[1:])),)
        )

    finding, rates = run(disturbed, first=0.64)
    assert finding.rate == pytest.approx(theory, rel=0.10)
    assert len(rates) < 40


def test_counts_that_cannot_tell_are_taken_together() -> None:
    few = counts(60, 60)
    assert few.verdict == "inconclusive"
    assert (few + few).verdict == "pass"
    finding, rates = run(
        lambda rate, _: TrialOutcome(rate, (counts(60, 60 if rate <= 6 else 30),)), confirm=2
    )
    assert finding.verdict == "found"
    assert finding.low == finding.rate
    assert rates.count(1.0) == 2


def test_exchanges_that_depend_on_each_other_tell_less_than_independent_ones() -> None:
    rng = random.Random(1)
    apart = [rng.random() < 0.93 for _ in range(800)]
    bunched = sorted(apart)  # all that did badly came after one another
    assert TrialCounts.of(0.95, apart).design_effect < 2.5
    assert TrialCounts.of(0.95, bunched).design_effect > 20
    assert TrialCounts.of(0.9, apart).verdict == "pass"
    assert TrialCounts.of(0.9, bunched).verdict == "inconclusive"


def test_what_is_unknown_counts_against_a_pass_and_against_a_fail() -> None:
    assert TrialCounts.of(0.95, [True] * 200).verdict == "pass"
    assert TrialCounts.of(0.95, ([True] * 19 + [None]) * 10).verdict == "inconclusive"
    assert TrialCounts.of(0.95, [None] * 200).verdict == "inconclusive"
    assert TrialCounts.of(0.95, []).verdict == "inconclusive"


def test_a_target_that_misses_at_any_rate_has_no_capacity() -> None:
    finding, rates = run(sharp(0.0))
    assert (finding.verdict, finding.rate, finding.low) == ("none", None, None)
    assert finding.high == min(rates)
    assert len(rates) < 40
    assert "missed even at" in (finding.reason or "")


def test_a_rate_that_must_not_be_exceeded_is_not() -> None:
    finding, rates = run(sharp(1000.0), most=20.0)
    assert (finding.verdict, finding.rate) == ("at_least", 20.0)
    assert max(rates) == 20.0
    assert rates.count(20.0) == 3
    assert "20/s" in (finding.reason or "")


def test_where_the_generator_gives_out_the_target_is_not_blamed() -> None:
    def weak(rate: float, number: int) -> TrialOutcome:
        if rate > 30:
            return TrialOutcome(rate, invalid="the load generator was saturated")
        return sharp(100.0)(rate, number)

    finding, rates = run(weak)
    assert finding.verdict == "at_least"
    assert finding.rate is not None
    assert 25 < finding.rate <= 30
    assert finding.high is None
    assert "saturated" in (finding.reason or "")
    assert len(rates) < 40


def test_a_generator_that_gives_out_for_a_moment_is_asked_again() -> None:
    seen: set[float] = set()

    def hiccup(rate: float, number: int) -> TrialOutcome:
        if rate not in seen:
            seen.add(rate)
            return TrialOutcome(rate, invalid="the load generator was saturated")
        return sharp(10.0)(rate, number)

    finding, _ = run(hiccup)
    assert (finding.verdict, finding.reason) == ("found", None)
    assert finding.rate is not None
    assert 9.5 < finding.rate <= 10


def test_a_generator_that_gives_out_between_a_pass_and_a_miss_widens_the_bracket() -> None:
    def weak(rate: float, number: int) -> TrialOutcome:
        if 8.5 < rate < 14:
            return TrialOutcome(rate, invalid="the load generator was saturated")
        return sharp(10.0)(rate, number)

    finding, rates = run(weak)
    assert (finding.verdict, finding.reason) == ("found", "the load generator was saturated")
    assert finding.rate is not None
    assert 8 <= finding.rate <= 8.5
    assert finding.high is not None
    assert finding.high > 14
    assert len(rates) < 40


def test_a_generator_that_cannot_even_begin_finds_nothing() -> None:
    finding, rates = run(lambda rate, _: TrialOutcome(rate, invalid="saturated"))
    assert (finding.verdict, finding.rate) == ("unfinished", None)
    assert rates == [1.0] * 3


def test_a_search_that_is_stopped_keeps_what_is_known() -> None:
    found = CapacitySearch(SearchLimits(first=1.0))
    for _ in range(3):
        rate = found.next_trial()
        assert rate is not None
        found.add(sharp(100.0)(rate, 0))
    finding = found.finding()
    assert (finding.verdict, finding.rate, finding.low) == ("unfinished", 4.0, 4.0)


def test_noise_without_end_comes_to_an_end() -> None:
    rng = random.Random(3)
    finding, rates = run(
        lambda rate, _: TrialOutcome(rate, (counts(100, rng.choice([100, 95, 0])),))
    )
    assert len(rates) <= 60
    assert finding.verdict in ("found", "none", "unfinished")


def test_the_estimate_is_what_a_search_takes() -> None:
    limits = SearchLimits(first=1.0, exchanges=100, seconds=10.0, warmup_s=2.0)
    trials, requests, seconds = search_words.estimate(limits, 10.0)
    _, rates = run(sharp(10.0), first=1.0)
    assert trials == len(rates)
    assert seconds == pytest.approx(sum(2 + max(10, 100 / rate) for rate in rates))
    assert requests == pytest.approx(sum(rate * (2 + max(10, 100 / rate)) for rate in rates))


def test_progress_says_what_is_known_of_the_capacity() -> None:
    found = CapacitySearch(SearchLimits(first=1.0))
    said = []
    for _ in range(5):
        rate = found.next_trial()
        assert rate is not None
        outcome = sharp(5.0)(rate, 0)
        found.add(outcome)
        row = {"rate": rate, "verdict": outcome.counts[0].verdict, "reason": None}
        said.append(search_words.so_far(row, found))
    assert said[0] == "1/s pass, more than 1/s"
    assert said[3] == "8/s fail, between 4 and 8/s"
    assert said[4] == "5.657/s fail, between 4 and 5.657/s"


def test_trials_in_which_queues_cannot_fill_are_said_to_be_short() -> None:
    assert "--exchanges 400 or more" in (search_words.too_short(SearchLimits(exchanges=60)) or "")
    assert search_words.too_short(SearchLimits()) is None
