"""Exchanges over real sockets: what the server does becomes a response and an end."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import threading
import time
import zlib

import pytest

import vectors
from soundstage.conformance.answers import media_type
from soundstage.errors import UsageError
from soundstage.wire.sse import Decoder
from soundstage.wire.transport import EndKind, Limits, Request, Transport, TransportSettings

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SHORT = Limits(connect_s=2, idle_s=0.3, total_s=5)


def sized(body: bytes, more: bytes = b"") -> bytes:
    return OK + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # the same in every worker of xdist


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def exchange(url, *, method="POST", headers=(), body=b"{}", **settings):
    """Open, read all of it, close; returns (response, body, reads)."""
    transport = Transport(TransportSettings(**settings))
    with transport.open(Request(method, url, tuple(headers), body)) as response:
        reads = list(response.reads())
    transport.close()
    return response, b"".join(read.data for read in reads), reads


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


# Deadlines and caps


def test_a_silent_server_meets_the_idle_timeout(raw_server):
    server = raw_server([("hold",)])
    response, _, _ = exchange(server.url(), limits=SHORT)
    assert (response.end.kind, response.end.fault_of) == (EndKind.IDLE_TIMEOUT, "harness")
    assert response.status is None


def test_a_stream_that_stalls_meets_the_idle_timeout(raw_server):
    server = raw_server([("send", CHUNKED + chunk(b"one")), ("hold",)])
    began = time.monotonic()
    response, body, _ = exchange(server.url(), limits=SHORT)
    assert (response.end.kind, body) == (EndKind.IDLE_TIMEOUT, b"one")
    assert 0.25 < time.monotonic() - began < 2


def test_the_wait_for_the_head_is_not_taken_off_the_wait_for_the_body(raw_server):
    server = raw_server(
        [("sleep", 0.4), ("send", CHUNKED), ("sleep", 0.4), ("send", chunk(b"one") + b"0\r\n\r\n")]
    )
    response, body, _ = exchange(server.url(), limits=Limits(idle_s=0.7))
    assert (response.end.kind, body) == (EndKind.COMPLETE, b"one")


@pytest.mark.parametrize(
    "before", [b"HTTP/1.1 200 OK\r\nX: ", CHUNKED + chunk(b"one") + b"5;x="], ids=["head", "chunk"]
)
def test_dripped_bytes_that_bring_nothing_do_not_extend_the_idle_timeout(raw_server, before):
    server = raw_server([("send", before), ("drip", b"x" * 500, 0.02), ("hold",)])
    began = time.monotonic()
    response, _, _ = exchange(server.url(), limits=SHORT)
    assert response.end.kind is EndKind.IDLE_TIMEOUT
    assert time.monotonic() - began < 2


def test_dripped_body_meets_the_total_timeout(raw_server):
    server = raw_server([("send", CHUNKED), ("drip", chunk(b"x") * 500, 0.005)])
    began = time.monotonic()
    limits = Limits(idle_s=0.3, total_s=0.6)
    response, body, _ = exchange(server.url(), limits=limits)
    assert (response.end.kind, response.end.fault_of) == (EndKind.TOTAL_TIMEOUT, "harness")
    assert body.startswith(b"xx")
    assert 0.5 < time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (Limits(idle_s=0.2), EndKind.IDLE_TIMEOUT),
        (Limits(idle_s=9, total_s=0.2), EndKind.TOTAL_TIMEOUT),
        (Limits(idle_s=0.1, total_s=0.35), EndKind.TOTAL_TIMEOUT),
    ],
)
def test_watched_exchanges_end_at_their_deadlines(raw_server, limits, kind):
    drip = ("drip", chunk(b"x") * 100, 0.005) if limits.total_s < 1 else ("hold",)
    server = raw_server([("send", CHUNKED + chunk(b"one")), drip, ("hold",)])
    transport = Transport(TransportSettings(limits=limits, watched=True))
    over = threading.Event()

    def watch():
        while not over.wait(0.02):
            transport.expire()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with transport.open(Request("GET", server.url())) as response:
        body = b"".join(read.data for read in response.reads())
    over.set()
    watcher.join()
    assert (response.end.kind, body[:3]) == (kind, b"one")


def test_a_slow_reader_is_not_an_idle_server(raw_server):
    sent = threading.Event()
    rest = chunk(b"two") + b"0\r\n\r\n"
    server = raw_server([("send", CHUNKED + chunk(b"one")), ("wait", sent), ("send", rest)])
    with Transport(TransportSettings(limits=SHORT)).open(
        Request("GET", server.url(), ())
    ) as response:
        reads = response.reads()
        first = next(reads)
        sent.set()
        time.sleep(0.4)
        assert [first.data, *(read.data for read in reads)] == [b"one", b"two"]
    assert response.end.kind is EndKind.COMPLETE


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


# Redirects


def moved(status: int, location: str | None) -> bytes:
    field = b"" if location is None else b"Location: %s\r\n" % location.encode()
    return b"HTTP/1.1 %d X\r\n%sContent-Length: 0\r\n\r\n" % (status, field)


@pytest.mark.parametrize("status", [307, 308])
def test_307_and_308_keep_method_body_and_key_on_the_same_host(raw_server, status):
    server = raw_server([("send", moved(status, "b?c=d"))], [("send", sized(b"ok"))])
    response, body, _ = exchange(
        server.url("/a/x"), headers=[("Authorization", "k"), ("X-Api-Key", "k")], body=b"payload"
    )
    assert (response.status, body, response.end.kind) == (200, b"ok", EndKind.COMPLETE)
    assert [(hop.status, hop.location, hop.followed) for hop in response.hops] == [
        (status, "b?c=d", True)
    ]
    second = server.requests[1]
    assert (second.method, second.target, second.body) == ("POST", "/a/b?c=d", b"payload")
    assert second.headers["authorization"] == "k"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirects_that_may_change_the_method_are_not_followed(raw_server, status):
    server = raw_server([("send", moved(status, "/final"))])
    response, _, _ = exchange(server.url())
    assert (response.status, response.end.kind, response.end.fault_of) == (
        status,
        EndKind.REDIRECT,
        "api",
    )
    assert [(hop.location, hop.followed) for hop in response.hops] == [("/final", False)]
    assert server.accepted == 1


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize(
    ("location", "says"),
    [(None, "no Location"), ("", "empty Location"), ("http://[", None), ("ftp://x/", None),
     ("http://u:p@127.0.0.1/", None)],
)  # fmt: skip
def test_a_redirect_to_nowhere_ends_with_its_reason(raw_server, status, location, says):
    server = raw_server([("send", moved(status, location))])
    response, _, _ = exchange(server.url())
    assert response.end.kind is EndKind.REDIRECT
    assert (says or str(status)) in response.end.message
    assert server.accepted == 1


def test_a_redirect_loop_ends(raw_server):
    server = raw_server([("send", moved(307, "/b"))], [("send", moved(307, "/a"))])
    response, _, _ = exchange(server.url("/a"))
    assert response.end.kind is EndKind.REDIRECT
    assert "loops" in response.end.message
    assert server.accepted == 2


def test_the_deadlines_hold_after_a_redirect_with_a_body(raw_server):
    first = b"HTTP/1.1 307 X\r\nLocation: /b\r\nContent-Length: 50\r\n\r\nnot all of it"
    server = raw_server([("send", first)], [("hold",)])
    response, body, _ = exchange(server.url("/a"), limits=SHORT)
    assert (response.end.kind, response.status, body) == (EndKind.IDLE_TIMEOUT, None, b"")
    assert response.hops[0].followed


def test_too_many_redirects_end_as_our_own_limit(raw_server):
    server = raw_server(*([("send", moved(307, f"/{n}"))] for n in range(9)))
    response, _, _ = exchange(server.url("/a"), limits=Limits(redirects=2))
    assert (response.end.kind, response.end.fault_of) == (EndKind.REDIRECT, "harness")
    assert [hop.followed for hop in response.hops] == [True, True, False]


def test_a_redirect_to_a_host_that_is_not_allowed_is_refused(raw_server):
    other = raw_server([("send", sized(b"ok"))])
    server = raw_server([("send", moved(307, other.url("/x")))])
    response, _, _ = exchange(server.url())
    assert (response.end.kind, response.end.fault_of) == (EndKind.REDIRECT, "harness")
    assert other.authority in response.end.message
    assert other.accepted == 0


def test_the_key_does_not_go_to_another_host(raw_server):
    other = raw_server([("send", sized(b"ok"))])
    server = raw_server([("send", moved(308, other.url("/x")))])
    response, body, _ = exchange(
        server.url(),
        headers=[("AUTHORIZATION", "Bearer k"), ("x-api-key", "k"), ("Cookie", "k"), ("X-Id", "1")],
        allowed_hosts=frozenset({other.authority}),
    )
    assert (body, response.end.kind) == (b"ok", EndKind.COMPLETE)
    headers = other.requests[0].headers
    assert {"authorization", "x-api-key", "cookie"}.isdisjoint(headers)
    assert headers["x-id"] == "1"
    assert headers["host"] == other.authority


# Content encoding


def test_gzip_is_decoded_as_it_comes(raw_server):
    compressor = zlib.compressobj(wbits=31)
    first = compressor.compress(b"data: a\n\n") + compressor.flush(zlib.Z_SYNC_FLUSH)
    second = compressor.compress(b"data: b\n\n") + compressor.flush()
    seen = threading.Event()
    head = OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = raw_server(
        [("send", head + chunk(first)), ("wait", seen), ("send", chunk(second) + b"0\r\n\r\n")]
    )
    with Transport().open(Request("GET", server.url(), ())) as response:
        reads = response.reads()
        assert next(reads).data == b"data: a\n\n"
        seen.set()
        assert [(read.data, read.last) for read in reads] == [(b"data: b\n\n", True)]
    assert response.end.kind is EndKind.COMPLETE


PLAIN = b"".join(b"data: %d\n\n" % number for number in range(2000))
CORRUPT = bytearray(zipped(PLAIN))
CORRUPT[-6] ^= 0xFF  # the checksum


@pytest.mark.parametrize(
    ("coding", "body", "kind", "decoded"),
    [
        ("gzip", zipped(PLAIN), EndKind.COMPLETE, PLAIN),
        ("X-GZip", zipped(b"a") + zipped(b"b"), EndKind.COMPLETE, b"ab"),
        ("deflate", zlib.compress(PLAIN), EndKind.COMPLETE, PLAIN),
        ("identity", PLAIN, EndKind.COMPLETE, PLAIN),
        ("gzip", zipped(PLAIN)[:-9], EndKind.CONTENT_ENCODING, None),
        ("gzip", zipped(PLAIN)[:-4], EndKind.CONTENT_ENCODING, PLAIN),
        ("gzip", bytes(CORRUPT), EndKind.CONTENT_ENCODING, PLAIN),
        ("gzip", zipped(b"a") + b"junk", EndKind.CONTENT_ENCODING, b"a"),
        ("gzip", PLAIN, EndKind.CONTENT_ENCODING, b""),
        ("br", PLAIN, EndKind.CONTENT_ENCODING, b""),
        ("gzip, gzip", PLAIN, EndKind.CONTENT_ENCODING, b""),
    ],
    ids=["gzip", "members", "deflate", "identity", "cut", "cut in the checksum", "checksum",
         "junk", "not gzip", "unknown", "several"],
)  # fmt: skip
@pytest.mark.parametrize("pause", [None, 0])
def test_content_codings(raw_server, coding, body, kind, decoded, pause):
    head = OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(body))
    pieces = [("send", head + body)]
    if pause is not None:
        pieces = [("send", head), ("drip", body[:200], pause), ("send", body[200:])]
    server = raw_server(pieces)
    response, received, _ = exchange(server.url())
    assert response.end.kind is kind, response.end
    if coding in ("br", "gzip, gzip"):
        return
    assert received == decoded if decoded is not None else PLAIN.startswith(received)


def test_a_decompression_bomb_meets_the_cap(raw_server):
    bomb = zipped(bytes(50 * 2**20))
    server = raw_server([("send", sized(bomb, b"Content-Encoding: gzip\r\n"))])
    response, body, _ = exchange(server.url(), limits=Limits(body_bytes=2**20))
    assert (response.end.kind, len(body)) == (EndKind.CAP, 2**20)


def test_decoding_can_be_left_out(raw_server):
    server = raw_server([("send", sized(b"raw", b"Content-Encoding: br\r\n"))])
    response, body, _ = exchange(server.url(), decode_content=False)
    assert (response.end.kind, body) == (EndKind.COMPLETE, b"raw")


# Misuse


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


# Time


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


# Connections


def test_each_exchange_has_its_own_connection_unless_asked(raw_server):
    server = raw_server([("send", sized(b"1"))], [("send", sized(b"2"))])
    transport = Transport()
    for expected in (b"1", b"2"):
        with transport.open(Request("GET", server.url(), ())) as response:
            assert b"".join(read.data for read in response.reads()) == expected
    assert server.accepted == 2


def test_kept_alive_connections_are_reused_while_they_live(raw_server):
    server = raw_server(
        [("send", sized(b"1")), ("read",), ("send", sized(b"2")), ("read",),
         ("send", sized(b"3", b"Connection: close\r\n"))],
        [("send", sized(b"4"))],
    )  # fmt: skip
    transport = Transport(TransportSettings(keep_alive=True))
    reused = []
    for expected in (b"1", b"2", b"3", b"4"):
        with transport.open(Request("POST", server.url(), ())) as response:
            assert b"".join(read.data for read in response.reads()) == expected
        reused.append(response.reused)
    transport.close()
    assert reused == [False, True, True, False]
    assert server.accepted == 2


def test_a_kept_alive_connection_that_dies_is_not_retried(raw_server):
    server = raw_server([("send", sized(b"1")), ("read",), ("rst",)], [("send", sized(b"2"))])
    transport = Transport(TransportSettings(keep_alive=True))
    with transport.open(Request("POST", server.url(), ())) as response:
        list(response.reads())
    with transport.open(Request("POST", server.url(), ())) as response:
        list(response.reads())
    transport.close()
    assert (response.end.kind, response.end.fault_of) == (EndKind.RESET, "environment")
    assert server.accepted == 1


GEVENT = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent
from soundstage.wire.transport import Limits, Request, TransportSettings, Transport
url, ca, n = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
transport = Transport(TransportSettings(ca_file=ca, limits=Limits(idle_s=5, total_s=10)))
def one(_):
    with transport.open(Request("POST", url, (), b"{}")) as response:
        data = b"".join(read.data for read in response.reads())
    return data, response.end.kind.value, response.timing_source
began = time.monotonic()
jobs = [gevent.spawn(one, i) for i in range(n)]
results = [job.get() for job in jobs]
short = Transport(TransportSettings(ca_file=ca, limits=Limits(idle_s=0.1)))
with short.open(Request("POST", url, (), b"{}")) as response:
    list(response.reads())
watched = Transport(TransportSettings(ca_file=ca, limits=Limits(idle_s=0.1), watched=True))
def watch():
    while True:
        gevent.sleep(0.02)
        watched.expire()
watcher = gevent.spawn(watch)
with watched.open(Request("POST", url, (), b"{}")) as other:
    list(other.reads())
watcher.kill()
assert other.end.kind.value == "idle_timeout", other.end
print(sorted(set(results)), response.end.kind.value, time.monotonic() - began < 4)
"""


def run_gevent(server, ca=""):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GEVENT, server.url(), ca, "20"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


STREAM = [("send", CHUNKED + chunk(b"a")), ("sleep", 0.5), ("send", chunk(b"b") + b"0\r\n\r\n")]


def test_patched_by_gevent_many_streams_run_at_once(raw_server):
    source = "kernel" if sys.platform == "linux" else "userspace"
    out = run_gevent(raw_server(STREAM, repeat=True))
    assert out == f"[(b'ab', 'complete', '{source}')] idle_timeout True"


# Vectors of other projects: each case says what becomes of it


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
