"""A server that is not the one that was meant: it answers all, and keeps what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Stranger:
    """What came to it, `heads` with their headers as text; `url` is where it listens."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heads: list[str] = []


@contextmanager
def stranger(host: str = "127.0.0.1") -> Iterator[Stranger]:
    """A stranger at a free port of an address of this machine."""
    found: Stranger

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            found.heads.append(f"{self.requestline}\n{self.headers}")
            body = b'{"emulator": "soundstage"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    found = Stranger(f"http://{host}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
