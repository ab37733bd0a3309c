"""An emulator that is stopped cuts what is under way, or says that it goes. It never says 500."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from soundstage.contract import load
from soundstage.emulator import Emulator, Options
from soundstage.emulator.http.connection import OneRequestProtocol
from soundstage.emulator.replay import replay
from soundstage.emulator.replay.recording import Recording
from soundstage.emulator.service.server import ApplicationServer, Stoppable, _listening, config
from soundstage.wire.end import EndKind

V6 = load("v6")
PATHS = {endpoint.kind: endpoint.path for endpoint in V6.endpoints.values()}
BODY = json.dumps({"prompt": "a song"}).encode()
SLOW = Options(profile="slow", seed=1)


class Stopped:
    """An emulator in a thread, to be stopped while it answers."""

    def __init__(self, port: int, server: ApplicationServer, thread: threading.Thread) -> None:
        self.port, self._server, self._thread = port, server, thread

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def stop(self) -> None:
        self._server.should_exit = True

    def ended(self) -> bool:
        self._thread.join(20)
        return not self._thread.is_alive()


@contextmanager
def serving(app: Stoppable, **settings: object) -> Iterator[Stopped]:
    ready = threading.Event()
    with _listening("127.0.0.1", 0) as listening:
        server = ApplicationServer(config(app, **settings), app, ready.set, alone=False)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        assert ready.wait(20)
        try:
            yield Stopped(listening.getsockname()[1], server, thread)
        finally:
            server.should_exit = True
            thread.join(20)


def head(method: str, path: str, *more: str, length: int = 0, version: str = "1.1") -> bytes:
    lines = [
        f"{method} {path} HTTP/{version}",
        "Host: 127.0.0.1",
        "Authorization: Bearer a-key",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def all_of(connection: socket.socket) -> bytes:
    """What came until the connection was closed, or reset."""
    got = b""
    try:
        while part := connection.recv(65536):
            got += part
    except ConnectionResetError:
        pass
    return got


def is_an_end(answer: bytes) -> None:
    """Nothing at all, a 503, or an answer that lacks its end."""
    assert b" 500 " not in answer.split(b"\r\n", 1)[0]
    assert b"Internal Server Error" not in answer
    if answer and not answer.startswith(b"HTTP/1.1 200"):
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b"connection: close" in answer


@pytest.mark.parametrize("more", [(), ("Connection: close",)])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_stop_in_the_middle_of_a_sync_answer_is_a_503(
    version: str, more: tuple[str, ...]
) -> None:
    with serving(Emulator(SLOW)) as stopped, closing(stopped.connect()) as connection:
        request = head("POST", PATHS["sync"], *more, length=len(BODY), version=version)
        connection.sendall(request + BODY)
        until_begun(stopped)
        stopped.stop()
        answer = all_of(connection)
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b"the emulator is being stopped" in answer
        is_an_end(answer)
        assert stopped.ended()


def until_begun(stopped: Stopped) -> None:
    """Wait until a song is being made, by what the admin API shows."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with closing(stopped.connect()) as asking:
            asking.sendall(head("GET", "/_emulator/generations", "Connection: close"))
            if b"message_id" in all_of(asking):
                return
    raise AssertionError("no generation was begun")


@pytest.mark.parametrize("more", [(), ("Connection: close",)])
def test_a_stop_in_the_middle_of_a_stream_cuts_it(more: tuple[str, ...]) -> None:
    with serving(Emulator(SLOW)) as stopped, closing(stopped.connect()) as connection:
        request = head("POST", PATHS["stream"], *more, length=len(BODY))
        connection.sendall(request + BODY)
        first = connection.recv(65536)
        stopped.stop()
        answer = first + all_of(connection)
        is_an_end(answer)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert not answer.endswith(b"0\r\n\r\n")
        assert stopped.ended()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", PATHS["sync"]), ("POST", PATHS["stream"]), ("PUT", "/_emulator/error")],
)
def test_a_stop_in_the_middle_of_a_body_is_no_500(method: str, path: str) -> None:
    with serving(Emulator(SLOW)) as stopped, closing(stopped.connect()) as connection:
        connection.sendall(head(method, path, "Expect: 100-continue", length=100))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # the body is waited for
        connection.sendall(b'{"prompt"')
        stopped.stop()
        is_an_end(all_of(connection))
        assert stopped.ended()


def test_a_stop_in_the_middle_of_a_file_cuts_it() -> None:
    """A file that is larger than what is on its way at any time."""
    v5 = load("v5")
    sync = v5.endpoint_of_kind("sync")
    assert sync is not None
    printed = next(each.payload for each in v5.examples if each.of == "request")
    body = json.dumps({**printed, "duration": 600}).encode()
    emulator = Emulator(Options(profile="instant", seed=1))
    with serving(emulator) as stopped, closing(stopped.connect()) as connection:
        connection.sendall(head("POST", sync.path, "Connection: close", length=len(body)) + body)
        result = json.loads(all_of(connection).partition(b"\r\n\r\n")[2])
        path = next(url for url in urls(result) if url.endswith(".mp3")).partition("/assets/")[2]
        with closing(stopped.connect()) as reading:
            reading.sendall(head("GET", f"/assets/{path}"))
            first = reading.recv(1000)
            length = int(first.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            stopped.stop()
            assert stopped.ended()
            whole = first + all_of(reading)
            is_an_end(whole)
            assert len(whole) < length


def urls(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from urls(each)
    elif isinstance(value, list):
        for each in value:
            yield from urls(each)
    elif isinstance(value, str) and value.startswith("http"):
        yield value


def test_connections_that_wait_are_closed_without_a_word() -> None:
    with serving(Emulator(SLOW)) as stopped, closing(stopped.connect()) as connection:
        connection.sendall(head("GET", "/_emulator/health"))
        got = connection.recv(65536)
        while not got.endswith(b"}}"):  # its body may come later than its head
            got += connection.recv(65536)
        assert got.startswith(b"HTTP/1.1 200 ")
        stopped.stop()
        assert all_of(connection) == b""
        assert stopped.ended()


@pytest.mark.parametrize("head_at", [0.0, 600.0])
def test_a_stop_in_the_middle_of_a_replay_closes_the_connection(head_at: float) -> None:
    """Before its head, and between two pieces of its body."""
    kind, pieces = ("content-type", "text/event-stream"), ((0.0, b"data: 1\n\n"), (900.0, b"."))
    told = Recording(
        "told", "POST", ("/told",), 200, "OK", (kind,), head_at, pieces, None, EndKind.COMPLETE, 900
    )
    played = replay.Replay([told])
    settings = {"http": OneRequestProtocol, "lifespan": "off", "loop": "asyncio"}
    with serving(played, **settings) as stopped, closing(stopped.connect()) as connection:
        connection.sendall(head("POST", "/told", "Expect: 100-continue", length=len(BODY)))
        first = connection.recv(65536)
        assert first.startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        got = b"" if head_at else connection.recv(65536)
        stopped.stop()
        is_an_end(got + all_of(connection))
        assert stopped.ended()
