"""Exchanges over real sockets: what the server does becomes an outcome with times and a story."""

from __future__ import annotations

import base64
import gzip
import json
import time

import pytest

import vectors
from soundstage.commands.lint import lint
from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.judge import Caps
from soundstage.contract import load
from soundstage.errors import BudgetError, UsageError
from soundstage.exchange.budget import Budget
from soundstage.exchange.client import Call, Client
from soundstage.exchange.target import Target
from soundstage.output.redact import Redactor
from soundstage.wire.sse import Decoder
from soundstage.wire.transport import Limits, Transport, TransportSettings

KEY = "sk-live-3f9a8b7c6d5e"
PROMPT = "A cheerful pop song about friendship"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
LIMITS = Limits(connect_s=2, idle_s=0.3, total_s=3)


def client(server, *, budget=None, limits=LIMITS, key=KEY, **options):
    settings = TransportSettings(limits=limits)
    target = Target(server if isinstance(server, str) else server.url("").rstrip("/"), "local", key)
    return Client(target, Transport(settings), budget or Budget(None, free=True), **options)


def call(api="v6", endpoint="stream", **fields):
    contract = load(api)
    body = fields.pop("body", {"prompt": PROMPT})
    return Call(contract, contract.endpoints[endpoint], body, **fields)


def codes(exchange):
    return [each.code for each in exchange.violations if each.severity != "info"]


def story(exchange):
    return exchange.outcome, exchange.verdict.value, exchange.reason, codes(exchange)


def chunked(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def result_of(api):
    return json.dumps(next(e.payload for e in load(api).examples if e.of == "response")).encode()


def json_answer(body, status=b"200 OK"):
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def test_a_song_is_ok_and_its_milestones_are_in_order(raw_server, stream_of):
    body = stream_of("v6")
    server = raw_server(
        [("send", HEAD + b"\r\n"), *[("send", e + b"\n\n") for e in body.split(b"\n\n") if e]]
    )
    exchange = client(server).exchange(call())
    assert story(exchange) == ("ok", "conforms", None, [])
    times = exchange.milestones
    order = [
        "accepted",
        "first_chunk",
        "validated",
        "streaming_ready",
        "streaming_ready_all",
        "complete",
    ]
    assert [times[name] for name in order] == sorted(times[name] for name in order)
    assert times["streaming_ready"] <= times["audio"] <= times["complete"]
    assert times.keys() == {*order, "audio"}
    assert exchange.stages.keys() >= {
        "initializing",
        "streaming_ready#1",
        "streaming_ready#2",
        "final#1",
    }
    first, last, count = exchange.stages["running"]
    assert first <= last
    assert count == body.count(b'"status": "running"')
    assert exchange.message_id == json.loads(body.split(b"\n\n")[1][6:])["message_id"]
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v6/generate/song")
    assert json.loads(request.body) == {"prompt": PROMPT}
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "text/event-stream" in request.headers["accept"]


def test_a_synchronous_result_is_ok_when_it_is_whole(raw_server):
    server = raw_server([("send", json_answer(result_of("v6")))])
    exchange = client(server).exchange(call(endpoint="sync"))
    assert story(exchange) == ("ok", "conforms", None, [])
    assert exchange.milestones.keys() == {"accepted", "complete"}
    assert exchange.message_id == json.loads(result_of("v6"))["message_id"]
    assert exchange.value == json.loads(result_of("v6"))


def test_events_of_one_read_are_coarse_but_for_the_last(raw_server, stream_of):
    body = stream_of("v6")
    server = raw_server([("send", HEAD + b"\r\n"), ("sleep", 0.05), ("send", body), ("sleep", 0.1)])
    exchange = client(server).exchange(call())
    events = body.count(b"data: ")
    assert exchange.judge.events == events
    assert exchange.coarse_events in (events - 1, events)  # the close may come in the same read
    assert exchange.row(exchange.started_ns)["coarse"] == pytest.approx(1, abs=2 / events)


def test_an_event_with_a_part_of_the_next_behind_it_is_coarse(raw_server, stream_of):
    # The newest segment of the read may be that part's, and so may the stamp.
    first, second, *rest = (event + b"\n\n" for event in stream_of("v6").split(b"\n\n")[:-1])
    steps = [("send", HEAD + b"\r\n"), ("sleep", 0.05), ("send", first + second[:9])]
    steps += [("sleep", 0.05), ("send", second[9:]), ("sleep", 0.05), ("send", b"".join(rest))]
    exchange = client(raw_server(steps)).exchange(call())
    assert story(exchange)[:2] == ("ok", "conforms")
    assert exchange.pieces[0][2]


def test_events_that_come_alone_are_exact(raw_server, stream_of):
    steps = [("send", HEAD + b"\r\n")]
    for event in stream_of("v5").split(b"\n\n")[:-1]:
        steps += [("sleep", 0.03), ("send", event + b"\n\n")]
    exchange = client(raw_server([*steps, ("sleep", 0.03)])).exchange(call("v5", body={}))
    assert story(exchange)[:2] == ("ok", "conforms")
    assert exchange.coarse_events <= 1
    assert exchange.milestones.keys() == {"accepted", "first_chunk", "audio", "complete"}
    assert exchange.milestones["complete"] >= 0.03 * exchange.judge.events * 0.9


RATE = b'{"success": false, "message": "Rate limits have been passed for the user."}'
REFUSALS = [
    (b"429 Too Many", RATE,
     ("refused", "inconclusive", "api.rate_limit", [])),
    (b"503 Busy", b"<html>", ("refused", "inconclusive", "http.503", [])),
    (b"401 No", b"{}", ("refused", "inconclusive", "http.401", [])),
    (b"404 Not Found", b"{}", ("refused", "violates", None, ["http.status"])),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
@pytest.mark.parametrize("endpoint", ["stream", "sync"])
def test_another_status_is_refused(raw_server, endpoint, status, body, expected):
    server = raw_server([("send", json_answer(body, status))])
    exchange = client(server).exchange(call(endpoint=endpoint))
    assert story(exchange) == expected
    assert exchange.milestones.keys() == {"accepted"}


def test_a_failure_in_the_stream_is_failed(raw_server):
    chunk = {"isComplete": False, "status": "initializing", "chunkIndex": 0, "error": "no GPU"}
    failure = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    exchange = client(raw_server([("send", HEAD + b"\r\n" + failure)])).exchange(call())
    assert story(exchange) == ("failed", "inconclusive", "stream.failed", [])
    assert "complete" not in exchange.milestones


def test_an_error_under_a_success_is_a_refusal_and_kept(raw_server):
    body = b'{"success": false, "message": "Insufficient balance for this operation."}'
    exchange = client(raw_server([("send", json_answer(body))])).exchange(call())
    assert story(exchange) == (
        "refused",
        "inconclusive",
        "api.insufficient_balance",
        ["http.error_under_success"],
    )
    again = replayed(exchange)
    assert again.judge.violations == exchange.violations
    assert b"".join(raw for _, raw, _ in exchange.pieces) == body


def test_a_truncated_stream_is_failed(raw_server, stream_of):
    exchange = client(raw_server([("send", HEAD + b"\r\n" + stream_of("v6")[:900])])).exchange(
        call()
    )
    assert exchange.outcome == "failed"
    assert codes(exchange)[-1] == "stream.truncated"


def test_silence_is_a_timeout(raw_server, stream_of):
    begun = HEAD + b"\r\n" + stream_of("v6")[:300]
    for steps in ([("hold",)], [("send", HEAD + b"\r\n"), ("hold",)], [("send", begun), ("hold",)]):
        exchange = client(raw_server(steps)).exchange(call())
        assert story(exchange) == ("timeout", "inconclusive", "harness.idle_timeout", [])
        assert time.monotonic_ns() - exchange.started_ns < 3e9


def test_a_stream_that_never_ends_runs_into_the_deadline(raw_server):
    drip = [("send", b": beat\n\n"), ("sleep", 0.05)] * 100
    server = raw_server([("send", HEAD + b"\r\n"), *drip])
    limits = Limits(connect_s=2, idle_s=0.3, total_s=0.6)
    exchange = client(server, limits=limits).exchange(call())
    assert story(exchange) == ("timeout", "inconclusive", "harness.total_timeout", [])


def test_a_server_that_keeps_the_connection_open_after_the_song_is_ok(raw_server, stream_of):
    server = raw_server([("send", HEAD + b"\r\n" + stream_of("v6")), ("hold",)])
    exchange = client(server).exchange(call())
    assert story(exchange) == ("ok", "conforms", None, [])


def test_what_breaks_below_http_is_transport(raw_server, stream_of):
    whole = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(stream_of("v6"))
    cases = [
        ([("send", whole)], ["http.truncated"]),
        ([("send", whole + b"-5\r\n")], ["http.framing"]),
        ([("send", whole[:700]), ("sleep", 0.05), ("rst",)], ["http.reset", "stream.truncated"]),
        ([("send", b"nonsense\r\n\r\n")], ["http.framing", "stream.truncated"]),
    ]
    for steps, expected in cases:
        exchange = client(raw_server(steps)).exchange(call())
        assert (exchange.outcome, exchange.verdict, codes(exchange)) == (
            "transport",
            "violates",
            expected,
        )


def test_gzip_that_is_cut_is_transport_and_keeps_what_came(raw_server, stream_of):
    packed = gzip.compress(stream_of("v6"))
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    whole = client(raw_server([("send", head % len(packed) + packed)])).exchange(call())
    assert story(whole) == ("ok", "conforms", None, [])
    cut = packed[: len(packed) - 30]
    exchange = client(raw_server([("send", head % len(cut) + cut)])).exchange(call())
    assert exchange.outcome == "transport"
    assert codes(exchange)[0] == "http.content_encoding"
    assert exchange.judge.events > 3


def test_nobody_there_is_transport_and_inconclusive(raw_server):
    server = raw_server()
    url = server.url("").rstrip("/")
    server.stop()
    exchange = client(url).exchange(call())
    assert story(exchange) == ("transport", "inconclusive", "environment.refused", [])
    assert exchange.milestones == {}
    assert exchange.row(exchange.started_ns)["http_status"] is None


def test_a_cap_cuts_an_exchange_short(raw_server, stream_of):
    server = raw_server([("send", HEAD + b"\r\n" + stream_of("v6")), ("hold",)])
    exchange = client(server, caps=Caps(events=4)).exchange(call())
    assert story(exchange) == ("cut", "inconclusive", "cap.events", [])
    assert exchange.judge.events == 4
    limits = Limits(connect_s=2, idle_s=1, total_s=3, body_bytes=500)
    server = raw_server([("send", HEAD + b"\r\n" + stream_of("v6")), ("hold",)])
    exchange = client(server, limits=limits).exchange(call())
    assert story(exchange) == ("cut", "inconclusive", "harness.cap", [])


def test_the_budget_is_asked_before_anything_is_sent(raw_server):
    server = raw_server([("send", json_answer(result_of("v6")))], repeat=True)
    spender = client(server, budget=Budget(1, free=False))
    spender.exchange(call(endpoint="sync"))
    with pytest.raises(BudgetError):
        spender.exchange(call(endpoint="sync"))
    with pytest.raises(BudgetError):
        spender.exchange(call(endpoint="sync", body=b"not even JSON"))
    assert len(server.requests) == 1
    # What cannot be billed costs nothing: no key, another method, an endpoint that is free.
    spender.exchange(call(endpoint="sync", key=None))
    spender.exchange(call(endpoint="sync", method="GET", body=None))
    spender.exchange(call(endpoint="status", path="/status/generation/x", body=None))
    assert [request.method for request in server.requests] == ["POST", "POST", "GET", "GET"]
    assert "authorization" not in server.requests[1].headers
    assert spender.budget.spent == 1


def test_a_body_that_is_no_json_is_a_wrong_usage_and_costs_nothing(raw_server):
    server = raw_server()
    spender = client(server, budget=Budget(1, free=False))
    for body in ({"prompt": "\ud800"}, {"prompt": object()}, {1: 2}):
        with pytest.raises(UsageError, match="no JSON"):
            spender.exchange(call(body=body))
    assert (spender.budget.spent, server.accepted) == (0, 0)


def test_comments_are_handed_on_with_their_arrival(raw_server):
    heard = []
    server = raw_server(
        [("send", HEAD + b"\r\n"), ("send", b":12\n\n"), ("sleep", 0.05), ("send", b": 13\n")]
    )
    exchange = client(server, on_comment=lambda at, text: heard.append((at, text))).exchange(call())
    assert [text for _, text in heard] == [b"12", b" 13"]
    assert exchange.started_ns < heard[0][0] < heard[1][0]


def test_chunks_are_kept_on_demand_and_bytes_are_not(raw_server, stream_of):
    server = raw_server([("send", HEAD + b"\r\n" + stream_of("v6"))], repeat=True)
    exchange = client(server, keep_bytes=False, keep_chunks=True).exchange(call())
    assert exchange.pieces == []
    assert len(exchange.chunks) == exchange.judge.events
    assert exchange.chunks[0][0] == "initializing"
    assert client(server).exchange(call()).chunks == []


def test_the_intended_start_is_kept_beside_the_actual_one(raw_server):
    server = raw_server([("send", json_answer(result_of("v6")))])
    intended = time.monotonic_ns() - 500_000_000
    exchange = client(server).exchange(call(endpoint="sync", intended_ns=intended))
    row = exchange.row(intended)
    assert row["intended_ns"] == 0
    assert row["started_ns"] >= 500_000_000


def test_a_row_is_small_and_json(raw_server, stream_of):
    server = raw_server([("send", HEAD + b"\r\n" + stream_of("v6"))])
    exchange = client(server).exchange(call())
    row = exchange.row(exchange.started_ns)
    assert len(json.dumps(row)) < 1600
    assert row["outcome"] == "ok"
    assert row["billed"] is True
    assert row["codes"] in ({}, {"stream.not_closed": 1})
    for violation in exchange.violation_rows():
        assert violation.keys() >= {"exchange", "api", "endpoint", "code", "rule", "severity"}


# --- transcripts of exchanges


def replayed(exchange, **options):
    raw = exchange.transcript(Redactor([KEY], **options)).to_bytes()
    return lint(raw, "t.ndjson", [load("v5"), load("v6")], None, Caps())


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        (("text/event-stream", "text/event-stream"), None),
        (("text/html", "text/event-stream"), None),
        (("text/event-stream", ""), None),
        (("text/event-stream, ",), None),
        (("text/plain", "x, text/event-stream; charset=utf-8"), None),
        (("text/event-stream", "text/plain"), "http.content_type"),
    ],
)
def test_several_content_types_are_judged_alike_live_and_saved(raw_server, stream_of, kinds, code):
    head = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
    head += "".join(f"Content-Type: {kind}\r\n" for kind in kinds)
    server = raw_server([("send", head.encode() + b"\r\n" + stream_of("v6"))])
    exchange = client(server).exchange(call())
    assert codes(exchange) == ([code] if code else [])
    assert [each.code for each in replayed(exchange).judge.violations] == codes(exchange)


@pytest.mark.parametrize("extension", [b"; a=b", b" ;a=b", b';a = "x; y"'])
def test_a_chunk_extension_with_blanks_loses_no_event(raw_server, stream_of, extension):
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    events = [event + b"\n\n" for event in stream_of("v6").split(b"\n\n") if event]
    chunks = [b"%x%b\r\n%b\r\n" % (len(event), extension, event) for event in events]
    steps = [("send", head), *(("send", each) for each in chunks), ("send", b"0; a=b\r\n\r\n")]
    exchange = client(raw_server(steps)).exchange(call())
    assert story(exchange) == ("ok", "conforms", None, [])
    assert exchange.judge.events == len(events)


def test_a_transcript_replays_to_the_same_verdict(raw_server, stream_of):
    body = stream_of("v6")
    broken = body.replace(b'"chunkIndex": 3', b'"chunkIndex": 8').replace(
        b"validated", b"valid\xffted"
    )
    cases = [
        [("send", HEAD + b"\r\n" + body)],
        [("send", HEAD + b"\r\n" + broken)],
        [("send", HEAD + b"\r\n" + body[:-1])],
        [("send", HEAD + b"\r\n" + body[:400]), ("hold",)],
        [("send", HEAD + b"\r\n" + body[:400]), ("sleep", 0.05), ("rst",)],
        [("send", HEAD + b"Content-Length: 9999\r\n\r\n" + body)],
        [("send", HEAD.replace(b"text/event-stream", b"text/html") + b"\r\n<html>")],
        [("send", HEAD.replace(b"text/event-stream", b"text/x") + b"\r\n" + body)],
        *([("send", json_answer(text, status))] for status, text, _ in REFUSALS),
    ]
    for steps in cases:
        exchange = client(raw_server(steps)).exchange(call())
        again = replayed(exchange)
        assert again.contract.api == "v6"
        assert (again.judge.verdict(), again.judge.reason) == (exchange.verdict, exchange.reason), (
            steps
        )
        found = [(v.code, v.chunk, v.rule) for v in again.judge.violations]
        assert found == [(v.code, v.chunk, v.rule) for v in exchange.violations], steps


def test_a_transcript_of_any_endpoint_says_which_it_was(raw_server):
    server = raw_server([("send", json_answer(result_of("v5")))])
    again = replayed(client(server).exchange(call("v5", "sync", body={"prompt": PROMPT})))
    assert (again.contract.api, again.endpoint, again.guessed) == ("v5", "sync", False)
    assert again.judge.verdict() == "conforms"
    bad = json_answer(b'{"detail": "Invalid or empty prompt provided"}', b"400 Bad")
    wrong = call("v5", body={}, expect_error=True, broken_rule="request/field/prompt/required")
    again = replayed(client(raw_server([("send", bad)])).exchange(wrong))
    assert (again.endpoint, again.judge.verdict()) == ("error", "conforms")


def test_nothing_private_is_in_a_transcript(raw_server, stream_of):
    lyrics, signature = "Through every road we roam", "X-Sig=0a1b2c3d4e"
    events = stream_of("v6", lyrics=lyrics, prompt=PROMPT)
    events = events.replace(b".mp3", b".mp3?" + signature.encode())
    events += b'data: {"lyrics": "%s\n\n' % lyrics.encode()
    events += b'data: {"lyrics":\ndata: "%s"}\n\ndata: %s\n\n' % (lyrics.encode(), KEY.encode())
    head = HEAD + b"Set-Cookie: id=%s\r\nX-Echo: %s\r\n\r\n" % (b"c00kie", KEY.encode())
    exchange = client(raw_server([("send", head + events)])).exchange(
        call(body={"prompt": PROMPT, "lyrics": lyrics, "userId": "user-4711"})
    )
    raw = exchange.transcript(Redactor([KEY])).to_bytes()
    plain = raw + b"".join(
        base64.b64decode(row["raw"]) for row in map(json.loads, raw.splitlines()) if "raw" in row
    )
    for secret in (KEY, PROMPT, lyrics, "0a1b2c3d4e", "user-4711", "c00kie"):
        assert secret.encode() not in plain, secret
    assert b"[redacted" in plain


def test_a_url_that_lies_across_two_reads_of_a_body_is_redacted(raw_server):
    body = result_of("v6").replace(b"_v1.mp3", b"_v1.mp3?X-Sig=0a1b2c3d4e")
    at = body.index(b"0a1b2") + 4
    answer = json_answer(body)
    cut = len(answer) - len(body) + at
    server = raw_server([("send", answer[:cut]), ("sleep", 0.05), ("send", answer[cut:])])
    exchange = client(server).exchange(call(endpoint="sync"))
    assert len(exchange.pieces) == 2
    pieces = exchange.transcript(Redactor([KEY])).pieces
    assert b"2c3d4e" not in b"".join(raw for _, raw, _ in pieces)
    assert json.loads(pieces[0][1])["audio_data"]


# --- cases of other projects


def of_events(case, data, **closing):
    """The codes that a body of these events gives: each case is held against the contract."""
    check = StreamCheck(load("v6"))
    for each in data:
        check.event(each.encode())
    check.close(**closing)
    return [each.code for each in check.violations if each.severity != "info"]


def expected_story(case, data):
    """Outcome, verdict, reason and codes of a case in which events with this data were seen."""
    status = vectors.status(case)
    match case["verdict"]:
        case "redirected" if not vectors.followed(case):
            return "transport", "violates", None, ["http.redirect"]
        case "http-status" if 300 <= status < 400:
            return "transport", "violates", None, ["http.redirect"]
        case "http-status" if status in (500, 502, 503, 504):
            return "refused", "inconclusive", f"http.{status}", []
        case "http-status":
            return "failed" if status < 300 else "refused", "violates", None, ["http.status"]
        case "content-type":
            return "failed", "violates", None, ["http.content_type"]
        case "ok" | "redirected" | "reconnect":
            return "failed", "violates", None, of_events(case, data)
        case "truncated-event":
            return "failed", "violates", None, of_events(case, data, unterminated=True)
        case "transport-error":
            code = "http.reset" if vectors.is_reset(case) else "http.truncated"
            return "transport", "violates", None, [code, *of_events(case, data)]
        case "timeout-idle":
            cut = "harness.idle_timeout"
            return "timeout", "violates", cut, of_events(case, data, cut=cut)
    return pytest.fail(f"a verdict that the test does not know: {case['verdict']}")


@pytest.mark.parametrize("case", vectors.cases("http"))
def test_a_case_of_another_project_gives_an_outcome_to_act_on(raw_server, case):
    server = raw_server(*[vectors.steps(each) for each in case["connections"]])
    exchange = client(server).exchange(call())
    decoder = Decoder()
    judged = exchange.judge.events if case["verdict"] not in ("http-status", "content-type") else 0
    seen = [each.text for _, piece, _ in exchange.pieces for each in decoder.feed(piece)][:judged]
    said = [event["data"] for event in case["decoder_events"]]
    # We never reconnect: of a case that does, the events of its first answer.
    whole = len(case["connections"]) == 1 or vectors.followed(case)
    assert seen == (said if whole else said[: len(seen)])
    assert len(server.requests) == (len(case["connections"]) if vectors.followed(case) else 1)
    assert not any("last-event-id" in request.headers for request in server.requests)
    outcome = story(exchange)
    wanted = expected_story(case, seen)
    assert (*outcome[:3], sorted(outcome[3])) == (*wanted[:3], sorted(wanted[3]))
    if vectors.followed(case):
        assert [hop.status for hop in exchange.response.hops] == [vectors.status(case)]
    for violation in exchange.violations:
        assert violation.message
        assert violation.rule in load("v6").rules.rules
