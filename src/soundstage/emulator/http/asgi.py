"""What the emulator uses of ASGI: waiting for the far end, reading a body, a whole response."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from starlette.types import Receive, Scope, Send

from soundstage.emulator.http.journal import answered
from soundstage.emulator.http.messages import BODY_LIMIT, Reply, header, refusal_of_body

#: Of a body that is too large this much is read and thrown away, so that the client, still
#: sending, gets to see the answer.
_DRAIN_LIMIT: Final = 16 * BODY_LIMIT
#: So many bytes of bodies that are not whole yet are held for all clients together, and so many
#: seconds one body may take.
HELD_LIMIT: Final = 64 * 2**20
BODY_S: Final = 60.0
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


class FarEnd:
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


class NoBody(Exception):
    """A body that is not read to its end; `answer` is for who sent it, and ends the connection."""

    def __init__(self, answer: Reply) -> None:
        super().__init__()
        self.answer = answer


class _Held:
    """Bytes of bodies that are not whole yet."""

    bytes = 0


async def body_of(receive: Receive) -> bytes | None:
    """The whole body; None if it is too large, or the client went away before its end. Raises
    NoBody for one that takes too long, or for which others leave no room.
    """
    try:
        async with asyncio.timeout(BODY_S):
            return await _whole(receive)
    except TimeoutError:
        raise NoBody(refusal_of_body("slow")) from None


async def _whole(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size = held = 0
    more = True
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(part)
            if size <= BODY_LIMIT:
                parts.append(part)
                if more:
                    held += len(part)
                    _Held.bytes += len(part)
                    if _Held.bytes > HELD_LIMIT:
                        raise NoBody(refusal_of_body("crowded"))
            elif size > _DRAIN_LIMIT:
                return None
    finally:
        _Held.bytes -= held
    return b"".join(parts) if size <= BODY_LIMIT else None


def base_url(scope: Scope) -> str:
    """Scheme and host as the client named them; a `Host` that makes no URL is not repeated."""
    named = (header(scope["headers"], b"host") or b"").decode("latin-1")
    if not _HOST.fullmatch(named):
        host, port = scope.get("server") or ("localhost", None)
        host = f"[{host}]" if ":" in host else host
        named = f"{host}:{port}" if port else host
    return f"{scope.get('scheme', 'http')}://{named}"


async def respond(scope: Scope, send: Send, answer: Reply) -> None:
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
