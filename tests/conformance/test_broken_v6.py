"""Hand-broken copies of the printed v6 stream: each is refused, with the codes that fit and no
others."""

from __future__ import annotations

import json

import pytest

# The stream's chunks by place: 0 initializing, 1 validated, 2 streaming, 3 processing, 4 and 5
# running, 6 and 7 streaming_ready (tracks 1, 2), 8 completed, 9 uploading 1, 10 final 1,
# 11 uploading 2, 12 final 2.


def put(place, **fields):
    def edit(song):
        song[place].update(fields)

    return edit


def drop(place, *fields):
    def edit(song):
        for field in fields:
            del song[place][field]

    return edit


def numbered(song):
    """The song with its indexes made right again after chunks were moved."""
    for number, chunk in enumerate(song):
        chunk["chunkIndex"] = number
    return song


def moved(edit):
    """An edit of the order only: the indexes are made right afterwards."""

    def moving(song):
        edit(song)
        numbered(song)

    return moving


def without(*places):
    @moved
    def edit(song):
        for place in sorted(places, reverse=True):
            del song[place]

    return edit


def swapped(one, other):
    @moved
    def edit(song):
        song[one], song[other] = song[other], song[one]

    return edit


def twice(place):
    return moved(lambda song: song.insert(place, dict(song[place])))


def to(place, new):
    return moved(lambda song: song.insert(new, song.pop(place)))


def track_becomes(old, new):
    def edit(song):
        for chunk in song:
            if chunk.get("version") == old:
                chunk["version"] = new

    return edit


def zero_based(song):
    for chunk in song:
        if "version" in chunk:
            chunk["version"] -= 1


@moved
def third_track(song):
    for place in (10, 9, 6):
        song.insert(place, {**song[place], "version": 3})


@moved
def without_track_2(song):
    song[:] = [chunk for chunk in song if chunk.get("version") != 2]


def raw(place, change):
    """An edit of a chunk's bytes."""

    def edit(song):
        song[place] = change(json.dumps(song[place]).encode())

    return edit


# name, edit, the codes of all errors in order, the codes of all warnings
BROKEN = [
    # --- fields
    ("a field is missing", drop(1, "song_name"), ["field.missing"], []),
    ("the message id is missing", drop(2, "message_id"), ["field.missing"], []),
    ("two fields are missing", drop(5, "song_name", "progress"), ["field.missing"] * 2, []),
    ("the index is missing", drop(3, "chunkIndex"), ["field.missing"], []),
    ("the flag is missing", drop(0, "isComplete"), ["field.missing"], []),
    ("the lyrics are missing", drop(10, "lyrics_sections"), ["field.missing"], []),
    ("the audio is missing", drop(8, "audio_url"), ["field.missing"], []),
    ("the stream URL is missing", drop(6, "stream_url"), ["field.missing"], []),
    ("the ready flag is missing", drop(7, "streaming_ready"), ["field.missing"], []),
    ("a field is null", put(1, album_art=None), ["field.type"], []),
    ("the message id is null", put(3, message_id=None), ["field.type"], []),
    ("the message id is empty", put(1, message_id=""), ["field.value"], []),
    ("a string is a number", put(4, song_name=7), ["field.type"], []),
    ("a boolean is a string", put(2, isComplete="false"), ["field.type"], []),
    ("a boolean is a number", put(2, isComplete=0), ["field.type"], []),
    ("the progress is a string", put(5, progress="50"), ["field.type"], []),
    ("the progress is a boolean", put(5, progress=True), ["field.type"], []),
    ("the progress has a fraction", put(5, progress=50.5), ["field.type"], []),
    ("the progress is above 100", put(5, progress=101), ["field.value"], []),
    ("the progress is negative", put(4, progress=-1), ["field.value"], []),
    ("completed is not 100", put(8, progress=99), ["field.value"], []),
    ("the ready flag is false", put(6, streaming_ready=False), ["field.value"], []),
    ("the lyrics are text", put(12, lyrics_sections="la la"), ["field.type"], []),
    ("a URL is relative", put(8, audio_url="/song.mp3"), ["field.value"], []),
    ("a URL has another scheme", put(8, audio_url="ftp://a/b"), ["field.value"], []),
    ("a URL has no host", put(6, stream_url="https://"), ["field.value"], []),
    ("a URL has a space", put(6, stream_url="https://a/b c"), ["field.value"], []),
    ("a URL is empty", put(6, stream_url=""), ["field.value"], []),
    # --- stages
    ("a status in another case", put(1, status="Validated"), ["stage.unknown"], []),
    ("a status is misspelt", put(3, status="procesing"), ["stage.unknown"], []),
    ("a status is null", put(3, status=None), ["stage.unknown"], []),
    ("a status is missing", drop(2, "status"), ["stage.unknown"], []),
    ("an empty chunk", lambda song: song.__setitem__(3, {}), ["stage.unknown"], []),
    ("initializing is skipped", without(0), ["stage.order", "stage.missing"], []),
    ("validated is skipped", without(1), ["stage.order", "stage.missing"], []),
    ("streaming is skipped", without(2), ["stage.order", "stage.missing"], []),
    ("completed is skipped", without(8), ["stage.order", "stage.missing"], []),
    ("uploading is skipped", without(9), ["stage.order", "stage.missing"], []),
    ("ready is skipped on a track", without(7), ["stage.order", "stage.missing"], []),
    ("validated and streaming swap", swapped(1, 2), ["stage.order"], []),
    ("initializing and validated swap", swapped(0, 1), ["stage.order"], []),
    ("uploading and final swap", swapped(9, 10), ["stage.order"], []),
    ("ready before streaming", to(6, 2), ["stage.order"], []),
    ("processing before streaming", to(3, 1), ["stage.order"], []),
    ("running before streaming", to(4, 1), ["stage.order"], []),
    ("uploading before completed", to(9, 8), ["stage.order"], []),
    ("completed before ready", to(8, 6), ["stage.order"], []),
    ("validated comes twice", twice(1), ["stage.repeated"], []),
    ("streaming comes twice", twice(2), [], ["stage.repeated"]),
    ("streaming comes thrice", lambda s: (twice(2)(s), twice(2)(s)), [], ["stage.repeated"]),
    ("ready comes twice", twice(6), ["stage.repeated"], []),
    ("uploading comes twice", twice(9), ["stage.repeated"], []),
    ("final comes twice", twice(10), ["stage.repeated"], []),
    ("completed comes thrice", lambda s: (twice(8)(s), twice(8)(s)), ["stage.repeated"], []),
    ("running after the end", moved(lambda s: s.append(dict(s[5]))), ["stream.after_end"], []),
    ("a repeat of the last chunk", twice(12), ["stream.after_end"], []),
    ("nonsense after the end", lambda song: song.append({"a": 1}), ["stream.after_end"], []),
    # --- tracks
    ("track 2 is lost", without_track_2, ["track.missing"], []),
    ("a third track", third_track, ["track.unknown"] * 3, []),
    ("tracks count from zero", zero_based, ["track.unknown"] * 3, []),
    ("track 2 is called 3", track_becomes(2, 3), ["track.unknown"] * 3, []),
    ("one chunk of a wild track: ready", put(6, version=7), ["track.unknown"], []),
    ("one chunk of a wild track: uploading", put(9, version=7), ["track.unknown"], []),
    ("one chunk of a wild track: final", put(10, version=7), ["track.unknown"], []),
    ("one chunk of a wild track: the last", put(12, version=0), ["track.unknown"], []),
    ("one chunk of the other track: ready", put(6, version=2), ["stage.repeated"], []),
    ("one chunk of the other track: uploading", put(11, version=1), ["stage.repeated"], []),
    ("one chunk of the other track: final", put(10, version=2), ["stage.order"], []),
    ("one chunk of the other track: the last", put(12, version=1), ["stage.repeated"], []),
    ("ready after the track's end", to(6, 10), ["stage.order"], []),
    ("a version is missing: ready", drop(6, "version"), ["field.missing"], []),
    ("a version is missing: uploading", drop(9, "version"), ["field.missing"], []),
    ("a version is missing: final", drop(10, "version"), ["field.missing"], []),
    ("a version is missing: the last", drop(12, "version"), ["field.missing"], []),
    ("a version is a string: ready", put(6, version="1"), ["field.type"], []),
    ("a version is a string: uploading", put(9, version="1"), ["field.type"], []),
    ("a version is a string: final", put(10, version="1"), ["field.type"], []),
    ("a version is a string: the last", put(12, version="2"), ["field.type"], []),
    ("a version is true", put(6, version=True), ["field.type"], []),
    ("a version is null", put(12, version=None), ["field.type"], []),
    # --- index
    ("the index starts at 1", lambda s: [c.update(chunkIndex=c["chunkIndex"] + 1) for c in s],
     ["index.start"], []),
    ("an index is skipped", lambda s: [c.update(chunkIndex=c["chunkIndex"] + 1) for c in s[5:]],
     ["index.gap"], []),
    ("one index is too high", put(5, chunkIndex=9), ["index.gap"], []),
    ("an index is repeated", put(5, chunkIndex=4), ["index.repeated"], []),
    ("an index goes back", put(5, chunkIndex=1), ["index.decreased"], []),
    ("the index starts again", lambda s: [c.update(chunkIndex=c["chunkIndex"] - 5) for c in s[5:]],
     ["index.decreased"], []),
    ("an index is a string", put(5, chunkIndex="5"), ["field.type"], []),
    ("an index has a fraction", put(5, chunkIndex=5.5), ["field.type"], []),
    ("an index is null", put(0, chunkIndex=None), ["field.type"], []),
    ("an index is wrong and a float", put(5, chunkIndex=9.0), ["index.gap"], []),
    ("a chunk is lost", lambda song: song.pop(4), ["index.gap"], []),
    # --- what must hold across chunks
    ("one message id is another", put(4, message_id="other"), ["identity.changed"], []),
    ("the message id changes", lambda s: [c.update(message_id="other") for c in s[4:9]],
     ["identity.changed"], []),
    ("the flag is true too early", put(3, isComplete=True), ["field.value"], []),
    ("the flag is true on the first final", put(10, isComplete=True), ["field.value"], []),
    ("the cover changes", put(4, album_art="https://b/c"), [], ["identity.changed"]),
    ("the name changes", put(4, song_name="Other"), [], ["identity.changed"]),
    ("the progress falls", put(5, progress=1), [], ["progress.decreased"]),
    ("an undocumented field", put(4, mood="happy"), [], ["field.undocumented"]),
    ("two undocumented fields", put(4, mood=1, key="C"), [], ["field.undocumented"] * 2),
    # --- JSON
    ("a chunk is cut", raw(3, lambda data: data[:-5]), ["json.syntax"], []),
    ("a chunk is empty", raw(3, lambda data: b""), ["json.empty"], []),
    ("a chunk is an array", raw(3, lambda data: b"[%s]" % data), ["json.not_object"], []),
    ("a chunk is null", raw(3, lambda data: b"null"), ["json.not_object"], []),
    ("a chunk is text", raw(3, lambda data: b'"hello"'), ["json.not_object"], []),
    ("a chunk is a number", raw(3, lambda data: b"42"), ["json.not_object"], []),
    ("a chunk is a done mark", raw(3, lambda data: b"[DONE]"), ["json.syntax"], []),
    ("text follows a chunk", raw(3, lambda data: data + b"x"), ["json.trailing_text"], []),
    ("two chunks in an event", raw(3, lambda data: data + data), ["json.trailing_text"], []),
    ("a chunk has NaN", raw(5, lambda data: data.replace(b"50", b"NaN")), ["json.nan"], []),
    ("a key comes twice", raw(3, lambda d: b'{"status":"a",' + d[1:]), ["json.duplicate_key"], []),
    ("a chunk is not UTF-8", raw(3, lambda d: d.replace(b"Song", b"S\xffng")),
     ["json.invalid_utf8"], ["identity.changed"]),
    ("a lone surrogate", raw(3, lambda d: d.replace(b"Song", rb"S\ud800ng")),
     ["json.lone_surrogate"], ["identity.changed"]),
    ("a chunk is nested deeply", put(3, mood=json.loads("[" * 200 + "]" * 200)),
     ["json.too_deep"], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "errors", "warnings"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_a_broken_stream_is_refused_with_the_fitting_codes_only(
    v6, song, judged, found, edit, errors, warnings
):
    edit(song)
    check = judged(v6, song)
    assert found(check, "error") == errors, check.violations
    assert found(check, "warning") == warnings, check.violations
    assert check.verdict() == ("violates" if errors else "conforms")
    assert check.verdict(strict=True) == "violates"


@pytest.mark.parametrize(
    ("edit", "chunk", "path", "rule"),
    [
        (drop(1, "song_name"), 1, "/song_name", "v6/stream/validated/field/song_name/required"),
        (put(1, album_art=None), 1, "/album_art", "v6/stream/validated/field/album_art/type"),
        (put(8, progress=99), 8, "/progress", "v6/stream/completed/field/progress/value"),
        (put(4, error=7), 4, "/error", "v6/stream/field/error/type"),
        (put(3, status="x"), 3, "/status", "v6/stream/stages"),
        (drop(3, "status"), 3, "", "v6/stream/stages"),
        (swapped(9, 10), 9, "", "v6/stream/order/final/after/uploading"),
        (twice(1), 2, "", "v6/stream/times/validated"),
        (without(1), 1, "", "v6/stream/order/streaming/after/validated"),
        (put(6, version=7), 6, "/version", "v6/stream/tracks/values"),
        (without_track_2, None, "", "v6/stream/tracks/all"),
        (put(5, chunkIndex=9), 5, "/chunkIndex", "v6/stream/index/consecutive"),
        (lambda song: song[0].update(chunkIndex=3), 0, "/chunkIndex", "v6/stream/index/start"),
        (put(4, message_id="x"), 4, "/message_id", "v6/stream/constant/message_id"),
        (put(3, isComplete=True), 3, "/isComplete", "v6/stream/completion/before_last"),
        (put(4, mood=1), 4, "/mood", "v6/stream/undocumented"),
        (put(4, **{"a/b~c": 1}), 4, "/a~1b~0c", "v6/stream/undocumented"),
        (raw(3, lambda data: b"{"), 3, "", "v6/stream/json"),
        (raw(3, lambda d: b'{"status":"a",' + d[1:]), 3, "/status", "v6/stream/json"),
        (lambda song: song.append(song[12]), 13, "", "v6/stream/end/nothing_after"),
        (lambda song: song.pop(), None, "", "v6/stream/end/reached"),
    ],
)  # fmt: skip
def test_a_violation_names_the_chunk_the_place_and_the_rule(
    v6, song, judged, edit, chunk, path, rule
):
    edit(song)
    first = next(each for each in judged(v6, song).violations if each.severity != "info")
    assert (first.chunk, first.path, first.rule) == (chunk, path, rule), first
    assert rule in v6.rules.rules


@pytest.mark.parametrize("many", range(13))
def test_a_stream_that_ends_after_any_chunk_but_the_last_is_truncated(
    v6, song, judged, found, many
):
    check = judged(v6, song[:many])
    assert found(check) == ["stream.truncated"]
    assert not check.ended
    stage = check.last_stage or "its first chunk"
    assert stage in check.violations[-1].message
    assert "final" in check.violations[-1].message


def test_a_truncated_stream_says_what_was_still_due(v6, song, judged):
    (violation,) = judged(v6, song[:10]).violations
    assert violation.message == (
        "the stream ended after uploading; still due: uploading (track 2), final (track 1), "
        "final (track 2)"
    )


def test_a_stream_without_any_chunk_is_truncated(v6, judged, found):
    assert found(judged(v6, [])) == ["stream.truncated"]


def test_an_event_that_is_cut_by_the_end_is_one_more_error(v6, song, judged, found):
    check = judged(v6, song[:-1], unterminated=True)
    assert found(check) == ["framing.unterminated", "stream.truncated"]
    assert check.violations[0].chunk == 12


def test_one_garbled_chunk_at_any_place_is_one_error(v6, song, judged, found):
    for place in range(len(song) - 1):
        broken = [*song[:place], b"{garbled", *song[place + 1 :]]
        assert found(judged(v6, broken)) == ["json.syntax"], place


def test_one_chunk_of_an_unknown_stage_at_any_place_is_one_error(v6, song, judged, found):
    for place in range(len(song) - 1):
        broken = [*song[:place], {**song[place], "status": "dreaming"}, *song[place + 1 :]]
        assert found(judged(v6, broken)) == ["stage.unknown"], place


def test_a_garbled_last_chunk_may_have_been_the_one_that_ends_the_stream(v6, song, judged, found):
    check = judged(v6, [*song[:-1], b"{"])
    assert found(check) == ["json.syntax"]
    assert not check.ended


def test_a_garbled_chunk_does_not_excuse_a_stream_that_is_truncated_elsewhere(
    v6, song, judged, found
):
    for place in range(10):
        assert found(judged(v6, [*song[:place], b"{", *song[place + 1 : -1]])) == [
            "json.syntax",
            "stream.truncated",
        ], place


def test_any_single_missing_field_is_one_error(v6, song, judged, found):
    for place, chunk in enumerate(song):
        stage = judged(v6, song[: place + 1]).last_stage
        for field in v6.protocol.by_name[stage].schema["required"]:
            if field == "status":
                continue
            broken = [dict(each) for each in song]
            del broken[place][field]
            check = judged(v6, broken)
            assert found(check) == ["field.missing"], (place, field, check.violations)
        assert chunk is song[place]
