"""One answer as its bytes come in: what it is taken for, and what is said of it."""

from __future__ import annotations

import json

import pytest

from soundstage.conformance.judge import Caps, Judge
from soundstage.conformance.violations import Verdict
from soundstage.contract import load
from soundstage.wire.end import End, EndKind

RATE = b'{"success": false, "message": "Rate limits have been passed for the user."}'
SSE = "text/event-stream"
JSON = "application/json"


@pytest.fixture(scope="module")
def song(stream_of):
    return stream_of("v6")


def judge(
    body,
    *,
    api="v6",
    endpoint="stream",
    status=200,
    content_type=SSE,
    end=None,
    cut=None,
    **options,
):
    contract = load(api)
    judge = Judge(contract, contract.endpoints[endpoint], **options)
    if status is not None:
        judge.head(status, content_type)
    judge.feed(body)
    judge.close(end, cut=cut)
    return judge


def codes(judged):
    return [each.code for each in judged.violations if each.severity != "info"]


def outcome(judged):
    return judged.verdict().value, judged.reason, codes(judged)


def ended(kind, *, answered=True):
    return End.of(kind, "why", 0, answered=answered)


def test_a_whole_stream_conforms(song):
    judged = judge(song)
    assert outcome(judged) == ("conforms", None, [])
    assert (judged.framing, judged.ended, judged.events) == ("sse", True, song.count(b"data: "))


def test_a_file_has_no_head_and_needs_none(song):
    assert outcome(judge(song, status=None)) == ("conforms", None, [])


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"success": true}', JSON, ["framing.unexpected", "http.content_type"]),
        (b"[1]", JSON, ["framing.unexpected", "http.content_type"]),
        (b"<html><p>data: x</p></html>", "text/html; charset=utf-8",
         ["framing.unexpected", "http.content_type"]),
        (b"<html>\n\ndata: {}\n\n</html>", SSE, ["framing.unexpected"]),
        (b"Bad gateway", "text/plain", ["framing.unexpected", "http.content_type"]),
        (b"\x00\xff" * 100, "application/octet-stream",
         ["framing.unexpected", "http.content_type"]),
        (b"", SSE, ["stream.truncated"]),
        (b"", JSON, ["http.content_type", "stream.truncated"]),
        (b"", "text/html", ["stream.truncated", "http.content_type"]),
        (b"", None, ["http.content_type", "stream.truncated"]),
        (b": only a comment\n\n", SSE, ["stream.truncated"]),
        (b"\n\n\n", SSE, ["framing.unexpected"]),
    ],
)  # fmt: skip
def test_what_is_no_stream_is_called_by_its_name(body, content_type, expected):
    judged = judge(body, content_type=content_type)
    assert outcome(judged) == ("violates", None, expected)
    assert judged.events == 0
    for size in (1, 7):
        split = Judge(load("v6"), load("v6").endpoints["stream"])
        split.head(200, content_type)
        for start in range(0, len(body), size):
            split.feed(body[start : start + size])
        split.close()
        assert split.violations == judged.violations


def test_an_error_under_a_success_is_named_and_kept(song):
    judged = judge(RATE, content_type=JSON)
    assert judged.error_name == "rate_limit"
    assert judged.pending == RATE
    assert "Rate Limit Exceeded" in judged.violations[0].message


REFUSED = ("inconclusive", "api.rate_limit", ["http.error_under_success"])


@pytest.mark.parametrize("api", ["v5", "v6"])
@pytest.mark.parametrize("endpoint", ["stream", "sync"])
@pytest.mark.parametrize("content_type", [JSON, SSE])
def test_a_printed_error_under_a_success_is_that_error(api, endpoint, content_type):
    for body in (RATE, RATE + b"\n", b" " + RATE):
        judged = judge(body, api=api, endpoint=endpoint, content_type=content_type)
        assert outcome(judged) == REFUSED
        assert judged.violations[0].severity == "warning"
        assert judged.error_name == "rate_limit"
        assert not judged.ended


@pytest.mark.parametrize("api", ["v5", "v6"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_printed_error_as_an_event_is_that_error(api, after, stream_of):
    begun = b"".join(part + b"\n\n" for part in stream_of(api).split(b"\n\n")[:after])
    judged = judge(begun + b"data: " + RATE + b"\n\n", api=api)
    assert outcome(judged) == REFUSED
    assert judged.error_name == "rate_limit"
    assert not judged.ended
    more = judge(begun + b"data: " + RATE + b"\n\n" + b'data: {"a": 1}\n\n', api=api)
    assert codes(more) == ["http.error_under_success", "stream.after_end"]


def test_a_printed_error_that_is_told_as_a_failure_is_that_error_too():
    body = next(e.payload for e in load("v6").examples if e.of == "error:service_unavailable")
    judged = judge(b"data: " + json.dumps(body).encode() + b"\n\n")
    assert outcome(judged) == (
        "inconclusive", "api.service_unavailable", ["http.error_under_success"],
    )  # fmt: skip


@pytest.mark.parametrize("content_type", ["text/x-bogus", "x bogus", "text/html", JSON, None])
def test_a_good_stream_under_a_wrong_type_breaks_that_rule_alone(song, content_type):
    assert codes(judge(song, content_type=content_type)) == ["http.content_type"]


@pytest.mark.parametrize(
    "content_type", [SSE + ";", SSE + ";charset=windows-1252", "TEXT/Event-Stream; charset=utf-8"]
)
def test_the_parameters_of_the_media_type_do_not_matter(song, content_type):
    assert codes(judge(song, content_type=content_type)) == []


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (503, b"<html>", ("inconclusive", "http.503", [])),
        (503, b"", ("inconclusive", "http.503", [])),
        (502, b"", ("inconclusive", "http.502", [])),
        (401, b'{"detail": "no"}', ("inconclusive", "http.401", [])),
        (429, RATE, ("inconclusive", "api.rate_limit", [])),
        (404, b'{"detail": "Not Found"}', ("violates", None, ["http.status"])),
        (404, b"<html>", ("violates", None, ["http.status"])),
        (422, b'{"detail": []}', ("violates", None, ["http.status"])),
    ],
)
@pytest.mark.parametrize("endpoint", ["stream", "sync"])
def test_another_status_than_200_is_a_refusal_or_a_broken_promise(endpoint, status, body, expected):
    judged = judge(body, endpoint=endpoint, status=status, content_type=JSON)
    assert outcome(judged) == expected
    assert judged.events == 0


def lines_of(body):
    return b"".join(line[6:] + b"\n" for line in body.split(b"\n\n") if line)


def test_json_lines_conform_where_the_contract_has_them(stream_of):
    body = lines_of(stream_of("v5"))
    for content_type in ("text/event-stream", "application/json", "text/plain"):
        judged = judge(body, api="v5", content_type=content_type)
        assert outcome(judged) == ("conforms", None, [])
        assert judged.framing == "lines"
    without_last_end = judge(body.rstrip(b"\n"), api="v5")
    assert outcome(without_last_end) == ("conforms", None, [])
    assert without_last_end.events == body.count(b"\n")


def test_a_stream_of_one_line_without_its_end_is_one_chunk(stream_of):
    final = stream_of("v5").split(b"\n\n")[-2][6:]
    value = json.loads(final) | {"chunkIndex": 1}
    assert outcome(judge(json.dumps(value).encode(), api="v5")) == ("conforms", None, [])


def test_json_lines_are_refused_where_the_contract_has_none(song):
    judged = judge(lines_of(song))
    assert codes(judged) == ["framing.unexpected"]
    assert judged.framing == "lines"
    assert judged.events > 5, "the chunks are judged all the same"


def test_a_last_event_without_its_blank_line_does_not_count(song):
    judged = judge(song[:-1])
    assert codes(judged) == ["framing.unterminated", "stream.truncated"]
    assert judged.pending.startswith(b"data: ")


def test_a_last_v5_line_that_is_cut_is_no_json(stream_of):
    body = lines_of(stream_of("v5"))
    assert codes(judge(body[:-20], api="v5")) == ["json.syntax"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (EndKind.TRUNCATED, "http.truncated"),
        (EndKind.RESET, "http.reset"),
        (EndKind.FRAMING, "http.framing"),
        (EndKind.CONTENT_ENCODING, "http.content_encoding"),
    ],
)
def test_an_api_that_breaks_http_is_told_so_once(song, kind, code):
    assert codes(judge(song, end=ended(kind))) == [code]
    assert codes(judge(song[:-1], end=ended(kind))) == [code, "stream.truncated"]
    assert codes(judge(song[:4], end=ended(kind))) == [code, "stream.truncated"]
    assert codes(judge(b"", end=ended(kind))) == [code, "stream.truncated"]
    sync = judge(b'{"message_id"', endpoint="sync", content_type=JSON, end=ended(kind))
    assert codes(sync) == [code]


def test_a_redirect_that_leads_nowhere_breaks_the_rule_of_the_status():
    judged = judge(b"", status=301, end=ended(EndKind.REDIRECT))
    assert codes(judged) == ["http.redirect"]
    assert judged.violations[0].rule == "v6/stream/http/status"


@pytest.mark.parametrize(
    "kind", [EndKind.REFUSED, EndKind.UNREACHABLE, EndKind.TLS, EndKind.CONNECT_TIMEOUT]
)
@pytest.mark.parametrize("endpoint", ["stream", "sync"])
def test_what_the_environment_does_is_inconclusive(kind, endpoint):
    judged = judge(b"", endpoint=endpoint, status=None, end=ended(kind, answered=False))
    assert outcome(judged) == ("inconclusive", f"environment.{kind.value}", [])


@pytest.mark.parametrize(
    "kind", [EndKind.IDLE_TIMEOUT, EndKind.TOTAL_TIMEOUT, EndKind.CAP, EndKind.CANCELLED]
)
def test_what_we_cut_short_is_inconclusive(song, kind):
    for many in (0, 3, 20, len(song) // 2):
        judged = judge(song[:many], end=ended(kind))
        assert outcome(judged) == ("inconclusive", f"harness.{kind.value}", [])


def test_a_connection_that_stays_open_after_the_last_chunk_breaks_nothing(song):
    for kind in (EndKind.IDLE_TIMEOUT, EndKind.TOTAL_TIMEOUT, EndKind.CANCELLED):
        assert outcome(judge(song, end=ended(kind))) == ("conforms", None, [])


def test_caps_make_an_answer_inconclusive_with_the_cap_as_reason(song):
    assert outcome(judge(song, caps=Caps(events=3))) == ("inconclusive", "cap.events", [])
    assert outcome(judge(song, caps=Caps(event_bytes=120))) == (
        "inconclusive", "cap.event_bytes", [],
    )  # fmt: skip
    whole = song.count(b"data: ")
    assert outcome(judge(song, caps=Caps(events=whole))) == ("conforms", None, [])
    many = judge(song, caps=Caps(events=3))
    assert (many.events, many.capped) == (3, "cap.events")


def test_too_deep_json_is_an_error(song):
    body = b'data: {"status": "running", "mood": ' + b"[" * 60 + b"]" * 60 + b"}\n\n"
    assert "json.too_deep" in codes(judge(body, caps=Caps(json_depth=50)))


def test_an_error_that_was_provoked_is_held_to_the_documentation():
    asked = {"expect_error": True, "broken_rule": "request/field/prompt/required"}
    good = judge(b'{"detail": "Invalid or empty prompt provided"}', status=400, **asked)
    assert outcome(good) == ("conforms", None, [])
    assert good.error_name == "invalid_prompt"
    under_200 = judge(b'{"detail": "Invalid or empty prompt provided"}', **asked)
    assert codes(under_200) == ["http.error_under_success"]
    assert codes(judge(b"{}", status=500, **asked)) == ["http.server_error"]
    accepted = judge(b"data: {}\n\n", **asked)
    assert codes(accepted) == ["http.accepted_invalid"]
    assert accepted.violations[0].rule == "v6/request/field/prompt/required"


BAD = {"expect_error": True, "broken_rule": "request/field/prompt/required"}


@pytest.mark.parametrize("asked", [{"expect_error": True}, BAD])
def test_a_bad_request_may_be_refused_inside_a_stream_that_had_begun(asked, stream_of):
    begun = stream_of("v6").split(b"\n\n")[0] + b"\n\n"
    chunk = {"isComplete": False, "status": "initializing", "chunkIndex": 1, "error": "no prompt"}
    for refusal in (RATE, json.dumps(chunk).encode()):
        for body in (b"data: " + refusal + b"\n\n", begun + b"data: " + refusal + b"\n\n"):
            judged = judge(body, **asked)
            assert outcome(judged) == ("conforms", None, ["http.error_under_success"])
            assert judged.violations[0].severity == "warning"
    assert judge(b"data: " + RATE + b"\n\n", **asked).error_name == "rate_limit"


def test_a_bad_request_that_gets_a_song_is_accepted(song):
    assert codes(judge(song, **BAD)) == ["http.accepted_invalid"]
    assert codes(judge(song[:200], **BAD)) == ["http.accepted_invalid"]


def test_a_sync_result_is_judged_whole():
    contract = load("v6")
    body = json.dumps(next(e.payload for e in contract.examples if e.of == "response")).encode()
    judged = judge(body, endpoint="sync", content_type=JSON)
    assert outcome(judged) == ("conforms", None, [])
    assert (judged.framing, judged.ended, judged.events) == ("json", True, 0)
    assert judged.value == json.loads(body)
    assert codes(judge(body, endpoint="sync", content_type="text/html")) == ["http.content_type"]
    assert codes(judge(body[:-2], endpoint="sync", content_type=JSON)) == ["json.syntax"]
    failed = judge(RATE, endpoint="sync", content_type=JSON)
    assert not failed.ended
    cut = judge(body, endpoint="sync", content_type=JSON, end=ended(EndKind.CAP))
    assert cut.verdict() is Verdict.INCONCLUSIVE


def test_a_body_that_never_shows_what_it_is_does_not_cost_quadratic_time():
    judged = Judge(load("v6"), load("v6").endpoints["stream"])
    judged.head(200, SSE)
    for _ in range(20_000):
        judged.feed(b"spam" * 16)
    judged.close()
    assert codes(judged) == ["framing.unexpected"]


@pytest.mark.parametrize("status", [201, 202, 203, 206, 299])
def test_another_success_than_200_is_a_warning_for_a_result_and_no_stream(song, status):
    body = next(each.payload for each in load("v6").examples if each.of == "response")
    result = judge(json.dumps(body).encode(), status=status, endpoint="sync", content_type=JSON)
    assert outcome(result) == ("conforms", None, ["http.status"])
    assert result.violations[0].rule == "v6/sync/http/ok"
    assert result.ended
    judged = judge(song, status=status)  # WHATWG HTML, 9.2.3: only 200 opens a stream of events
    assert outcome(judged) == ("violates", None, ["http.status"])


def test_a_success_without_a_body_is_none():
    assert codes(judge(b"", status=204)) == ["http.status"]
    empty = judge(b"", status=204, endpoint="sync", content_type=JSON)
    assert codes(empty) == ["http.status", "json.empty"]


OUTAGES = (407, 408, 425, 444, 460, 499, 502, 503, 504, 509, 511, 520, 522, 529, 530, 598, 599)


@pytest.mark.parametrize("status", OUTAGES)
@pytest.mark.parametrize("body", [b"", b"<html>oh", b'{"detail": "oh"}', b"data: {}\n\n", b"\xff"])
@pytest.mark.parametrize(
    "asked",
    [
        {"endpoint": "stream"},
        {"endpoint": "sync"},
        {"expect_error": True},
        {"expect_error": True, "broken_rule": "request/field/prompt/required"},
    ],
)
def test_what_a_gateway_answers_is_an_outage_whatever_was_asked(status, body, asked):
    judged = judge(body, status=status, content_type="text/html", **asked)
    assert outcome(judged) == ("inconclusive", f"http.{status}", [])
    cut = judge(body, status=status, end=ended(EndKind.TRUNCATED), **asked)
    assert outcome(cut) == ("inconclusive", f"http.{status}", [])


def test_a_challenge_page_is_an_outage_and_a_refusal_in_json_is_the_apis():
    page = b"\n<!DOCTYPE html><title>Just a moment...</title>"
    for asked in ({}, {"expect_error": True}):
        for content_type in ("text/html; charset=UTF-8", None):
            judged = judge(page, status=403, content_type=content_type, **asked)
            assert outcome(judged) == ("inconclusive", "http.403", [])
    probe = judge(b'"no"', status=403, content_type=JSON, expect_error=True)
    assert codes(probe) == ["http.error_body"]


def test_a_printed_error_is_the_apis_word_under_the_status_of_a_gateway_too():
    body = next(e.payload for e in load("v6").examples if e.of == "error:service_unavailable")
    judged = judge(json.dumps(body).encode(), status=503, content_type=JSON)
    assert outcome(judged) == ("inconclusive", "api.service_unavailable", [])
    provoked = judge(json.dumps(body).encode(), status=503, content_type=JSON, expect_error=True)
    assert outcome(provoked) == ("conforms", None, [])


@pytest.mark.parametrize("content_type", ["text/plain", "text/x-bogus", JSON, None])
def test_lines_may_come_under_any_type_of_text_since_no_page_names_one(stream_of, content_type):
    body = lines_of(stream_of("v5"))
    assert codes(judge(body, api="v5", content_type=content_type)) == []
    assert codes(judge(body, api="v5", content_type="text/html")) == ["http.content_type"]
    assert codes(judge(stream_of("v5"), api="v5", content_type=content_type)) == [
        "http.content_type"
    ]


def test_hosts_of_urls_are_held_against_the_contract_on_the_live_api_alone():
    contract = load("v6")
    example = next(each.payload for each in contract.examples if each.of == "stage:completed")
    body = b"data: " + json.dumps({**example, "audio_url": "https://evil.example/a.mp3"}).encode()

    def hosts(own_host):
        judge = Judge(contract, contract.endpoints["stream"], own_host=own_host)
        judge.feed(body + b"\n\n")
        judge.close()
        return [(v.code, v.severity, v.chunk) for v in judge.violations if v.code == "asset.host"]

    assert hosts("api.soundverse.ai") == [("asset.host", "warning", 0)]
    assert hosts("evil.example") == [], "the target's own host"
    assert hosts(None) == [], "not the live API"


BROKEN_LINES = [b'{"content": "a", "isComplete": fal', b'{content": 1}', b'{"content": NaN]']


@pytest.mark.parametrize("broken", BROKEN_LINES)
@pytest.mark.parametrize("whole", [True, False])
def test_a_broken_first_line_is_a_broken_chunk_of_a_stream_of_lines(stream_of, broken, whole):
    lines = [part.removeprefix(b"data: ") for part in stream_of("v5").split(b"\n\n") if part]
    body = b"\n".join([broken, *lines[1:], b""])
    judge = Judge(load("v5"), load("v5").endpoints["stream"])
    pieces = [body] if whole else [body[i : i + 1] for i in range(len(body))]
    told = [each for piece in pieces for each in judge.feed(piece)]
    told += judge.close()
    codes = [each.code for each in judge.violations if each.severity == "error"]
    assert codes == ["json.syntax"]
    assert (judge.framing, judge.events, len(told)) == ("lines", len(lines), len(lines))
    assert told[0][0].data == broken


def test_a_document_over_several_lines_is_no_stream_of_lines(stream_of):
    chunk = json.loads(stream_of("v5").split(b"\n\n")[0].removeprefix(b"data: "))
    inner = json.dumps(chunk).encode()
    for body in (b'{"a":\n%s\n}' % inner, b'{"a": [\n%s\n]}\n' % inner, b"[\n%s\n]\n" % inner):
        judge = Judge(load("v5"), load("v5").endpoints["stream"])
        judge.feed(body)
        judge.close()
        codes = [each.code for each in judge.violations if each.severity == "error"]
        assert codes == ["framing.unexpected"], body
