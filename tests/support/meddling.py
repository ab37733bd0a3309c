"""A service whose answers somebody meddles with by hand: requests go on to an emulator, and what
comes back is changed. It still says of itself that it is an emulator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.support.serving import Quiet, serving

#: Takes (path without query, status, value) of a JSON answer, and gives (status, value).
Meddle = Callable[[str, int, Any], tuple[int, Any]]


@contextmanager
def meddling(emulator: str, meddle: Meddle) -> Iterator[str]:
    """The base URL of the service."""
    behind = urlsplit(emulator).netloc

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            status, kind, said = self.answered_by(behind, self.request_body())
            if kind.startswith("application/json"):
                status, value = meddle(urlsplit(self.path).path, status, json.loads(said))
                said = json.dumps(value).encode()
            self.reply(status, kind, said)

        do_GET = do_POST = _pass_on

    with serving(Handler) as url:
        yield url
