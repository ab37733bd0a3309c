"""Serves recorded answers again: the same bytes at their own times, with the same end.

A recording is a script (`generation/faults/script.py`) of octets as they were on the wire, which
the player of wire faults plays on one of the emulator's connections: a reset, a cut or a malformed
chunk is what is wanted here. One answer a connection; nothing is generated.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.client import responses
from importlib.metadata import version
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from soundstage.emulator.faults.script_player import ScriptPlayer
from soundstage.emulator.http.access_log import AccessLog
from soundstage.emulator.http.asgi import FarEnd, respond
from soundstage.emulator.http.connection import Connection, OneRequestProtocol, connection_of
from soundstage.emulator.http.replies import Reply
from soundstage.emulator.replay.recorded_jobs import RecordedJob
from soundstage.emulator.replay.recording import Recording
from soundstage.emulator.service import server
from soundstage.generation.faults.script import Close, Moves, Pause, Raw, Reset
from soundstage.wire.end import EndKind

#: The method by which the state of a job is asked for.
_LOOK: Final = "GET"
_HEALTH: Final = "/_emulator/health"
#: What has been written gets this long to arrive before the connection is reset under it.
_SETTLE_S: Final = 0.05
#: How often one looks whether a client that was left hanging is still there, in seconds.
_LOOK_S: Final = 60.0
_BODILESS: Final = frozenset({204, 304})
#: Ends that can be brought about again; after any other the answer is left hanging.
_ENDS: Final = frozenset(
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


class Replay:
    """The recordings and whose turn it is, as an ASGI application. `speed` divides every time; with
    `loop` the first follows the last. `jobs`: the looks at what recordings made; `now` gives the
    time in seconds. `log`: where each request is written.
    """

    def __init__(
        self,
        recordings: list[Recording],
        jobs: Sequence[RecordedJob] = (),
        *,
        speed: float = 1.0,
        loop: bool = False,
        log: AccessLog | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.speed = speed
        self._jobs = list(jobs)
        self._now = now
        self._log = log
        self.loop = loop
        self._turns: dict[tuple[str, str], list[Recording]] = {}
        self._served: dict[tuple[str, str], int] = {}
        self._answering: set[Connection] = set()
        for recording in recordings:
            for path in recording.paths:
                self._turns.setdefault((recording.method, path), []).append(recording)

    def paths(self) -> list[str]:
        """What can be asked for: `POST /path (3)`, `GET /path/{id} (looks at 3 jobs)`."""
        turns = [f"{method} {path} ({len(all_)})" for (method, path), all_ in self._turns.items()]
        places = Counter(job.place for job in self._jobs)
        jobs = {place: "1 job" if many == 1 else f"{many} jobs" for place, many in places.items()}
        return [*turns, *(f"{_LOOK} {place} (looks at {said})" for place, said in jobs.items())]

    def next(self, method: str, path: str, query: str = "") -> Recording | Reply:
        """The recording whose turn it is, or an answer of our own."""
        if path == _HEALTH:
            return _own(200, self._health())
        if method == _LOOK and (job := self._job_at(path, query)) is not None:
            return job.next(self._now(), self.speed)
        there = self._turns.get((method, path))
        if there is None:
            return _own(404, {"detail": f"nothing was recorded for {method} {path}"})
        number = self._served.get((method, path), 0)
        if number >= len(there) and not self.loop:
            detail = f"all {len(there)} recordings have been served; --loop begins again"
            return _own(503, {"detail": detail})
        self._served[method, path] = number + 1
        recording = there[number % len(there)]
        for job in self._jobs:
            if job.made_by is recording:
                job.begin(self._now() + recording.end_at / self.speed)
        return recording

    def _job_at(self, path: str, query: str) -> RecordedJob | None:
        """The job that is looked at; of several with one id the one that was made last."""
        there = [job for job in self._jobs if job.is_at(path, query)]
        return max(there, key=lambda job: job.begun_at or 0.0, default=None)

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
        if self._log is not None:
            send = self._log.begin(scope, send)
        connection = connection_of(scope)
        assert connection is not None, "a replay is served on connections of ours"
        self._answering.add(connection)
        recorded = None
        try:
            if await _whole_request(receive):
                path = scope["raw_path"].decode("latin-1") or "/"
                query = scope.get("query_string", b"").decode("latin-1")
                answer = self.next(scope["method"], path, query)
                if isinstance(answer, Reply):
                    await respond(scope, send, answer)
                    return
                recorded = answer
                # A client of HTTP/1.0 knows no chunks (RFC 9112, section 6.1).
                chunks = scope["http_version"] != "1.0"
                await self._play(answer, scope["method"], chunks, receive, send, connection)
            # uvicorn has seen nothing of the answer, takes it for none, and would write one of its
            # own behind it: nobody leaves before the connection is gone.
            connection.abort()
            while await _whole_request(receive):
                pass
        finally:
            self._answering.discard(connection)
            if self._log is not None:
                told = None if recorded is None else (recorded.name, recorded.status)
                self._log.end(scope, recorded=told)

    def unread(self, client: tuple[str, int] | None, status: int, why: str) -> None:
        """Log what came on a connection and could not be read as a request."""
        if self._log is not None:
            self._log.unread(client, status, why)

    def close(self) -> None:
        """Write what is left of the log."""
        if self._log is not None:
            self._log.close()

    async def _play(
        self,
        recording: Recording,
        method: str,
        chunks: bool,
        receive: Receive,
        send: Send,
        connection: Connection,
    ) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        listener = FarEnd(receive)
        player = ScriptPlayer(listener, send, connection)
        try:
            for seconds, moves in moves_of(recording, method, chunks=chunks):
                await listener.until(started + seconds / self.speed, loop)
                if listener.gone or not await player.play(moves):
                    break
            # Until what was written has left. After an end that is not known nobody knows how it
            # would have gone on: the connection stays open.
            while await listener.until(loop.time() + _LOOK_S, loop):
                pass
        finally:
            listener.close()


def moves_of(recording: Recording, method: str, *, chunks: bool) -> Iterator[tuple[float, Moves]]:
    """What is sent of a recording to a request by that method, and when: seconds after it. In
    chunked coding only where the client knows `chunks`.
    """
    end, length, size = recording.end, recording.length, recording.size
    headers = [*recording.headers, ("connection", "close")]
    coder = zlib.compressobj(wbits=31) if end is EndKind.CONTENT_ENCODING else None
    if coder is not None:
        headers.append(("content-encoding", "gzip"))
    if method == "HEAD" or recording.status in _BODILESS:
        yield recording.head_at, (Raw(_head(recording, headers)), Close())
        return
    chunked = False
    if end in (EndKind.COMPLETE, EndKind.REDIRECT) and length is not None:
        headers.append(("content-length", str(size)))  # redaction may have changed it
    elif end in (EndKind.TRUNCATED, EndKind.RESET) and length is not None:
        headers.append(("content-length", str(max(length, size + 1))))
    elif chunks and end is not EndKind.CLOSED:
        headers.append(("transfer-encoding", "chunked"))
        chunked = True
    yield recording.head_at, (Raw(_head(recording, headers)),)
    for seconds, data in recording.pieces:
        if coder is not None:
            data = coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH)
        yield seconds, (Raw(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data),)
    if end is EndKind.RESET:
        yield recording.end_at, (Pause(_SETTLE_S), Reset())
    elif end in _ENDS:
        last = b""
        if chunked and end is not EndKind.TRUNCATED:
            last = b"not-a-size\r\n" if end is EndKind.FRAMING else b"0\r\n\r\n"
        yield recording.end_at, (Raw(last), Close())


def _head(recording: Recording, headers: list[tuple[str, str]]) -> bytes:
    status = recording.status
    reason = recording.reason or responses.get(status, "")
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _own(status: int, value: dict[str, Any]) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers=[(b"connection", b"close")])


async def _whole_request(receive: Receive) -> bool:
    """Wait for the end of a request, whose body is forgotten; False if the client went away, or was
    refused, before it.
    """
    while (message := await receive())["type"] == "http.request":
        if not message.get("more_body"):
            return True
    return False


def serve(replay: Replay, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until a signal asks to stop; `ready` gets the base URL once requests are answered.

    Raises TargetError if the address cannot be had.
    """
    # Not uvloop, whose clock counts milliseconds: pieces would be sent before their time.
    how = {"http": OneRequestProtocol, "lifespan": "off", "loop": "asyncio"}
    try:
        server.serve(replay, host, port, ready, **how)
    finally:
        replay.close()
