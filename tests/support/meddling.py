"""A service whose answers somebody meddles with by hand: requests go on to an emulator, and what
comes back is changed. It still says of itself that it is an emulator.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

#: Takes (path without query, status, value) of a JSON answer, and gives (status, value).
Meddle = Callable[[str, int, Any], tuple[int, Any]]


@contextmanager
def meddling(emulator: str, meddle: Meddle) -> Iterator[str]:
    """The base URL of the service."""
    behind = urlsplit(emulator).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            connection = http.client.HTTPConnection(behind)
            kept = {name: text for name, text in self.headers.items() if name != "Connection"}
            connection.request(self.command, self.path, body or None, kept)
            answer = connection.getresponse()
            status, kind = answer.status, answer.headers["Content-Type"] or ""
            said = answer.read()
            connection.close()
            if kind.startswith("application/json"):
                status, value = meddle(urlsplit(self.path).path, status, json.loads(said))
                said = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(said)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = _pass_on

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A reader that goes away is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
