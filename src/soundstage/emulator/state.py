"""What the worker processes of one emulator share: one SQLite database.

It holds the balances and charges (`ledger.py`), the generations (`store.py`), the slots
(`capacity.py`), what was received (`journal.py`), counters, and the settings that the admin API
changes. For one process without a file the database is private and temporary: in memory, with
SQLite's own file behind it, so that it cannot grow the process.

Times are those of the monotonic clock, in seconds, which all processes of a machine share; where
a column is called `time` it is the wall clock's. What is run-scoped is forgotten by a fresh start;
accounts, charges and refusals outlive the run in a file.

Every transaction is short, since it runs in the event loop: tens of microseconds.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import orjson

from soundstage.errors import UsageError

#: Marks the file as ours ("SSEM"), and says which layout it has.
_APPLICATION: Final = 0x5353454D
_LAYOUT: Final = 2
#: The most workers that ids can tell apart.
WORKERS: Final = 1024
#: How long a transaction waits for that of another process.
_PATIENCE_S: Final = 5.0

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    version INTEGER NOT NULL,
    settings BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    account TEXT PRIMARY KEY,
    balance INTEGER NOT NULL CHECK (balance >= 0),
    even REAL NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    charged INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts,
    generation TEXT,
    price INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('held', 'charged', 'released')),
    becomes TEXT CHECK (becomes IN ('charged', 'released')),
    due REAL,
    worker INTEGER NOT NULL,
    time REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS held_charges ON charges (due) WHERE state = 'held';
CREATE TABLE IF NOT EXISTS refusals (
    id INTEGER PRIMARY KEY,
    account TEXT,
    api TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    reason TEXT NOT NULL,
    status INTEGER NOT NULL,
    time REAL NOT NULL
);
-- How many rows of each kind there are, and their credits. Kept by triggers, so that it agrees with
-- the rows whoever writes them, and nobody has to count a million.
CREATE TABLE IF NOT EXISTS tallies (
    what TEXT NOT NULL CHECK (what IN ('charge', 'refusal')),
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    credits INTEGER NOT NULL,
    PRIMARY KEY (what, name)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS charge_entered AFTER INSERT ON charges BEGIN
    INSERT INTO tallies VALUES ('charge', NEW.state, 1, NEW.price)
        ON CONFLICT DO UPDATE SET number = number + 1, credits = credits + NEW.price;
    UPDATE accounts SET held = held + (NEW.state = 'held'),
        charged = charged + (NEW.state = 'charged') WHERE account = NEW.account;
END;
CREATE TRIGGER IF NOT EXISTS charge_moved AFTER UPDATE OF state ON charges
WHEN OLD.state <> NEW.state BEGIN
    UPDATE tallies SET number = number - 1, credits = credits - OLD.price
        WHERE what = 'charge' AND name = OLD.state;
    INSERT INTO tallies VALUES ('charge', NEW.state, 1, NEW.price)
        ON CONFLICT DO UPDATE SET number = number + 1, credits = credits + NEW.price;
    UPDATE accounts SET held = held + (NEW.state = 'held') - (OLD.state = 'held'),
        charged = charged + (NEW.state = 'charged') - (OLD.state = 'charged')
        WHERE account = NEW.account;
END;
CREATE TRIGGER IF NOT EXISTS refusal_entered AFTER INSERT ON refusals BEGIN
    INSERT INTO tallies VALUES ('refusal', NEW.reason, 1, 0)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TABLE IF NOT EXISTS generations (
    id INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    number INTEGER NOT NULL,
    api TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    account TEXT NOT NULL,
    time REAL NOT NULL,
    started REAL NOT NULL,
    ends REAL NOT NULL,
    last TEXT NOT NULL,
    course BLOB NOT NULL,
    facts BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS generations_by_end ON generations (ends, last);
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    worker INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    api TEXT,
    endpoint TEXT,
    account TEXT,
    body BLOB NOT NULL,
    body_bytes INTEGER NOT NULL,
    status INTEGER,
    reason TEXT,
    message_id TEXT,
    chunks INTEGER,
    seconds REAL
);
"""


class State:
    """One process's connection to the database. `path` None makes a private one; `worker` is the
    number of this process among those that share it.

    A fresh start (`fresh`) is made once, by the first process, before any other joins: it gives
    back what an earlier run held and had not charged, and forgets what belonged to that run.

    Raises UsageError for a file that is no state of an emulator.
    """

    def __init__(
        self, path: Path | None, *, fresh: bool = True, worker: int = 0, durable: bool = True
    ) -> None:
        self.path = path
        self.worker = worker
        self._last_id = 0
        try:
            # Whoever makes an application may serve it in another thread, one at a time.
            self._database = sqlite3.connect(
                path or "", isolation_level=None, timeout=_PATIENCE_S, check_same_thread=False
            )
            self.run = self._database.execute
            if path is None:
                self.run("PRAGMA journal_mode = MEMORY")
            else:
                self.run("PRAGMA journal_mode = WAL")
            self.run(f"PRAGMA synchronous = {'NORMAL' if path and durable else 'OFF'}")
            if fresh:
                self._lay_out()
        except sqlite3.Error as error:
            raise UsageError(f"the state file {path} cannot be used: {error}") from error
        self._transaction = _Transaction(self._database)

    @property
    def database(self) -> sqlite3.Connection:
        """The connection itself, for the tables of others."""
        return self._database

    def _lay_out(self) -> None:
        ours = self.run("PRAGMA application_id").fetchone()[0]
        layout = self.run("PRAGMA user_version").fetchone()[0]
        tables = self.run("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if tables and (ours, layout) != (_APPLICATION, _LAYOUT):
            raise UsageError(
                f"the state file {self.path} cannot be used: it was not written by this version of"
                " the emulator; name another file"
            )
        self._database.executescript(_TABLES)
        self.run(f"PRAGMA application_id = {_APPLICATION}")
        self.run(f"PRAGMA user_version = {_LAYOUT}")
        self.run("INSERT OR IGNORE INTO meta VALUES (1, 0, 0, x'')")

    def transaction(self) -> _Transaction:
        """All or nothing: `with state.transaction(): …`. Not to be nested."""
        return self._transaction

    # --- settings, numbers ------------------------------------------------------------------------

    def version(self) -> int:
        """How often the settings were changed; cheap enough to ask for at each request."""
        return int(self.run("SELECT version FROM meta").fetchone()[0])

    def settings(self) -> tuple[int, Any]:
        """The version of the settings, and what was last stored; None if nothing was."""
        version, data = self.run("SELECT version, settings FROM meta").fetchone()
        return version, orjson.loads(data or b"null")

    def store_settings(self, settings: Any) -> int:
        """Replace the settings for all workers; returns their version."""
        query = "UPDATE meta SET version = version + 1, settings = ? RETURNING version"
        return int(self.run(query, (orjson.dumps(settings),)).fetchall()[0][0])

    def new_id(self, now_ns: int) -> int:
        """An id that no row of any worker has or had, in the order of time: nanoseconds since 1970,
        with the worker in the lowest bits.
        """
        self._last_id = max(now_ns - now_ns % WORKERS, self._last_id + WORKERS)
        return self._last_id + self.worker

    def next_number(self) -> int:
        """The number of the next generation, 1 for the first: the same for the same requests in
        the same order, over however many workers.
        """
        return int(
            self.run("UPDATE meta SET number = number + 1 RETURNING number").fetchall()[0][0]
        )

    def number(self) -> int:
        """How many numbers were given out."""
        return int(self.run("SELECT number FROM meta").fetchone()[0])

    def count(self, name: str, by: int = 1) -> int:
        """Add to a counter that all workers share; returns what it is then."""
        query = (
            "INSERT INTO counters VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value RETURNING value"
        )
        return int(self.run(query, (name, by)).fetchall()[0][0])

    def counts(self, prefix: str) -> dict[str, int]:
        """The counters whose names begin so, by the rest of the name."""
        rows = self.run("SELECT name, value FROM counters WHERE substr(name, 1, ?) = ?",
                        (len(prefix), prefix))  # fmt: skip
        return {name.removeprefix(prefix): value for name, value in rows}

    def forget_run(self) -> None:
        """Forget what belongs to a run: generations, slots, journal, counters, numbering. Within
        the caller's transaction.
        """
        # The slots are the table of `capacity.py`, which is there only where a profile has some.
        here = {name for (name,) in self.run("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in {"generations", "journal", "counters", "admitted"} & here:
            self.run(f"DELETE FROM {table}")
        self.run("UPDATE meta SET number = 0")
        self.run("UPDATE accounts SET even = 0")

    def check(self) -> str:
        """`ok`, or what SQLite finds wrong with the file."""
        return str(self.run("PRAGMA integrity_check").fetchone()[0])

    def close(self) -> None:
        self._database.close()


class _Transaction:
    """Begins, and commits or rolls back."""

    __slots__ = ("_begin", "_database")

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._begin = database.execute

    def __enter__(self) -> None:
        # Taken at once: a transaction that reads first and writes later could lose a race.
        self._begin("BEGIN IMMEDIATE")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._database.commit()
        finally:
            # What failed, or could not be committed; nothing after a commit.
            self._database.rollback()
