"""Exchanges over real sockets: what the server does becomes a response and an end."""

from __future__ import annotations

import socket
import sys
import threading
import time

import pytest
from wire_exchanges import CHUNKED, OK, chunk, exchange, sized

import vectors
from soundstage.conformance.answers import media_type
from soundstage.errors import UsageError
from soundstage.wire.sse import Decoder
from soundstage.wire.transport import EndKind, Limits, Request, Transport, TransportSettings


def test_a_request_is_sent_as_it_was_given(raw_server):
    server = raw_server([("send", sized(b"ok"))])
    response, body, _ = exchange(
        server.url("/base/path?x=ä b"), headers=[("Authorization", "Bearer k"), ("X-A", "é")]
    )
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/base/path?x=%C3%A4%20b")
    assert request.headers["authorization"] == "Bearer k"
    assert request.headers["host"] == server.authority
    assert request.headers["content-length"] == "2"
    assert request.headers["connection"] == "close"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["x-a"].encode("latin-1").decode() == "é"
    assert request.body == b"{}"
    assert body == b"ok"
    assert (response.status, response.reason, response.http_version) == (200, "OK", "1.1")
    assert response.header("Content-Type") == "text/event-stream"


@pytest.mark.parametrize(
    ("answer", "kind", "body"),
    [
        (sized(b"hello"), EndKind.COMPLETE, b"hello"),
        (CHUNKED + chunk(b"hel") + chunk(b"lo") + b"0\r\n\r\n", EndKind.COMPLETE, b"hello"),
        (CHUNKED + chunk(b"a") + b"0\r\nX-T: 1\r\n\r\n", EndKind.COMPLETE, b"a"),
        (OK + b"\r\nhello", EndKind.CLOSED, b"hello"),
        (OK + b"Content-Length: 9\r\n\r\nhello", EndKind.TRUNCATED, b"hello"),
        (CHUNKED + chunk(b"hello"), EndKind.TRUNCATED, b"hello"),
        (CHUNKED + b"9\r\nhello", EndKind.TRUNCATED, b"hello"),
        (CHUNKED + chunk(b"hello") + b"-5\r\nworld\r\n", EndKind.FRAMING, b"hello"),
        (CHUNKED + chunk(b"hello") + b"ffffffffffffffffff\r\n", EndKind.FRAMING, b"hello"),
        (OK + b"Content-Length: 3\r\n\r\nhello", EndKind.FRAMING, b"hel"),
        (OK + b"Content-Length: -3\r\n\r\nhello", EndKind.FRAMING, b""),
        (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nhel", EndKind.FRAMING, b""),
        (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", EndKind.FRAMING, b""),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nhello", EndKind.FRAMING, b""),
        (sized(b"hello") + sized(b"again"), EndKind.FRAMING, b"hello"),
        (b"HTTP/2.0 200 OK\r\n\r\nhello", EndKind.FRAMING, b""),
        (b"hello\r\n\r\n", EndKind.FRAMING, b""),
        (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", EndKind.FRAMING, b""),
        (b"HTTP/1.1 204 No\r\n\r\n", EndKind.COMPLETE, b""),
        (b"HTTP/1.1 205 Reset\r\n\r\n", EndKind.COMPLETE, b""),
        (b"HTTP/1.1 503 B\r\nContent-Length: 0\r\n\r\n", EndKind.COMPLETE, b""),
        (b"", EndKind.TRUNCATED, b""),
        (b"HTTP/1.1 200 O", EndKind.TRUNCATED, b""),
    ],
)  # fmt: skip
def test_the_end_says_how_a_message_ended(raw_server, answer, kind, body):
    server = raw_server([("send", answer)])
    response, received, _ = exchange(server.url())
    assert (response.end.kind, received) == (kind, body), response.end
    assert (response.end.fault_of == "api") is (kind not in (EndKind.COMPLETE, EndKind.CLOSED))


def test_splitting_a_message_anywhere_changes_nothing(raw_server):
    answer = CHUNKED + chunk(b"data: a\n\n") + chunk(b"data: b\n\n") + b"0\r\n\r\n"
    server = raw_server([("drip", answer, 0)])
    response, body, reads = exchange(server.url())
    assert body == b"data: a\n\ndata: b\n\n"
    assert response.end.kind is EndKind.COMPLETE
    assert response.wire_bytes == len(answer)
    assert [read.at_ns for read in reads] == sorted(read.at_ns for read in reads)


def test_head_requests_have_no_body(raw_server):
    server = raw_server([("send", OK + b"Content-Length: 5\r\n\r\n"), ("hold",)])
    response, body, _ = exchange(server.url(), method="HEAD", body=b"")
    assert (response.end.kind, body) == (EndKind.COMPLETE, b"")
    assert "content-length" not in server.requests[0].headers


def test_a_reset_keeps_what_came_before(raw_server):
    seen = threading.Event()
    server = raw_server([("send", CHUNKED + chunk(b"one")), ("wait", seen), ("rst",)])
    with Transport().open(Request("POST", server.url(), ())) as response:
        reads = response.reads()
        assert next(reads).data == b"one"
        seen.set()
        assert list(reads) == []
    assert (response.end.kind, response.end.fault_of) == (EndKind.RESET, "api")


def test_a_reset_before_the_head_is_the_environments(raw_server):
    server = raw_server([("rst",)])
    response, _, _ = exchange(server.url())
    assert (response.end.kind, response.end.fault_of) == (EndKind.RESET, "environment")
    assert response.status is None


def test_informational_responses_are_skipped_and_recorded(raw_server):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    server = raw_server([("send", hints + b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"ok"))])
    response, body, _ = exchange(server.url())
    assert (response.status, response.reason, body) == (200, "OK", b"ok")
    assert response.informational == [103, 100]
    assert response.header("link") is None


def test_an_early_answer_to_a_large_request_is_read(raw_server):
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    done = threading.Event()
    server = raw_server([("silent",), ("send", answer), ("wait", done)])
    response, _, _ = exchange(server.url(), body=bytes(2**18))
    done.set()
    assert response.status == 413


def test_nobody_listening_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    response, _, _ = exchange(f"http://127.0.0.1:{port}/")
    assert (response.end.kind, response.end.fault_of) == (EndKind.REFUSED, "environment")
    assert response.times.connected_ns is None


def test_a_name_without_address_is_unreachable():
    response, _, _ = exchange("http://nowhere.invalid/?key=hidden", limits=Limits(connect_s=5))
    assert response.end.kind is EndKind.UNREACHABLE
    assert "hidden" not in response.end.message


def test_a_full_backlog_is_a_connect_timeout():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        response, _, _ = exchange(f"http://127.0.0.1:{port}/", limits=Limits(connect_s=0.2))
        for filler in fillers:
            filler.close()
    assert response.end.kind is EndKind.CONNECT_TIMEOUT


def test_a_body_over_the_cap_is_cut_there(raw_server):
    server = raw_server([("send", CHUNKED + chunk(b"x" * 900) * 3), ("hold",)])
    response, body, _ = exchange(server.url(), limits=Limits(body_bytes=1000))
    assert (response.end.kind, response.end.fault_of) == (EndKind.CAP, "harness")
    assert body == b"x" * 1000


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"X: " + b"y" * 5000,
        OK + b"X: " + b"y" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 300,
        CHUNKED + b"1;" + b"y" * 40000,
        CHUNKED + chunk(b"a") + b"0\r\nX: " + b"y" * 40000,
    ],
    ids=["endless head", "large head", "endless hints", "chunk extension", "trailers"],
)
def test_heads_and_framing_have_a_cap(raw_server, answer):
    server = raw_server([("send", answer), ("hold",)])
    response, _, _ = exchange(server.url(), limits=Limits(head_bytes=4096, idle_s=5))
    assert response.end.kind is EndKind.CAP


def test_closing_early_is_cancelled_and_can_be_repeated(raw_server):
    server = raw_server([("send", CHUNKED + chunk(b"one")), ("hold",)])
    response = Transport().open(Request("GET", server.url(), ()))
    for _ in response.reads():
        break
    response.close()
    response.close()
    assert (response.end.kind, response.end.fault_of) == (EndKind.CANCELLED, "harness")
    assert list(response.reads()) == []


def test_closing_stops_a_read_that_waits_in_another_thread(raw_server):
    server = raw_server([("send", CHUNKED + chunk(b"one")), ("hold",)])
    response = Transport().open(Request("GET", server.url()))
    first = threading.Event()
    received = []

    def read():
        for read in response.reads():
            received.append(read.data)
            first.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert first.wait(5)
    response.close()
    reader.join(5)
    assert not reader.is_alive()
    assert (received, response.end.kind) == ([b"one"], EndKind.CANCELLED)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://x/", ()),
        ("http:///x", ()),
        ("http://user:hunter2@127.0.0.1/", ()),
        ("http://127.0.0.1:99999/", ()),
        ("http://127.0.0.1/\r\nX: hunter2", ()),
        ("http://127.0.0.1/", (("Authorization", "hunter2\r\nX: y"),)),
        ("http://127.0.0.1/", (("Authorization", "hunter2\0"),)),
        ("http://127.0.0.1/", (("Authorization: hunter2", "x"),)),
        ("http://127.0.0.1/", (("Content-Length", "hunter2"),)),
    ],
)
def test_what_could_smuggle_is_refused_without_showing_secrets(url, headers):
    with pytest.raises(UsageError) as caught:
        Transport().open(Request("POST", url, headers))
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(Request("POST", "http://h/", headers))


def test_ipv6_literals_work():
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback")
    with listener:

        def serve():
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(sized(b"six"))

        thread = threading.Thread(target=serve)
        thread.start()
        _, body, _ = exchange(f"http://[::1]:{listener.getsockname()[1]}/")
        thread.join()
    assert body == b"six"


def test_times_are_in_order_and_reads_carry_the_kernels_stamp(raw_server):
    pause = ("sleep", 0.02)
    last = b"0\r\n\r\n"
    server = raw_server([("send", CHUNKED), pause, ("send", chunk(b"x")), pause, ("send", last)])
    before = time.monotonic_ns()
    response, _, reads = exchange(server.url())
    after = time.monotonic_ns()
    times = response.times
    assert before <= times.start_ns <= times.connected_ns <= times.sent_ns
    assert times.connected_ns <= times.first_byte_ns <= times.head_ns < reads[0].at_ns
    assert before - 50_000_000 <= reads[0].at_ns <= after + 50_000_000
    assert reads[0].at_ns < response.end.at_ns
    if sys.platform == "linux":
        assert response.timing_source == "kernel"
        assert (response.stamped_reads, response.unstamped_reads) == (3, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="kernel stamps are Linux's")
def test_the_kernels_stamp_is_not_the_time_of_reading(raw_server):
    sent = threading.Event()
    server = raw_server([("send", CHUNKED), ("wait", sent), ("send", chunk(b"x") + b"0\r\n\r\n")])
    with Transport().open(Request("GET", server.url(), ())) as response:
        sent.set()
        time.sleep(0.2)
        woke = time.monotonic_ns()
        (read,) = response.reads()
    assert woke - read.at_ns > 50_000_000


def test_without_kernel_stamps_the_clock_is_used_and_said(raw_server):
    server = raw_server([("send", CHUNKED), ("sleep", 0.01), ("send", chunk(b"x") + b"0\r\n\r\n")])
    response, _, reads = exchange(server.url(), kernel_timestamps=False)
    assert response.timing_source == "userspace"
    assert response.times.head_ns < reads[0].at_ns
    assert reads[0].last


def expected_end(case) -> set[EndKind]:
    """How the first answer of a case ends, by its verdict."""
    match case["verdict"]:
        case "redirected" if not vectors.followed(case):
            return {EndKind.REDIRECT}
        case "http-status" if 300 <= vectors.status(case) < 400:
            return {EndKind.REDIRECT}
        case "ok" | "redirected" | "reconnect" | "truncated-event" | "content-type" | "http-status":
            return {EndKind.COMPLETE, EndKind.CLOSED}
        case "transport-error":
            lost = {EndKind.RESET, EndKind.TRUNCATED, EndKind.FRAMING}
            return {EndKind.RESET} if vectors.is_reset(case) else lost
        case "timeout-idle":
            return {EndKind.IDLE_TIMEOUT}
    return pytest.fail(f"a verdict that the test does not know: {case['verdict']}")


def is_stream(response) -> bool:
    """Whether a body is to be decoded at all, as the standard says (section 9.2.2)."""
    named = {name.lower(): value for name, value in response.headers}.get("content-type")
    return response.status == 200 and media_type(named) == "text/event-stream"


@pytest.mark.parametrize("case", vectors.cases("http"))
def test_vectors_of_other_projects_end_and_dispatch_as_they_say(raw_server, case):
    received = threading.Event()
    server = raw_server(*[vectors.steps(each, received) for each in case["connections"]])
    limits = Limits(idle_s=0.3 if case["verdict"] == "timeout-idle" else 5)
    transport = Transport(TransportSettings(limits=limits))
    seen, ends, unterminated, last_id = [], [], [], ""
    # The transport never reconnects: where a case goes on after an end, this asks again for it.
    while server.accepted < len(case["connections"]) and EndKind.REDIRECT not in ends:
        decoder = Decoder()
        if last_id:
            decoder.feed(b"id: " + last_id.encode() + b"\n\n")
        with transport.open(Request("GET", server.url(), ())) as response:
            for read in response.reads():
                received.set()
                if is_stream(response):
                    seen += decoder.feed(read.data)
        ends.append(response.end.kind)
        unterminated.append(decoder.close().unterminated)
        last_id = decoder.last_event_id
    transport.close()
    assert ends[0] in expected_end(case)
    assert (case["verdict"] == "truncated-event") <= unterminated[0]
    events = [{"event": each.type, "data": each.text, "id": each.id} for each in seen]
    # What lies behind a redirect that would turn a POST into a GET is not fetched.
    assert events == ([] if ends[0] is EndKind.REDIRECT else case["decoder_events"])
    assert (vectors.status(case) == 200 or vectors.followed(case)) or events == []
