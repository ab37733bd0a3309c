"""While a run goes, and while a capacity is searched for, times by polling are both their ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from soundstage.loadtests.capacity import search_words
from soundstage.loadtests.capacity.trial_scorecard import TrialScorecard
from soundstage.loadtests.live import view
from soundstage.loadtests.live.board import Board
from soundstage.loadtests.live.metrics import _milestones
from soundstage.results import slo
from soundstage.results.milestone_names import MilestoneNames

PLACE = ("a", "job")
NAMES = {PLACE: MilestoneNames(("song_there", "complete"), (), (("complete", "TTD"),))}


def row(low: float | None, high: float) -> dict[str, Any]:
    lows = {} if low is None else {"milestones_low": {"complete": low}}
    return {
        "api": "a",
        "endpoint": "job",
        "intended_ns": 0,
        "started_ns": 0,
        "outcome": "ok",
        "verdict": "conforms",
        "milestones": {"complete": high},
        "stages": {},
        **lows,
    }


def board(*rows: dict[str, Any]) -> Board:
    run: Any = SimpleNamespace(recording=SimpleNamespace(watchers=[]))
    made = Board(run, 60.0, NAMES)
    for each in rows:
        made.add(each)
    return made


def test_the_board_tells_both_ends_of_the_first_headline_that_was_reached() -> None:
    made = board(row(4.0, 5.0), row(None, 5.0), row(None, 5.0))
    assert made.quantiles(("a", "job", "complete"), 0.01) == pytest.approx((4.0, 5.0), rel=0.01)
    low, high = made.quantiles(("a", "job", "complete"), 0.5)
    assert low == high, "the others are exact"
    headline = board(row(4.0, 5.0)).headline()
    assert headline is not None
    assert headline[0] == "TTD"
    assert headline[1:] == pytest.approx((4.0, 5.0), rel=0.01)


def test_low_ends_that_are_high_ends_too_are_not_kept() -> None:
    assert board(row(5.0, 5.0)).lows == {}
    assert board(row(5.0, 5.0), row(4.0, 5.0)).lows["a", "job", "complete"].n == 2


def test_the_table_has_ranges() -> None:
    assert view._range(4.0, 5.0) == "4.00 s to 5.00 s"
    assert view._range(5.0, 5.0) == "5.00 s"


def test_metrics_have_the_low_ends_beside_the_high_ones_where_there_are_any() -> None:
    for made, many in ((board(row(2.0, 3.0)), 1), (board(row(None, 3.0)), 0)):
        families = [_milestones(made, "high", made.times)]
        families += [_milestones(made, "low", made.lows)] if made.lows else []
        assert [family.name for family in families] == ["high", "low"][: 1 + many]
        for family in families:
            counts = {
                each.labels["le"]: each.value for each in family.samples if "le" in each.labels
            }
            assert counts["+Inf"] == 1.0
            assert counts["2.5"] == (1.0 if family.name == "low" else 0.0)


def card(text: str, *rows: dict[str, Any]) -> TrialScorecard:
    names = {PLACE: ["complete"]}
    made = TrialScorecard(slo.resolve([text], names), names)
    for each in rows:
        made.add(each)
    return made


def test_a_trial_meets_an_objective_only_with_all_the_high_ends() -> None:
    rows = [row(4.0, 5.0)] * 200
    said = {
        bound: card(f"complete.p95<{bound}", *rows).counts()[0].verdict
        for bound in ("6s", "4.5s", "4s")
    }
    assert said == {"6s": "pass", "4.5s": "inconclusive", "4s": "fail"}


def test_a_trial_keeps_the_quantiles_of_both_ends_and_shows_them_as_ranges() -> None:
    made = card("complete.p95<6s", *[row(None, 3.0), *[row(4.0, 5.0)] * 99])
    assert made.quantiles()["a.job.complete"]["p50"] == 5.0
    assert made.low_quantiles()["a.job.complete"]["p50"] == 4.0
    trial = {
        "rate": 2.0,
        "seed": 1,
        "exchanges": 100,
        "verdict": "pass",
        "quantiles": made.quantiles(),
        "quantiles_low": made.low_quantiles(),
    }
    assert "4.00 s to 5.00 s / " in search_words.table([trial])[1]
    exact = card("complete.p95<6s", row(5.0, 5.0))
    assert exact.low_quantiles() == {}
