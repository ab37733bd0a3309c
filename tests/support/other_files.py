"""An emulator whose files are replaced by others: what an API that is not ours may have stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from tests.support.serving import Quiet, serving


@contextmanager
def other_files(emulator: str, files: Mapping[str, bytes], **headers: str) -> Iterator[str]:
    """The URL of a server in front of an emulator. What is asked for by a path that ends with a
    name of `files` gets those bytes, with `headers` beside a fitting type; all else is passed on.
    """
    upstream = urlsplit(emulator)

    class Handler(Quiet):
        def answer(self) -> None:
            body = self.request_body()
            for name, data in files.items():
                if self.path.endswith(name):
                    kind = "audio/mpeg" if name.endswith("mp3") else "image/webp"
                    return self.send(200, {"content-type": kind, **headers}, data)
            assert upstream.port is not None
            connection = HTTPConnection(str(upstream.hostname), upstream.port)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                kept = {
                    name: value
                    for name, value in answer.getheaders()
                    if name not in ("content-length", "transfer-encoding", "connection")
                }
                return self.send(answer.status, kept, answer.read())
            finally:
                connection.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = answer

        def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as url:
        yield url
