"""The engine's exact words and values: each violation whole, each event, and the rarer contracts.

Each test compiles the contract anew, so that nothing is remembered from another one.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from soundstage.conformance.engine import SeenEvent, StreamCheck
from soundstage.conformance.stages import compiled, marks_of
from soundstage.contract import load
from soundstage.contract.json_schema.field_path import field_path
from soundstage.contract.protocol import NeverDecrease
from soundstage.contract.rules import rule_book


@pytest.fixture
def v6():
    return replace(load("v6"))


@pytest.fixture
def v5():
    return replace(load("v5"))


def changed(contract, endpoints=None, stages=(), **protocol):
    """A copy of a contract: other parts of its protocol, and fields of stages by their name."""
    stages = dict(stages)
    old = replace(contract.protocol, **protocol)
    new = tuple(replace(each, **stages.get(each.name, {})) for each in old.stages)
    made = replace(old, stages=new, by_name={each.name: each for each in new})
    held = contract.endpoints if endpoints is None else endpoints
    held = {
        name: replace(each, protocol=made) if each.protocol is contract.protocol else each
        for name, each in held.items()
    }
    rules = rule_book(contract.api, held, made, contract.errors, contract.hosts)
    return replace(contract, endpoints=held, protocol=made, rules=rules)


def encoded(chunk):
    return chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()


def exact(check):
    """All violations but the one that every printed v6 stream has."""
    return [
        (each.code, each.chunk, each.path, each.message, each.rule.split("/", 2)[2])
        for each in check.violations
        if each.code != "stream.not_closed"
    ]


# --- edits of the v6 stream; its chunks by place: 0 initializing, 1 validated, 2 streaming,
# 3 processing, 4 and 5 running, 6 and 7 streaming_ready (tracks 1, 2), 8 completed, 9 uploading 1,
# 10 final 1, 11 uploading 2, 12 final 2


def put(place, **fields):
    return lambda song: song[place].update(fields)


def drop(place, field):
    return lambda song: song[place].pop(field)


def numbered(song):
    for number, chunk in enumerate(song):
        chunk["chunkIndex"] = number


def without(*places):
    def edit(song):
        song[:] = [chunk for number, chunk in enumerate(song) if number not in places]
        numbered(song)

    return edit


def again(place, at, **fields):
    """The chunk of a place once more at another."""

    def edit(song):
        song.insert(at, {**song[place], **fields})
        numbered(song)

    return edit


def swapped(one, other):
    def edit(song):
        song[one], song[other] = song[other], song[one]
        numbered(song)

    return edit


def raw(place, data):
    return lambda song: song.__setitem__(place, data)


def index_as(place, text):
    """The index of a chunk as it is written."""

    def edit(song):
        song[place]["chunkIndex"] = "HERE"
        song[place] = encoded(song[place]).replace(b'"HERE"', text)

    return edit


def shifted(first, by):
    def edit(song):
        for chunk in song[first:]:
            chunk["chunkIndex"] += by

    return edit


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


# --- made-up contracts


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
    check, kinds = StreamCheck(v6), compiled(v6, "stream")._kinds
    running = len("status") + len("running")  # counted, like the names
    for size, many in ((1001, 0), (1000, 1), (2000, 1), (999, 2)):
        check.event(encoded({"status": "running", "x" * (size - running): 1}))
        check.event(encoded({"status": "dreaming", "x" * (size - running): 1}))
        assert len(kinds) == many, size
    for number in range(1100):
        check.event(encoded({"status": "running", str(number): 1}))
    assert len(kinds) == 1024


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
