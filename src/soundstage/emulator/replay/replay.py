"""Serves recorded answers again: the same bytes at their own times, with the same end.

Written on asyncio's streams and not on ASGI, since a server for applications would not let out a
reset, a cut or a malformed chunk on purpose. One answer a connection; nothing is generated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from soundstage.emulator.http.address import bound, url_of
from soundstage.emulator.http.end_signals import stopping
from soundstage.emulator.http.incoming import HEAD_S, LINGER_S, Incoming, RefusedRequest, too_slow
from soundstage.emulator.replay.recordings import Recording
from soundstage.wire.end import EndKind

_HEALTH: Final = "/_emulator/health"
_READ: Final = 65_536
_BODY_LIMIT: Final = 16 * 2**20
#: What has been written gets this long to arrive before the connection is reset under it.
_SETTLE_S: Final = 0.05
_BODILESS: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What is to be known of a request; its body is read and forgotten."""

    method: str
    path: str
    #: Whether the client knows chunks: that of HTTP/1.0 does not (RFC 9112, section 6.1).
    chunks: bool = True


class _Asking:
    """The first request of a connection, as `Incoming` tells it; those behind it get no answer."""

    def __init__(self) -> None:
        self.incoming = Incoming(self)
        self.asked = ReplayRequest("", "/")
        self.continues = self.complete = self.has_head = False
        self._url = b""
        self._size = 0

    def on_message_begin(self) -> None: ...

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect" and value.lower() == b"100-continue":
            self.continues = True

    def on_headers_complete(self) -> None:
        if not self.has_head:
            self.has_head = True
            old = self.incoming.get_http_version() == "1.0"
            self.continues = self.continues and not old  # RFC 9110, section 10.1.1
            method = self.incoming.get_method().decode("ascii")
            self.asked = ReplayRequest(method, _path(self._url), not old)

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > _BODY_LIMIT:
            raise RefusedRequest(413, f"The request body is larger than {_BODY_LIMIT} bytes")

    def on_message_complete(self) -> None:
        self.complete = True


class Replay:
    """The recordings and whose turn it is. `speed` divides every time; with `loop` the first
    follows the last. The head of a request may take `head_s` seconds to come.
    """

    def __init__(
        self,
        recordings: list[Recording],
        *,
        speed: float = 1.0,
        loop: bool = False,
        head_s: float = HEAD_S,
    ):
        self.speed = speed
        self.loop = loop
        self._head_s = head_s
        self.many = len(recordings)
        self._turns: dict[tuple[str, str], list[Recording]] = {}
        self._served: dict[tuple[str, str], int] = {}
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

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close the connection as the recording says."""
        try:
            asked = await self._request(reader, writer)
            if asked is not None:
                answer = self.next(asked)
                if isinstance(answer, Recording):
                    await self._play(answer, asked, reader, writer)
                else:
                    _write_json(writer, asked, *answer)
                    await writer.drain()
        except RefusedRequest as refused:
            await _refuse(refused, reader, writer)
        except ConnectionError:
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> ReplayRequest | None:
        """One request, read to the end of its body; None if the client went away before, or never
        began. Raises RefusedRequest.
        """
        asking = _Asking()
        late = asyncio.get_running_loop().time() + self._head_s
        promised = False
        while not asking.complete:
            try:
                async with asyncio.timeout_at(None if asking.has_head else late):
                    data = await reader.read(_READ)
            except TimeoutError:
                if asking.incoming.waiting:
                    raise too_slow() from None
                return None
            if not data:
                return None
            try:
                asking.incoming.feed_data(data)
            except RefusedRequest:
                if not asking.complete:  # else it is about what comes behind
                    raise
            if asking.continues and not asking.complete and not promised:
                promised = True
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return asking.asked

    async def _play(
        self,
        recording: Recording,
        asked: ReplayRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        gone = asyncio.ensure_future(_until_gone(reader))

        async def until(seconds: float) -> None:
            due = started + seconds / self.speed
            if (left := due - loop.time()) > 0:
                await asyncio.wait({gone}, timeout=left)
            if gone.done():
                raise ConnectionResetError

        try:
            await until(recording.head_at)
            body = _ReplayFraming(recording, asked)
            writer.write(body.head())
            if body.none:
                return
            for seconds, data in recording.pieces:
                await until(seconds)
                writer.write(body.piece(data))
                await writer.drain()
            if recording.end in body.ENDS:
                await until(recording.end_at)
                writer.write(body.end())
                await writer.drain()
                if recording.end is EndKind.RESET:
                    await asyncio.sleep(_SETTLE_S)
                    _reset(writer)
            else:
                # Nobody knows how it would have gone on: the connection stays open.
                await gone
        finally:
            gone.cancel()


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
    listening = bound(host, port)
    with listening:
        asyncio.run(_serve(replay, listening, lambda: ready(url_of(listening))))


async def _serve(replay: Replay, listening: socket.socket, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    running: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await replay.connected(reader, writer)
        finally:
            running.discard(task)

    loop = asyncio.get_running_loop()
    for each in stopping():
        loop.add_signal_handler(each, stop.set)
    server = await asyncio.start_server(connected, sock=listening, limit=_READ)
    try:
        ready()
        await stop.wait()
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _refuse(
    refused: RefusedRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer so, and wait a little for the client to read it: see `LINGER_S`."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(refused.to_bytes())
        writer.write_eof()
        async with asyncio.timeout(LINGER_S):
            await _until_gone(reader)


def _path(url: bytes) -> str:
    return urlsplit(url.decode("latin-1")).path or "/"


async def _until_gone(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(_READ):
            pass


def _head(status: int, reason: str, headers: list[tuple[str, str]]) -> bytes:
    if not reason:
        with contextlib.suppress(ValueError):
            reason = HTTPStatus(status).phrase
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _write_json(
    writer: asyncio.StreamWriter, asked: ReplayRequest, status: int, value: dict[str, Any]
) -> None:
    body = json.dumps(value).encode()
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    writer.write(_head(status, "", headers) + (b"" if asked.method == "HEAD" else body))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Have the kernel send RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
