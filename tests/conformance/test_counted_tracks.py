"""Tracks whose number is not fixed, what stays the same on each of them, and fields that lie deeper
in a chunk than its members.
"""

from __future__ import annotations

import pytest
from tests.support.small_api import checked, codes, small, stage


def part(track, name="part", **fields):
    return {"t": name, "n": track, **fields}


def parts(*tracks):
    return [part(track) for track in tracks]


# --- how many there are ---------------------------------------------------------------------------


def counted(root, count, **more):
    return small(
        root,
        stage("part", per_track=True, ends="track", fields=["n"]),
        stage("over", ends="stream"),
        tracks={"field": "n", "count": count, **more},
        request={"type": "object", "properties": {"n": {"type": "integer"}}},
    )


@pytest.mark.parametrize(
    ("tracks", "found"),
    [
        ((0,), []),
        ((0, 1, 2, 3), []),
        ((2, 0, 1), []),
        ((), ["track.missing"]),
        ((1,), ["track.missing"]),
        ((0, 2), ["track.missing"]),
        ((0, 1, 4), ["track.missing"] * 2),
        ((0, -1), ["track.unknown"]),
        ((0, 5_000), ["track.unknown"]),
    ],
)
def test_tracks_of_any_number_count_from_the_first_without_a_gap(tmp_path, tracks, found):
    assert codes(counted(tmp_path, [1, None]), [*parts(*tracks), "over"]) == found


@pytest.mark.parametrize(
    ("tracks", "found"),
    [
        ((7, 8), []),
        ((7, 8, 9), []),
        ((7,), ["track.missing"]),
        ((7, 8, 10), ["track.unknown"]),
        ((6, 7, 8), ["track.unknown"]),
    ],
)
def test_tracks_between_two_bounds_count_from_where_the_contract_says(tmp_path, tracks, found):
    contract = counted(tmp_path, [2, 3], start=7)
    assert codes(contract, [*parts(*tracks), "over"]) == found


@pytest.mark.parametrize(
    ("request_body", "tracks", "found"),
    [
        ({"n": 3}, (0, 1, 2), []),
        ({"n": 3}, (0, 1), ["track.missing"]),
        ({"n": 3}, (0,), ["track.missing"] * 2),
        ({"n": 2}, (0, 1, 2), ["track.unknown"]),
        ({}, (0,), []),
        ({}, (0, 1), ["track.unknown"]),
        ({"n": 0}, (0,), []),
        ({"n": True}, (0,), []),
        ({"n": "3"}, (0,), []),
        ({"n": 10**9}, (0,), []),
        ("no object", (0,), []),
    ],
)
def test_a_stream_has_as_many_tracks_as_its_request_asked_for(
    tmp_path, request_body, tracks, found
):
    contract = counted(tmp_path, {"request": "/n"})
    assert codes(contract, [*parts(*tracks), "over"], request=request_body) == found


def test_what_is_taken_where_the_request_does_not_say_is_the_contracts(tmp_path):
    contract = counted(tmp_path, {"request": "/n", "default": 2})
    assert codes(contract, [*parts(0, 1), "over"], request={}) == []
    assert codes(contract, [*parts(0), "over"], request={}) == ["track.missing"]


def test_without_the_request_any_number_of_tracks_will_do(tmp_path):
    contract = counted(tmp_path, {"request": "/n"})
    assert codes(contract, [*parts(0, 1, 2, 3), "over"]) == []
    assert codes(contract, [*parts(0, 2), "over"]) == ["track.missing"]


def test_what_waits_for_all_tracks_waits_for_those_that_were_asked_for(tmp_path):
    contract = small(
        tmp_path,
        stage("part", per_track=True, ends="track", fields=["n"]),
        stage("over", after_all=[["part"]], ends="stream"),
        tracks={"field": "n", "count": {"request": "/n"}},
        request={"type": "object", "properties": {"n": {"type": "integer"}}},
    )
    assert codes(contract, [*parts(0, 1), "over"], request={"n": 2}) == []
    found = codes(contract, [*parts(0), "over"], request={"n": 2})
    assert sorted(found) == ["stage.order", "track.missing"]


# --- what stays the same on each track ------------------------------------------------------------


def by_track(root, **words):
    return small(
        root,
        stage("part", per_track=True, times=[1, None], fields=["n"]),
        stage("over", ends="stream"),
        tracks={"field": "n", "values": [1, 2]},
        **words,
    )


@pytest.mark.parametrize("field", ["id", "/id", "/deep/id"])
def test_a_constant_of_each_track_is_told_apart_by_track(tmp_path, field):
    contract = by_track(tmp_path, constant=[{"field": field, "per_track": True}])

    def at(track, value):
        return part(track, **({"deep": {"id": value}} if "deep" in field else {"id": value}))

    assert codes(contract, [at(1, "a"), at(2, "b"), at(1, "a"), at(2, "b"), "over"]) == []
    check = checked(contract, [at(1, "a"), at(2, "b"), at(1, "b"), at(2, "b"), "over"])
    (found,) = check.violations
    assert (found.code, found.chunk) == ("identity.changed", 2)
    assert found.path == ("/deep/id" if "deep" in field else "/id")
    assert "of track 1 is 'b'; it was 'a'" in found.message


def test_what_never_falls_on_a_track_may_be_lower_on_another(tmp_path):
    rising = [{"field": "share", "stages": ["part"], "per_track": True}]
    contract = by_track(tmp_path, never_decrease=rising)
    good = [part(1, share=0.5), part(2, share=0.1), part(1, share=0.6), part(2, share=0.1), "over"]
    assert codes(contract, good) == []
    bad = [part(1, share=0.5), part(2, share=0.6), part(1, share=0.4), "over"]
    assert codes(contract, bad) == ["progress.decreased"]


# --- what lies deeper -----------------------------------------------------------------------------


def deep(**fields):
    return {"t": "part", "deep": fields}


def test_a_number_of_chunks_that_lies_deeper_counts_as_any_other(tmp_path):
    contract = small(
        tmp_path,
        stage("part", times=[1, None], fields=["deep"]),
        stage("over", ends="stream", fields=["deep"]),
        index={"field": "/deep/i", "start": 1, "step": 2},
    )
    over = {"t": "over", "deep": {"i": 5}}
    assert codes(contract, [deep(i=1), deep(i=3), over]) == []
    assert codes(contract, [deep(i=1), deep(i=1), over]) == ["index.repeated"]
    assert codes(contract, [deep(i=1), deep(i=5), {"t": "over", "deep": {"i": 7}}]) == ["index.gap"]
    assert codes(contract, [deep(i=2), deep(i=4), {"t": "over", "deep": {"i": 6}}]) == [
        "index.start"
    ]


def test_a_track_that_lies_deeper_is_that_of_its_chunk(tmp_path):
    contract = small(
        tmp_path,
        stage("part", per_track=True, ends="track", fields=["deep"]),
        tracks={"field": "/deep/n", "values": [1, 2]},
    )
    assert codes(contract, [deep(n=2), deep(n=1)]) == []
    assert codes(contract, [deep(n=1)]) == ["track.missing"]
    assert "track.unknown" in codes(contract, [deep(n=1), deep(n=3), deep(n=2)])


def test_a_constant_in_each_item_is_held_by_its_place(tmp_path):
    contract = small(
        tmp_path,
        stage("part", times=[1, None], ends="close"),
        constant=[{"field": "/deep/all/*/id"}],
    )
    items = [{"id": "a"}, {"id": "b"}]
    assert codes(contract, [deep(all=items[:1]), deep(all=items), deep(all=[])]) == []
    check = checked(contract, [deep(all=items), deep(all=items[::-1])])
    assert [(each.code, each.path) for each in check.violations] == [
        ("identity.changed", "/deep/all/0/id"),
        ("identity.changed", "/deep/all/1/id"),
    ]


def test_a_flag_that_lies_deeper_is_true_on_the_last_chunk_alone(tmp_path):
    contract = small(
        tmp_path,
        stage("part", times=[0, None], fields=["deep"]),
        stage("over", ends="stream", fields=["deep"]),
        completion={"field": "/deep/over", "before_last": {}, "last": {}},
    )

    def over(value):
        return {"t": "over", "deep": {"over": value}}

    assert codes(contract, [deep(over=False), over(True)]) == []
    assert codes(contract, [deep(over=True), over(True)]) == ["field.value"]
    assert codes(contract, [deep(over=False), over(False)]) == ["stream.not_closed"]
