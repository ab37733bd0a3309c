"""Times that a buffer made: neither met nor missed, and said."""

from __future__ import annotations

from typing import Any

import pytest

from soundstage.results import slo, verdicts
from soundstage.results.arrivals.held_streams import HeldStreams, held_words
from soundstage.results.verdicts import Scorecard

PLACE = ("v6", "stream")


def row(low: float | None, high: float) -> dict[str, Any]:
    held = {} if low is None else {"held_back": "whole", "milestones_low": {"ready": low}}
    return {
        "api": "v6",
        "endpoint": "stream",
        "intended_ns": 0,
        "started_ns": 0,
        "outcome": "ok",
        "verdict": "conforms",
        "milestones": {"ready": high, "complete": high},
        "stages": {},
        **held,
    }


def verdict(text: str, rows: list[dict[str, Any]]) -> tuple[str, str | None]:
    card = Scorecard(slo.resolve([text], {PLACE: ("ready", "complete")}))
    for each in rows:
        card.add(each)
    (result,) = card.results()
    return result["verdict"], result["reason"]


def test_an_objective_is_not_met_by_a_time_that_a_buffer_made() -> None:
    said, why = verdict("ready.p50<90s", [row(0.0, 60.0)] * 40)
    assert said == verdicts.INCONCLUSIVE
    assert why == (
        "40 of 40 streams were held back on their way (stream.buffered): when their chunks were "
        "sent nobody knows, so that this is neither met nor missed"
    )


def test_nor_is_it_missed_by_one() -> None:
    assert verdict("ready.p50<30s", [row(0.0, 60.0)] * 40)[0] == verdicts.INCONCLUSIVE


def test_it_is_missed_where_even_the_low_end_is_too_late() -> None:
    assert verdict("ready.p50<30s", [row(40.0, 60.0)] * 40)[0] == verdicts.FAIL


def test_the_end_of_a_stream_is_exact_whatever_held_it_back() -> None:
    assert verdict("complete.p50<90s", [row(0.0, 60.0)] * 40)[0] == verdicts.PASS


def test_a_few_of_many_do_not_hide_that_the_others_met_it() -> None:
    rows = [row(None, 60.0)] * 99 + [row(0.0, 60.0)]
    assert verdict("ready.p50<90s", rows)[0] == verdicts.PASS


@pytest.mark.parametrize(("held", "many"), [(0, 100), (4, 100)])
def test_too_few_to_matter_are_not_said_in_the_headline(held: int, many: int) -> None:
    counted = HeldStreams()
    for number in range(many):
        counted.add(row(0.0 if number < held else None, 60.0))
    assert held_words(counted.to_json()) is None


def test_a_run_whose_streams_were_held_back_says_so() -> None:
    counted = HeldStreams()
    for number in range(20):
        counted.add(row(0.0 if number < 5 else None, 60.0))
    assert held_words(counted.to_json()) == (
        "v6 stream: 5 of 20 streams were held back on their way (stream.buffered): times before "
        "their end are a buffer's, not the API's"
    )
