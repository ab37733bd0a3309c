"""Serves recorded answers again: the same bytes at their own times, with the same end.

An application on the emulator's own connections (`http/connection`), which lets octets out as they
are: a reset, a cut or a malformed chunk is what is wanted here. One answer a connection; nothing is
generated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from soundstage.emulator.http.asgi import FarEnd, respond
from soundstage.emulator.http.connection import Connection, OneRequestProtocol, connection_of
from soundstage.emulator.http.incoming import LINGER_S, RefusedRequest
from soundstage.emulator.http.replies import Reply
from soundstage.emulator.replay.recordings import Recording
from soundstage.emulator.service import server
from soundstage.wire.end import EndKind

_HEALTH: Final = "/_emulator/health"
_BODY_LIMIT: Final = 16 * 2**20
#: What has been written gets this long to arrive before the connection is reset under it.
_SETTLE_S: Final = 0.05
#: How often one looks whether a client that was left hanging is still there, in seconds.
_LOOK_S: Final = 60.0
_BODILESS: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What is to be known of a request; its body is read and forgotten."""

    method: str
    path: str
    #: Whether the client knows chunks: that of HTTP/1.0 does not (RFC 9112, section 6.1).
    chunks: bool = True


class Replay:
    """The recordings and whose turn it is, as an ASGI application. `speed` divides every time; with
    `loop` the first follows the last.
    """

    def __init__(
        self, recordings: list[Recording], *, speed: float = 1.0, loop: bool = False
    ) -> None:
        self.speed = speed
        self.loop = loop
        self.many = len(recordings)
        self._turns: dict[tuple[str, str], list[Recording]] = {}
        self._served: dict[tuple[str, str], int] = {}
        self._answering: set[Connection] = set()
        for recording in recordings:
            for path in recording.paths:
                self._turns.setdefault((recording.method, path), []).append(recording)

    def paths(self) -> list[str]:
        """What can be asked for: `POST /path (3)`."""
        return [f"{method} {path} ({len(all_)})" for (method, path), all_ in self._turns.items()]

    def next(self, asked: ReplayRequest) -> Recording | tuple[int, dict[str, Any]]:
        """The recording whose turn it is; or the status and the JSON of an answer of our own."""
        if asked.path == _HEALTH:
            return 200, self._health()
        key = (asked.method, asked.path)
        there = self._turns.get(key)
        if there is None:
            return 404, {"detail": f"nothing was recorded for {asked.method} {asked.path}"}
        number = self._served.get(key, 0)
        if number >= len(there) and not self.loop:
            detail = f"all {len(there)} recordings have been served; --loop begins again"
            return 503, {"detail": detail}
        self._served[key] = number + 1
        return there[number % len(there)]

    def _health(self) -> dict[str, Any]:
        return {
            "emulator": "soundstage",
            "version": version("soundstage"),
            "replay": True,
            "profile": "replay",
            "speed": self.speed,
            "seed": None,
            "loop": self.loop,
            "recordings": self.paths(),
        }

    def stop(self) -> None:
        """Cut every answer that is under way; the server is about to close."""
        for connection in self._answering:
            connection.abort()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and close the connection as the recording says."""
        connection = connection_of(scope)
        assert connection is not None, "a replay is served on connections of ours"
        self._answering.add(connection)
        try:
            own = await self._answered(scope, receive, connection)
            if own is not None:
                await respond(scope, send, own)
                return
            # uvicorn has seen nothing of the answer, takes it for none, and would write one of its
            # own behind it: nobody leaves before the connection is gone.
            connection.abort()
            await _until_gone(receive)
        finally:
            self._answering.discard(connection)

    async def _answered(
        self, scope: Scope, receive: Receive, connection: Connection
    ) -> Reply | None:
        """Send the recording whose turn it is; or the answer that is still to be sent."""
        try:
            if not await _read_body(receive):
                return None
        except RefusedRequest as refused:
            await _refuse(refused, receive, connection)
            return None
        path = scope["raw_path"].decode("latin-1") or "/"
        asked = ReplayRequest(scope["method"], path, scope["http_version"] != "1.0")
        answer = self.next(asked)
        if not isinstance(answer, Recording):
            status, value = answer
            close = [(b"connection", b"close")]
            return Reply(status, json.dumps(value).encode(), headers=close)
        listener = FarEnd(receive)
        try:
            await self._play(answer, asked, listener, connection)
        finally:
            listener.close()
        return None

    async def _play(
        self, recording: Recording, asked: ReplayRequest, listener: FarEnd, connection: Connection
    ) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()

        async def until(seconds: float) -> bool:
            return await listener.until(started + seconds / self.speed, loop)

        if not await until(recording.head_at):
            return
        body = _ReplayFraming(recording, asked)
        connection.write(body.head())
        pieces = () if body.none else recording.pieces
        for seconds, data in pieces:
            if not await until(seconds):
                return
            connection.write(body.piece(data))
            await connection.drained()
        if body.none:
            connection.close()
        elif recording.end in body.ENDS:
            if not await until(recording.end_at):
                return
            connection.write(body.end())
            await connection.drained()
            if recording.end is EndKind.RESET:
                await asyncio.sleep(_SETTLE_S)
                connection.reset()
            else:
                connection.close()
        # Until what was written has left. After an end that is not known nobody knows how it would
        # have gone on: the connection stays open.
        while await listener.until(loop.time() + _LOOK_S, loop):
            pass


class _ReplayFraming:
    """How the bytes of a recording are put into an HTTP/1.1 message (RFC 9112, section 6)."""

    #: Ends that can be brought about again; after any other the answer is left hanging.
    ENDS: Final = frozenset(
        {
            EndKind.COMPLETE,
            EndKind.CLOSED,
            EndKind.TRUNCATED,
            EndKind.RESET,
            EndKind.FRAMING,
            EndKind.CONTENT_ENCODING,
            EndKind.REDIRECT,
        }
    )

    def __init__(self, recording: Recording, asked: ReplayRequest) -> None:
        self._recording = recording
        self.none = asked.method == "HEAD" or recording.status in _BODILESS
        size = sum(len(data) for _, data in recording.pieces)
        end, length = recording.end, recording.length
        self._length: int | None = None
        if end in (EndKind.COMPLETE, EndKind.REDIRECT) and length is not None:
            self._length = size  # redaction may have changed it
        elif end in (EndKind.TRUNCATED, EndKind.RESET) and length is not None:
            self._length = max(length, size + 1)
        self._chunked = asked.chunks and self._length is None and end is not EndKind.CLOSED
        self._gzip = zlib.compressobj(wbits=31) if end is EndKind.CONTENT_ENCODING else None

    def head(self) -> bytes:
        """Status line and header fields."""
        recording = self._recording
        headers = [*recording.headers, ("connection", "close")]
        if self._gzip is not None:
            headers.append(("content-encoding", "gzip"))
        if self.none:
            pass
        elif self._length is not None:
            headers.append(("content-length", str(self._length)))
        elif self._chunked:
            headers.append(("transfer-encoding", "chunked"))
        return _head(recording.status, recording.reason, headers)

    def piece(self, data: bytes) -> bytes:
        """Some bytes of the body."""
        if self._gzip is not None:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    def end(self) -> bytes:
        """What follows the last piece: nothing where the message was never finished."""
        end = self._recording.end
        if end is EndKind.FRAMING and self._chunked:
            return b"not-a-size\r\n"
        whole = end not in (EndKind.TRUNCATED, EndKind.RESET)
        return b"0\r\n\r\n" if self._chunked and whole else b""


def serve(replay: Replay, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until a signal asks to stop; `ready` gets the base URL once requests are answered.

    Raises TargetError if the address cannot be had.
    """
    # Not uvloop, whose clock counts milliseconds: pieces would be sent before their time.
    how = {"http": OneRequestProtocol, "lifespan": "off", "loop": "asyncio"}
    server.serve(replay, host, port, ready, **how)


async def _read_body(receive: Receive) -> bool:
    """Read a body and forget it; False if the client went away before its end. Raises
    RefusedRequest.
    """
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        size += len(message.get("body", b""))
        if size > _BODY_LIMIT:
            raise RefusedRequest(413, f"The request body is larger than {_BODY_LIMIT} bytes")
        more = message.get("more_body", False)
    return True


async def _refuse(refused: RefusedRequest, receive: Receive, connection: Connection) -> None:
    """Answer so, and wait a little for the client to read it: see `LINGER_S`."""
    connection.write(refused.to_bytes())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _head(status: int, reason: str, headers: list[tuple[str, str]]) -> bytes:
    if not reason:
        with contextlib.suppress(ValueError):
            reason = HTTPStatus(status).phrase
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
