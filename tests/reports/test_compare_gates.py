"""The statistics of a comparison: they find what is there, stay silent on noise, and say how much
more they need.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from late_import import LateModule

from soundstage.errors import UsageError
from soundstage.reports.decision import interval
from soundstage.reports.decision.arms import EndpointSeries
from soundstage.reports.decision.gate_outcomes import GateOutcome, judge
from soundstage.reports.decision.gates import Gate, Pairing, Rules, default_gates, named_gates
from soundstage.reports.decision.interval import Interval, Noise
from soundstage.results.milestone_names import MilestoneNames

stats = LateModule("scipy.stats")

ALPHA = 0.05
PAIRING = Pairing("v6", "stream", ("complete", "first_chunk"))
PLACE = ("v6", "stream")


def series(times: np.ndarray, errors: int = 0) -> EndpointSeries:
    n = len(times)
    return EndpointSeries(
        n, {"complete": np.sort(times)}, {"ok": n - errors, "timeout": errors}, {}
    )


def outcomes(
    base: list[np.ndarray],
    candidate: list[np.ndarray],
    orders: tuple[float, ...] = (0.5,),
    **rules: object,
) -> list[GateOutcome]:
    gates = [Gate(PAIRING, "complete", order) for order in orders]
    arms = [{PLACE: [series(times) for times in arm]} for arm in (base, candidate)]
    return judge(gates, arms[0], arms[1], Rules(**rules))  # type: ignore[arg-type]


def pairs(
    rng: np.random.Generator,
    number: int,
    *,
    sigma: float,
    n: int,
    shift: float = 0.0,
    run_noise: float = 0.0,
    runs: int = 1,
) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Comparisons of lognormal times; `run_noise`: standard deviation of a run's log median."""

    def arm(slower: float) -> list[np.ndarray]:
        return [
            rng.lognormal(math.log1p(slower) + rng.normal(0, run_noise), sigma, n)
            for _ in range(runs)
        ]

    return [(arm(0.0), arm(shift)) for _ in range(number)]


def verdicts(found: list[list[GateOutcome]]) -> dict[str, int]:
    """How many comparisons fail (any gate), pass (all gates), or cannot tell."""
    said = [{each.verdict for each in one} for one in found]
    return {
        "fail": sum("fail" in one for one in said),
        "pass": sum(one == {"pass"} for one in said),
        "inconclusive": sum("inconclusive" in one and "fail" not in one for one in said),
    }


@pytest.mark.parametrize(
    ("sigma", "n", "run_noise"),
    [(0.3, 1000, 0.0), (0.5, 300, 0.0), (0.5, 1000, 0.03), (0.3, 5000, 0.03)],
)
def test_of_200_comparisons_of_the_same_thing_at_most_alpha_fail(sigma, n, run_noise):
    rng = np.random.default_rng(11)
    made = pairs(rng, 200, sigma=sigma, n=n, run_noise=run_noise)
    said = verdicts([outcomes(a, b, (0.5, 0.95, 0.99)) for a, b in made])
    assert said["fail"] <= ALPHA * 200


def test_point_estimates_would_have_cried_wolf_on_the_same_data():
    """What the interval is for."""
    rng = np.random.default_rng(11)
    made = pairs(rng, 200, sigma=0.5, n=300)
    gate = [outcomes(a, b, (0.95,)) for a, b in made]
    wolf = sum(one[0].change.value > 1.10 for one in gate)
    assert wolf > 20
    assert verdicts(gate)["fail"] == 0


def test_a_fifth_slower_at_the_median_fails_in_at_least_80_of_100():
    rng = np.random.default_rng(12)
    made = pairs(rng, 100, sigma=0.3, n=1000, shift=0.20)
    found = [outcomes(a, b, (0.5, 0.9, 0.95)) for a, b in made]
    assert sum(one[0].verdict == "fail" for one in found) >= 80


def test_a_change_at_the_margin_itself_fails_in_at_most_alpha():
    """The worst case of a false alarm: exactly as slow as is allowed."""
    rng = np.random.default_rng(13)
    made = pairs(rng, 400, sigma=0.3, n=1000, shift=0.10)
    said = verdicts([outcomes(a, b, (0.5, 0.95, 0.99)) for a, b in made])
    assert said["fail"] <= ALPHA * 400
    assert said["pass"] <= ALPHA * 400


def test_the_interval_of_the_ratio_covers_it():
    rng = np.random.default_rng(14)
    level = 0.9
    for q in (0.5, 0.95):
        covered = 0
        for (one,), (other,) in pairs(rng, 400, sigma=0.5, n=200, shift=0.25):
            _, low, high = interval.of_samples(np.sort(one), np.sort(other), q, level)
            covered += low <= math.log(1.25) <= high
        assert covered / 400 >= level - 0.02


def test_five_pairs_of_runs_find_what_the_noise_between_runs_hides_from_one():
    rng = np.random.default_rng(15)
    how = {"sigma": 0.3, "n": 1000, "run_noise": 0.03}
    same = pairs(rng, 200, runs=5, **how)
    slow = pairs(rng, 100, runs=5, shift=0.3, **how)
    for paired in (True, False):
        quiet = [outcomes(a, b, (0.5, 0.95), paired=paired) for a, b in same]
        assert verdicts(quiet)["fail"] <= ALPHA * 200
        assert verdicts(quiet)["pass"] > 100
        found = [outcomes(a, b, (0.5, 0.95), paired=paired) for a, b in slow]
        assert verdicts(found)["fail"] > 90
    assert {each.method for each in quiet[0]} == {"runs"}


def test_the_interval_over_runs_covers_whatever_the_noise_between_them():
    rng = np.random.default_rng(16)
    level = 0.9
    covered = 0
    made = pairs(rng, 300, sigma=0.3, n=300, run_noise=0.1, runs=6, shift=0.2)
    for a, b in made:
        ordered = [[np.sort(run) for run in arm] for arm in (a, b)]
        _, low, high = interval.of_runs(ordered[0], ordered[1], 0.5, level, paired=True)
        covered += low <= math.log(1.2) <= high
    assert covered / 300 >= level - 0.04


def test_two_pairs_that_agree_are_not_less_believed_than_one():
    rng = np.random.default_rng(17)
    ((a, b),) = pairs(rng, 1, sigma=0.3, n=1000, shift=0.5, run_noise=0.01, runs=2)
    assert outcomes(a[:1], b[:1])[0].verdict == "fail"
    two = outcomes(a, b, paired=True)[0]
    assert (two.verdict, two.method) == ("fail", "pairs")


def test_one_run_against_several_is_judged_by_the_spread_of_those():
    rng = np.random.default_rng(18)
    ((a, b),) = pairs(rng, 1, sigma=0.3, n=1000, shift=0.5, run_noise=0.02, runs=5)
    one = outcomes(a, b[:1])[0]
    assert (one.verdict, one.method) == ("fail", "runs")


def test_a_measured_noise_between_runs_widens_the_interval_of_single_runs():
    rng = np.random.default_rng(19)
    ((a, b),) = pairs(rng, 1, sigma=0.3, n=5000, shift=0.16)
    assert outcomes(a, b)[0].verdict == "fail"
    noise = {"v6.stream.complete.p50": Noise(0.05, 9)}
    calm = outcomes(a, b, noise=noise)[0]
    assert calm.verdict == "inconclusive"
    assert calm.need is not None
    assert calm.need.count is None
    assert "repeat the runs" in calm.need.text


def test_what_never_came_stays_in():
    base = np.full(1000, 1.0) + np.linspace(0, 0.1, 1000)
    lost = base.copy()
    lost[:100] = math.inf
    p50, p95 = outcomes([base], [lost], (0.5, 0.95))
    assert p50.verdict == "pass"
    assert (p95.verdict, p95.candidate.value) == ("fail", math.inf)
    back = outcomes([lost], [base], (0.5, 0.95))[1]
    assert back.verdict == "pass"
    assert back.faster
    both = outcomes([lost], [lost.copy()], (0.5, 0.95))[1]
    assert both.verdict == "inconclusive"
    assert math.isnan(both.change.value)


def test_runs_that_never_got_there_fail_where_every_pair_says_so():
    rng = np.random.default_rng(20)
    base = [rng.lognormal(0, 0.3, 500) for _ in range(3)]
    lost = [np.where(rng.random(500) < 0.2, math.inf, run) for run in base]
    assert outcomes(base, lost, (0.95,), paired=True)[0].verdict == "fail"
    assert outcomes(base, [*lost[:2], base[2] * 1.01], (0.95,), paired=True)[0].verdict != "fail"


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("q", [0.5, 0.95])
def test_so_many_more_exchanges_do_decide_and_half_as_many_do_not(shift, q):
    """If all that come are like those that came: samples without chance, of two sizes."""

    def even(n: int, slower: float = 0.0) -> np.ndarray:
        return np.exp(0.5 * stats.norm.ppf((np.arange(n) + 0.5) / n)) * (1 + slower)

    def judged(n: int) -> GateOutcome:
        return outcomes([even(n)], [even(n, shift)], (q,))[0]

    found = judged(100)
    assert found.verdict == "inconclusive"
    assert found.need is not None
    assert found.need.count is not None
    enough = 100 + found.need.count
    assert judged(round(enough * 1.1)).verdict == ("fail" if shift > 0.1 else "pass")
    assert judged(enough // 2).verdict == "inconclusive"


def test_a_few_exchanges_are_told_how_many_bound_the_quantile():
    rng = np.random.default_rng(22)
    found = outcomes([rng.lognormal(0, 0.01, 40)], [rng.lognormal(0, 0.01, 40)], (0.95,))[0]
    assert found.verdict == "inconclusive"
    assert found.need is not None
    assert found.need.count is not None
    assert 72 <= 40 + found.need.count <= 100


def test_runs_too_short_for_their_quantile_are_told_so():
    rng = np.random.default_rng(23)
    runs = [rng.lognormal(0, 0.1, 30) for _ in range(6)]
    found = outcomes(runs[:3], runs[3:], (0.99,), paired=True)[0]
    assert found.verdict == "inconclusive"
    assert found.need is not None
    assert "each run needs" in found.need.text


def test_a_rate_fails_only_if_it_surely_rose_by_more_than_its_margin():
    gate = Gate(PAIRING, "error_rate", None, guard=True)
    named = Gate(PAIRING, "error_rate", None)
    times = np.ones(1000)

    def said(which: Gate, before: int, after: int, n: int = 1000) -> GateOutcome:
        arms = [{PLACE: [series(times[:n], errors)]} for errors in (before, after)]
        return judge([which], arms[0], arms[1], Rules())[0]

    assert said(gate, 5, 60).verdict == "fail"
    assert said(gate, 0, 0).verdict == "pass"
    assert said(gate, 0, 1, n=50).verdict == "pass"
    shy = said(named, 0, 1, n=50)
    assert shy.verdict == "inconclusive"
    assert shy.need is not None
    assert shy.need.count
    assert said(named, 5, 5, n=1000).verdict == "pass"


def test_errors_in_a_burst_of_one_run_do_not_fail_the_others():
    gate = Gate(PAIRING, "error_rate", None, guard=True)
    times = np.ones(500)
    base = {PLACE: [series(times, errors) for errors in (0, 1, 0, 2)]}
    burst = {PLACE: [series(times, errors) for errors in (1, 90, 0, 1)]}
    steady = {PLACE: [series(times, errors) for errors in (35, 44, 39, 41)]}
    assert judge([gate], base, burst, Rules(paired=True))[0].verdict == "pass"
    assert judge([gate], base, steady, Rules(paired=True))[0].verdict == "fail"


def test_each_of_k_gates_is_held_at_its_share_of_alpha():
    found = outcomes([np.ones(100)], [np.ones(100)], (0.5, 0.9, 0.95, 0.99))
    assert {each.level for each in found} == {1 - ALPHA / 4}


def test_gates_by_default_are_of_the_headline_milestones_and_a_guard():
    names = MilestoneNames(("streaming_ready", "complete"))
    v6 = Pairing("v6", "stream", ("audio", "complete", "streaming_ready"), names)
    v5 = Pairing("v5", "stream", ("audio", "complete"))
    sync = Pairing("v5", "sync", ("complete",), names)
    assert [gate.name for gate in default_gates([v6, v5, sync])] == [
        "v6.stream.streaming_ready.p50",
        "v6.stream.streaming_ready.p95",
        "v6.stream.complete.p50",
        "v6.stream.complete.p95",
        "v6.stream.error_rate",
        "v5.stream.audio.p50",
        "v5.stream.audio.p95",
        "v5.stream.complete.p50",
        "v5.stream.complete.p95",
        "v5.stream.error_rate",
        "v5.sync.complete.p50",
        "v5.sync.complete.p95",
        "v5.sync.error_rate",
    ]


def test_a_gate_without_version_or_endpoint_means_all_that_have_the_milestone():
    two = [Pairing(api, "stream", ("complete",)) for api in ("1.0", "2.0")]
    assert [g.name for g in named_gates(["complete.p99.9"], two) if not g.guard] == [
        "1.0.stream.complete.p99.9",
        "2.0.stream.complete.p99.9",
    ]
    (only,) = (g for g in named_gates(["2.0.complete.p50"], two) if not g.guard)
    assert (only.pairing.api, only.order) == ("2.0", 0.5)
    rates = named_gates(["stream.timeout_rate", "1.0.error_rate"], two)
    assert [(g.name, g.guard) for g in rates] == [
        ("1.0.stream.timeout_rate", False),
        ("2.0.stream.timeout_rate", False),
        ("1.0.stream.error_rate", False),
        ("2.0.stream.error_rate", True),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "v6.stream.compleet.p50",
        "complete",
        "complete.p0",
        "complete.p100",
        "v7.complete.p50",
        "x" * 999,
    ],
)
def test_a_misspelt_gate_is_refused_with_what_there_is(text):
    with pytest.raises(UsageError, match=r"complete") as refused:
        named_gates([text], [PAIRING])
    assert len(str(refused.value)) < 600


def test_a_misspelt_gate_is_told_the_nearest():
    with pytest.raises(UsageError, match=r"did you mean v6\.stream\.complete\.p50\?"):
        named_gates(["v6.stream.compleet.p50"], [PAIRING])


def test_the_ratio_of_hodges_and_lehmann_is_the_shift_and_mann_whitney_sees_it():
    rng = np.random.default_rng(24)
    one, other = (
        np.sort(rng.lognormal(0, 0.4, 800)),
        np.sort(rng.lognormal(math.log(1.3), 0.4, 900)),
    )
    moved, p = interval.shift(one, other)
    assert moved == pytest.approx(1.3, rel=0.06)
    assert p < 1e-6
    lost = np.sort(np.where(rng.random(800) < 0.7, math.inf, one))
    assert interval.shift(one, lost)[0] == math.inf
    assert interval.shift(lost, lost)[0] == 1.0


@pytest.mark.parametrize("digits", [6, 1, 0], ids=["no ties", "ties", "many ties"])
@pytest.mark.parametrize(("n", "m", "apart"), [(1, 1, 0.0), (50, 30, 0.3), (1000, 900, 0.1)])
def test_mann_whitney_is_that_of_scipy(n, m, apart, digits):
    rng = np.random.default_rng(3)
    one, other = (
        np.sort(np.round(rng.lognormal(middle, 0.5, size), digits))
        for middle, size in ((1, n), (1 + apart, m))
    )
    theirs = stats.mannwhitneyu(one, other, method="asymptotic").pvalue
    assert interval.mann_whitney(one, other) == pytest.approx(theirs, rel=1e-9)
    assert interval.mann_whitney(one, one) == 1.0


def test_mover_is_what_zou_and_donner_wrote():
    d, low, high = interval.mover(Interval(2.0, 1.8, 2.5), Interval(3.0, 2.6, 3.3))
    assert d == pytest.approx(math.log(1.5))
    assert low == pytest.approx(
        d - math.hypot(math.log(3) - math.log(2.6), math.log(2.5) - math.log(2))
    )
    assert high == pytest.approx(
        d + math.hypot(math.log(3.3) - math.log(3), math.log(2) - math.log(1.8))
    )


def listened(songs: int, gapped: int) -> EndpointSeries:
    times = np.ones(songs)
    return EndpointSeries(
        songs, {"complete": times}, {"ok": songs}, {}, listened=songs, gapped=gapped
    )


def test_continuity_is_a_gate_and_a_guard_where_both_arms_were_listened_to():
    heard = Pairing("v6", "stream", ("complete",), heard=True)
    assert [gate.name for gate in default_gates([heard])][-1] == "v6.stream.gap_rate"
    assert default_gates([heard])[-1].guard
    (named, _, *rest) = named_gates(["continuity"], [heard])
    assert (named.name, named.guard) == ("v6.stream.gap_rate", False)
    assert not [gate for gate in rest if gate.what == "gap_rate"]
    for gapped, verdict in ((40, "fail"), (0, "pass")):
        arms = [{PLACE: [listened(200, each)]} for each in (0, gapped)]
        (found,) = judge([named], arms[0], arms[1], Rules(rate_margin=0.05))
        assert (found.verdict, found.n_candidate) == (verdict, 200)
        assert found.candidate.value == gapped / 200


def test_continuity_is_no_gate_where_nobody_listened():
    assert all(gate.what != "gap_rate" for gate in default_gates([PAIRING]))
    with pytest.raises(UsageError, match="not listened to in both runs"):
        named_gates(["v6.continuity"], [PAIRING])
