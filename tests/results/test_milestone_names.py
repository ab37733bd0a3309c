"""Which milestones are the headline, and what they are called, is data of the contract."""

from __future__ import annotations

from typing import Any

import pytest

from soundstage.results.milestone_names import MilestoneNames, common_order, milestone_names


def run(**contract: Any) -> dict[str, Any]:
    return {"contracts": {"a": {"title": "A", "sha256": "0" * 64, **contract}}}


def test_run_json_says_them():
    facts = run(
        milestones={"job": ["queued", "song_there", "all_done"]},
        headlines={"job": ["song_there", "all_done"]},
        titles={"job": {"all_done": "TTA"}},
    )
    names = milestone_names(facts, "a", "job")
    assert names.headline == ("song_there", "all_done")
    assert [names.label(each) for each in names.order] == ["queued", "song there", "TTA"]
    assert names.label("first_chunk") == "first chunk"
    assert [names.is_renamed(each) for each in names.order] == [False, False, True]


def test_a_run_of_before_has_those_of_the_three_that_are_there():
    promised = run(milestones={"stream": ["complete", "audio", "other"]})
    assert milestone_names(promised, "a", "stream").headline == ("audio", "complete")
    names = milestone_names({}, "a", "stream", ["complete", "streaming_ready"])
    assert names.headline == ("streaming_ready", "complete")
    assert [names.label(each) for each in names.headline] == ["TTSR", "TTC"]


def test_a_run_of_before_with_none_of_them_has_all_of_its_milestones():
    assert milestone_names(run(milestones={"x": ["b", "a"]}), "a", "x").headline == ("a", "b")
    assert milestone_names({}, "a", "x", ["b", "a"]).headline == ("a", "b")
    assert milestone_names({}, "a", "x").headline == ()


def test_no_bundle_has_more_headlines_than_anybody_reads():
    many = [f"m{n}" for n in range(100)]
    facts = run(milestones={"x": many}, headlines={"x": [*many, *many]})
    assert len(milestone_names(facts, "a", "x").headline) == 20
    assert len(milestone_names(run(milestones={"x": many}), "a", "x").headline) == 20
    assert len(common_order([[f"{n}-{name}" for name in many] for n in range(1000)])) == 20


def test_milestones_stand_as_they_are_reached_and_strangers_last():
    names = MilestoneNames(order=("ready", "complete"))
    given = ["zebra", "complete", "ready", "accepted", "ape", "first_chunk"]
    assert names.in_order(given) == [
        "accepted", "first_chunk", "ready", "complete", "ape", "zebra",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("orders", "common"),
    [
        ([], []),
        ([["audio", "complete"], ["ready", "audio", "complete"]], ["ready", "audio", "complete"]),
        ([["complete"], ["ready", "audio", "complete"]], ["ready", "audio", "complete"]),
        ([["a", "b"], ["c"]], ["a", "b", "c"]),
        ([["a", "b"], ["b", "a"]], ["a", "b"]),
    ],
)
def test_headlines_of_several_endpoints_stand_in_an_order_that_fits_all(orders, common):
    assert common_order(orders) == common
