"""The names of events as a contract says them, and how they help to tell stages."""

from __future__ import annotations

import pytest
from tests.support.small_api import checked, codes, small, stage

from soundstage.conformance.engine import StreamCheck

REQUIRED, OPTIONAL = "text", {"name": "text", "required": False}


def named(root, event):
    return small(
        root, stage("text", event=event, times=[1, None]), stage("over", ends="stream", event=None)
    )


@pytest.mark.parametrize(
    ("event", "came", "found"),
    [
        (REQUIRED, "text", []),
        (REQUIRED, "", ["event.name"]),
        (REQUIRED, "message", ["event.name"]),
        (REQUIRED, "Text", ["event.name"]),
        (REQUIRED, "other", ["event.name"]),
        (OPTIONAL, "text", []),
        (OPTIONAL, "", []),
        (OPTIONAL, "message", []),
        (OPTIONAL, "other", ["event.name"]),
        (None, "", []),
        (None, "message", []),
        (None, "text", ["event.name"]),
        ({"name": None}, "text", ["event.name"]),
        ({"name": None, "required": False}, "", []),
    ],
)
def test_a_chunk_has_the_name_that_its_stage_says(tmp_path, event, came, found):
    assert codes(named(tmp_path, event), [(came, "text"), ("", "over")]) == found


def test_a_wrong_name_is_said_with_the_one_that_was_due(tmp_path):
    check = checked(named(tmp_path, REQUIRED), [("other", "text"), ("", "text"), ("", "over")])
    assert [each.message for each in check.violations] == [
        "the event is called 'other'; expected 'text'",
        "the event has no name; expected 'text'",
    ]
    assert {each.rule for each in check.violations} == {"small/stream/text/event"}


def test_a_name_where_none_is_due_is_said(tmp_path):
    check = checked(named(tmp_path, REQUIRED), [("text", "text"), ("over", "over")])
    (found,) = check.violations
    assert found.message == "the event is called 'over'; expected none"


def test_names_mean_nothing_where_no_stage_has_one(tmp_path):
    contract = small(tmp_path, stage("text", times=[1, None]), stage("over", ends="stream"))
    assert codes(contract, [("a", "text"), ("b", "over")]) == []


def test_lines_have_no_names(tmp_path):
    contract = small(
        tmp_path,
        stage("over", ends="stream", event="over"),
        endpoint={"framings": ["sse", "lines"]},
    )
    check = StreamCheck(contract)
    check.framed("lines")
    check.event(b'{"t": "over"}')
    check.close()
    assert check.violations == []


def told_by_names(root):
    """Two stages whose chunks are alike, and one that is told by both."""
    return small(
        root,
        stage("start", event="start", when={}),
        stage("text", event="text", when={}, after=[["start"]], times=[0, None]),
        stage("over", event="over", after=[["start"]], ends="stream"),
    )


def test_stages_whose_chunks_are_alike_are_told_by_their_names(tmp_path):
    contract = told_by_names(tmp_path)
    chunks = [("start", {"t": "start"}), ("text", {"t": "text"}), ("over", {"t": "over"})]
    assert codes(contract, chunks) == []
    assert codes(contract, [chunks[1], chunks[0], chunks[2]]) == ["stage.order"]


def test_a_name_that_nobody_knows_leaves_a_stage_to_its_chunk(tmp_path):
    contract = told_by_names(tmp_path)
    chunks = [("start", {"t": "start"}), ("end", {"t": "over"})]
    assert codes(contract, chunks) == ["event.name"]


def test_a_chunk_that_only_its_name_tells_is_of_that_stage_and_wrong(tmp_path):
    contract = told_by_names(tmp_path)
    check = checked(contract, [("start", {"t": "start"}), ("over", {"t": "ovre"})])
    assert [each.code for each in check.violations] == ["field.value"]
    assert check.ended


def test_a_name_of_many_characters_is_held_against_the_contract_like_any_other(tmp_path):
    found = checked(named(tmp_path, REQUIRED), [("x" * 100_000, "text"), ("", "over")]).violations
    assert [each.code for each in found] == ["event.name"]
    assert len(found[0].message) < 500


def test_a_stage_that_needs_no_name_comes_beside_one_that_is_told_by_the_same(tmp_path):
    contract = small(
        tmp_path,
        stage("a", when={}, event="news"),
        stage("b", when={}, event={"name": "news", "required": False}),
        stage("end", when={}, event="end", ends="stream"),
    )
    assert codes(contract, [("news", "a"), ("", "b"), ("end", "end")]) == []
