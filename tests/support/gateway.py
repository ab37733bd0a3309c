"""A gateway before an emulator: passes requests on, but for those that it answers itself."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: (status, content type, body).
Answer = tuple[int, str, bytes]
#: Takes (method, path, whether there is a key, body) and gives the gateway's own answer, or None.
Rule = Callable[[str, str, bool, bytes], Answer | None]
PAGE = b"<html><body>The service is not reachable</body></html>"


def page(status: int) -> Answer:
    """What a gateway says on its own behalf."""
    return status, "text/html", PAGE


@contextmanager
def gateway(emulator: str, rule: Rule) -> Iterator[str]:
    """The base URL of a gateway before `emulator`, which does not let on that it is one."""
    behind = urlsplit(emulator).netloc

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            key = "Authorization" in self.headers
            own = (404, "text/plain", b"") if self.path.startswith("/_emulator") else None
            own = own or rule(self.command, self.path, key, body)
            if own is None:
                connection = http.client.HTTPConnection(behind)
                kept = {k: v for k, v in self.headers.items() if k != "Connection"}
                # The songs lie where the emulator is told that it can be reached.
                connection.request(self.command, self.path, body or None, kept)
                answer = connection.getresponse()
                own = answer.status, answer.headers["Content-Type"] or "", answer.read()
                connection.close()
            status, kind, said = own
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = _pass_on
        do_HEAD = _pass_on

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
