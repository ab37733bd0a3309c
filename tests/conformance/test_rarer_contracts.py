"""What the engine says of contracts that are made up, and how it is asked.

Each test compiles the contract anew, so that nothing is remembered from another one.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from stream_edits import (
    changed,
    encoded,
    exact,
    numbered,
)

from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.stages import compiled, marks_of
from soundstage.contract import load
from soundstage.contract.json_schema.field_path import field_path
from soundstage.contract.protocol import NeverDecrease


@pytest.fixture
def v6():
    return replace(load("v6"))


@pytest.fixture
def v5():
    return replace(load("v5"))


def test_a_contract_without_index_and_flag_has_nothing_to_say_of_them(v6, song, judged):
    bare = changed(v6, index=None, completion=None)
    song[3].update(chunkIndex=77, isComplete=True)
    song[4] = {"status": "dreaming", "chunkIndex": 5}
    check = judged(bare, song)
    assert [each.code for each in check.violations] == ["stage.unknown"]
    assert check.ended


def test_a_chunk_of_a_track_after_its_end_is_told(v6, song, judged):
    often = changed(v6, stages={"streaming_ready": {"times": (1, None)}})
    song.insert(11, dict(song[6]))
    song.insert(11, {**song[6], "version": 2})
    numbered(song)
    assert exact(judged(often, song)) == [
        ("track.after_end", 12, "", "streaming_ready came after the last chunk of track 1",
         "tracks/ended"),
    ]  # fmt: skip


def test_a_group_of_stages_of_which_none_came_is_named_whole(v6, song, judged):
    grouped = changed(v6, stages={"completed": {"after": (("processing", "running"),)}})
    del song[3:6]
    numbered(song)
    assert exact(judged(grouped, song)) == [
        ("stage.order", 5, "", "completed came before processing or running",
         "order/completed/after/processing|running"),
    ]  # fmt: skip
    for kept in ("processing", "running"):
        check = judged(grouped, [*song[:3], {"status": kept}, *song[3:]])
        assert "stage.order" not in [each.code for each in check.violations]


def test_a_stage_that_came_too_seldom_says_how_often(v6, song, judged):
    thrice = changed(v6, stages={"processing": {"times": (3, 5)}})
    assert exact(judged(thrice, song)) == [
        ("stage.missing", None, "", "processing came once; at least 3 expected",
         "times/processing"),
    ]  # fmt: skip


def test_an_end_that_nothing_was_due_for_is_told_without_a_list(v5, song_v5, judged):
    optional = changed(v5, stages={"final": {"times": (0, 1)}})
    assert exact(judged(optional, song_v5[:-1])) == [
        ("stream.truncated", None, "", "the stream ended after progress", "end/reached"),
    ]  # fmt: skip


def test_every_field_that_must_not_fall_is_looked_at(v5, song_v5, judged):
    grounds = v5.protocol.index.grounds
    rising = tuple(
        NeverDecrease(field_path(field), ("progress",), grounds)
        for field in ("tokens", "totalTokens")
    )
    never = changed(v5, never_decrease=rising)
    many = [{**song_v5[1], "chunkIndex": n, "tokens": 5, "totalTokens": 9} for n in (1, 2, 3)]
    many[1].update(tokens=-1, totalTokens=8)
    many[2].update(tokens=4, totalTokens=8.0)
    final = {**song_v5[3], "chunkIndex": 4, "tokens": 0, "totalTokens": 0}
    assert [each[:3] for each in exact(judged(never, [*many, final]))] == [
        ("field.value", 1, "/tokens"),
        ("progress.decreased", 1, "/totalTokens"),
        ("progress.decreased", 2, "/tokens"),
    ]


def test_a_failure_without_a_text_says_what_told_it(v5, song_v5, judged):
    when = {
        "properties": {"error": {"const": True}, "success": {"const": False}},
        "required": ["error", "success"],
    }
    told_twice = changed(v5, stages={"failed": {"when": when}})
    failure = {"error": True, "success": False, "chunkIndex": 1}
    check = judged(told_twice, [failure])
    assert check.failed == "error is true and success is false"
    assert check.reason == "stream.failed"


def test_values_that_are_equal_in_python_are_told_apart(v5, song_v5):
    check = StreamCheck(v5)
    for error, stage in ((1, "progress"), (True, "failed")):
        assert check.event(encoded({**song_v5[0], "error": error})).stage == stage


def test_stages_may_be_told_by_what_is_there_alone(v5, song_v5):
    """No value tells them, so there is no field to name where none of them fits."""
    alone = {"final": {"when": {"required": ["audio_url", "success"]}}}
    alone |= {"failed": {"when": {"required": ["error_text"]}}}
    alone |= {"progress": {"when": {"required": ["tokens"]}}}
    check = StreamCheck(changed(v5, stages=alone))
    stages = [check.event(encoded(chunk)).stage for chunk in (song_v5[0], {"a": 1})]
    assert stages == ["progress", None]
    assert [each[:4] for each in exact(check)] == [
        ("stage.unknown", 1, "", "no stage is like this")
    ]


def test_only_so_many_kinds_of_chunk_are_remembered_and_none_with_long_names(v6):
    """A hostile stream of ever new names must not fill the memory."""
    check, remembered = StreamCheck(v6), compiled(v6, "stream").remembered
    running = len("status") + len("running")  # counted, like the names
    for size, many in ((1001, 0), (1000, 1), (2000, 1), (999, 2)):
        check.event(encoded({"status": "running", "x" * (size - running): 1}))
        check.event(encoded({"status": "dreaming", "x" * (size - running): 1}))
        assert remembered.many == many, size
    for number in range(1100):
        check.event(encoded({"status": "running", str(number): 1}))
    assert remembered.many == 1024


@pytest.mark.parametrize(
    ("when", "marks"),
    [
        ({}, []),
        ({"type": "object"}, []),
        ({"properties": {"a": {}}}, [("a", True)]),
        ({"required": ["a", "b"]}, [("a", False), ("b", False)]),
        ({"properties": {"a": {}}, "required": ["a"]}, [("a", True), ("a", False)]),
        ({"not": {"required": ["a"]}}, [("a", False)]),
        (
            {
                "allOf": [{"properties": {"a": {}}}, {"required": ["b"]}],
                "anyOf": [{"not": {"anyOf": [{"properties": {"c": {}}}]}}],
            },
            [("a", True), ("b", False), ("c", True)],
        ),
    ],
)
def test_a_stage_is_told_by_all_the_fields_that_its_condition_looks_at(when, marks):
    assert list(marks_of(when)) == marks


# --- arguments


def test_a_contract_without_the_stream_endpoint_that_is_asked_for_is_refused(v6):
    with pytest.raises(LookupError, match=r"^v6 has no stream endpoint sync$"):
        StreamCheck(v6, "sync")
    without = replace(v6, endpoints={"sync": v6.endpoints["sync"]})
    with pytest.raises(LookupError, match=r"^v6 has no stream endpoint $"):
        StreamCheck(without)


def test_the_endpoint_may_be_named(v6, song):
    again = replace(v6.endpoints["stream"], name="again", framings=("lines",))
    two = changed(v6, endpoints={**v6.endpoints, "again": again})
    check = StreamCheck(two, "again")
    check.framed("sse")
    check.event(encoded({**song[0], "chunkIndex": 4, "isComplete": 0}))
    assert [each.rule for each in check.violations] == [
        "v6/again/framing",
        "v6/again/initializing/field/isComplete/type",
        "v6/again/index/start",
    ]


@pytest.mark.parametrize(("asked", "deepest"), [({}, 128), ({"max_depth": 5}, 5)])
def test_a_chunk_may_be_nested_as_deep_as_was_asked_for(v6, song, asked, deepest):
    for depth, codes in ((deepest, ["field.undocumented"]), (deepest + 1, ["json.too_deep"])):
        check = StreamCheck(v6, **asked)
        nested = json.loads("[" * (depth - 1) + "]" * (depth - 1))  # the chunk is one more
        check.event(encoded({**song[0], "mood": nested}))
        assert [each.code for each in check.violations] == codes
