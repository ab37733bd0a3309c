"""What conforms: the printed chunks as whole streams, every interleaving, what we cannot judge."""

from __future__ import annotations

import itertools
import random

import pytest

from soundstage.conformance.engine import StreamCheck
from soundstage.contract import load
from soundstage.generation import walk

TRACK_PARTS = [("streaming_ready", "uploading", "final")] * 2


def test_the_printed_v6_stages_make_a_stream_that_conforms(v6, song, judged):
    check = judged(v6, song)
    assert [(each.code, each.severity) for each in check.violations] == [
        ("stream.not_closed", "info")
    ]
    assert check.verdict() == check.verdict(strict=True) == "conforms"
    assert check.reason is None
    assert check.ended


def test_a_last_chunk_that_says_it_is_complete_leaves_nothing_to_say(v6, song, judged):
    song[-1]["isComplete"] = True
    assert judged(v6, song).violations == []


def test_the_printed_v5_chunks_make_a_stream_that_conforms(v5, song_v5, judged):
    check = judged(v5, song_v5)
    assert check.violations == []
    assert check.verdict() == "conforms"


def test_a_v5_stream_may_be_its_last_chunk_alone(v5, build, judged):
    assert judged(v5, build(v5, [("final", {})])).violations == []


def interleavings():
    """Every order of the per-track stages of two tracks, with `completed` at every legal place."""
    steps = [(stage, track) for track in (1, 2) for stage in TRACK_PARTS[0]]
    for order in itertools.permutations(steps):
        places = {step: number for number, step in enumerate(order)}
        in_order = all(
            places[("streaming_ready", track)] < places[("uploading", track)]
            and places[("uploading", track)] < places[("final", track)]
            for track in (1, 2)
        )
        if not in_order:
            continue
        first_ready = min(places[("streaming_ready", track)] for track in (1, 2))
        first_upload = min(places[("uploading", track)] for track in (1, 2))
        for place in range(first_ready + 1, first_upload + 1):
            yield [*order[:place], ("completed", None), *order[place:]]


def test_every_interleaving_of_two_tracks_conforms(v6, build, judged, found):
    many = 0
    for order in interleavings():
        parts = [("initializing", {}), ("validated", {}), ("streaming", {})]
        parts += [(stage, {"version": track} if track else {}) for stage, track in order]
        check = judged(v6, build(v6, parts))
        assert found(check) == [], (order, check.violations)
        many += 1
    assert many == 32


def test_optional_chunks_may_come_anywhere_from_streaming_to_the_last_final(
    v6, song, judged, found
):
    for place in range(3, len(song)):
        for chunk in (song[3], song[5]):
            more = [dict(each) for each in [*song[:place], chunk, *song[place:]]]
            for number, each in enumerate(more):
                each["chunkIndex"] = number
            assert found(judged(v6, more), "error") == []


def test_progress_chunks_are_optional_and_completed_may_come_twice(v6, song, judged, found):
    several = [*song[:3], *song[6:9], {**song[8], "version": 2}, *song[9:]]
    for number, each in enumerate(several := [dict(each) for each in several]):
        each["chunkIndex"] = number
    assert found(judged(v6, several)) == []


def test_a_documented_field_may_stand_in_a_stage_that_does_not_list_it(v6, song, judged, found):
    song[0]["message_id"] = song[1]["message_id"]
    song[3].update(operation="extend_song", streaming_ready=False, progress=0)
    song[10]["song_name"] = song[1]["song_name"]
    assert found(judged(v6, song)) == []


def test_an_error_field_that_says_nothing_is_no_failure(v6, song, judged, found):
    song[3]["error"] = None
    song[4]["error"] = ""
    assert found(judged(v6, song)) == []


def test_a_whole_number_may_be_written_with_a_point(v6, song, judged, found):
    """JSON Schema 2020-12, 4.2.3: 5.0 is the integer 5."""
    song[5].update(chunkIndex=5.0, progress=50.0)
    song[6]["version"] = 1.0
    song[8]["progress"] = 100.0
    assert found(judged(v6, song)) == []


def test_the_order_of_the_keys_means_nothing(v6, song, judged):
    rng = random.Random(7)
    song[4]["song_name"] = 5
    song[9]["version"] = 9
    expected = judged(v6, song).violations
    for _ in range(20):
        shuffled = [dict(rng.sample(list(chunk.items()), len(chunk))) for chunk in song]
        assert judged(v6, shuffled).violations == expected


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_two_hundred_seeded_streams_of_each_version_have_no_error_and_no_warning(
    api, judged, found
):
    contract = load(api)
    for seed in range(200):
        rng = random.Random(seed)
        steps = walk.plan(contract, rng)
        chunks = walk.payloads(contract, steps, walk.random_story(rng), rng, optional=seed % 3 / 2)
        check = judged(contract, chunks)
        assert found(check) == [], (seed, check.violations)
        assert check.ended


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_seeded_streams_that_report_a_failure_are_inconclusive(api, judged, found):
    contract = load(api)
    for seed in range(50):
        rng = random.Random(seed)
        steps = walk.plan(contract, rng, fails=True)
        chunks = walk.payloads(contract, steps, walk.random_story(rng), rng)
        check = judged(contract, chunks)
        assert found(check, "error") == [], (seed, check.violations)
        assert (check.verdict(), check.reason) == ("inconclusive", "stream.failed")


@pytest.mark.parametrize("place", range(13))
def test_a_failure_may_come_anywhere_and_ends_the_stream(v6, song, judged, found, place):
    failure = {"isComplete": False, "status": "running", "chunkIndex": place, "error": "no GPU"}
    check = judged(v6, [*song[:place], failure])
    assert found(check) == []
    assert (check.verdict(), check.reason, check.failed) == (
        "inconclusive",
        "stream.failed",
        "no GPU",
    )
    after = judged(v6, [*song[:place], failure, {**song[place], "chunkIndex": place + 1}])
    assert found(after) == ["stream.after_end"]
    assert after.verdict() == "violates"


def test_a_failure_in_a_stream_with_an_error_of_its_own_violates(v6, song, judged):
    song[2]["song_name"] = 4
    failure = {"isComplete": False, "status": "running", "chunkIndex": 3, "error": "no GPU"}
    assert judged(v6, [*song[:3], failure]).verdict() == "violates"


def test_a_v5_failure_is_told_by_its_flag_and_says_its_text(v5, song_v5, judged):
    failure = {**song_v5[1], "error": True, "content": "❌ It failed"}
    check = judged(v5, [song_v5[0], failure])
    assert (check.verdict(), check.failed) == ("inconclusive", "❌ It failed")
    wordless = judged(v5, [song_v5[0], {"error": True, "chunkIndex": 2, "isComplete": True}])
    assert (wordless.verdict(), wordless.failed) == ("inconclusive", "error is true")


@pytest.mark.parametrize("reason", ["cap.events", "cap.event_bytes", "harness.idle_timeout"])
def test_a_stream_that_we_cut_short_is_inconclusive_with_the_reason(v6, song, judged, reason):
    for many in (0, 5, 13):
        check = judged(v6, song[:many], cut=reason, unterminated=True)
        assert (check.verdict(), check.reason) == ("inconclusive", reason)
        assert [each for each in check.violations if each.severity != "info"] == []


def test_an_error_before_the_cut_still_violates(v6, song, judged):
    song[1]["song_name"] = None
    assert judged(v6, song[:5], cut="cap.events").verdict() == "violates"


def test_each_event_says_what_it_was_and_which_milestones_it_reached(v6, song):
    import json

    check = StreamCheck(v6)
    seen = [check.event(json.dumps(chunk).encode()) for chunk in song]
    assert [(each.stage, each.track) for each in seen] == [
        ("initializing", None),
        ("validated", None),
        ("streaming", None),
        ("processing", None),
        ("running", None),
        ("running", None),
        ("streaming_ready", 1),
        ("streaming_ready", 2),
        ("completed", None),
        ("uploading", 1),
        ("final", 1),
        ("uploading", 2),
        ("final", 2),
    ]
    assert {number: each.milestones for number, each in enumerate(seen) if each.milestones} == {
        1: ("validated",),
        6: ("streaming_ready",),
        7: ("streaming_ready_all",),
        8: ("audio",),
        12: ("complete",),
    }
    assert [each.chunk for each in seen] == song


def test_v5_reaches_audio_and_complete_with_its_last_chunk(v5, song_v5):
    import json

    check = StreamCheck(v5)
    seen = [check.event(json.dumps(chunk).encode()) for chunk in song_v5]
    assert [each.milestones for each in seen] == [(), (), (), ("audio", "complete")]


def test_only_a_stream_endpoint_has_streams(v6):
    with pytest.raises(LookupError, match="no stream endpoint"):
        StreamCheck(v6, "sync")
    with pytest.raises(KeyError):
        StreamCheck(v6, "nothing")
