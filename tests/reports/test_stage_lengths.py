"""How long stages last, the gaps between them, and silences: by hand, and over a sample."""

from __future__ import annotations

from itertools import pairwise

import pytest

from soundstage.reports.charts.waterfall import waterfall
from soundstage.reports.run.stage_lengths import gap, lengths, silence
from soundstage.reports.run.summary import summarise
from soundstage.results.arrivals.exchange_sample import ExchangeSample


def test_the_gap_before_a_stage_is_the_time_in_which_nothing_was_under_way() -> None:
    stages = [
        ("begun", 1.0, 1.0),
        ("running", 2.0, 9.0),
        ("ready", 4.0, 4.0),
        ("final", 10.0, 12.0),
    ]
    gaps = {name: gap(name, first, stages) for name, first, _ in stages}
    assert gaps == {"begun": 1.0, "running": 1.0, "ready": 0.0, "final": 1.0}


def test_stages_last_from_their_first_to_their_last_chunk() -> None:
    sample = ExchangeSample()
    for number in range(1, 101):
        passed = {"running": [1.0, 1.0 + number, 5], "final": [110.0, 110.0, 1]}
        sample.add({"outcome": "ok", "stages": passed, "silence": [number / 10, 0.5]})
    found = lengths(sample.exchanges())
    assert (found["running"].n, found["running"].lasted_p50, found["running"].lasted_p95) == (
        100,
        50.0,
        95.0,
    )
    assert found["final"].lasted_p95 == 0.0
    assert found["final"].gap_p50 == 58.0, "since the last of running"
    longest = silence(sample.exchanges())
    assert longest is not None
    assert (longest.n, longest.p50, longest.p95, longest.longest) == (100, 5.0, 9.5, 10.0)


def test_a_sample_is_bounded_and_evenly_spread() -> None:
    sample = ExchangeSample(50)
    for number in range(10_000):
        sample.add({"outcome": "ok", "stages": {"a": [0.0, float(number), 2]}})
    assert 50 <= len(sample) <= 100
    assert lengths(sample.exchanges())["a"].lasted_p50 == pytest.approx(5000, rel=0.05)
    assert silence(sample.exchanges()) is None


def test_samples_of_two_halves_come_to_an_even_sample_of_the_whole() -> None:
    """Of 7,000 and 1,000 exchanges, of two kinds by turns: the smaller half gives way."""
    halves = ExchangeSample(50), ExchangeSample(50)
    for number in range(8_000):
        stages = {"a": [0.0, float(number), 2], ("b", "c")[number % 3 == 0]: [1.0, 1.0, 1]}
        halves[number >= 7_000].add({"stages": stages, "silence": [number, 0.0]})
    first, second = halves
    first.merge(second)
    assert 50 <= len(first) < 100
    ends = sorted(exchange.stages["a"][1] for exchange in first.exchanges())
    assert len(ends) == len(first) == sum(len(stages) for _, stages in first.tables())
    assert max(b - a for a, b in pairwise(ends)) <= 2 * 8_000 / len(ends)
    for exchange in first.exchanges():
        number = exchange.stages["a"][1]
        assert exchange.silence == number
        assert ("c" in exchange.stages) == (number % 3 == 0), "each kept with what is its own"


def test_stages_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="first, last, count"):
        ExchangeSample().add({"stages": {"a": [1.0, 2.0]}})


def test_the_report_has_them_beside_the_waterfall() -> None:
    rows = [
        {
            "id": f"e{number}",
            "api": "v6",
            "endpoint": "stream",
            "intended_ns": 0,
            "started_ns": 0,
            "outcome": "ok",
            "verdict": "conforms",
            "milestones": {"complete": 9.0},
            "stages": {"begun": [1.0, 1.0, 1], "final": [3.0, 9.0, 2]},
            "codes": {},
            "silence": [6.0, 3.0],
        }
        for number in range(3)
    ]
    (group,) = summarise(rows).groups
    chart = waterfall(group)
    assert chart is not None
    assert chart.head[-4:] == ("lasts p50", "lasts p95", "gap before it p50", "gap before it p95")
    assert [row[-4:] for row in chart.rows] == [
        ("0.0 ms", "0.0 ms", "1.00 s", "1.00 s"),
        ("6.00 s", "6.00 s", "2.00 s", "2.00 s"),
    ]
    assert "longest silence in a stream: p50 6.00 s" in chart.note
