"""Balances and charges, in SQLite: in memory, or in a file that outlives the process.

A generation's price is first *held* (taken from the balance, so that no race can overdraw it),
then *charged* when the generation reaches the stage that bills. A hold that was never charged is
released. Keys are stored as digests only.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from pathlib import Path

from soundstage.errors import UsageError

_TABLES = """
CREATE TABLE IF NOT EXISTS accounts (
    account TEXT PRIMARY KEY,
    balance INTEGER NOT NULL CHECK (balance >= 0)
);
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts,
    generation TEXT NOT NULL,
    price INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('held', 'charged', 'released')),
    time REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS held_charges ON charges (state) WHERE state = 'held';
"""


def account_of(key: str) -> str:
    """The name under which a key's account is stored; the key cannot be read from it."""
    return hashlib.sha256(b"soundstage account\0" + key.encode()).hexdigest()[:32]


class Ledger:
    """All accounts of one emulator. Not for several processes at once yet: opening it releases
    whatever an earlier process held and did not charge.
    """

    def __init__(self, path: Path | None, default_balance: int) -> None:
        self._default_balance = default_balance
        try:
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None)
            if path:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_TABLES)
        except sqlite3.Error as error:
            raise UsageError(f"the state file {path} cannot be used: {error}") from error
        self.release_all()

    def hold(self, key: str, generation: str, price: int, opening: int | None = None) -> int | None:
        """Take `price` from the key's balance; None if it does not cover it.

        A key that is new here gets an account with the balance `opening`, or the default one.
        Returns the number under which the hold is charged or released.
        """
        account = account_of(key)
        balance = self._default_balance if opening is None else opening
        run = self._database.execute
        with self._database:
            run("BEGIN IMMEDIATE")
            run("INSERT OR IGNORE INTO accounts VALUES (?, ?)", (account, balance))
            taken = run(
                "UPDATE accounts SET balance = balance - ? WHERE account = ? AND balance >= ?",
                (price, account, price),
            )
            if not taken.rowcount:
                return None
            made = run(
                "INSERT INTO charges (account, generation, price, state, time)"
                " VALUES (?, ?, ?, 'held', ?)",
                (account, generation, price, time.time()),
            )
            return made.lastrowid

    def charge(self, hold: int) -> bool:
        """Make a hold a charge; False if it is one already, or was released."""
        with self._database:
            done = self._database.execute(
                "UPDATE charges SET state = 'charged', time = ? WHERE id = ? AND state = 'held'",
                (time.time(), hold),
            )
        return done.rowcount == 1

    def release(self, hold: int) -> None:
        """Give a hold back to its account, unless it is a charge by now."""
        run = self._database.execute
        with self._database:
            run("BEGIN IMMEDIATE")
            run(
                "UPDATE accounts SET balance = balance + charges.price FROM charges"
                " WHERE charges.id = ? AND state = 'held' AND accounts.account = charges.account",
                (hold,),
            )
            run("UPDATE charges SET state = 'released' WHERE id = ? AND state = 'held'", (hold,))

    def release_all(self) -> None:
        """Give back what is held and not charged."""
        run = self._database.execute
        with self._database:
            run("BEGIN IMMEDIATE")
            run(
                "UPDATE accounts SET balance = balance + held.price FROM"
                " (SELECT account, SUM(price) AS price FROM charges WHERE state = 'held'"
                " GROUP BY account) AS held WHERE accounts.account = held.account"
            )
            run("UPDATE charges SET state = 'released' WHERE state = 'held'")

    def balance(self, key: str) -> int:
        """What is left of a key's balance, holds taken off."""
        row = self._database.execute(
            "SELECT balance FROM accounts WHERE account = ?", (account_of(key),)
        ).fetchone()
        return self._default_balance if row is None else int(row[0])

    def charges(self, key: str) -> list[str]:
        """The generations that a key was charged for, oldest first."""
        rows = self._database.execute(
            "SELECT generation FROM charges WHERE account = ? AND state = 'charged' ORDER BY id",
            (account_of(key),),
        )
        return [generation for (generation,) in rows]

    def charged(self) -> int:
        """How many generations have been charged for, whoever asked for them."""
        query = "SELECT COUNT(*) FROM charges WHERE state = 'charged'"
        return int(self._database.execute(query).fetchone()[0])

    def close(self) -> None:
        """Release what is held and close the file."""
        self.release_all()
        self._database.close()
