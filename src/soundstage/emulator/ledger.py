"""Balances and charges.

A generation's price is first *held*: taken from the balance, so that no race can overdraw it. The
hold says when it is *due* and what it becomes then: a charge, at the moment of the chunk that
bills, or, where the generation fails before, released. Whoever looks first makes it so, once: the
worker that tells the generation, any other worker, one that was started in the place of one that
died. What is held and not due when the whole emulator ends is given back.

Every charge and every refusal is a row. Keys are not stored, only accounts (`accounts.py`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from soundstage.emulator.accounts import Account
from soundstage.emulator.rates import Rate
from soundstage.emulator.state import State

_GIVE_BACK: Final = """
UPDATE accounts SET balance = balance + held.price FROM
    (SELECT account, SUM(price) AS price FROM charges WHERE state = 'held' AND {which}
     GROUP BY account) AS held
WHERE accounts.account = held.account
"""
_ABOUT: Final = ("account", "balance", "held", "charged")


@dataclass(frozen=True, slots=True)
class Hold:
    """A price that is held: its row, whose, and the number of the generation to be."""

    id: int
    number: int
    account: str
    price: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing was held: the name of an error, and after how many seconds to try again."""

    error: str
    wait_s: float = 0.0


class Ledger:
    """All accounts of one emulator, in the database that its workers share."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._run = state.run

    def start(self) -> None:
        """A fresh start: give back what an earlier run held and had not charged, and forget what
        belonged to that run. By the first process, before any other joins.
        """
        with self._state.transaction():
            self.release_all()
            self._state.forget_run()
            self._state.store_settings(None)

    def end(self, now: float) -> None:
        """The end of the run: what is due by `now` is settled, what is not is given back. By the
        last process.
        """
        self.settle(now)
        with self._state.transaction():
            self.release_all()

    def waiting(self) -> bool:
        """Whether anything is held."""
        return (
            self._run("SELECT 1 FROM charges WHERE state = 'held' LIMIT 1").fetchone() is not None
        )

    def hold(
        self, account: Account, price: int, rate: Rate | None = None, now: float | None = None
    ) -> Hold | Refused:
        """Take `price` from an account; one that is new gets its opening balance. `rate` is its
        limit, None for none; `now` is in seconds of the monotonic clock. Within the caller's
        transaction; if that ends before `seal`, `note` must be called in it too.
        """
        moment = time.monotonic() if now is None else now
        run = self._run
        query = "SELECT balance, even FROM accounts WHERE account = ?"
        row = run(query, (account.name,)).fetchone()
        if row is None:
            row = (account.balance, 0.0)
            run("INSERT INTO accounts (account, balance) VALUES (?, ?)", (account.name, row[0]))
        balance, even = row
        if rate is not None:
            turn = rate.turn(even, moment)
            if turn.wait_s:
                return Refused("rate_limit", turn.wait_s)
            even = turn.even
        enough = balance >= price
        if enough or rate is not None:
            run(
                "UPDATE accounts SET balance = ?, even = ? WHERE account = ?",
                (balance - price if enough else balance, even, account.name),
            )
        if not enough:
            return Refused("insufficient_balance")
        number = self._state.next_number()
        return Hold(self._state.new_id(time.time_ns()), number, account.name, price)

    def note(self, hold: Hold) -> None:
        """Enter a hold before it is known what it is for, so that it is not lost with its worker.
        Within the caller's transaction.
        """
        self._write(hold, "held", None, None, None)

    def noted(self, hold: Hold) -> bool:
        """Whether a hold that was noted is still there: a reset may have come between."""
        query = "SELECT 1 FROM charges WHERE id = ? AND state = 'held'"
        return self._run(query, (hold.id,)).fetchone() is not None

    def seal(self, hold: Hold, generation: str, due: float, *, charges: bool) -> None:
        """Enter what a hold is for, when it is due (monotonic seconds), and whether it becomes a
        charge then or is released. Within the caller's transaction.
        """
        self._write(hold, "held", generation, due, "charged" if charges else "released")

    def give_back(self, hold: Hold) -> None:
        """Release a hold that is not sealed. Within the caller's transaction."""
        self._run(
            "UPDATE accounts SET balance = balance + ? WHERE account = ?",
            (hold.price, hold.account),
        )
        self._write(hold, "released", None, None, None)

    def release(self, hold: Hold) -> None:
        """Give a noted hold back, in a transaction of its own, unless it is settled by now."""
        with self._state.transaction():
            self._release("id = ?", hold.id)

    def _write(
        self, hold: Hold, state: str, generation: str | None, due: float | None, becomes: str | None
    ) -> None:
        self._run(
            "INSERT INTO charges"
            " (id, account, generation, price, state, becomes, due, worker, time)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET generation = excluded.generation,"
            " state = excluded.state, becomes = excluded.becomes, due = excluded.due,"
            " time = excluded.time",
            (
                hold.id,
                hold.account,
                generation,
                hold.price,
                state,
                becomes,
                due,
                self._state.worker,
                time.time(),
            ),
        )

    def settle(self, now: float) -> None:
        """Make of every hold that is due by `now` what it becomes."""
        due = self._run(
            "SELECT 1 FROM charges WHERE state = 'held' AND due <= ? LIMIT 1", (now,)
        ).fetchone()
        if due is None:
            return
        with self._state.transaction():
            self._run(_GIVE_BACK.format(which="due <= ? AND becomes = 'released'"), (now,))
            self._run(
                "UPDATE charges SET state = becomes, time = ? WHERE state = 'held' AND due <= ?",
                (time.time(), now),
            )

    def release_unsealed(self, worker: int) -> None:
        """Give back what a worker that died had held for generations that it never began."""
        with self._state.transaction():
            self._release("due IS NULL AND worker = ?", worker)

    def release_all(self) -> None:
        """Give back what is held and not charged. Within the caller's transaction."""
        self._release("1 = ?", 1)

    def _release(self, which: str, value: int) -> None:
        self._run(_GIVE_BACK.format(which=which), (value,))
        self._run(
            f"UPDATE charges SET state = 'released' WHERE state = 'held' AND {which}", (value,)
        )

    def refused(
        self, account: str | None, api: str, endpoint: str, reason: str, status: int
    ) -> None:
        """Enter a refusal; `account` None where the key was not accepted."""
        self._run(
            "INSERT INTO refusals (account, api, endpoint, reason, status, time)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (account, api, endpoint, reason, status, time.time()),
        )

    # --- what there is ----------------------------------------------------------------------------

    def balance(self, account: Account) -> int:
        """What is left of an account's balance, holds taken off."""
        query = "SELECT balance FROM accounts WHERE account = ?"
        row = self._run(query, (account.name,)).fetchone()
        return account.balance if row is None else int(row[0])

    def set_balance(self, name: str, balance: int) -> None:
        """Set an account's balance; what it holds comes out of what it had before."""
        self._run(
            "INSERT INTO accounts (account, balance) VALUES (?, ?)"
            " ON CONFLICT (account) DO UPDATE SET balance = excluded.balance",
            (name, balance),
        )

    def charges(self, account: str) -> list[str]:
        """The generations that an account was charged for, oldest first."""
        query = "SELECT generation FROM charges WHERE account = ? AND state = 'charged' ORDER BY id"
        return [generation for (generation,) in self._run(query, (account,))]

    def charged(self) -> int:
        """How many generations have been charged for, whoever asked for them."""
        query = "SELECT number FROM tallies WHERE what = 'charge' AND name = 'charged'"
        row = self._run(query).fetchone()
        return 0 if row is None else int(row[0])

    def totals(self) -> dict[str, Any]:
        """Charges by state, in number and in credits, and refusals by reason."""
        query = "SELECT name, number, credits FROM tallies WHERE what = ? ORDER BY name"
        states = {
            state: {"number": number, "credits": credits}
            for state, number, credits in self._run(query, ("charge",))
        }
        return {
            "charges": {
                state: states.get(state, {"number": 0, "credits": 0})
                for state in ("held", "charged", "released")
            },
            "refusals": {reason: number for reason, number, _ in self._run(query, ("refusal",))},
        }

    def accounts(self, limit: int) -> list[dict[str, Any]]:
        """The accounts that were used, with what became of their requests; those with the most
        charges first.
        """
        query = f"SELECT {', '.join(_ABOUT)} FROM accounts ORDER BY charged DESC, account LIMIT ?"
        return [dict(zip(_ABOUT, row, strict=True)) for row in self._run(query, (limit,))]

    def account(self, name: str) -> dict[str, Any] | None:
        """One of them; None if it was never used."""
        query = f"SELECT {', '.join(_ABOUT)} FROM accounts WHERE account = ?"
        row = self._run(query, (name,)).fetchone()
        return None if row is None else dict(zip(_ABOUT, row, strict=True))

    def forget(self) -> None:
        """Forget all accounts, charges and refusals. Within the caller's transaction."""
        for table in ("charges", "refusals", "accounts", "tallies"):
            self._run(f"DELETE FROM {table}")
