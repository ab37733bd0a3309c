"""When a generation is charged for, and what became of every price: balances, charges and refusals
of one emulator, in memory.

A generation's price is first *held*: taken from the balance, so that no race can overdraw it. Once
its chunks are known, `billing_chunk` decides: the price becomes a charge at the moment of that
chunk, or, where the generation fails before, it is released. Whoever looks first makes it so, once;
no client has to be there for it. What is held and not due when the emulator ends is given back.

Nothing here waits, and the event loop is one thread: each call is whole before another begins. Keys
are not stored, only accounts (`accounts.py`).
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from heapq import heappop, heappush
from typing import Any, Final

from soundstage.contract.protocol import Protocol
from soundstage.emulator.accounts.accounts import Account
from soundstage.emulator.accounts.rates import RateLimit
from soundstage.generation.story import Step

#: An API and an endpoint.
Place = tuple[str, str]
#: Accounts that are remembered. Where any key is taken, whoever sends a new one with each request
#: makes an account each; beyond this many those that were not used for longest are forgotten.
MOST_ACCOUNTS: Final = 100_000


def billing_chunk(protocol: Protocol, steps: Sequence[Step], *, failed: bool) -> int | None:
    """The number of the chunk that bills a generation: the first of a stage that charges, else the
    last one. None if it fails before: then nothing is charged.
    """
    charging = _charging(protocol)
    for number, step in enumerate(steps):
        if step.stage in charging:
            return number
    return None if charging and failed else len(steps) - 1


@lru_cache(100)
def _charging(protocol: Protocol) -> frozenset[str]:
    """The stages that charge."""
    return frozenset(stage.name for stage in protocol.stages if stage.charges)


@dataclass(slots=True)
class _Book:
    """What became of an account. `even`: see `rates.py`. `held` and `charged` are numbers."""

    balance: int
    even: float = 0.0
    held: int = 0
    charged: int = 0


@dataclass(slots=True, eq=False)
class HeldPrice:
    """A price that is held for the generation of that `number`, at a `place`. `charges`: it becomes
    a charge when it is due, else it is released then.
    """

    number: int
    account: str
    price: int
    place: Place = ("", "")
    charges: bool = False


@dataclass(frozen=True, slots=True)
class ChargeRefused:
    """Why nothing was held: the name of an error, and after how many seconds to try again."""

    error: str
    wait_s: float = 0.0


class Ledger:
    """All accounts of one emulator. `number` is that of the last generation whose price was held, 0
    before the first.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget all accounts, charges and refusals, and begin to number anew. What is held by then
        is nobody's any more.
        """
        self.number = 0
        self._books: OrderedDict[str, _Book] = OrderedDict()
        self._held: set[HeldPrice] = set()
        #: (seconds of the monotonic clock, a number that tells equal moments apart, hold)
        self._due: list[tuple[float, int, HeldPrice]] = []
        #: By what prices became: how many, and how many credits.
        self._many: Counter[str] = Counter(charged=0, released=0)
        self._credits: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        #: How often each endpoint was asked for a song, and how many were charged for.
        self.asked: Counter[Place] = Counter()
        self.charged_at: Counter[Place] = Counter()

    def hold(
        self,
        account: Account,
        price: int,
        rate: RateLimit | None = None,
        now: float | None = None,
        place: Place = ("", ""),
    ) -> HeldPrice | ChargeRefused:
        """Take `price` from an account; one that is new gets its opening balance. `rate` is its
        limit, None for none; `now` is in seconds of the monotonic clock; `place`: the API and the
        endpoint that were asked.
        """
        book = self._book(account.name, account.balance)
        if rate is not None:
            turn = rate.turn(book.even, time.monotonic() if now is None else now)
            if turn.wait_s:
                return ChargeRefused("rate_limit", turn.wait_s)
            book.even = turn.even
        if book.balance < price:
            return ChargeRefused("insufficient_balance")
        book.balance -= price
        book.held += 1
        self.number += 1
        hold = HeldPrice(self.number, account.name, price, place)
        self._held.add(hold)
        return hold

    def seal(self, hold: HeldPrice, due: float, *, charges: bool) -> None:
        """Say when a hold is due (monotonic seconds), and whether it becomes a charge then or is
        released.
        """
        hold.charges = charges
        heappush(self._due, (due, hold.number, hold))

    def charge_again(self, account: Account, price: int, place: Place = ("", "")) -> None:
        """Charge an account for what it was charged for before, or never got: what no service
        should do.
        """
        book = self._book(account.name, account.balance)
        self.charged_at[place] += 1
        book.balance -= price
        book.charged += 1
        self._many["charged"] += 1
        self._credits["charged"] += price

    def release(self, hold: HeldPrice) -> None:
        """Give a hold back, unless it is settled, or forgotten, by now."""
        self._settle(hold, charged=False)

    def settle(self, now: float) -> None:
        """Make of every hold that is due by `now` what it becomes."""
        while self._due and self._due[0][0] <= now:
            hold = heappop(self._due)[2]
            self._settle(hold, charged=hold.charges)

    def end(self, now: float) -> None:
        """The end of the run: what is due by `now` is settled, what is not is given back."""
        self.settle(now)
        for hold in list(self._held):
            self.release(hold)

    def refused(self, reason: str) -> None:
        """Enter a refusal."""
        self._refusals[reason] += 1

    def _settle(self, hold: HeldPrice, *, charged: bool) -> None:
        if hold not in self._held:
            return
        self._held.discard(hold)
        book = self._books[hold.account]
        book.held -= 1
        if charged:
            book.charged += 1
            self.charged_at[hold.place] += 1
        else:
            book.balance += hold.price
        became = "charged" if charged else "released"
        self._many[became] += 1
        self._credits[became] += hold.price

    def _book(self, account: str, balance: int) -> _Book:
        book = self._books.get(account)
        if book is None:
            if len(self._books) >= MOST_ACCOUNTS:
                oldest = next((name for name, each in self._books.items() if not each.held), None)
                self._books.pop(oldest or "", None)
            book = self._books[account] = _Book(balance)
        else:
            self._books.move_to_end(account)
        return book

    # --- what there is ----------------------------------------------------------------------------

    def waiting(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    def charged(self) -> int:
        """How many generations have been charged for, whoever asked for them."""
        return self._many["charged"]

    def totals(self) -> dict[str, Any]:
        """Charges by state, in number and in credits, and refusals by reason."""
        held = {"number": len(self._held), "credits": sum(hold.price for hold in self._held)}
        became = {
            state: {"number": many, "credits": self._credits[state]}
            for state, many in self._many.items()
        }
        return {
            "charges": {"held": held, **became},
            "refusals": dict(sorted(self._refusals.items())),
        }

    def accounts(self, limit: int) -> list[dict[str, Any]]:
        """The accounts that were used, with what became of their requests; those with the most
        charges first.
        """
        order = sorted(self._books, key=lambda name: (-self._books[name].charged, name))
        return [_shown(name, self._books[name]) for name in order[:limit]]

    def account(self, name: str) -> dict[str, Any] | None:
        """One of them; None if it was never used."""
        book = self._books.get(name)
        return None if book is None else _shown(name, book)

    def set_balance(self, name: str, balance: int) -> None:
        """Set an account's balance; what it holds comes out of what it had before."""
        self._book(name, balance).balance = balance


def _shown(name: str, book: _Book) -> dict[str, Any]:
    numbers = asdict(book)
    del numbers["even"]
    return {"account": name, **numbers}
