"""A proxy that holds back what it passes on: all of it until the end, in blocks of so many bytes,
or for so many seconds; or (to be told from these) that only holds single pieces up, as networks do.

It passes the bytes on as they are (as a tunnel does), or frames the body anew (as a gateway does).
Only what is posted is held: questions what a service is are answered at once.
"""

from __future__ import annotations

import http.client
import queue
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.support.serving import Quiet, serving

_PIECE = 65_536


@dataclass(frozen=True)
class Holding:
    """`whole`: until the end; `octets`, `seconds`: in blocks; `jitter`: each piece on its own, for
    up to so many seconds. `framed`: the body is framed anew. `cut`: pieces of so many bytes.
    """

    whole: bool = False
    octets: int = 0
    seconds: float = 0.0
    jitter: float = 0.0
    framed: bool = False
    cut: int = 0


@contextmanager
def holding(emulator: str, how: Holding) -> Iterator[str]:
    """The base URL of the proxy."""
    parts = urlsplit(emulator)
    host, port = str(parts.hostname), int(parts.port or 80)

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(*self.answered_by(f"{host}:{port}", b""))

        def do_POST(self) -> None:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.close_connection = True
            body = self.request_body()
            arrived: queue.Queue[bytes | None] = queue.Queue()
            read = self._framed if how.framed else self._as_it_is
            threading.Thread(target=read, args=(body, arrived), daemon=True).start()
            for piece in _held(arrived, how):
                try:
                    self.wfile.write(piece)
                    self.wfile.flush()
                except OSError:
                    return

        def _as_it_is(self, body: bytes, arrived: queue.Queue[bytes | None]) -> None:
            with socket.create_connection((host, port)) as behind:
                lines = [f"POST {self.path} HTTP/1.1"]
                lines += [f"{name}: {text}" for name, text in self.headers.items()]
                head = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
                behind.sendall(head + body)
                while piece := behind.recv(_PIECE):
                    arrived.put(piece)
            arrived.put(None)

        def _framed(self, body: bytes, arrived: queue.Queue[bytes | None]) -> None:
            behind = http.client.HTTPConnection(host, port)
            behind.request("POST", self.path, body, dict(self.headers.items()))
            answer = behind.getresponse()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"] or "")
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := answer.read1(_PIECE):
                arrived.put(piece)
            behind.close()
            arrived.put(None)

    with serving(Handler) as url:
        yield url


def _held(arrived: queue.Queue[bytes | None], how: Holding) -> Iterator[bytes]:
    """What is passed on, when it is."""
    held = b""
    due = time.monotonic() + how.seconds
    luck = random.Random(0)
    while True:
        try:
            wait = max(0.0, due - time.monotonic()) if how.seconds else None
            piece = arrived.get(timeout=wait)
        except queue.Empty:
            due += how.seconds
            if held:
                yield held
            held = b""
            continue
        if piece is None:
            break
        held += piece
        if how.octets:
            while len(held) >= how.octets:
                yield held[: how.octets]
                held = held[how.octets :]
        elif not (how.whole or how.seconds):
            yield from _late(held, how, luck)
            held = b""
    if held:
        yield held


def _late(piece: bytes, how: Holding, luck: random.Random) -> Iterator[bytes]:
    size = how.cut or len(piece)
    for at in range(0, len(piece), size):
        if how.jitter:
            time.sleep(luck.random() * how.jitter)
        yield piece[at : at + size]
