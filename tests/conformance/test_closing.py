"""What ends a stream and what a stream that has ended still lacks: closing stages, tracks, texts,
the close of the connection, and chunks that are no step.
"""

from __future__ import annotations

import random

import pytest
from tests.support.small_api import checked, codes, small, stage

from soundstage.generation import walk

TRACKS = {"field": "n", "values": [1, 2, 3]}
DONE = b"[DONE]"


def of(track: int, name: str = "part", **fields: object) -> dict[str, object]:
    return {"t": name, "n": track, **fields}


def parts(*tracks: int, name: str = "part") -> list[dict[str, object]]:
    return [of(track, name) for track in tracks]


# --- closing stages -------------------------------------------------------------------------------


@pytest.fixture
def closing(tmp_path):
    """Three tracks with a part each, and a stage that closes the stream after all of them."""
    return small(
        tmp_path,
        stage("part", per_track=True, ends="track", fields=["n"]),
        stage("over", after_all=[["part"]], ends="stream"),
        tracks=TRACKS,
    )


def test_a_stream_that_its_closing_stage_ends_is_whole(closing):
    check = checked(closing, [*parts(1, 2, 3), "over"])
    assert (check.violations, check.reason, check.ended) == ([], None, True)


def test_the_ends_of_all_tracks_do_not_end_a_stream_that_a_stage_closes(closing):
    assert codes(closing, parts(1, 2, 3)) == ["stream.truncated"]


@pytest.mark.parametrize("came", [(1,), (2,), (1, 3), (3, 2)])
def test_a_track_that_is_lost_is_found_although_the_stream_was_closed(closing, came):
    found = codes(closing, [*parts(*came), "over"])
    lost = 3 - len(came)
    assert found.count("track.missing") == lost
    assert found.count("stage.order") == lost
    assert set(found) == {"track.missing", "stage.order"}


def test_a_track_that_is_lost_is_found_where_nothing_waits_for_all(tmp_path):
    contract = small(
        tmp_path,
        stage("part", per_track=True, ends="track", fields=["n"]),
        stage("over", after=[["part"]], ends="stream"),
        tracks=TRACKS,
    )
    assert codes(contract, [of(2), "over"]) == ["track.missing", "track.missing"]
    assert codes(contract, [*parts(1, 2, 3), "over"]) == []


def test_a_chunk_of_a_track_after_the_closing_stage_came_too_late(closing):
    assert "stream.after_end" in codes(closing, [*parts(1, 2), "over", of(3)])


def test_a_chunk_of_a_track_that_has_ended_is_told_from_a_late_one(closing):
    assert codes(closing, [*parts(1, 1, 2, 3), "over"]) == ["stage.repeated"]


def test_tracks_that_nothing_closes_end_the_stream_together(tmp_path):
    contract = small(
        tmp_path, stage("part", per_track=True, ends="track", fields=["n"]), tracks=TRACKS
    )
    assert codes(contract, parts(3, 1, 2)) == []
    assert codes(contract, parts(3, 1)) == ["track.missing"]
    assert "stream.after_end" in codes(contract, [*parts(3, 1, 2), of(1)])


# --- what may be last -----------------------------------------------------------------------------


def test_a_last_chunk_that_may_stay_away_comes_once_at_most(tmp_path):
    contract = small(
        tmp_path,
        stage("text", times=[1, None]),
        stage("finish", after=[["text"]], ends="stream"),
        stage("usage", after=[["finish"]], times=[0, 1], ends="stream"),
    )
    assert codes(contract, ["text", "finish"]) == []
    assert codes(contract, ["text", "finish", "usage"]) == []
    assert codes(contract, ["text", "finish", "usage", "usage"]) == ["stream.after_end"]
    assert codes(contract, ["text", "finish", "text"]) == ["stream.after_end"]
    assert "stage.order" in codes(contract, ["text", "usage"])
    assert codes(contract, ["text"]) == ["stream.truncated"]


def test_a_server_may_close_after_a_stage_and_go_on_with_it(tmp_path):
    contract = small(
        tmp_path,
        stage("start"),
        stage(
            "text",
            after=[["start"]],
            times=[1, None],
            ends="close",
            milestones=[{"name": "complete", "at": "end"}],
        ),
    )
    check = checked(contract, ["start", "text", "text"])
    assert (check.violations, check.ended, check.at_the_end) == ([], True, ("complete",))
    early = checked(contract, ["start"])
    assert [each.code for each in early.violations] == ["stream.truncated"]
    assert (early.ended, early.at_the_end) == (False, ())


@pytest.fixture
def closed(tmp_path):
    """Any number of tracks, and a chunk after them after which the server closes."""
    return small(
        tmp_path,
        stage("part", per_track=True, fields=["n"], ends="track"),
        stage("rest", after=[["part"]], ends="close"),
        tracks={"field": "n", "count": [1, None], "start": 1},
    )


def test_the_ends_of_all_tracks_end_no_stream_that_is_ended_by_its_close(closed):
    assert codes(closed, [*parts(1, 2, 3), "rest"]) == []
    assert codes(closed, [of(1), "rest", *parts(2, 3)]) == []
    assert codes(closed, parts(1, 2, 3)) == ["stream.truncated"]


def test_a_close_that_came_without_one_of_the_tracks_lacks_it(closed):
    assert codes(closed, [*parts(1, 3), "rest"]) == ["track.missing"]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_generated_of_a_stream_that_its_close_ends_conforms(closed, seed):
    rng = random.Random(seed)
    steps = walk.plan(closed, rng)
    check = checked(closed, walk.payloads(closed, steps, walk.random_story(rng), rng))
    assert (check.violations, check.ended) == ([], True), steps


# --- a text that ends the stream ------------------------------------------------------------------


def with_sentinel(root, times, *, ends=None):
    finish = stage("finish", **({"ends": ends} if ends else {}))
    sentinel = {"data": "[DONE]", "times": times}
    return small(root, stage("text", times=[0, None]), finish, endpoint={"sentinel": sentinel})


@pytest.mark.parametrize("ends", [None, "stream"])
def test_a_text_that_must_come_ends_the_stream_and_nothing_else_does(tmp_path, ends):
    contract = with_sentinel(tmp_path, [1, 1], ends=ends)
    whole = checked(contract, ["text", "finish", DONE])
    assert (whole.violations, whole.ended) == ([], True)
    assert codes(contract, ["text", "finish"]) == ["stream.no_sentinel"]
    assert not checked(contract, ["text", "finish"]).ended
    assert codes(contract, ["text"]) == ["stream.truncated"]
    assert codes(contract, ["finish", DONE, DONE]) == ["stream.after_end"]
    assert codes(contract, ["finish", DONE, "text"]) == ["stream.after_end"]


def test_a_text_that_ends_the_stream_too_early_leaves_out_what_was_due(tmp_path):
    contract = with_sentinel(tmp_path, [1, 1])
    assert codes(contract, ["text", DONE]) == ["stage.missing"]


def test_a_text_that_may_come_is_missed_by_nobody_and_comes_last(tmp_path):
    contract = with_sentinel(tmp_path, [0, 1], ends="stream")
    assert codes(contract, ["finish"]) == []
    assert codes(contract, ["finish", DONE]) == []
    assert codes(contract, ["finish", DONE, DONE]) == ["stream.after_end"]
    assert codes(contract, [DONE]) == ["stream.truncated"]


@pytest.mark.parametrize("text", [b"[DONE] ", b" [DONE]", b"[done]", b'"[DONE]"'])
def test_a_text_that_only_looks_like_it_ends_nothing(tmp_path, text):
    contract = with_sentinel(tmp_path, [1, 1])
    found = codes(contract, ["finish", text])
    assert any(each.startswith("json.") for each in found)
    assert "stream.no_sentinel" in found or "stream.truncated" in found


def test_a_lost_track_is_found_although_the_text_came(tmp_path):
    contract = small(
        tmp_path,
        stage("part", per_track=True, ends="track", fields=["n"]),
        tracks=TRACKS,
        endpoint={"sentinel": {"data": "[DONE]"}},
    )
    assert codes(contract, [*parts(1, 2, 3), DONE]) == []
    assert set(codes(contract, [*parts(1, 3), DONE])) == {"track.missing"}
    assert codes(contract, parts(1, 2, 3)) == ["stream.no_sentinel"]


# --- what may come anywhere -----------------------------------------------------------------------


@pytest.fixture
def pinged(tmp_path):
    return small(
        tmp_path,
        stage("ping", anywhere=True),
        stage("start", fields=["i"]),
        stage("text", after=[["start"]], times=[0, None], fields=["i"]),
        stage("note", times=[0, None]),
        stage("over", after=[["start"]], ends="stream", fields=["i"]),
        index={"field": "i", "start": 0, "step": 1, "except": ["ping", "note"]},
    )


def numbered(*names: str) -> list[object]:
    number = iter(range(100))
    return [
        {"t": name} if name in ("ping", "note") else {"t": name, "i": next(number)}
        for name in names
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("ping", "start", "over"),
        ("start", "ping", "ping", "text", "ping", "over"),
        ("start", "over", "ping", "ping"),
        ("start", "note", "text", "note", "over"),
    ],
)
def test_a_keep_alive_comes_at_any_place_any_number_of_times_and_counts_for_nothing(pinged, names):
    assert codes(pinged, numbered(*names)) == []


def test_keep_alives_alone_are_no_stream(pinged):
    check = checked(pinged, numbered("ping", "ping"))
    assert [each.code for each in check.violations] == ["stream.truncated"]
    assert not check.ended


def test_what_is_not_numbered_has_its_place_in_the_order_all_the_same(pinged):
    assert codes(pinged, numbered("start", "over", "note")) == ["stream.after_end"]


def test_a_number_that_a_keep_alive_took_is_missed(pinged):
    chunks = [{"t": "start", "i": 0}, {"t": "ping"}, {"t": "over", "i": 2}]
    assert codes(pinged, chunks) == ["index.gap"]


def test_a_keep_alive_whose_schema_has_the_number_counts(tmp_path):
    contract = small(
        tmp_path,
        stage("ping", anywhere=True, fields=["i"]),
        stage("over", ends="stream", fields=["i"]),
        index={"field": "i", "start": 0, "step": 1},
    )
    assert codes(contract, [{"t": "ping", "i": 0}, {"t": "over", "i": 1}]) == []
    assert codes(contract, [{"t": "ping", "i": 0}, {"t": "over", "i": 0}]) == ["index.repeated"]
