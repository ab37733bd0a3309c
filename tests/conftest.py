"""Fixtures for several rooms: contracts, bodies of streams, a server that sends given bytes."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import random
import signal
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import hypothesis
import pytest

from soundstage.contract import Contract, load
from soundstage.generation import walk
from soundstage.output import outgoing

#: The same examples in each run, however busy the machine: what fails, fails again. Others are
#: looked for by `pytest --hypothesis-profile random`.
hypothesis.settings.register_profile("random", deadline=None)
hypothesis.settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("same")

# What a shell starts in the background ignores Ctrl-C, and so would all that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Ten thousand tests are many objects, of which none goes while they are collected, nor later: to
# look through them again and again takes each worker two seconds of six.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


Step = tuple[Any, ...]


@dataclass
class RecordedRequest:
    """A request as the server read it: header names in lower case, the body, the raw bytes."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes = field(repr=False)


class RawServer:
    """Plays a list of connections on loopback, one after another or at once.

    Each connection is a list of steps, tuples of a name and its arguments:

    - `("read",)`: read one request and record it in `requests`. Every connection starts with one,
      unless its first step is `("silent",)`.
    - `("send", data)`, `("drip", data, pause_s)`: all at once, or byte by byte.
    - `("sleep", s)`, `("wait", event)`: both end early when the server stops.
    - `("rst",)`: reset the connection.
    - `("close",)`: close it in order, as the end of the list does.
    - `("tls_eof",)`: end a TLS connection without close_notify.
    - `("hold",)`: keep it open until the client closes or the server stops.
    - `("call", function)`: give `function` the socket.

    Connections beyond the list replay the last one if `repeat`, else they are closed at once.
    """

    def __init__(
        self,
        connections: list[list[Step]],
        *,
        tls: ssl.SSLContext | None = None,
        repeat: bool = False,
    ) -> None:
        self.connections = connections
        self.requests: list[RecordedRequest] = []
        self.accepted = 0
        self.errors: list[BaseException] = []
        self._tls = tls
        self._repeat = repeat
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._main = threading.Thread(target=self._serve, daemon=True)
        self._main.start()

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def stop(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept
        self._main.join(5)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            number = self.accepted
            self.accepted += 1
            if number < len(self.connections):
                steps = self.connections[number]
            elif self._repeat and self.connections:
                steps = self.connections[-1]
            else:
                sock.close()
                continue
            thread = threading.Thread(target=self._play, args=(sock, steps), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, sock: socket.socket, steps: list[Step]) -> None:
        try:
            sock.settimeout(5)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            if not steps or steps[0][0] != "silent":
                self._read(sock)
            for name, *arguments in steps:
                if self._step(sock, name, *arguments):
                    break
            if isinstance(sock, ssl.SSLSocket):
                sock.settimeout(0.2)
                sock.unwrap()  # close_notify; fails harmlessly on a connection that is gone
        except (OSError, ValueError) as error:
            self.errors.append(error)
        finally:
            with contextlib.suppress(OSError):
                sock.close()

    def _step(self, sock: socket.socket, name: str, *arguments: Any) -> bool:
        """Play one step; True when the connection is over."""
        match name:
            case "silent":
                pass
            case "read":
                return not self._read(sock)
            case "send":
                sock.sendall(arguments[0])
            case "drip":
                for byte in arguments[0]:
                    if self._stop.wait(arguments[1]):
                        return True
                    sock.sendall(bytes([byte]))
            case "sleep":
                return self._stop.wait(arguments[0])
            case "wait":
                while not arguments[0].wait(0.02) and not self._stop.is_set():
                    pass
            case "call":
                arguments[0](sock)
            case "hold":
                sock.settimeout(0.05)
                while not self._stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        if not sock.recv(4096):
                            return True
            case "rst":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                return True
            case "tls_eof":
                sock.shutdown(socket.SHUT_RDWR)
                return True
            case "close":
                return True
            case _:
                raise ValueError(f"no such step: {name}")
        return False

    def _read(self, sock: socket.socket) -> bool:
        """Read one request, head and body; False when the client closed before it."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            data = sock.recv(65536)
            if not data:
                return False
            raw += data
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        while len(body) < int(headers.get("content-length", "0")):
            data = sock.recv(65536)
            if not data:
                return False
            body += data
        method, target, _ = first.split(" ")
        self.requests.append(
            RecordedRequest(method, target, headers, body, head + b"\r\n\r\n" + body)
        )
        return True


@pytest.fixture(scope="session", autouse=True)
def authorities_are_read_once() -> Iterator[None]:
    """Each `httpx.get` reads all that the machine trusts anew: 35 ms of CPU."""
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(httpx.create_ssl_context)
        patch.setattr("httpx._transports.default.create_ssl_context", once)
        yield


@pytest.fixture(scope="session")
def v6() -> Contract:
    return load("v6")


@pytest.fixture(scope="session")
def v5() -> Contract:
    return load("v5")


@pytest.fixture(scope="session")
def stream_of() -> Callable[..., bytes]:
    """The body of a valid stream of a version, framed as Server-Sent Events."""

    def body(api: str, seed: int = 3, **fields: object) -> bytes:
        contract, rng = load(api), random.Random(seed)
        steps = walk.plan(contract, rng)
        chunks = walk.payloads(contract, steps, walk.random_story(rng), rng)
        events = (json.dumps({**chunk, **fields}).encode() for chunk in chunks)
        return b"".join(b"data: " + event + b"\n\n" for event in events)

    return body


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """Start servers: `raw_server([steps of a connection], [steps of the next], tls=, repeat=)`."""
    servers: list[RawServer] = []

    def start(*connections: list[Step], **options: Any) -> RawServer:
        server = RawServer(list(connections), **options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(autouse=True)
def nothing_hidden_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets of a process are those of one test."""
    monkeypatch.setattr(outgoing, "_secrets", {})
    monkeypatch.setattr(outgoing, "_words", set())
    monkeypatch.setattr(outgoing, "_redactor", None)
