"""The server's end of an HTTP connection, laid open to the application: what ASGI has no word for
(octets as they are, a reset) is done on it. What comes in is read by `incoming.py`; uvicorn's are
the framing of answers and the order in which they are given.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from soundstage.emulator.http.access_log import LOGGED, LoggedRequest
from soundstage.emulator.http.incoming import HEAD_S, LINGER_S, Incoming, RefusedRequest, too_slow
from soundstage.emulator.http.light_parts import LightSignal, Pipeline, PipelineFlow
from soundstage.emulator.http.replies import going_away

_EXTENSION: Final = "soundstage.connection"
_OTHER_HOST: Final = "soundstage.other_host"
#: No lingering: what is unsent is thrown away, and the far end is told so by a reset (RFC 9293,
#: section 3.10.7; `SO_LINGER` of socket(7)).
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_SILENT: Final = logging.getLogger("soundstage.emulator.http")
_SILENT.setLevel(logging.CRITICAL)


class Leaving(Protocol):
    """The far end of a connection, as whoever waits for it sees it."""

    def leave(self) -> None: ...


class Connection:
    """One connection that a response is being sent on."""

    __slots__ = ("_logged", "_transport")

    def __init__(self, transport: asyncio.Transport, logged: LoggedRequest | None = None) -> None:
        self._transport = transport
        self._logged = logged

    def write(self, data: bytes) -> None:
        """Send octets as they are, after all that was sent before."""
        if self._logged is not None:
            self._logged.sent += len(data)
        self._transport.write(data)

    def close(self) -> None:
        """Send what is still to be sent, then close in an orderly way."""
        self._transport.close()

    async def drained(self) -> None:
        """Wait until a client that reads slowly has taken most of what was written."""
        protocol: Any = self._transport.get_protocol()
        await protocol.flow.drain()

    def abort(self) -> None:
        """Close it at once; what is unsent is thrown away."""
        self._transport.abort()

    def reset(self) -> None:
        """Reset the connection."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()


class _Cut(RequestResponseCycle):
    """An answer that nothing was said of when it ended: the server is being stopped (all that fails
    in an application is answered there). That is no failure of its own, and no 500.
    """

    def push(self, body: bytes) -> bool:
        """Send a piece of the body at once, as `send` does. False where that has to wait, or where
        it is framed in another way or not sent at all: `send` knows what to do then.
        """
        if self.flow.write_paused or self.disconnected or not self.chunked_encoding:
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def body_at_hand(self) -> bytes | None:
        """The whole body, where all of it has come by now, as it mostly has; None where `receive`
        has to be asked.
        """
        if self.more_body or self.disconnected or self.waiting_for_100_continue:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.flow.resume_reading()
        self.message_event.clear()
        return body

    async def send_500_response(self) -> None:
        answer = going_away()
        headers = [(b"content-type", b"application/json"), *answer.headers]
        headers.append((b"content-length", b"%d" % len(answer.body)))
        await self.send(
            {"type": "http.response.start", "status": answer.status, "headers": headers}
        )
        await self.send({"type": "http.response.body", "body": answer.body, "more_body": False})


class _Unframed(_Cut):
    """The answer to a client of HTTP/1.0, which knows no chunks: a body without a length goes on
    until the connection is closed (RFC 9112, section 6.1).
    """

    _endless = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            names = [name.lower() for name, _ in message.get("headers", ())]
            if b"content-length" not in names:
                self._endless, self.chunked_encoding = True, False
        elif self._endless:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class OpenProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with its transport among the extensions of each request's scope, and with
    `Incoming` as its parser: no offer to upgrade is taken, and a head is bounded in size and in
    time (`head_s` seconds).

    It keeps to itself what it would log: an answer that is cut is meant to be, and failures of the
    application are logged where they happen.
    """

    # Beside what uvicorn's has, whose names just fit into a dictionary that shares its keys.
    __slots__ = ("_head_s", "_impatience", "_refused", "far_end")

    def __init__(self, *args: Any, head_s: float = HEAD_S, **more: Any) -> None:
        super().__init__(*args, **more)
        self.logger = _SILENT
        self.pipeline: Any = Pipeline()
        #: Who is to be told when the connection is gone.
        self.far_end: Leaving | None = None
        self.parser: Incoming = Incoming(self)  # type: ignore[assignment]
        self._head_s = head_s
        self._impatience: asyncio.TimerHandle | None = None
        self._refused: RefusedRequest | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self.pipeline)
        self._impatience = self.loop.call_later(self._head_s, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        self.parser.close()
        super().connection_lost(exc)
        if self.far_end is not None:
            self.far_end.leave()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._refused is not None:
            return
        try:
            self.parser.feed_data(data)
        except RefusedRequest as refused:
            self._refuse(refused)
            return
        if self.parser.waiting and self._impatience is None:
            self._impatience = self.loop.call_later(self._head_s, self._too_slow)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {_EXTENSION: self.transport}
        if self.parser.other_host is not None:
            scope["extensions"][_OTHER_HOST] = self.parser.other_host

    def on_headers_complete(self) -> None:
        self._wait_no_more()
        old = self.parser.get_http_version() == "1.0"
        if old:
            self.expect_100_continue = False  # RFC 9110, section 10.1.1
        super().on_headers_complete()
        # uvicorn makes its cycles by name; this one has not begun yet.
        self.cycle.message_event = LightSignal()  # type: ignore[assignment]
        self.cycle.__class__ = _Unframed if old else _Cut

    def on_response_complete(self) -> None:
        last = not self.pipeline
        super().on_response_complete()
        if last and self._refused is not None:
            self._say(self._refused)

    def _wait_no_more(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    @property
    def _answering(self) -> bool:
        """Whether an answer is under way or due; that to the newest request is the last."""
        return self.cycle is not None and not self.cycle.response_complete

    def _too_slow(self) -> None:
        """A head has taken too long. Where answers are under way, they come first, and it may be
        we who do not read.
        """
        self._impatience = None
        if self._answering:
            self._impatience = self.loop.call_later(self._head_s, self._too_slow)
        elif self.parser.waiting:
            self._refuse(too_slow())
        else:
            self.transport.close()  # not a byte came

    def _refuse(self, refused: RefusedRequest) -> None:
        """Answer so, after all that was asked before, and read no more."""
        # Without the frames that it was raised in, which hold this object.
        self._refused = refused = RefusedRequest(refused.status, refused.detail)
        self._wait_no_more()
        due = self._answering
        if due and self.cycle.more_body:
            # It is the body of the newest request that cannot be read: this is the answer to it.
            if self.pipeline:
                self.pipeline.popleft()
            elif self.cycle.response_started:
                self.transport.close()
                return
            else:
                due = False
        if not due:
            self._say(refused)

    def _say(self, refused: RefusedRequest) -> None:
        """Send the answer. Closed at once, the connection would be reset under what still comes,
        and with it what the client has not read yet.
        """
        if not self.transport.is_closing():
            self._unset_keepalive_if_required()
            application: Any = self.app
            if (enter := getattr(application, "unread", None)) is not None:
                enter(self.client, refused.status, refused.detail)
            self.transport.write(refused.to_bytes())
            self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.transport.close)


class OneRequestProtocol(OpenProtocol):
    """Takes one request a connection, whose body, of at most `MOST_BODY` bytes, nobody wants: it is
    read and thrown away, and so is what comes behind it. Kept for later it would stop the reading,
    and nobody would notice any more that the client has gone.
    """

    MOST_BODY: Final = 16 * 2**20
    _taken = False
    _body = 0

    def on_message_begin(self) -> None:
        if self._taken:
            raise RefusedRequest(503, "One request a connection is answered here")
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > self.MOST_BODY:
            detail = f"The request body is larger than {self.MOST_BODY} bytes"
            raise RefusedRequest(413, detail)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._taken = True

    def _refuse(self, refused: RefusedRequest) -> None:
        if self._taken:
            self._refused = refused  # and says nothing: the answer under way is the last
            self._wait_no_more()
        else:
            super()._refuse(refused)


def other_host_of(scope: Scope) -> bytes | None:
    """What the Host field of a request names, where it has a target in absolute form, which names
    another. The target counts (RFC 9112, section 3.2.2), but where both are to be trusted.
    """
    found: bytes | None = (scope.get("extensions") or {}).get(_OTHER_HOST)
    return found


def tell_when_gone(scope: Scope, far_end: Leaving) -> bool:
    """Have the far end told when the connection of a request is gone. False where it is not served
    by us.
    """
    protocol = _protocol_of(scope)
    if protocol is None:
        return False
    protocol.far_end = far_end
    if protocol.transport.is_closing():
        far_end.leave()
    return True


def tell_no_more(scope: Scope, far_end: Leaving) -> None:
    """The far end is not to be told any more; that of the next answer may be by now."""
    protocol = _protocol_of(scope)
    if protocol is not None and protocol.far_end is far_end:
        protocol.far_end = None


def _protocol_of(scope: Scope) -> OpenProtocol | None:
    transport = (scope.get("extensions") or {}).get(_EXTENSION)
    protocol = None if transport is None else transport.get_protocol()
    return protocol if isinstance(protocol, OpenProtocol) else None


def push_of(scope: Scope) -> Callable[[bytes], bool] | None:
    """What sends pieces of the body at once of the answer to a request, once its head is sent
    (`_Cut.push`); None where it is not served by us, or another request came behind it.
    """
    logged: LoggedRequest | None = scope.get(LOGGED)
    protocol = _protocol_of(scope)
    cycle = None if protocol is None else protocol.cycle
    if not isinstance(cycle, _Cut) or cycle.scope is not scope:
        return None
    if logged is None:
        return cycle.push

    def counted(body: bytes) -> bool:
        sent = cycle.push(body)
        logged.sent += len(body) if sent else 0
        return sent

    return counted


def body_at_hand(receive: Receive) -> bytes | None:
    """The whole body of a request whose `receive` this is, where there is nothing to wait for; None
    where there is, or where it is not served by us.
    """
    cycle = getattr(receive, "__self__", None)
    return cycle.body_at_hand() if isinstance(cycle, _Cut) else None


def connection_of(scope: Scope) -> Connection | None:
    """The connection that a request came on; None where the application is not served by us (in
    process, or by another server).
    """
    transport = (scope.get("extensions") or {}).get(_EXTENSION)
    return None if transport is None else Connection(transport, scope.get(LOGGED))
