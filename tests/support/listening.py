"""A server that is not the one that was meant: it answers all, and keeps what it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.serving import Quiet, serving


class Stranger:
    """What came to it, `heads` with their headers as text; `url` is where it listens."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heads: list[str] = []


@contextmanager
def stranger(host: str = "127.0.0.1") -> Iterator[Stranger]:
    """A stranger at a free port of an address of this machine."""
    found = Stranger("")

    class Handler(Quiet):
        def _answer(self) -> None:
            found.heads.append(f"{self.requestline}\n{self.headers}")
            self.reply(200, "application/json", b'{"emulator": "soundstage"}')

        do_GET = do_POST = do_PUT = _answer

    with serving(Handler, host) as url:
        found.url = url
        yield found
