"""Where the time of a stream goes: shares that add up, and land where the time was spent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundstage.reports.compare.comparison_words import signed
from soundstage.reports.run import stage_time
from soundstage.reports.run.stage_time import shared
from soundstage.results.arrivals.exchange_sample import ExchangeSample

MOMENTS = st.floats(0.001, 100, allow_nan=False)
STAGES = st.lists(st.tuples(MOMENTS, st.floats(0, 50), st.integers(1, 20)), min_size=1, max_size=6)


def spent(stages: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(float(at[0]), 9) for name, at in stage_time.spent(sample(stages)).items()}


def sample(*exchanges: dict[str, list[float]]) -> ExchangeSample:
    found = ExchangeSample(100)
    for stages in exchanges:
        found.add({"stages": stages})
    return found


def test_stages_one_after_another_get_what_they_were_waited_for():
    assert spent({"a": [1.0, 1.0, 1], "b": [3.0, 3.0, 1], "c": [3.5, 3.5, 1]}) == {
        "a": 1.0,
        "b": 2.0,
        "c": 0.5,
    }


def test_a_stage_of_many_chunks_owns_the_time_between_its_first_and_last():
    assert spent(
        {"a": [1.0, 1.0, 1], "many": [2.0, 8.0, 7], "b": [4.0, 4.0, 1], "c": [9, 9, 1]}
    ) == {
        "a": 1.0,
        "many": 7.0,
        "b": 0.0,
        "c": 1.0,
    }


def test_two_stages_under_way_share_by_how_often_their_chunks_come():
    # From 2 to 10 both run: 17 chunks against 5, so 16 gaps against 4.
    assert spent({"often": [2.0, 10.0, 17], "seldom": [2.0, 10.0, 5]}) == {
        "often": pytest.approx(2.0 + 6.4),
        "seldom": pytest.approx(1.6),
    }


def test_tracks_of_a_stage_are_one():
    assert spent({"a": [1, 1, 1], "b#1": [2, 2, 1], "b#2": [5, 5, 1], "c": [6, 6, 1]}) == {
        "a": 1.0,
        "b": 4.0,
        "c": 1.0,
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(STAGES, min_size=1, max_size=5))
def test_the_shares_of_an_exchange_add_up_to_its_last_chunk(exchanges):
    stages = max(map(len, exchanges))
    first = np.full((len(exchanges), stages), np.inf)
    last = np.full((len(exchanges), stages), -np.inf)
    count = np.zeros((len(exchanges), stages))
    for line, row in enumerate(exchanges):
        for number, (begin, length, times) in enumerate(row):
            first[line, number] = begin
            last[line, number] = begin + (length if times > 1 else 0)
            count[line, number] = times
    found = shared(first, last, count)
    assert (found >= 0).all()
    assert found.sum(axis=1) == pytest.approx(last.max(axis=1))
    assert (found[count == 0] == 0).all()


def test_an_even_sample_is_kept_of_very_many_exchanges():
    exchanges = [{"a": [number + 1, number + 1, 1]} for number in range(5000)]
    kept = stage_time.spent(sample(*exchanges))["a"]
    assert 100 <= len(kept) <= 200
    assert kept.mean() == pytest.approx(2500, rel=0.05)
    assert len(np.unique(np.diff(kept))) == 1


def test_no_number_of_stage_names_fills_the_memory():
    found = stage_time.spent(sample({f"stage{n}": [1.0, 2.0, 2] for n in range(1000)}))
    assert len(found) == stage_time.STAGE_LIMIT


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.0, "±0%"),
        (1.3, "+30%"),
        (0.969, "-3.1%"),
        (1.0004, "±0%"),
        (12.0, "×12"),
        (float("inf"), "+∞"),
        (float("nan"), "–"),
        (0.0, "-100%"),
    ],
)
def test_a_ratio_is_said_as_people_say_it(factor, words):
    assert signed(factor) == words
