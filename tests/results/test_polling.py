"""Times that are known by polling lie between two ends, and no verdict takes a time in between."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundstage.errors import UsageError
from soundstage.results import slo
from soundstage.results.intake import Intake
from soundstage.results.layout import why_invalid
from soundstage.results.polling import Resolution
from soundstage.results.row_facts import earliest_since_intended, is_within, since_intended
from soundstage.results.slo import Within
from soundstage.results.verdicts import Scorecard, describe, verdict

CATALOGUE = {("a", "job"): ["ready", "complete"]}


def row(
    low: float | None = 4.0, high: float | None = 5.0, outcome: str = "ok", **more: Any
) -> dict[str, Any]:
    """An exchange that was polled; None: it did not complete, or is exact."""
    return {
        "id": "e1",
        "scenario": "load",
        "api": "a",
        "endpoint": "job",
        "intended_ns": 0,
        "started_ns": 500_000_000,
        "outcome": outcome,
        "verdict": "conforms",
        "milestones": {} if high is None else {"complete": high},
        **({} if low is None or high is None else {"milestones_low": {"complete": low}}),
        "stages": {},
        "codes": {},
        **more,
    }


def tally_of(text: str, rows: list[dict[str, Any]]) -> Any:
    card = Scorecard(slo.resolve([text], CATALOGUE))
    for each in rows:
        card.add(each)
    return card.tallies[0]


def entry_of(text: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    card = Scorecard(slo.resolve([text], CATALOGUE))
    for each in rows:
        card.add(each)
    return card.results()[0]


def highs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: each[key] for key in each if key != "milestones_low"} for each in rows]


def lows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return highs(
        [
            {**each, "milestones": {**each["milestones"], **each.get("milestones_low", {})}}
            for each in rows
        ]
    )


def taken(rows: list[dict[str, Any]]) -> Any:
    intake = Intake()
    intake.take(rows)
    return intake.columns["a", "job"]


def test_both_ends_count_from_the_intended_start():
    assert since_intended(row(), "complete") == 5.5
    assert earliest_since_intended(row(), "complete") == 4.5
    assert earliest_since_intended(row(None), "complete") == 5.5, "it is exact"
    assert earliest_since_intended(row(high=None), "complete") is None


@pytest.mark.parametrize(("bound", "said"), [(4.0, False), (4.5, None), (5.0, None), (5.5, True)])
def test_whether_a_row_is_within_a_bound_that_lies_between_its_ends_nobody_knows(bound, said):
    assert is_within(Within("complete", "<=", bound), row()) is said


def test_of_one_that_was_cut_it_is_known_only_that_it_was_not_there_at_the_last_poll():
    polls = {"count": 3, "first": 0.1, "last": 2.0, "longest_gap": 1.0}
    cut = row(high=None, outcome="censored", ended=9.0)
    assert is_within(Within("complete", "<", 8.0), cut) is False
    assert is_within(Within("complete", "<", 8.0), {**cut, "polls": polls}) is None
    assert is_within(Within("complete", "<", 2.0), {**cut, "polls": polls}) is False
    assert taken([{**cut, "polls": polls}]).cut().tolist() == [2.0]
    never = {"count": 0, "first": None, "last": None, "longest_gap": None}
    assert taken([{**cut, "polls": never}]).cut().tolist() == [0.0]


def test_columns_keep_both_ends():
    columns = taken([row(1.0, 2.0), row(None, 3.0), row(0.5, 0.5), row(high=None)])
    assert sorted(columns.times("complete")) == [0.5, 2.0, 3.0, math.inf]
    assert sorted(columns.times("complete", low=True)) == [0.5, 1.0, 3.0, math.inf]
    assert sorted(columns.since_intended("complete", low=True)) == [1.0, 1.5, 3.5, math.inf]
    assert not columns.is_exact("complete")
    assert columns.is_exact("ready")


def test_columns_of_two_workers_are_those_of_one():
    rng = random.Random(3)
    rows = [row(None if rng.random() < 0.3 else x, x + 1) for x in map(float, range(40))]
    polls = {"count": 2, "first": 0.0, "last": 1.0, "longest_gap": 1.0}
    rows = [{**each, "polls": polls} if "milestones_low" in each else each for each in rows]
    for middle in (0, 1, 17, 40):
        one, other = Intake(), Intake()
        one.take(rows[:middle])
        other.take(rows[middle:])
        one.merge(other)
        merged, whole = one.columns["a", "job"], taken(rows)
        for low in (False, True):
            assert merged.times("complete", low=low).tolist() == (
                whole.times("complete", low=low).tolist()
            )
        assert merged.resolution() == whole.resolution()


def test_the_resolution_is_told_of_what_lies_between_two_ends():
    polls = {"count": 6, "first": 0.2, "last": 4.0, "longest_gap": 1.5}
    rows = [row(4.0, 5.0, polls=polls), row(4.0, 5.5, polls=polls), row(None, 1.0), row(2.0, 2.0)]
    assert taken(rows).resolution() == Resolution(1.0, 1.5, 12, 2, 1.5)
    assert taken([row(None)]).resolution() is None


def test_a_low_end_after_its_high_one_is_no_row():
    with pytest.raises(UsageError, match="the low end of complete lies after its high end"):
        taken([row(5.1, 5.0)])


def test_the_schema_knows_both_ends_and_the_polls():
    polls = {"count": 3, "first": 0.1, "last": 2.0, "longest_gap": None}
    assert why_invalid("exchange", row(polls=polls)) is None
    assert why_invalid("exchange", row(polls={"count": -1})) is not None
    assert why_invalid("exchange", row(milestones_low={"complete": "soon"})) is not None


@pytest.mark.parametrize(
    ("bound", "said"), [("6s", "pass"), ("5s", "inconclusive"), ("4s", "fail")]
)
def test_an_objective_is_met_with_all_high_ends_and_missed_with_all_low_ones(bound, said):
    rows = [row() for _ in range(200)]
    entry = entry_of(f"complete.p95<{bound}", rows)
    assert (entry["verdict"], entry["value_low"], entry["value"]) == (said, 4.5, 5.5)
    assert (entry["low"], entry["high"], entry["resolution"]) == (4.5, 5.5, 1.0)
    assert entry["unknown"] == 0, "nothing was cut short"


def test_one_that_polling_cannot_tell_says_how_well_times_are_known_and_what_would_decide():
    entry = entry_of("complete.p95<5s", [row() for _ in range(200)])
    assert entry["unresolved"] == 200
    assert entry["reason"] == (
        "times by polling are known to within 1 s at most, and of 200 of 200 exchanges the bound "
        "lies in between: polls closer together would decide"
    )
    assert entry["more"] is None, "more of the same would not"
    assert "4.5 s to 5.5 s (4.5 s to 5.5 s, n = 200)" in describe(entry)
    assert why_invalid("slo", entry) is None


def test_where_more_exchanges_would_decide_as_well_they_are_asked_for():
    rows = [row(1.0, 1.1) for _ in range(20)] + [row()]
    entry = entry_of("complete.p95<5s", rows)
    assert entry["verdict"] == "inconclusive"
    assert entry["more"] is not None


def test_a_goodput_counts_as_good_what_surely_is():
    rows = [row() for _ in range(100)]
    entry = entry_of("goodput(complete<=5s, ok)>=99%", rows)
    assert (entry["verdict"], entry["value"], entry["value_low"]) == ("inconclusive", 0.0, 1.0)
    assert (entry["low"], entry["high"]) == (0.0, 1.0)


times = st.floats(0.001, 100.0)
bounds = st.sampled_from(["complete.p50<20s", "complete.p95<=60s", "goodput(complete<50s)>=90%"])


@given(st.lists(st.tuples(times, times, st.sampled_from(["ok", "failed"])), min_size=1), bounds)
def test_every_verdict_is_that_of_both_ends_where_they_agree_and_else_inconclusive(made, text):
    rows = [row(min(a, b), max(a, b), outcome) for a, b, outcome in made]
    worst = verdict(tally_of(text, highs(rows)))
    best = verdict(tally_of(text, lows(rows)))
    expected = "pass" if worst == "pass" else "fail" if best == "fail" else "inconclusive"
    assert verdict(tally_of(text, rows)) == expected


outcomes = st.sampled_from(["ok", "ok", "ok", "failed", "censored"])


@given(st.lists(st.tuples(times, outcomes, st.booleans()), min_size=1), bounds)
def test_ends_that_are_one_come_out_exactly_as_no_low_ends_at_all(made, text):
    rows = [
        row(time, time if reached else None, outcome, ended=time) for time, outcome, reached in made
    ]
    plain = highs(rows)
    assert orjson.dumps(entry_of(text, rows)) == orjson.dumps(entry_of(text, plain))
    one, other = taken(rows), taken(plain)
    for low in (False, True):
        assert np.array_equal(one.times("complete", low=low), other.times("complete"))
    assert np.array_equal(one.cut(), other.cut(), equal_nan=True)
    assert one.resolution() is None
