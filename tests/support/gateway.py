"""A gateway before an emulator: passes requests on, but for those that it answers itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.support.serving import Answer, Quiet, serving

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

    class Handler(Quiet):
        def _pass_on(self) -> None:
            body = self.request_body()
            key = "Authorization" in self.headers
            own = (404, "text/plain", b"") if self.path.startswith("/_emulator") else None
            own = own or rule(self.command, self.path, key, body)
            self.reply(*(own or self.answered_by(behind, body)))

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = _pass_on
        do_HEAD = _pass_on

    with serving(Handler) as url:
        yield url
