"""Giving up: only where an objective is really out of reach, and soundly where it is shown."""

from __future__ import annotations

import math
import random

import pytest
from late_import import LateModule

from soundstage.loadtests.run.hopeless import ALPHA, evidence, first, hopeless
from soundstage.results import slo, verdicts
from soundstage.results.objective_tally import ObjectiveTally

integrate = LateModule("scipy.integrate")


def tally(
    text: str, n: int = 0, good: int = 0, unknown: int = 0, events: int = 0
) -> ObjectiveTally:
    (objective,) = slo.resolve([text], {("a", "stream"): ["complete"]})
    return ObjectiveTally(objective, n=n, good=good, unknown=unknown, events=events)


def test_a_count_that_is_exceeded_is_never_undone() -> None:
    assert hopeless(tally("violations<=2", n=5, events=2), 1000) is None
    found = hopeless(tally("violations<=2", n=5, events=3), None)
    assert found is not None
    assert found.missed
    assert "3 violations" in found.reason


@pytest.mark.parametrize("planned", [100, 400, 1000])
@pytest.mark.parametrize("text", ["complete.p95<2s", "error_rate<5%", "complete.p50<1s"])
def test_it_gives_up_as_soon_as_no_pass_is_left_and_not_before(text: str, planned: int) -> None:
    """Everything does badly from the start; the rest of the run then cannot mend it."""
    share = verdicts.required(tally(text).objective.slo)
    needs, _ = verdicts.thresholds(share, planned)
    bad = 0
    while hopeless(tally(text, n=bad), planned, least=1) is None:
        bad += 1
        assert bad <= planned
    certain = planned - needs + 1
    assert bad <= certain
    if bad < certain:  # then by evidence, which has to be strong
        assert evidence(share, bad, 0) >= math.log(1 / ALPHA)
    rest = tally(text, n=planned, good=planned - certain)
    assert verdicts.verdict(rest) != verdicts.PASS


def test_what_may_still_do_well_is_no_reason_to_give_up() -> None:
    assert hopeless(tally("complete.p95<2s", n=100, good=0, unknown=100), 200) is None
    assert hopeless(tally("complete.p95<2s"), 0) is None


def test_an_objective_that_so_few_exchanges_could_never_show_is_not_given_up() -> None:
    assert hopeless(tally("complete.p95<2s", n=3, good=2), 10) is None


def test_a_hiccup_at_the_start_is_no_evidence() -> None:
    assert hopeless(tally("complete.p95<2s", n=50, good=0), 2000) is None
    assert hopeless(tally("complete.p95<2s", n=100, good=50), 2000) is not None


def test_without_a_plan_only_evidence_counts() -> None:
    assert hopeless(tally("complete.p95<2s", n=100, good=92), None) is None
    found = hopeless(tally("complete.p95<2s", n=100, good=70), None)
    assert found is not None
    assert found.missed


def test_the_evidence_is_the_integral_that_it_says_it_is() -> None:
    for share, n, good in ((0.95, 20, 15), (0.5, 9, 1), (0.99, 300, 290)):
        whole, _ = integrate.quad(
            lambda p, q=share, n=n, k=good: (p / q) ** k * ((1 - p) / (1 - q)) ** (n - k),
            0,
            share,
            points=[good / n],
        )
        assert evidence(share, n, good) == pytest.approx(math.log(whole / share), abs=1e-6)


def test_looking_after_every_exchange_seldom_gives_up_what_is_met() -> None:
    """The true share is exactly what is asked for; a look after each of 500 exchanges. The usual
    interval, looked at as often, would have given up several times as often.
    """
    rng = random.Random(8)
    stopped = peeked = 0
    runs = 150
    needed = [verdicts.thresholds(0.9, n) for n in range(501)]
    for _ in range(runs):
        good, by_evidence, by_interval = 0, False, False
        for n in range(1, 501):
            good += rng.random() < 0.9
            by_interval = by_interval or good < needed[n][1]
            if n % 5 == 0:
                by_evidence = by_evidence or evidence(0.9, n, good) >= math.log(1 / ALPHA)
        stopped += by_evidence
        peeked += by_interval
    assert stopped <= 0.03 * runs
    assert peeked > 5 * max(1, stopped)


def test_the_first_that_is_out_of_reach_is_named() -> None:
    fine, lost = tally("complete.p50<9s", n=10, good=10), tally("violations==0", n=10, events=1)
    found = first([fine, lost], {("a", "stream"): 100})
    assert found is not None
    assert found[0] is lost
    assert found[1].slo == "violations==0"
    assert first([fine], None) is None
