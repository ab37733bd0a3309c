"""Emulator and replay answer what any HTTP client may send. On real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from uvicorn.server import ServerState

from soundstage.contract import load
from soundstage.emulator.http.connection import OneRequestProtocol, OpenProtocol
from soundstage.emulator.http.incoming import HEAD_LIMIT
from soundstage.emulator.options import Options
from soundstage.emulator.replay.recordings import Recording
from soundstage.emulator.replay.replay import Replay
from soundstage.emulator.service.app import Emulator
from soundstage.emulator.service.server import config
from soundstage.wire.end import EndKind

V6 = load("v6")
STREAM, SYNC = (
    next(each.path for each in V6.endpoints.values() if each.kind == kind)
    for kind in ("stream", "sync")
)
BODY = b'{"prompt":"A slow waltz"}'
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
RECORDED = [
    Recording(
        name=path,
        method="POST",
        paths=(path,),
        status=200,
        reason="OK",
        headers=(("content-type", kind),),
        head_at=0.0,
        pieces=((0.0, body),),
        length=None,
        end=EndKind.COMPLETE,
        end_at=0.0,
    )
    for path, kind, body in (
        (STREAM, "text/event-stream", b'data: {"status":"initializing"}\n\n'),
        (SYNC, "application/json", b'{"message_id":"m"}'),
    )
]


@contextlib.asynccontextmanager
async def listening(app: Emulator | Replay, head_s: float) -> AsyncIterator[asyncio.Server]:
    settings = config(app)
    state = ServerState()

    kind = OneRequestProtocol if isinstance(app, Replay) else OpenProtocol

    def protocol() -> OpenProtocol:
        return kind(config=settings, server_state=state, app_state={}, head_s=head_s)

    yield await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    app.stop()


def application(which: str) -> Emulator | Replay:
    if which == "replay":
        return Replay(RECORDED, loop=True)
    return Emulator(Options(profile="instant", seed=1))


@contextlib.contextmanager
def serving(which: str, head_s: float) -> Iterator[int]:
    """One of the servers, in a thread; its port."""
    ready, stop = threading.Event(), asyncio.Event()
    found: list[tuple[int, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with listening(application(which), head_s) as server:
            found.append((server.sockets[0].getsockname()[1], asyncio.get_running_loop()))
            ready.set()
            await stop.wait()
            server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0][0]
    finally:
        found[0][1].call_soon_threadsafe(stop.set)
        thread.join(10)


@pytest.fixture(scope="module", params=["emulator", "replay"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with serving(request.param, 10) as port:
        yield port


@pytest.fixture(scope="module", params=["emulator", "replay"])
def hasty(request: pytest.FixtureRequest) -> Iterator[int]:
    """A head may take 0.3 s here."""
    with serving(request.param, 0.3) as port:
        yield port


@pytest.fixture(scope="module")
def uvicorn_port() -> Iterator[int]:
    with serving("emulator", 10) as port:
        yield port


def post(
    path: str = SYNC,
    more: str = "",
    *,
    length: int | None = len(BODY),
    version: str = "1.1",
    close: bool = True,
) -> bytes:
    head = f"POST {path} HTTP/{version}\r\nHost: h\r\nAuthorization: Bearer some-key\r\n{more}"
    head += "Content-Type: application/json\r\n"
    if length is not None:
        head += f"Content-Length: {length}\r\n"
    if close:
        head += "Connection: close\r\n"
    return head.encode() + b"\r\n"


class Answer:
    def __init__(self, head: bytes) -> None:
        first, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        self.body = b""


def answers(raw: bytes) -> list[Answer]:
    """The responses in what came until the connection was closed."""
    found = []
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        assert end, head
        answer = Answer(head)
        if answer.headers.get("transfer-encoding") == "chunked":
            while True:
                size, _, raw = raw.partition(b"\r\n")
                piece, raw = raw[: int(size, 16)], raw[int(size, 16) + 2 :]
                answer.body += piece
                if not piece:
                    break
        elif (length := answer.headers.get("content-length")) is not None:
            answer.body, raw = raw[: int(length)], raw[int(length) :]
        elif answer.status >= 200:
            answer.body, raw = raw, b""
        found.append(answer)
    return found


def talk(port: int, *segments: bytes, pause: float = 0.02) -> list[Answer]:
    """Send segment by segment, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, segment in enumerate(segments):
            if number:
                time.sleep(pause)
            sock.sendall(segment)
        raw = b""
        while data := sock.recv(65536):
            raw += data
    return answers(raw)


OFFERS = {
    "h2c, as the JDK's client does": H2C,
    "a websocket": "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "TLS": "Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n",
    "several, in mixed case": "CONNECTION: UPGRADE\r\nuPGRADE: foo/2\r\nUpgrade: h2c\r\n",
    "one that Connection does not name": "Upgrade: h2c\r\n",
}


@pytest.mark.parametrize("path", [STREAM, SYNC])
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read(port, offer, path):
    head = post(path, offer)
    for segments in ((head + BODY,), (head, BODY), (head, BODY[:5], BODY[5:])):
        (answer,) = talk(port, *segments)
        assert answer.status == 200, answer.body
        assert answer.body.startswith((b"data:", b"{"))
        assert "upgrade" not in answer.headers


def test_an_offer_may_come_with_a_body_in_chunks(port):
    head = post(more=H2C + "Transfer-Encoding: chunked\r\n", length=None)
    for segments in ((head + CHUNKED,), (head, CHUNKED[:4], CHUNKED[4:])):
        assert [each.status for each in talk(port, *segments)] == [200]


def test_an_offer_may_come_byte_by_byte(port):
    whole = post(more=H2C) + BODY
    segments = [whole[at : at + 1] for at in range(len(whole))]
    assert [each.status for each in talk(port, *segments, pause=0)] == [200]


def test_an_offer_may_come_with_an_expectation(port):
    head = post(more=H2C + "Expect: 100-continue\r\n")
    assert [each.status for each in talk(port, head, BODY)] == [100, 200]


def test_an_offer_without_a_body_is_ignored_too(uvicorn_port):
    offer = (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    last = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert [each.status for each in talk(uvicorn_port, offer + offer + last)] == [200, 200, 200]


def test_requests_follow_an_offer_on_the_same_connection(uvicorn_port):
    first = post(more=H2C, close=False) + BODY
    chunked = post(more=H2C + "Transfer-Encoding: chunked\r\n", length=None, close=False) + CHUNKED
    last = post() + BODY
    for segments in ((first, chunked, last), (first + chunked + last,)):
        assert [each.status for each in talk(uvicorn_port, *segments)] == [200, 200, 200]


def test_links_name_the_host_of_a_target_in_absolute_form(uvicorn_port):
    (answer,) = talk(uvicorn_port, post(f"http://api.example:81{SYNC}", H2C) + BODY)
    assert b'"http://api.example:81/assets/' in answer.body


ODD = {
    "a target in absolute form": (post(f"http://u:p@h:1{SYNC}?a=b") + BODY, 200),
    "line ends before the request line": (b"\r\n\r\n" + post() + BODY, 200),
    "names in lower case": (
        post().replace(b"Content-Type", b"content-type").replace(b"Host", b"host") + BODY,
        200,
    ),
    "a value in UTF-8": (post(more="X-Name: Жар-птица\r\n") + BODY, 200),
    "blanks around a value": (
        post(more="X-A:   b \t\r\n").replace(b"close\r", b"close \r") + BODY,
        200,
    ),
    "Chunked with a capital": (
        post(more="TRANSFER-ENCODING: Chunked\r\n", length=None) + CHUNKED,
        200,
    ),
    "trailers": (
        post(more="Transfer-Encoding: chunked\r\n", length=None)
        + CHUNKED[:-2]
        + b"Host: elsewhere\r\n\r\n",
        200,
    ),
    "an expectation that nobody knows": (post(more="Expect: luck\r\n") + BODY, 200),
    "a head just below the bound": (post(more=f"X-A: {'a' * 65_000}\r\n") + BODY, 200),
    "a coding that is not known": (
        post(more="Transfer-Encoding: gzip, chunked\r\n", length=None) + CHUNKED,
        501,
    ),
    "chunks and a length": (post(more="Transfer-Encoding: chunked\r\n") + CHUNKED, 400),
    "two lengths": (post(more="Content-Length: 3\r\n") + BODY, 400),
    "a folded field": (post(more="X-A: a\r\n b\r\n") + BODY, 400),
    "line feeds alone": (post().replace(b"\r\n", b"\n") + BODY, 400),
    "no Host": (post().replace(b"Host: h\r\n", b"") + BODY, 400),
    "two Hosts": (post(more="Host: g\r\n") + BODY, 400),
    "HTTP/2 without being asked": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 505),
    "HTTP/2.0 in the request line": (post(version="2.0") + BODY, 505),
    "HTTP/3.0 in the request line": (post(version="3.0") + BODY, 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "CONNECT": (b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 501),
    "TLS": (bytes.fromhex("16030100c4010000c00303") + bytes(190), 400),
    "no HTTP at all": (b"\x00\xff\r\n\r\n", 400),
    "a head that is too large": (post(more=f"X-A: {'a' * 70_000}\r\n") + BODY, 431),
    "too many fields": (post(more="".join(f"X-{n}: {'a' * 60}\r\n" for n in range(1100))), 431),
    "a head that is too large and has no end": (post(more=f"X-A: {'a' * 70_000}")[:-20], 431),
    "a target that is too long": (post(f"{SYNC}?{'q' * 70_000}") + BODY, 414),
    "trailers that are too large": (
        post(more="Transfer-Encoding: chunked\r\n", length=None)
        + CHUNKED[:-2]
        + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 1000) for n in range(100)),
        431,
    ),
}


@pytest.mark.parametrize(("sent", "status"), ODD.values(), ids=ODD)
def test_every_request_gets_an_answer(port, sent, status):
    (answer,) = talk(port, sent)
    assert answer.status == status, answer.body
    if status != 200:
        assert json.loads(answer.body)["detail"]
        assert answer.headers["connection"] == "close"


def test_a_target_in_absolute_form_may_have_no_path(uvicorn_port):
    for target in (b"http://127.0.0.1", b"http://127.0.0.1?a=b", b"http://127.0.0.1/"):
        (answer,) = talk(
            uvicorn_port, b"GET %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % target
        )
        assert answer.status == 200


def test_a_client_of_http_1_0_gets_no_chunks(port):
    for path, begins in ((STREAM, b"data:"), (SYNC, b"{")):
        for more in ("", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n"):
            (answer,) = talk(port, post(path, more, version="1.0", close=False) + BODY)
            assert answer.status == 200
            assert "transfer-encoding" not in answer.headers
            assert answer.body.startswith(begins)


def test_what_cannot_be_read_is_answered_after_what_was_asked_before(port):
    found = talk(port, post(STREAM, close=False) + BODY + b"\0 no request\r\n\r\n")
    assert found[0].status == 200
    assert found[0].body.startswith(b"data:")
    # --replay answers one request a connection.
    assert [each.status for each in found[1:]] in ([400], [])


def test_a_body_that_cannot_be_read_is_answered_at_once(port):
    head = post(more="Transfer-Encoding: chunked\r\n", length=None, close=False)
    assert [each.status for each in talk(port, head, b"no size\r\n")] == [400]


def test_a_head_that_does_not_come_to_its_end_is_answered_in_time(hasty):
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", hasty), 10) as sock:
        sock.settimeout(0.05)
        raw = b""
        for byte in post(more=f"X-A: {'a' * 1000}\r\n"):
            with contextlib.suppress(OSError):
                sock.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                data = sock.recv(65536)
                raw += data
                if not data:
                    break
    assert [each.status for each in answers(raw)] == [408]
    assert 0.3 <= time.monotonic() - started < 5


def test_a_connection_on_which_nothing_comes_is_closed_in_time(hasty):
    started = time.monotonic()
    assert talk(hasty) == []
    assert 0.3 <= time.monotonic() - started < 5


def test_line_ends_are_no_sign_of_life(hasty):
    assert [each.status for each in talk(hasty, *[b"\r\n"] * 20, pause=0.01)] == [408]


def test_a_body_may_take_longer_than_a_head(hasty):
    assert [each.status for each in talk(hasty, post(), BODY[:9], BODY[9:], pause=0.4)] == [200]


def test_a_connection_that_was_used_may_be_idle_for_longer():
    with serving("emulator", 0.3) as port:
        first, last = post(close=False) + BODY, post() + BODY
        assert [each.status for each in talk(port, first, last, pause=0.6)] == [200, 200]
        # The next head is bounded again, from its first byte on.
        assert [each.status for each in talk(port, first, last[:9], pause=0.6)] == [200, 408]


def test_the_bound_of_a_head_is_said_in_the_answer(port):
    (answer,) = talk(port, post(more=f"X-A: {'a' * HEAD_LIMIT}\r\n") + BODY)
    assert str(HEAD_LIMIT) in json.loads(answer.body)["detail"]


def test_a_replay_reads_so_much_of_a_body_and_refuses_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(OneRequestProtocol, "MOST_BODY", 10_000)
    with serving("replay", 10) as port:
        fits, larger = (post(length=size) + b"x" * size for size in (10_000, 10_001))
        assert [each.status for each in talk(port, fits)] == [200]
        (refused,) = talk(port, larger, b"x" * 10_000)
        assert refused.status == 413
        assert "10000 bytes" in json.loads(refused.body)["detail"]
        in_chunks = b"%x\r\n%b\r\n" % (6_000, b"x" * 6_000)
        sent = post(more="Transfer-Encoding: chunked\r\n", length=None) + in_chunks
        assert [each.status for each in talk(port, sent, in_chunks)] == [413]
