"""Lets pages of other origins call the API (Fetch Standard, "CORS protocol").

Whether the live API does is not documented. The emulator does unless told otherwise, so that a
player in a browser can be developed against it; its admin API never does.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

from starlette.types import Scope, Send

from soundstage.emulator.http.asgi import header
from soundstage.emulator.http.replies import Headers, Reply
from soundstage.errors import UsageError
from soundstage.output.cutting import head

#: Stands for no origin at all.
NONE: Final = "none"
_ANY: Final = "*"
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]{1,255}|null")
_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]{0,1000}")
_METHOD: Final = re.compile(rb"[A-Za-z]{1,40}")
#: What a page may read of a response, beyond what it always may.
_EXPOSED: Final = (
    b"accept-ranges, allow, content-length, content-range, etag, retry-after, "
    b"soundstage-course, soundstage-fault-missed, soundstage-refused"
)
_SECONDS: Final = b"600"


class Cors:
    """`origins` may call; none given: any; `none`: none. Raises UsageError for another word."""

    def __init__(self, origins: Collection[str]) -> None:
        for origin in origins:
            if origin not in (_ANY, NONE) and not _ORIGIN.fullmatch(origin):
                raise UsageError(
                    f"--cors {head(origin, 80)}: no origin; write http(s)://HOST[:PORT], * or none"
                )
        self._any = not origins or _ANY in origins
        self._origins = frozenset(origins) - {NONE, _ANY}

    def headers(self, origin: bytes) -> Headers:
        """What a response to a page of that origin says; nothing if it may not read it."""
        if self._any:
            return [
                (b"access-control-allow-origin", b"*"),
                (b"access-control-expose-headers", _EXPOSED),
            ]
        varies: Headers = [(b"vary", b"origin")]
        if origin.decode("latin-1") not in self._origins:
            return varies if self._origins else []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            *varies,
        ]

    def preflight(self, scope: Scope, methods: Collection[str]) -> Reply | None:
        """The answer to a browser that asks first, to be sent through `sending`; None if it is not
        that, or may not.
        """
        headers = scope["headers"]
        origin = header(headers, b"origin")
        method = header(headers, b"access-control-request-method")
        if origin is None or method is None:
            return None
        allowed = self.headers(origin)
        if not any(name == b"access-control-allow-origin" for name, _ in allowed):
            return None
        asked = header(headers, b"access-control-request-headers") or b""
        # A method that there is not is allowed too: a page can read the refusal of it then.
        wanted = [method.decode("ascii")] if _METHOD.fullmatch(method) else []
        named = asked if _NAMES.fullmatch(asked) else b""
        return Reply(
            200,
            b"",
            None,
            [
                (b"access-control-allow-methods", ", ".join(sorted({*methods, *wanted})).encode()),
                (b"access-control-allow-headers", named),
                (b"access-control-max-age", _SECONDS),
            ],
        )

    def sending(self, origin: bytes, send: Send) -> Send:
        """A `send` that adds the headers. Only answers to pages take this way round."""
        added = self.headers(origin)

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return sending
