"""What was received, and what came of it: the newest requests, for people who debug a client.

Entries are written in batches, a moment after the request (`flush`), so that they cost it next to
nothing. Who reads the journal sees what this worker has received until now, and of other workers
what they had received a moment ago.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Scope, Send

from soundstage.emulator.state import State

#: Where a request's scope has its entry.
ENTRY: Final = "soundstage.entry"

#: How many entries are kept.
KEPT: Final = 10_000
#: How much of a body is kept, in bytes.
BODY_KEPT: Final = 4096
#: The most entries that one answer holds.
PAGE: Final = 1000
_PATH_KEPT: Final = 2048
#: After so many entries, those that are too many are dropped.
_PRUNED_AFTER: Final = 500

_COLUMNS: Final = (
    "id", "time", "worker", "method", "path", "api", "endpoint", "account", "body", "body_bytes",
    "status", "reason", "message_id", "chunks", "seconds",
)  # fmt: skip
_INSERT: Final = (
    f"INSERT OR REPLACE INTO journal ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(_COLUMNS))})"
)
#: What a reader may ask for, and the column that has it.
FILTERS: Final = {
    "path": "path",
    "method": "method",
    "api": "api",
    "endpoint": "endpoint",
    "status": "status",
    "reason": "reason",
    "account": "account",
    "message_id": "message_id",
}


@dataclass(slots=True, eq=False)
class Entry:
    """One request. `account` is the digest of its key, None where it had none that is accepted;
    `status` None while nothing was answered yet. `chunks` and `seconds` are how many chunks were
    sent and how long the answer took, None while it is under way.
    """

    id: int
    time: float
    worker: int
    method: str
    path: str
    api: str | None = None
    endpoint: str | None = None
    account: str | None = None
    body: bytes = b""
    body_bytes: int = 0
    status: int | None = None
    reason: str | None = None
    message_id: str | None = None
    chunks: int | None = None
    seconds: float | None = None

    def received(self, body: bytes) -> None:
        """Note the body, as much of it as is kept."""
        self.body, self.body_bytes = body[:BODY_KEPT], len(body)


def answered(scope: Scope, status: int) -> None:
    """Note the status of an answer that is being sent."""
    entry: Entry | None = scope.get(ENTRY)
    if entry is not None:
        entry.status = status


def noting(entry: Entry, send: Send) -> Send:
    """A `send` that notes the status. Not for streams, whose chunks it would cost something."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            entry.status = message["status"]
        await send(message)

    return sending


class Journal:
    """The journal of one worker, in the database that all share."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._written = 0
        self._pending: dict[int, Entry] = {}
        self._closed = False

    def begin(self, method: str, path: str) -> Entry:
        """Enter a request that has come in."""
        now = time.time_ns()
        worker = self._state.worker
        entry = Entry(self._state.new_id(now), now / 1e9, worker, method, path[:_PATH_KEPT])
        self.note(entry)
        return entry

    def note(self, entry: Entry) -> None:
        """Have an entry written that is new, or has changed."""
        if not self._closed:
            self._pending[entry.id] = entry

    @property
    def pending(self) -> bool:
        """Whether there is anything to `flush`."""
        return bool(self._pending)

    def flush(self) -> None:
        """Write what is pending, and drop what is too old."""
        if not self._pending or self._closed:
            return
        pending, self._pending = self._pending, {}
        rows = [[getattr(entry, name) for name in _COLUMNS] for entry in pending.values()]
        with self._state.transaction():
            self._state.database.executemany(_INSERT, rows)
            self._written += len(rows)
            if self._written >= _PRUNED_AFTER:
                self._written = 0
                self._state.run(
                    "DELETE FROM journal WHERE id <="
                    " (SELECT id FROM journal ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (KEPT,),
                )

    def read(
        self, filters: dict[str, Any], since: int = 0, limit: int = 100
    ) -> list[dict[str, Any]]:
        """The newest entries that meet all filters (`FILTERS`), in the order in which they came;
        `since` is the id after which they begin. A path that ends in `*` stands for all that
        begin so.
        """
        self.flush()
        where, values = ["id > ?"], [since]
        for name, value in filters.items():
            if name == "path" and value.endswith("*"):
                where.append("substr(path, 1, ?) = ?")
                values.extend((len(value) - 1, value[:-1]))
            else:
                where.append(f"{FILTERS[name]} = ?")
                values.append(value)
        query = (
            f"SELECT {', '.join(_COLUMNS)} FROM journal WHERE {' AND '.join(where)}"
            " ORDER BY id DESC LIMIT ?"
        )
        rows = self._state.run(query, (*values, min(limit, PAGE))).fetchall()
        return [_shown(dict(zip(_COLUMNS, row, strict=True))) for row in reversed(rows)]

    def clear(self) -> None:
        """Forget all entries."""
        self._pending.clear()
        self._state.run("DELETE FROM journal")

    def close(self) -> None:
        """Write what is pending; nothing more afterwards."""
        self.flush()
        self._closed = True


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    # The id is more than the 53 bits that other readers of JSON keep of a number.
    row["id"] = str(row["id"])
    row["body"] = row["body"].decode("utf-8", "replace")
    row["body_cut"] = row["body_bytes"] > BODY_KEPT
    return row
