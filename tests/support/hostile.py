"""A server that means harm: it answers each request by a function of yours, or never."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def json_answer(body: bytes) -> bytes:
    """A whole answer with this body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Hostile:
    """`url` is its base; `asked` are the request lines in their order; `over` ends it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[str] = []
        self.over = threading.Event()


@contextlib.contextmanager
def hostile(answer: Callable[[socket.socket, str, Hostile], None]) -> Iterator[Hostile]:
    """Serve `answer(connection, path, server)` for each request; questions whether it is an
    emulator are answered with 404.
    """
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = Hostile(listening.getsockname()[1])

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (piece := connection.recv(65_536)):
                    return
                head += piece
            line = head.partition(b"\r\n")[0].decode("latin-1")
            server.asked.append(line)
            path = line.split(" ")[1]
            if path.startswith("/_emulator"):
                connection.sendall(NOT_FOUND)
            else:
                answer(connection, path, server)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        # A socket that is only closed goes on accepting where a thread waits in it.
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def pings(connection: socket.socket, path: str, server: Hostile) -> None:
    """A stream of comments that never ends."""
    connection.sendall(STREAM)
    while not server.over.wait(0.02):
        connection.sendall(b": ping\n\n")


def silent(connection: socket.socket, path: str, server: Hostile) -> None:
    """Nothing at all."""
    server.over.wait()


def drips_head(connection: socket.socket, path: str, server: Hostile) -> None:
    """A head that never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not server.over.wait(0.02):
        connection.sendall(b"X-A: b\r\n")


def drips_chunks(connection: socket.socket, path: str, server: Hostile) -> None:
    """A stream of good-looking chunks that never ends."""
    connection.sendall(STREAM)
    number = 0
    while not server.over.wait(0.02):
        connection.sendall(b'data: {"status":"running","chunkIndex":%d}\n\n' % number)
        number += 1


def drips_result(connection: socket.socket, path: str, server: Hostile) -> None:
    """A JSON document that never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
    while not server.over.wait(0.02):
        connection.sendall(b" ")
