"""What the emulator uses of ASGI: waiting for the far end, reading a body, a whole response."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from starlette.types import Receive, Scope, Send

from soundstage.emulator.journal import answered
from soundstage.emulator.requests import BODY_LIMIT, Answer, header

#: Of a body that is too large this much is read and thrown away, so that the client, still
#: sending, gets to see the answer.
_DRAIN_LIMIT: Final = 16 * BODY_LIMIT
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


class Listener:
    """The far end of a response: wakes whoever waits when it goes away or the server stops."""

    __slots__ = ("_task", "gone", "waiter")

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self.waiter: asyncio.Future[None] | None = None
        self._task = asyncio.ensure_future(self._listen(receive))

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.leave()

    def leave(self) -> None:
        self.gone = True
        _wake(self.waiter)

    async def until(self, due: float, loop: asyncio.AbstractEventLoop) -> bool:
        """Wait for a moment of the loop's clock; False if the far end is gone by then."""
        if due > loop.time() and not self.gone:
            waiter = self.waiter = loop.create_future()
            timer = loop.call_at(due, _wake, waiter)
            await waiter
            timer.cancel()
        return not self.gone

    def close(self) -> None:
        self._task.cancel()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def body_of(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body; None if it is too large, or the client went away before its end."""
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if size <= BODY_LIMIT:
            parts.append(message.get("body", b""))
        elif size > _DRAIN_LIMIT:
            return None
        more = message.get("more_body", False)
    return b"".join(parts) if size <= BODY_LIMIT else None


def base_url(scope: Scope) -> str:
    """Scheme and host as the client named them; a `Host` that makes no URL is not repeated."""
    named = (header(scope["headers"], b"host") or b"").decode("latin-1")
    if not _HOST.fullmatch(named):
        host, port = scope.get("server") or ("localhost", None)
        host = f"[{host}]" if ":" in host else host
        named = f"{host}:{port}" if port else host
    return f"{scope.get('scheme', 'http')}://{named}"


async def respond(scope: Scope, send: Send, answer: Answer) -> None:
    """Send a whole response, and note its status; to HEAD its headers only."""
    answered(scope, answer.status)
    kind = [(b"content-type", answer.media_type.encode())] if answer.media_type else []
    headers = [
        *kind,
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": False})
