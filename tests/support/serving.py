"""A server of a few lines for a test, and how it passes a request on to another."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: (status, content type, body).
Answer = tuple[int, str, bytes]


class Quiet(BaseHTTPRequestHandler):
    """A handler that logs nothing."""

    def log_message(self, *_: object) -> None:
        pass

    def request_body(self) -> bytes:
        """The body of the request."""
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def answered_by(self, behind: str, body: bytes) -> Answer:
        """What the server at `behind` (HOST:PORT) answers the same request."""
        connection = http.client.HTTPConnection(behind)
        kept = {name: text for name, text in self.headers.items() if name != "Connection"}
        # Files lie where a service is told that it can be reached: `Host` is kept.
        connection.request(self.command, self.path, body or None, kept)
        answer = connection.getresponse()
        said = answer.status, answer.headers["Content-Type"] or "", answer.read()
        connection.close()
        return said

    def reply(self, status: int, kind: str, body: bytes) -> None:
        """Send an answer and close."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Whoever goes away meanwhile, goes."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1") -> Iterator[str]:
    """The base URL of a server at a free port."""
    with _Server((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
