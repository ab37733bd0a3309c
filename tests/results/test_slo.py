"""Objectives: their grammar, whom they are for, and verdicts that the exact intervals give."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from soundstage.errors import UsageError
from soundstage.results import quantiles, slo, verdicts
from soundstage.results.verdicts import Scorecard

CATALOGUE = {
    ("a", "stream"): ["accepted", "ready", "complete"],
    ("b", "stream"): ["accepted", "complete"],
    ("b", "sync"): ["complete"],
}
CODES = ["field.missing", "field.type", "stage.order"]


def row(seconds: float | None = 1.0, outcome: str = "ok", **more: Any) -> dict[str, Any]:
    milestones = {} if seconds is None else {"ready": seconds / 2, "complete": seconds}
    return {
        "api": "a",
        "endpoint": "stream",
        "intended_ns": 0,
        "started_ns": 0,
        "outcome": outcome,
        "verdict": "conforms",
        "milestones": milestones,
        **more,
    }


def judged(text: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The one result of an objective over these rows of `a stream`."""
    card = Scorecard(slo.resolve([text], {("a", "stream"): CATALOGUE["a", "stream"]}, CODES))
    for each in rows:
        card.add(each)
    (entry,) = card.results()
    return entry


@pytest.mark.parametrize(
    ("text", "kind", "op", "bound", "places"),
    [
        ("a.ready.p95<30s", "quantile", "<", 30.0, {("a", "stream")}),
        ("b.sync.complete.p99.9 <= 1.5m", "quantile", "<=", 90.0, {("b", "sync")}),
        ("a.stream.complete.p50<250ms", "quantile", "<", 0.25, {("a", "stream")}),
        ("violations==0", "count", "==", 0, set(CATALOGUE)),
        ("b.violations(field.missing)<=2", "count", "<=", 2, {("b", "stream"), ("b", "sync")}),
        ("a.violations(field)==0", "count", "==", 0, {("a", "stream")}),
        ("error_rate<1%", "rate", "<", 0.01, set(CATALOGUE)),
        ("b.stream.timeout_rate<0.1%", "rate", "<", 0.001, {("b", "stream")}),
        ("refused_rate==0%", "rate", "<=", 0, set(CATALOGUE)),
        ("ok_rate>=99%", "rate", ">=", 0.99, set(CATALOGUE)),
        ("goodput(ready<=30s, complete<=2m, ok)>=99%", "goodput", ">=", 0.99, {("a", "stream")}),
    ],
)
def test_an_objective_says_what_it_means(
    text: str, kind: str, op: str, bound: float, places: set[tuple[str, str]]
) -> None:
    (found,) = slo.resolve([text], CATALOGUE, CODES)
    assert (found.slo.kind, found.slo.op, found.slo.text) == (kind, op, text)
    assert found.slo.bound == pytest.approx(bound)
    assert found.places == places


@pytest.mark.parametrize(
    ("scope", "places"),
    [
        ("v7.1", {("v7.1", "tune"), ("v7.1", "tune.fast")}),
        ("v7.1.tune", {("v7.1", "tune")}),
        ("v7.1.tune.fast", {("v7.1", "tune.fast")}),
        ("v7", {("v7", "tune")}),
        ("v7.tune", {("v7", "tune")}),
    ],
)
def test_the_name_of_an_api_may_hold_dots(scope: str, places: set[tuple[str, str]]) -> None:
    there = [("v7", "tune"), ("v7.1", "tune"), ("v7.1", "tune.fast")]
    catalogue = {place: ["complete"] for place in there}
    found = slo.resolve([f"{scope}.complete.p95<1s"], catalogue)
    assert {place for each in found for place in each.places} == places
    (counted,) = slo.resolve([f"{scope}.violations==0"], catalogue)
    assert counted.places == places
    (rate,) = slo.resolve([f"{scope}.error_rate<1%"], catalogue)
    assert rate.places == places


def test_a_scope_that_means_an_api_and_an_endpoint_is_refused() -> None:
    catalogue = {("v7", "1"): ["complete"], ("v7.1", "tune"): ["complete"]}
    with pytest.raises(UsageError, match=r"'v7.1' is an API of this run and an endpoint"):
        slo.resolve(["v7.1.complete.p95<1s"], catalogue)


def test_a_quantile_without_an_api_is_judged_for_each_endpoint_that_has_the_milestone() -> None:
    found = slo.resolve(["complete.p95<1s"], CATALOGUE)
    assert [(each.api, each.endpoint) for each in found] == list(CATALOGUE)
    assert len(slo.resolve(["ready.p95<1s"], CATALOGUE)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.redy.p95<30s", "did you mean ready?"),
        ("b.ready.p95<30s", "'ready'; there are accepted, complete"),
        ("c.complete.p95<3s", "no API in this run is called 'c'; there are a, b"),
        ("b.synk.complete.p95<3s", "did you mean sync?"),
        ("complete.p95<3", "needs a unit"),
        ("complete.p100<3s", "no quantile"),
        ("complete.p0<3s", "no quantile"),
        ("a.b.c.complete.p5<3s", "no endpoint of a in this run is called 'b.c'"),
        ("a..complete.p5<3s", "'a.' is not API or API.ENDPOINT"),
        ("c.b.a.complete.p5<3s", "no API in this run is called 'c'; there are a, b"),
        ("error_rate<1", "needs a %"),
        ("eror_rate<1%", "no rate is called eror_rate; there are error_rate"),
        ("error_rate<101%", "no share"),
        ("error_rate==3%", "takes < or <=, and == 0%"),
        ("error_rate<0%", "takes < or <=, and == 0%"),
        ("ok_rate<50%", "takes > or >=, and == 100%"),
        ("violations(field.mising)==0", "did you mean field.missing?"),
        ("goodput()>=99%", "goodput of what"),
        ("goodput(fast)>=99%", "'fast' is no condition"),
        ("goodput(ready<=1s, accepted<=1s, nothing<=1s)>=9%", "nothing"),
        ("soon", "not understood; try"),
        ("x" * 1000, "not understood"),
    ],
)
def test_what_is_misspelt_is_refused_with_what_there_is(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="SLO") as refused:
        slo.resolve([text], CATALOGUE, CODES)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_goodput_of_milestones_that_no_endpoint_has_together_is_refused() -> None:
    catalogue = {("a", "stream"): ["ready"], ("b", "stream"): ["audio"]}
    with pytest.raises(UsageError, match="no endpoint of this run has all of audio, ready"):
        slo.resolve(["goodput(ready<=1s, audio<=1s)>=9%"], catalogue)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("order", [50, 90, 95, 99])
def test_the_verdict_of_a_quantile_is_that_of_its_exact_interval(order: int, seed: int) -> None:
    rng = random.Random(seed)
    n = rng.choice([3, 40, 120, 700])
    times = [rng.lognormvariate(0, 0.5) if rng.random() < 0.98 else None for _ in range(n)]
    values = np.array([math.inf if t is None else t for t in times])
    low, high = quantiles.interval(values, order / 100, verdicts.LEVEL)
    for bound in (0.3, 0.7, 1.0, 1.4, 2.0, 2.5, 3.0, 4.0, 9.0):
        rows = [row(t, "ok" if t else "timeout") for t in times]
        entry = judged(f"complete.p{order}<{bound}s", rows)
        expected = "pass" if high < bound else "fail" if low >= bound else "inconclusive"
        assert entry["verdict"] == expected
        assert entry["low"] == (low if math.isfinite(low) else None)
        assert entry["high"] == (high if math.isfinite(high) else None)
        assert entry["n"] == n


@pytest.mark.parametrize(("bad", "n"), [(0, 200), (0, 400), (1, 900), (20, 400), (4, 400), (9, 9)])
def test_the_verdict_of_a_rate_is_that_of_clopper_and_pearson(bad: int, n: int) -> None:
    rows = [row(None, "refused")] * bad + [row()] * (n - bad)
    low, high = quantiles.rate_interval(bad, n, verdicts.LEVEL)
    expected = "pass" if high < 0.01 else "fail" if low >= 0.01 else "inconclusive"
    entry = judged("error_rate<1%", rows)
    assert entry["verdict"] == expected
    assert (entry["value"], entry["low"], entry["high"]) == pytest.approx((bad / n, low, high))
    mirrored = judged("ok_rate>=99%", rows)
    assert mirrored["verdict"] == expected
    assert mirrored["low"] == pytest.approx(1 - high)


def test_what_failed_counts_as_never_and_is_not_left_out() -> None:
    fast = [row(1.0)] * 90
    assert judged("complete.p90<2s", [*fast, *[row(None, "failed")] * 10])["verdict"] != "pass"
    entry = judged("complete.p95<2s", [*fast, *[row(None, "timeout")] * 60])
    assert (entry["verdict"], entry["value"]) == ("fail", None)
    assert "never" in verdicts.describe(entry)


def test_times_count_from_the_intended_start() -> None:
    late = [row(1.0, intended_ns=-3_000_000_000)] * 100
    assert judged("complete.p50<2s", late)["verdict"] == "fail"
    assert judged("complete.p50<2s", late)["value"] == pytest.approx(4.0)


def test_what_was_cut_early_speaks_neither_for_a_pass_nor_for_a_fail() -> None:
    cut = [row(None, "censored", ended=0.5)] * 400
    entry = judged("complete.p95<2s", cut)
    assert (entry["verdict"], entry["unknown"]) == ("inconclusive", 400)
    assert judged("error_rate<1%", cut)["verdict"] == "inconclusive"
    assert judged("goodput(complete<=2s)>=50%", cut)["verdict"] == "inconclusive"


def test_what_was_cut_beyond_the_bound_was_too_slow() -> None:
    cut = [row(None, "censored", ended=2.5)] * 400
    entry = judged("complete.p95<2s", cut)
    assert (entry["verdict"], entry["unknown"]) == ("fail", 0)
    assert judged("goodput(complete<=2s)>=50%", cut)["verdict"] == "fail"


def test_warm_up_probes_and_dropped_ones_do_not_count() -> None:
    rows = [
        row(9.0, warmup=True),
        row(9.0, probe=True),
        row(None, "dropped"),
        *[row(1.0)] * 80,
    ]
    entry = judged("complete.p95<2s", rows)
    assert (entry["verdict"], entry["n"]) == ("pass", 80)


def test_violations_count_errors_by_code_or_family() -> None:
    rows = [row(errors={"field.missing": 2}, codes={"field.missing": 2, "stage.order": 1}), row()]
    assert judged("violations==0", rows)["value"] == 2
    assert judged("violations==0", rows)["verdict"] == "fail"
    assert judged("violations(field)<=2", rows)["verdict"] == "pass"
    assert judged("violations(stage.order)==0", rows)["verdict"] == "pass"
    assert judged("violations(field.type)==0", rows)["verdict"] == "pass"


def test_a_goodput_asks_for_everything_at_once() -> None:
    rows = [row(1.0)] * 600
    text = "goodput(ready<=1s, complete<=2s, no_violation, ok)>=99%"
    assert judged(text, rows)["verdict"] == "pass"
    rows[:30] = [row(1.0, verdict="violates")] * 30
    assert judged(text, rows)["verdict"] == "fail"
    assert judged(text, [row(3.0)] * 100)["verdict"] == "fail"


def test_whether_a_song_plays_is_known_only_where_somebody_listened() -> None:
    text = "goodput(complete<=2s, playable)>=50%"
    entry = judged(text, [row(1.0)] * 100)
    assert entry["verdict"] == "inconclusive"
    assert "--probe-playback" in entry["reason"]
    assert judged(text, [row(1.0, playback={"stalls": 0})] * 100)["verdict"] == "pass"
    assert judged(text, [row(1.0, playback={"stalls": 2})] * 100)["verdict"] == "fail"


def test_whether_a_song_plays_is_asked_only_where_there_is_something_to_play() -> None:
    places = {("a", "stream"): ["complete"], ("b", "stream"): ["complete"]}
    text = "goodput(complete<=2s, playable)>=50%"
    (found,) = slo.resolve([text], places, playable=[("b", "stream")])
    assert found.places == {("b", "stream")}
    assert len(slo.resolve(["goodput(complete<=2s)>=50%"], places, playable=[])) == 2
    with pytest.raises(UsageError, match="nothing in this run can be played"):
        slo.resolve([text], places, playable=[])


def test_no_exchange_is_no_pass() -> None:
    for text in ("complete.p95<2s", "violations==0", "error_rate<1%", "ok_rate==100%"):
        entry = judged(text, [])
        assert entry["verdict"] == "inconclusive"
        assert entry["reason"] == "no exchange to judge it by"


@pytest.mark.parametrize(("share", "n", "good"), [(0.95, 40, 40), (0.95, 200, 194), (0.9, 60, 50)])
def test_as_many_more_as_it_says_do_decide_and_hardly_fewer(
    share: float, n: int, good: int
) -> None:
    more = verdicts.more_needed(share, n, good)
    assert more is not None

    def decided(size: int) -> bool:
        needs, misses = verdicts.thresholds(share, size)
        likely = good * size // n
        return likely >= needs or likely < misses

    assert decided(n + more)
    assert not any(decided(n + fewer) for fewer in range(0, more // 2, max(1, more // 20)))


def test_at_the_bound_no_number_of_exchanges_decides() -> None:
    assert verdicts.more_needed(0.95, 200, 190) is None
    rows = [row(1.0)] * 190 + [row(3.0)] * 10
    assert "too near to its bound" in judged("complete.p95<2s", rows)["reason"]


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_the_least_number_that_can_pass_is_the_least(share: float) -> None:
    least = verdicts.least_for_pass(share)
    assert verdicts.thresholds(share, least)[0] <= least
    assert verdicts.thresholds(share, least - 1)[0] > least - 1


def test_the_verdicts_hold_their_level() -> None:
    """Where the true p90 is the bound, a pass and a fail are both wrong: each at most 2.5%."""
    rng = random.Random(6)
    said = []
    for _ in range(2000):
        good = sum(rng.random() < 0.9 for _ in range(150))
        needs, misses = verdicts.thresholds(0.9, 150)
        said.append("pass" if good >= needs else "fail" if good < misses else "?")
    assert said.count("pass") <= 2000 * 0.035
    assert said.count("fail") <= 2000 * 0.035
    assert said.count("?") < 2000


def test_one_that_is_missed_decides_over_one_that_cannot_be_told() -> None:
    def entries(*said: str) -> list[dict[str, str]]:
        return [{"verdict": each} for each in said]

    assert verdicts.overall(entries()) == "pass"
    assert verdicts.overall(entries("pass", "inconclusive")) == "inconclusive"
    assert verdicts.overall(entries("inconclusive", "fail", "pass")) == "fail"
