"""Hand-broken copies of the printed v5 stream, and broken synchronous results of both versions."""

from __future__ import annotations

import copy
import json

import pytest

from soundstage.conformance.answers import (
    check_content_type,
    check_error,
    check_refusal,
    check_result,
    media_type,
)

# 0 progress (all null), 1 and 2 progress (task known), 3 final


def put(place, **fields):
    return lambda song: song[place].update(fields)


def drop(place, *fields):
    return lambda song: [song[place].pop(field) for field in fields]


BROKEN = [
    ("content is missing", drop(0, "content"), ["field.missing"], []),
    ("tokens are missing", drop(1, "tokens"), [], ["field.missing"]),
    ("tokens are a string", put(1, tokens="10"), ["field.type"], []),
    ("tokens are negative", put(1, tokens=-1), ["field.value"], []),
    ("the flag is null", put(1, isComplete=None), ["field.type"], []),
    ("the task id is a number", put(1, task_id=123456789), ["field.type"], []),
    ("the task id is missing", drop(2, "task_id"), [], ["field.missing"]),
    ("the task id changes", put(2, task_id="987"), ["identity.changed"], []),
    ("the task id is null again", put(2, task_id=None), [], []),
    ("the status is new", put(1, status="QUEUED"), [], ["field.value"]),
    ("the status is in small letters", put(1, status="processing"), [], ["field.value"]),
    ("the status is a number", put(1, status=1), ["field.type"], []),
    ("the error flag is null", put(1, error=None), ["field.type"], []),
    ("the error flag is missing", drop(2, "error"), [], ["field.missing"]),
    ("all that only the example shows is missing",
     drop(2, "tokens", "totalTokens", "error", "task_id", "status", "album_art", "song_name"),
     [], ["field.missing"] * 7),
    ("the last chunk has no counters", drop(3, "tokens", "totalTokens", "error"),
     [], ["field.missing"] * 3),
    ("a keep-alive stands between", lambda s: s.insert(2, {"type": "ping"}),
     ["stage.unknown"], []),
    ("an empty object stands between", lambda s: s.insert(2, {}), ["stage.unknown"], []),
    ("the cover is no URL", put(1, album_art="art.png"), ["field.value"], []),
    ("the index starts at 0", lambda s: [c.update(chunkIndex=c["chunkIndex"] - 1) for c in s],
     ["index.start"], []),
    ("an index is repeated", put(2, chunkIndex=2), ["index.repeated"], []),
    ("a chunk is lost", lambda s: s.pop(1), ["index.gap"], []),
    ("the flag is true early", put(1, isComplete=True), ["field.value"], []),
    ("the last chunk has no audio", drop(3, "audio_url"), ["field.missing"], []),
    ("the last chunk's audio is null", put(3, audio_url=None), ["field.type"], []),
    ("the last chunk's cover is null", put(3, album_art=None), ["field.type"], []),
    ("the last chunk's name is null", put(3, song_name=None), ["field.type"], []),
    ("the last chunk's task is null", put(3, task_id=None), ["field.type"], []),
    ("the last chunk says PROCESSING", put(3, status="PROCESSING"), ["field.value"], []),
    ("the last chunk's flag is missing", drop(3, "isComplete"), ["field.missing"], []),
    ("an undocumented field", put(1, queue=4), [], ["field.undocumented"]),
    ("the stream is truncated", lambda s: s.pop(), ["stream.truncated"], []),
    ("the stream is empty", lambda s: s.clear(), ["stream.truncated"], []),
    ("a chunk after the last", lambda s: s.append({**s[1], "chunkIndex": 5}),
     ["stream.after_end"], []),
    ("the last chunk twice", lambda s: s.append(s[3]), ["stream.after_end"], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "errors", "warnings"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_a_broken_v5_stream_is_refused_with_the_fitting_codes_only(
    v5, song_v5, judged, found, edit, errors, warnings
):
    edit(song_v5)
    check = judged(v5, song_v5)
    assert found(check, "error") == errors, check.violations
    assert found(check, "warning") == warnings, check.violations


def test_a_last_v5_chunk_whose_flag_stays_false_is_an_error(v5, song_v5, judged, found):
    song_v5[3]["isComplete"] = False
    check = judged(v5, song_v5)
    assert set(found(check, "error")) <= {"field.value", "stream.not_closed"}
    assert check.verdict() == "violates"


# --- single bodies


def printed(contract, of):
    return copy.deepcopy(next(each.payload for each in contract.examples if each.of == of))


def result(contract, edit):
    value = printed(contract, "response")
    edit(value)
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return check_result(contract, "sync", raw)


V6_RESULTS = [
    ("as printed", lambda r: None, [], []),
    ("no message id", lambda r: r.pop("message_id"), ["field.missing"], ["/message_id"]),
    ("one track", lambda r: r["audio_data"].pop(), ["field.value"], ["/audio_data"]),
    ("three tracks", lambda r: r["audio_data"].append(r["audio_data"][0]), ["field.value"],
     ["/audio_data"]),
    ("tracks are an object", lambda r: r.update(audio_data={}), ["field.type"], ["/audio_data"]),
    ("a track is text", lambda r: r["audio_data"].__setitem__(1, "x"), ["field.type"],
     ["/audio_data/1"]),
    ("a track has no audio", lambda r: r["audio_data"][1].pop("audio_url"), ["field.missing"],
     ["/audio_data/1/audio_url"]),
    ("a track's audio is null", lambda r: r["audio_data"][0].update(audio_url=None),
     ["field.type"], ["/audio_data/0/audio_url"]),
    ("a track's audio is no URL", lambda r: r["audio_data"][0].update(audio_url="x.mp3"),
     ["field.value"], ["/audio_data/0/audio_url"]),
    ("something new", lambda r: r.update(mood=1), ["field.undocumented"], ["/mood"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "codes", "paths"), [row[1:] for row in V6_RESULTS], ids=[row[0] for row in V6_RESULTS]
)
def test_a_v6_result_is_held_to_its_fields(v6, edit, codes, paths):
    found = result(v6, edit).violations
    assert [each.code for each in found] == codes
    assert [each.path for each in found] == paths
    assert all(each.rule in v6.rules.rules for each in found)


@pytest.mark.parametrize(
    "field", ["success", "messageId", "audio_url", "album_art", "song_name", "status"]
)
def test_a_v5_result_has_every_printed_field(v5, field):
    (violation,) = result(v5, lambda value: value.pop(field)).violations
    assert (violation.code, violation.path) == ("field.missing", f"/{field}")
    (violation,) = result(v5, lambda value: value.update({field: None})).violations
    assert violation.code == "field.type"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "json.empty"),
        (b"{", "json.syntax"),
        (b"[]", "json.not_object"),
        (b"null", "json.not_object"),
        (b"<html></html>", "json.syntax"),
        (b'{"success": false, "message": "Rate limits have been passed for the user."}',
         "http.error_under_success"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("api", ["v5", "v6"])
def test_what_is_no_result_is_one_violation(v5, v6, api, raw, code):
    (violation,) = check_result({"v5": v5, "v6": v6}[api], "sync", raw).violations
    assert violation.code == code


def test_any_json_answers_for_the_status_of_a_generation(v6):
    for raw in (b"{}", b"[]", b"null", b'"done"', b'{"any": {"thing": [1]}}'):
        assert check_result(v6, "status", raw).violations == []
    (violation,) = check_result(v6, "status", b"nope").violations
    assert (violation.code, violation.rule) == ("json.syntax", "v6/status/json")


# --- errors


def test_every_printed_error_is_recognised_under_its_status(v5, v6):
    for contract in (v5, v6):
        for error in contract.errors.known:
            raw = json.dumps(error.body).encode()
            answer = check_error(contract, raw, status=error.status, bad_request=True)
            assert answer.violations == []
            assert (answer.error is not None) is error.printed


@pytest.mark.parametrize(
    ("body", "status", "codes"),
    [
        ({"detail": "anything else"}, 422, []),
        ({"detail": [{"loc": ["body"], "msg": "x"}]}, 422, []),
        ({}, 404, []),
        ([], 404, ["http.error_body"]),
        ("no", 404, ["http.error_body"]),
        ({"success": False, "message": "Insufficient balance for this operation.", "code": 7}, 402,
         ["http.error_body"]),
        ({"message": "Insufficient balance for this operation."}, 402, ["http.error_body"]),
        ({"success": True, "message": "Insufficient balance for this operation."}, 402,
         ["http.error_body"]),
        ({"detail": "Invalid or empty prompt provided"}, 200, ["http.error_under_success"]),
        ({"detail": "Invalid or empty prompt provided"}, 302, ["http.status"]),
        ({"detail": "oops"}, 500, ["http.server_error"]),
        ({"detail": "oops"}, 503, []),
    ],
)  # fmt: skip
def test_an_error_is_held_to_its_status_and_its_body(v6, body, status, codes):
    answer = check_error(v6, json.dumps(body).encode(), status=status, bad_request=True)
    assert [each.code for each in answer.violations] == codes
    assert all(each.rule in v6.rules.rules for each in answer.violations)


def test_a_500_is_no_violation_where_the_request_was_right(v6):
    assert check_error(v6, b"{}", status=500).violations == []


def test_what_is_nearly_a_printed_error_says_what_is_different(v6):
    body = {"success": "no", "message": "Insufficient balance for this operation."}
    (violation,) = check_error(v6, json.dumps(body).encode(), status=402).violations
    assert violation.rule == "v6/error/insufficient_balance/body"
    assert "success is 'no'; expected false" in violation.message


@pytest.mark.parametrize(
    ("status", "body", "reason", "codes"),
    [
        (429, {"success": False, "message": "Rate limits have been passed for the user."},
         "api.rate_limit", []),
        (401, {"detail": "no"}, "http.401", []),
        (500, {"detail": "no"}, "http.500", []),
        (404, {"detail": "Not found"}, None, ["http.status"]),
        (422, {"detail": "no"}, None, ["http.status"]),
        (301, "", None, ["http.status"]),
        (400, {"detail": "Invalid or empty prompt provided"}, "api.invalid_prompt", []),
    ],
)  # fmt: skip
def test_a_refusal_of_a_good_request_is_told_from_an_endpoint_that_is_not_there(
    v6, status, body, reason, codes
):
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    answer = check_refusal(v6, v6.endpoints["stream"], status, raw)
    assert answer.reason == reason
    assert [each.code for each in answer.violations] == codes


@pytest.mark.parametrize(
    ("endpoint", "framing", "content_type", "fits"),
    [
        ("stream", "sse", "text/event-stream", True),
        ("stream", "sse", "Text/Event-Stream; charset=utf-8", True),
        ("stream", "sse", "application/json", False),
        ("stream", "sse", None, False),
        ("stream", "sse", "", False),
        ("stream", None, "text/event-stream", True),
        ("sync", None, "application/json", True),
        ("sync", None, "application/problem+json; charset=utf-8", True),
        ("sync", None, "text/html", False),
    ],
)
def test_the_content_type_has_to_fit(v6, endpoint, framing, content_type, fits):
    found = check_content_type(v6, v6.endpoints[endpoint], content_type, framing)
    assert (found == []) is fits
    assert [each.code for each in found] == ([] if fits else ["http.content_type"])


def test_v5_lines_may_come_as_any_text_and_json(v5):
    stream = v5.endpoints["stream"]
    for content_type in ("text/plain", "application/x-ndjson", "application/json"):
        assert check_content_type(v5, stream, content_type, "lines") == []
        assert check_content_type(v5, stream, content_type, "sse") != []


def test_a_media_type_is_compared_without_case_and_parameters():
    assert media_type(" Text/HTML ; a=b") == "text/html"
    assert media_type(None) == ""
