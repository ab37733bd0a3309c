"""The engine's exact words and values: each violation whole, each event, and the rarer contracts.

Each test compiles the contract anew, so that nothing is remembered from another one.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from stream_edits import (
    again,
    changed,
    drop,
    encoded,
    exact,
    index_as,
    put,
    raw,
    shifted,
    swapped,
    without,
)

from soundstage.conformance.engine import SeenEvent, StreamCheck
from soundstage.contract import load


@pytest.fixture
def v6():
    return replace(load("v6"))


@pytest.fixture
def v5():
    return replace(load("v5"))


CUT = "expecting property name enclosed in double quotes at line 1, column 2, the end of the text"
VERSION = "version is missing"
#: what was done, the edits, the violations: code, chunk, path, message, rule (in the endpoint)
WORDED = [
    # --- JSON and stages
    ("an array", [raw(3, b"[1]")],
     [("json.not_object", 3, "", "the chunk is an array, of type array; not an object", "json")]),
    ("null", [raw(3, b"null")],
     [("json.not_object", 3, "", "the chunk is null, of type null; not an object", "json")]),
    ("a number", [raw(3, b"42")],
     [("json.not_object", 3, "", "the chunk is 42, of type integer; not an object", "json")]),
    ("no text", [raw(3, b"")], [("json.empty", 3, "", "the text is empty", "json")]),
    ("half a chunk", [raw(3, b"{")], [("json.syntax", 3, "", CUT, "json")]),
    ("an unknown status", [put(1, status="Validated")],
     [("stage.unknown", 1, "/status", "no stage is like this: status is 'Validated'", "stages")]),
    ("a status of no simple type", [put(3, status=[])],
     [("stage.unknown", 3, "/status", "no stage is like this: status is []", "stages")]),
    ("a status that is an object", [put(3, status={"a": 1})],
     [("stage.unknown", 3, "/status", "no stage is like this: status is an object", "stages")]),
    ("no status", [drop(2, "status")],
     [("stage.unknown", 2, "", "no stage is like this: status is missing", "stages")]),
    ("an unknown status with a wrong index", [put(3, status="x", chunkIndex=7)],
     [("stage.unknown", 3, "/status", "no stage is like this: status is 'x'", "stages"),
      ("index.gap", 3, "/chunkIndex", "chunkIndex is 7 after 2; expected 3", "index/consecutive")]),
    # --- how often, and in which order
    ("a stage twice", [again(1, 2)],
     [("stage.repeated", 2, "", "validated comes for the 2nd time; at most 1 expected",
       "times/validated")]),
    ("a stage of a track thrice", [again(6, 7), again(6, 8)],
     [("stage.repeated", 7, "",
       "streaming_ready of track 1 comes for the 2nd time; at most 1 expected",
       "times/streaming_ready"),
      ("stage.repeated", 8, "",
       "streaming_ready of track 1 comes for the 3rd time; at most 1 expected",
       "times/streaming_ready")]),
    ("a stage that names a track, but is not per track, thrice",
     [put(8, version=1), again(8, 9), again(8, 10)],
     [("stage.repeated", 10, "", "completed comes for the 3rd time; at most 2 expected",
       "times/completed")]),
    ("a stage is skipped", [without(1)],
     [("stage.order", 1, "", "streaming came before validated", "order/streaming/after/validated"),
      ("stage.missing", None, "", "validated never came", "times/validated")]),
    ("a stage of a track is skipped", [without(9)],
     [("stage.order", 9, "", "final of track 1 came before uploading",
       "order/final/after/uploading"),
      ("stage.missing", None, "", "uploading of track 1 never came", "times/uploading")]),
    ("two stages in the wrong order, one without its track", [swapped(9, 10), drop(9, "version")],
     [("field.missing", 9, "/version", VERSION, "final/field/version/required"),
      ("stage.order", 9, "", "final came before uploading", "order/final/after/uploading")]),
    ("two stages are early", [swapped(0, 1), swapped(9, 10)],
     [("stage.order", 0, "", "validated came before initializing",
       "order/validated/after/initializing"),
      ("stage.order", 9, "", "final of track 1 came before uploading",
       "order/final/after/uploading")]),
    ("a stage is early and comes again in its place", [again(9, 8)],
     [("stage.order", 8, "", "uploading of track 1 came before completed",
       "order/uploading/after/completed"),
      ("stage.repeated", 10, "", "uploading of track 1 comes for the 2nd time; at most 1 expected",
       "times/uploading")]),
    # --- tracks
    ("an unknown track, twice", [again(6, 7, version=3), again(6, 8, version=3)],
     [("track.unknown", 7, "/version", "version is 3; expected 1 or 2", "tracks/values"),
      ("track.unknown", 8, "/version", "version is 3; expected 1 or 2", "tracks/values"),
      ("stage.repeated", 8, "",
       "streaming_ready of track 3 comes for the 2nd time; at most 1 expected",
       "times/streaming_ready")]),
    ("a stage without its tracks", [drop(6, "version"), drop(7, "version")],
     [("field.missing", place, "/version", VERSION, "streaming_ready/field/version/required")
      for place in (6, 7)]),
    ("the ends of the tracks without their tracks", [drop(10, "version"), drop(12, "version")],
     [("field.missing", place, "/version", VERSION, "final/field/version/required")
      for place in (10, 12)]),
    ("one end without its track, the other garbled", [drop(10, "version"), raw(12, b"{")],
     [("field.missing", 10, "/version", VERSION, "final/field/version/required"),
      ("json.syntax", 12, "", CUT, "json")]),
    ("a track is lost", [without(7, 11, 12)],
     [("track.missing", None, "", "track 2 was never delivered", "tracks/all")]),
    ("a track is lost after another stage named it", [without(7, 11, 12), put(3, version=2)],
     [("stream.truncated", None, "",
       ("the stream ended after final; still due: streaming_ready (track 2), "
        "uploading (track 2), final (track 2)"), "end/reached")]),
    # --- the end
    ("running after the end", [again(5, 13)],
     [("stream.after_end", 13, "", "a chunk of running came after the last one",
       "end/nothing_after")]),
    ("nonsense after the end", [lambda song: song.append({"a": 1})],
     [("stream.after_end", 13, "", "a chunk of no known stage came after the last one",
       "end/nothing_after")]),
    ("nothing at all", [lambda song: song.clear()],
     [("stream.truncated", None, "",
       ("the stream ended before its first chunk; still due: initializing, validated, streaming, "
        "streaming_ready (track 1), streaming_ready (track 2), completed, uploading (track 1), "
        "uploading (track 2), final (track 1), final (track 2)"), "end/reached")]),
    # --- what must hold across chunks
    ("the progress falls", [put(5, progress=1)],
     [("progress.decreased", 5, "/progress", "progress is 1; it was 2",
       "never_decrease/progress")]),
    ("the progress falls out of its range", [put(5, progress=-1)],
     [("field.value", 5, "/progress",
       "progress is -1; expected an integer percentage from 0 to 100",
       "running/field/progress/value")]),
    ("the progress falls and the name is wrong", [put(5, progress=1, song_name=7)],
     [("field.type", 5, "/song_name", "song_name is 7, of type integer; expected string",
       "running/field/song_name/type"),
      ("progress.decreased", 5, "/progress", "progress is 1; it was 2",
       "never_decrease/progress")]),
    ("the id is another and the name is wrong", [put(4, message_id="other", song_name=7)],
     [("field.type", 4, "/song_name", "song_name is 7, of type integer; expected string",
       "running/field/song_name/type"),
      ("identity.changed", 4, "/message_id", "message_id is 'other'; it was '...'",
       "constant/message_id")]),
    ("the id comes and goes", [put(4, message_id="other"), put(6, message_id="other"),
                               put(9, message_id="third")],
     [("identity.changed", 4, "/message_id", "message_id is 'other'; it was '...'",
       "constant/message_id"),
      ("identity.changed", 9, "/message_id", "message_id is 'third'; it was '...'",
       "constant/message_id")]),
    ("two fields become the same", [put(4, song_name="https://b/c", album_art="https://b/c")],
     [("identity.changed", 4, "/album_art",
       "album_art is 'https://b/c'; it was 'https://storage.soundverse.ai/...'",
       "constant/album_art"),
      ("identity.changed", 4, "/song_name", "song_name is 'https://b/c'; it was 'Song Title'",
       "constant/song_name")]),
    ("fields of two chunks are wrong", [put(4, song_name=7), put(5, progress="x")],
     [("field.type", 4, "/song_name", "song_name is 7, of type integer; expected string",
       "running/field/song_name/type"),
      ("field.type", 5, "/progress", "progress is 'x', of type string; expected integer",
       "running/field/progress/type")]),
    ("the flag is true too early", [put(3, isComplete=True)],
     [("field.value", 3, "/isComplete", "isComplete is true; the stream goes on",
       "completion/before_last")]),
    # --- the index
    ("the index starts late", [shifted(0, 3)],
     [("index.start", 0, "/chunkIndex", "chunkIndex starts at 3; expected 0", "index/start")]),
    ("an index is repeated", [put(5, chunkIndex=4)],
     [("index.repeated", 5, "/chunkIndex", "chunkIndex is 4 after 4; expected 5",
       "index/consecutive")]),
    ("an index falls", [put(5, chunkIndex=1)],
     [("index.decreased", 5, "/chunkIndex", "chunkIndex is 1 after 4; expected 5",
       "index/consecutive")]),
    ("a gap after a whole number with a point", [put(5, chunkIndex=5.0), put(6, chunkIndex=9)],
     [("index.gap", 6, "/chunkIndex", "chunkIndex is 9 after 5; expected 6",
       "index/consecutive")]),
    ("an index beyond all counting", [put(6, chunkIndex=9), index_as(5, b"1e400")],
     [("index.gap", 5, "/chunkIndex", "chunkIndex is 1E+400 after 4; expected 5",
       "index/consecutive"),
      ("index.gap", 6, "/chunkIndex", "chunkIndex is 9 after 5; expected 6",
       "index/consecutive")]),
    *[
        (f"a gap, then an index is missing, {how}", [edit, drop(6, "chunkIndex")],
         [("index.gap", 5, "/chunkIndex", "chunkIndex is 9 after 4; expected 5",
           "index/consecutive"),
          ("field.missing", 6, "/chunkIndex", "chunkIndex is missing",
           "streaming_ready/field/chunkIndex/required")])
        for how, edit in (("then as if nothing had happened", put(5, chunkIndex=9)),
                          ("then on from the gap", shifted(5, 4)))
    ],
]  # fmt: skip


@pytest.mark.parametrize(
    ("edits", "violations"), [row[1:] for row in WORDED], ids=[row[0] for row in WORDED]
)
def test_a_violation_says_exactly_what_where_and_by_which_rule(v6, song, judged, edits, violations):
    for edit in edits:
        edit(song)
    check = judged(v6, song)
    assert exact(check) == violations
    assert all(each.rule in v6.rules.rules for each in check.violations)


def test_the_same_stream_is_told_the_same_the_second_time(v6, song, judged):
    """What is remembered of kinds of chunk changes nothing."""
    song[3]["status"] = {"a": 1}
    song[4].update(song_name=7, mood=1)
    song[5]["progress"] = 1
    song[6]["version"] = 7
    song[9]["message_id"] = "other"
    first, second = judged(v6, song), judged(v6, song)
    assert [each.code for each in first.violations] == [
        "stage.unknown", "field.type", "field.undocumented", "progress.decreased", "track.unknown",
        "identity.changed", "stream.not_closed",
    ]  # fmt: skip
    assert second.violations == first.violations


def test_a_last_chunk_that_never_closes_is_told_at_its_flag(v6, song, judged):
    (violation,) = judged(v6, song).violations
    assert violation.to_json() == {
        "code": "stream.not_closed",
        "severity": "info",
        "chunk": 12,
        "path": "/isComplete",
        "message": "isComplete is false on the last chunk and was never true",
        "rule": "v6/stream/completion/last",
        "expected": "true on the last chunk",
        "received": "false",
    }


def test_a_flag_that_was_true_too_early_is_not_also_never_true(v6, song, judged):
    song[3]["isComplete"] = True
    assert [each.code for each in judged(v6, song).violations] == ["field.value"]


def test_a_body_that_ends_in_an_event_says_so_at_the_event_that_did_not_come(v6, song, judged):
    assert exact(judged(v6, song[:-1], unterminated=True)) == [
        ("framing.unterminated", 12, "",
         "the body ends inside an event: its blank line is missing", "framing"),
        ("stream.truncated", None, "",
         "the stream ended after uploading; still due: final (track 2)", "end/reached"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("api", "framing", "message"),
    [
        ("v6", "sse", None),
        ("v6", "lines", "the body is framed as lines; expected sse"),
        ("v5", "sse", None),
        ("v5", "lines", None),
        ("v5", "json", "the body is framed as json; expected sse or lines"),
    ],
)
def test_a_framing_that_was_not_promised_is_told(api, framing, message):
    check = StreamCheck(replace(load(api)))
    check.framed(framing)
    assert check.framing == framing
    expected = [] if message is None else [("framing.unexpected", None, "", message, "framing")]
    assert exact(check) == expected


# --- what an event was


def test_a_check_starts_with_nothing(v6):
    check = StreamCheck(v6)
    assert (check.violations, check.events, check.ended) == ([], 0, False)
    assert (check.reason, check.failed, check.last_stage, check.framing) == (None,) * 4


def test_each_event_says_what_it_was_also_if_it_should_not_have_come(v6, song):
    check = StreamCheck(v6)
    for chunk in song[:6]:
        check.event(encoded(chunk))
    unknown = {"status": "dreaming", "chunkIndex": 6}
    assert check.event(encoded(unknown)) == SeenEvent(unknown, None, None, ())
    assert check.event(b"[1]") == SeenEvent(None, None, None, ())
    assert check.event(b"{") == SeenEvent(None, None, None, ())
    assert check.last_stage == "running"
    for chunk in song[6:]:
        check.event(encoded(chunk))
    assert check.ended is True
    assert check.last_stage == "final"
    assert check.event(encoded(song[11])) == SeenEvent(song[11], "uploading", 2, ())
    assert check.event(encoded(song[5])) == SeenEvent(song[5], "running", None, ())
    assert check.last_stage == "final", "what comes after the last chunk is not the last stage"
    assert check.events == 18


@pytest.mark.parametrize(
    ("version", "track"),
    [(1, 1), (2.0, 2), (7, 7), (1.5, None), ("1", None), (True, None), (None, None), ([], None)],
)
def test_the_track_of_an_event_is_a_whole_number(v6, song, version, track):
    check = StreamCheck(v6)
    seen = check.event(encoded({**song[6], "version": version}))
    assert (seen.stage, seen.track, type(seen.track)) == ("streaming_ready", track, type(track))


def test_tracks_may_have_names(v6, song):
    """A track's name is what the contract says, not necessarily a number."""
    named = changed(
        v6, tracks=replace(v6.protocol.tracks, values=("a", "b"))
    )  # the schema of the field still asks for a number
    check = StreamCheck(named)
    seen = [check.event(encoded({**song[6], "version": name})).track for name in ("a", "b", 1)]
    assert seen == ["a", "b", None]
