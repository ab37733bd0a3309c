"""What the emulator uses of ASGI: headers, waiting for the far end, a body, a whole response."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from starlette.types import Receive, Scope, Send

from soundstage.contract.jobs import Auth
from soundstage.emulator.http.connection import body_at_hand, tell_no_more, tell_when_gone
from soundstage.emulator.http.journal import ENTRY, JournalEntry
from soundstage.emulator.http.replies import BODY_LIMIT, Headers, Reply, refusal_of_body

#: Of a body that is too large this much is read and thrown away, so that the client, still
#: sending, gets to see the answer.
_DRAIN_LIMIT: Final = 16 * BODY_LIMIT
#: So many bytes of bodies that are not whole yet are held for all clients together, and so many
#: seconds one body may take.
HELD_LIMIT: Final = 64 * 2**20
BODY_S: Final = 60.0
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")

#: A key, as a bearer token is written (RFC 6750, section 2.1).
_TOKEN: Final = rb"[A-Za-z0-9._~+/=-]{1,4096}"
#: So much of a header is repeated.
_SHOWN: Final = 100
_JSON: Final = re.compile(
    rb"application/json[ \t]*(;[ \t]*charset[ \t]*=[ \t]*\"?utf-?8\"?[ \t]*)?;?", re.IGNORECASE
)


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of a header (lower-case name); None if it is absent or comes more than once."""
    values = [value for key, value in headers if key == name]
    return values[0] if len(values) == 1 else None


def header_list(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The value of a header whose values are a list, however many lines it comes in (RFC 9110,
    section 5.3); None if it is absent.
    """
    values = [value.decode("latin-1") for key, value in headers if key == name]
    return ", ".join(values) if values else None


def key_of(headers: Iterable[tuple[bytes, bytes]], auth: Auth) -> str | None:
    """The key of a request, in the header and behind the scheme that the contract says; None if
    absent or malformed.
    """
    said = header(headers, auth.header.lower().encode()) or b""
    match = _pattern_of(auth.scheme).fullmatch(said)
    return match[1].decode("ascii") if match else None


def bearer_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer key of a request (RFC 6750, section 2.1); None if absent or malformed."""
    return key_of(headers, Auth())


@cache
def _pattern_of(scheme: str) -> re.Pattern[bytes]:
    # Schemes are written in any case (RFC 9110, section 11.1).
    before = re.escape(scheme.encode()) + b" +" if scheme else b""
    return re.compile(b"(?i:" + before + b")(" + _TOKEN + b") *")


def is_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers announce plain JSON in UTF-8, without a content coding."""
    headers = list(headers)
    codings = [value.lower() for name, value in headers if name == b"content-encoding"]
    media = header(headers, b"content-type") or b""
    plain = all(coding in (b"", b"identity") for coding in codings)
    return plain and _JSON.fullmatch(media.strip()) is not None


def why_not_json(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """What the headers announce instead of plain JSON, in words."""
    said = dict.fromkeys((b"content-type", b"content-encoding"), b"")
    for name, value in headers:
        if name in said:
            said[name] = value
    kind, coding = (value.decode("latin-1")[:_SHOWN] for value in said.values())
    if coding and coding.lower() != "identity":
        return f"the Content-Encoding is {coding}; expected none"
    if not kind:
        return "there is no Content-Type; expected application/json"
    return f"the Content-Type is {kind}; expected application/json, in UTF-8"


class FarEnd:
    """The far end of a response: wakes whoever waits when it goes away or the server stops. With
    the request's `scope`, by the connection itself if it can, which takes no task; then the end of
    the response is not the end.
    """

    __slots__ = ("_scope", "_task", "gone", "waiter")

    def __init__(self, receive: Receive, scope: Scope | None = None) -> None:
        self.gone = False
        self.waiter: asyncio.Future[None] | None = None
        self._scope = scope
        self._task: asyncio.Task[None] | None = None
        if scope is None or not tell_when_gone(scope, self):
            self._task = asyncio.ensure_future(self._listen(receive))

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.leave()

    def leave(self) -> None:
        self.gone = True
        self.wake()

    def wake(self) -> None:
        """Wake whoever waits."""
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
        if self._task is not None:
            self._task.cancel()
        elif self._scope is not None:
            tell_no_more(self._scope, self)


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
    if (whole := body_at_hand(receive)) is not None:  # it takes no timer
        return whole if len(whole) <= BODY_LIMIT else None
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


async def open_response(scope: Scope, send: Send, status: int, headers: Headers) -> None:
    """Send the head of a response, and note its status in the journal."""
    entry: JournalEntry | None = scope.get(ENTRY)
    if entry is not None:
        entry.status = status
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def respond(scope: Scope, send: Send, answer: Reply) -> None:
    """Send a whole response; to HEAD its headers only."""
    kind = [(b"content-type", answer.media_type.encode())] if answer.media_type else []
    headers = [
        *kind,
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await open_response(scope, send, answer.status, headers)
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": False})
