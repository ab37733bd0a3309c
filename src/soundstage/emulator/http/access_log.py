"""The access log: one line for each request that was answered, on standard error or in a file.

A line is made when its answer ends, and handed to a thread that writes: a reader that stops reading
must not stop the answers. So many lines wait for it at most; what comes beyond that is counted, and
said later. No key stands in a line, and no body; whatever a client sends can neither end a line nor
drive a terminal.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any, Final, TextIO

import orjson
from starlette.types import Message, Scope, Send

from soundstage.emulator.http.journal import JournalEntry
from soundstage.output import visible
from soundstage.output.cutting import cut
from soundstage.output.line_outlet import LineOutlet

#: Where a request's scope has its line to be.
LOGGED: Final = "soundstage.logged"
#: The forms that a line may have.
FORMATS: Final = ("text", "json")
#: Stands for standard error in place of a file.
STDERR: Final = "-"
#: Lines that wait to be written.
MOST_WAITING: Final = 20_000
_LONGEST_PATH: Final = 300
_LONGEST_WHY: Final = 400
#: How long the end waits for what is still to be written, in seconds.
_PATIENCE_S: Final = 0.5


class LoggedRequest:
    """A request whose line is still to be written. `sent`: bytes of its answer, without the head
    and the framing where the server does those.
    """

    __slots__ = ("began", "client", "path", "sent", "status", "time", "version")

    def __init__(self, scope: Scope, moment: float) -> None:
        host, port = scope.get("client") or ("-", 0)
        self.client = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raw = scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace")
        self.path = _without_key(raw.decode("latin-1"), scope)
        self.version = scope.get("http_version", "1.1")
        self.time, self.began = moment, time.monotonic()
        self.sent = 0
        self.status: int | None = None


class AccessLog:
    """Writes to an outlet, in a form of `FORMATS`. `close` writes what is left."""

    def __init__(self, outlet: LineOutlet, form: str = FORMATS[0]) -> None:
        self._outlet = outlet
        self._json = form == "json"
        self._waiting: deque[str] = deque()
        # Written by the one thread and by the other.
        self._lost = self._told = 0
        self._some = threading.Event()
        self._closed = False
        self._until = inf
        self._thread: threading.Thread | None = None

    def begin(self, scope: Scope, send: Send, moment: float | None = None) -> Send:
        """A request has come in, at a `moment` since 1970: a `send` that counts what it sends."""
        logged = LoggedRequest(scope, time.time() if moment is None else moment)
        scope[LOGGED] = logged

        # No coroutine: the fewer frames a stream's has, the less each of its chunks costs.
        def counting(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.body":
                logged.sent += len(message.get("body", b""))
            else:
                logged.status = message["status"]
            return send(message)

        return counting

    def end(
        self,
        scope: Scope,
        entry: JournalEntry | None = None,
        recorded: tuple[str, int] | None = None,
    ) -> None:
        """A request has had its answer; `entry` is what is known of it, `recorded` the name and the
        status of the recording that it was.
        """
        logged: LoggedRequest = scope[LOGGED]
        status = logged.status if entry is None or entry.status is None else entry.status
        row: dict[str, Any] = {
            "time": _moment(logged.time),
            "client": logged.client,
            "method": scope["method"],
            "path": logged.path,
            "version": logged.version,
            "status": status,
            "bytes": logged.sent,
            "seconds": round(time.monotonic() - logged.began, 4),
        }
        if entry is not None:
            place = f"{entry.api}/{entry.endpoint}" if entry.endpoint else entry.api
            more = {
                "endpoint": place,
                "id": entry.message_id,
                "chunks": entry.chunks,
                "fault": entry.fault,
                "refused": entry.reason,
                "why": entry.why and cut(entry.why, _LONGEST_WHY),
            }
            row |= {name: value for name, value in more.items() if value is not None}
        if recorded is not None:
            row["recording"], row["status"] = recorded
        self._put(row)

    def unread(self, client: tuple[str, int] | None, status: int, why: str) -> None:
        """Something came that is no request of HTTP; it was refused."""
        host, port = client or ("-", 0)
        said = {"refused": "unreadable", "why": cut(why, _LONGEST_WHY)}
        row = {"time": _moment(time.time()), "client": f"{host}:{port}", "status": status}
        self._put({**row, **said})

    def close(self) -> None:
        """Write what is left, if whoever reads it lets us."""
        self._until = time.monotonic() + _PATIENCE_S
        self._closed = True
        self._some.set()
        if self._thread is not None:
            self._thread.join(2 * _PATIENCE_S)

    def _goes_on(self) -> bool:
        return time.monotonic() < self._until

    def _put(self, row: Mapping[str, Any]) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append(_as_json(row) if self._json else _as_text(row))
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._write, name="soundstage access log", daemon=True
            )
            self._thread.start()
        if not self._some.is_set():
            self._some.set()

    def _write(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            while self._waiting and self._goes_on():
                lines = [self._waiting.popleft() for _ in range(min(1_000, len(self._waiting)))]
                if lost := self._lost - self._told:
                    self._told += lost
                    row = {"time": _moment(time.time()), "lost": lost}
                    lines.append(_as_json(row) if self._json else f"{row['time']} lost={lost}")
                self._outlet.write("\n".join([*lines, ""]), self._goes_on)
            if self._closed:
                return


def _as_json(row: Mapping[str, Any]) -> str:
    return visible.in_json(orjson.dumps(row).decode())


def _as_text(row: Mapping[str, Any]) -> str:
    said = f"{row['time']} {row['client']}"
    if "method" in row:
        asked = f"{row['method']} {row['path']}".replace('"', "%22")
        status = "-" if row["status"] is None else row["status"]
        said += f' "{asked} HTTP/{row["version"]}" {status} {row["bytes"]}B {row["seconds"]:.3f}s'
        if (place := row.get("endpoint")) is not None:
            said += f" {place}"
    else:
        said += f" {row['status']}"
    for name in ("id", "chunks", "fault", "recording", "refused"):
        if name in row:
            said += f" {name}={row[name]}"
    if "why" in row:
        said += f": {row['why']}"
    return visible.line(said)


def _moment(since_1970: float) -> str:
    return f"{datetime.fromtimestamp(since_1970, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _without_key(path: str, scope: Scope) -> str:
    """A path as it is written; the key of the request, if it stands in it, does not."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            key = value.decode("latin-1").rpartition(" ")[2]
            if key and key in path:
                path = path.replace(key, "KEY")
    return cut(path, _LONGEST_PATH)


def access_log(place: str | None, form: str, stderr: TextIO) -> AccessLog | None:
    """The log that the options ask for. Raises UsageError or TargetError for a file that cannot be
    written.
    """
    if place is None:
        return None
    if place == STDERR:
        return AccessLog(LineOutlet.of_stream(stderr), form)
    return AccessLog(LineOutlet.added_to(Path(place)), form)
