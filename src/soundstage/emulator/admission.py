"""Whether a request becomes a generation: keys, bodies, triggers, rates and balances, in the order
of `PRECEDENCE`. What is refused gets the answer that its contract documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.types import Receive, Scope

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.emulator import rates
from soundstage.emulator.accounts import Account, Accounts
from soundstage.emulator.asgi import base_url, body_of
from soundstage.emulator.asked import FAULT_HEADER, Asked, header_list, named_in
from soundstage.emulator.capacity import Capacity
from soundstage.emulator.factory import Factory
from soundstage.emulator.generations import Generation
from soundstage.emulator.journal import Entry
from soundstage.emulator.ledger import Hold, Ledger, Refused
from soundstage.emulator.profile import Profile
from soundstage.emulator.rates import Rate
from soundstage.emulator.requests import (
    PRECEDENCE,
    Answer,
    Reader,
    bearer_key,
    header,
    is_json,
    plain,
    refusal,
)
from soundstage.emulator.settings import Settings
from soundstage.emulator.state import State
from soundstage.emulator.store import Store
from soundstage.emulator.triggers import Trigger, Triggers
from soundstage.errors import UsageError

ERROR_HEADER: Final = b"soundstage-error"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A generation that is about to be told, and its row in the store."""

    generation: Generation
    row: int


@dataclass(frozen=True, slots=True)
class Declined:
    """A request that is refused: the name of the error, and its answer."""

    reason: str
    answer: Answer


class Admission:
    """The way in."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        factory: Factory,
        state: State,
        ledger: Ledger,
        store: Store,
        accounts: Accounts,
        triggers: Triggers,
        *,
        alone: bool,
    ) -> None:
        self.contracts = contracts
        self._factory = factory
        self._state = state
        self._ledger = ledger
        self._store = store
        self.accounts = accounts
        self._alone = alone
        self._triggers = triggers
        self._capacity: Capacity | None = None
        self._error: str | None = None
        self._limits: Mapping[str, Rate | None] = {}
        served = contracts.values()
        self._errors = {error.name for contract in served for error in contract.errors.known}

    def check(self, error: str | None) -> None:
        """Raises UsageError for an error to be forced that no contract knows."""
        if error is not None and error not in self._errors:
            raise UsageError(self._no_error(error))

    def apply(self, settings: Settings, profile: Profile) -> None:
        """Go by other settings from now on."""
        self._error = settings.error
        self._limits = {
            name: None if text is None else rates.parse(text, "rate limit")
            for name, text in settings.limits.items()
        }
        self._capacity = (
            Capacity(self._state.database, profile.slots, profile.queue, profile.slowdown)
            if profile.limited
            else None
        )

    def account(self, scope: Scope) -> Account | None:
        """The account that a request is for; None if its key is not accepted."""
        return self.accounts.of(bearer_key(scope["headers"]))

    def rate(self, account: Account) -> Rate | None:
        """An account's limit: what was set for it, its own, what was set for all, the default."""
        if account.name in self._limits:
            return self._limits[account.name]
        if account.rate is not None:
            return account.rate
        return self._limits.get("", self.accounts.rate)

    def _forced(self, scope: Scope) -> str | None:
        named = header(scope["headers"], ERROR_HEADER)
        return self._error if named is None else named.decode("latin-1")

    def _no_error(self, name: str) -> str:
        return f"no error is called {name!r}: there are {', '.join(sorted(self._errors))}"

    def named(self, contract: Contract, scope: Scope) -> tuple[Asked, ...] | Answer | None:
        """The faults that a request asks for; 400 for one that its contract does not have."""
        text = header_list(scope["headers"], FAULT_HEADER)
        if text is None:
            return None
        fault = named_in(contract, text, self.contracts)
        return plain(400, fault) if isinstance(fault, str) else fault

    async def accept(
        self,
        contract: Contract,
        endpoint: Endpoint,
        reader: Reader,
        framing: str,
        scope: Scope,
        receive: Receive,
        named: tuple[Asked, ...] | None,
        entry: Entry,
    ) -> Accepted | Declined:
        """A new generation, its price held; or the answer that refuses it (`PRECEDENCE`)."""
        started = asyncio.get_running_loop().time()
        account = self.account(scope)
        entry.account = None if account is None else account.name
        if (forced := self._forced(scope)) is not None:
            if forced not in self._errors:
                return Declined("unknown_error", plain(400, self._no_error(forced)))
            return self._declined(contract, forced)
        if account is None:
            return self._declined(contract, "unauthorized")
        if not is_json(scope["headers"]):
            return self._declined(contract, "wrong_media_type")
        if (raw := await body_of(receive)) is None:
            return self._declined(contract, "too_large")
        entry.received(raw)
        asked = reader.read(raw)
        if isinstance(asked, str):
            return self._declined(contract, asked)
        words = self._triggers.words_in(asked.prompt)
        early, late = _by_precedence([*words, *self._triggers.words_in(asked.lyrics or "")])
        if early is not None and early.error is not None:
            return self._declined(contract, early.error, early.retry_after)
        if account.error is not None:
            return self._declined(contract, account.error, account.retry_after)
        if (unlucky := self._factory.refused(contract.api, self._state.count)) is not None:
            return self._declined(contract, unlucky)

        def make(number: int) -> Generation:
            return self._factory.make(
                contract,
                endpoint,
                asked,
                raw,
                base_url(scope),
                framing,
                started,
                number=number,
                fails=any(word.fails for word in words),
                named=named,
            )

        entered = self._enter(account, endpoint, make, late, started)
        if isinstance(entered, Refused):
            return self._declined(contract, entered.error, entered.wait_s or None)
        entry.message_id = entered.generation.story.message_id
        return entered

    def _enter(
        self,
        account: Account,
        endpoint: Endpoint,
        make: Callable[[int], Generation],
        late: Trigger | None,
        started: float,
    ) -> Accepted | Refused:
        """Hold the price of a generation, make it, give it its slot and its row: all or nothing."""
        price, rate = self.accounts.price, self.rate(account)
        if self._alone:
            # Nobody waits for this process to end its transaction.
            with self._state.transaction():
                held = self._ledger.hold(account, price, rate, started)
                if isinstance(held, Refused):
                    return held
                return self._given_back(held, late) or self._put(held, endpoint, make(held.number))
        with self._state.transaction():
            held = self._ledger.hold(account, price, rate, started)
            if isinstance(held, Refused):
                return held
            self._ledger.note(held)
        try:
            # Others wait for the end of each transaction: a generation is made outside of them.
            generation = make(held.number)
            with self._state.transaction():
                if not self._ledger.noted(held):
                    return Accepted(generation, held.id)  # told, but forgotten
                return self._given_back(held, late) or self._put(held, endpoint, generation)
        except BaseException:
            self._ledger.release(held)
            raise

    def _given_back(self, held: Hold, late: Trigger | None) -> Refused | None:
        """Refuse a request for a word in it whose error comes after those of its key."""
        if late is None or late.error is None:
            return None
        self._ledger.give_back(held)
        return Refused(late.error, late.retry_after or 0.0)

    def _put(self, held: Hold, endpoint: Endpoint, generation: Generation) -> Accepted | Refused:
        """Give a generation its slot and its row, and say what its price is held for."""
        if not self._store.has_room(generation):
            self._ledger.give_back(held)
            return Refused("service_unavailable")
        if self._capacity is not None:
            started = generation.started
            admitted = self._capacity.admit(started, generation.service)
            if admitted is None:
                self._ledger.give_back(held)
                return Refused("service_unavailable")
            generation.put_off(admitted.start - started, admitted.stretch)
        message_id, billed = generation.story.message_id, generation.charged_with
        due = generation.end
        if billed is not None and billed < len(generation.schedule):
            due = generation.started + generation.schedule[billed]
        self._ledger.seal(held, message_id, due, charges=billed is not None)
        self._store.add(held.id, generation, held.number, endpoint.name, held.account)
        return Accepted(generation, held.id)

    def _declined(self, contract: Contract, name: str, wait_s: float | None = None) -> Declined:
        answer = self.refusal(contract, name)
        if wait_s is not None:
            header = (b"retry-after", rates.retry_after(wait_s))
            answer = replace(answer, headers=[*answer.headers, header])
        return Declined(name, answer)

    def refusal(self, contract: Contract, name: str) -> Answer:
        """A known error; from another contract where this one has no such error."""
        for each in (contract, *self.contracts.values()):
            if any(error.name == name for error in each.errors.known):
                return refusal(each, name)
        return refusal(contract, name if name in PRECEDENCE else "not_modelled")


def _by_precedence(words: Sequence[Trigger]) -> tuple[Trigger | None, Trigger | None]:
    """Of the words that ask for errors, the first before the key's own troubles, and after."""
    asked = sorted(
        (PRECEDENCE.index(word.error), number)
        for number, word in enumerate(words)
        if word.error is not None
    )
    border = PRECEDENCE.index("rate_limit")
    early = next((words[number] for place, number in asked if place < border), None)
    return early, next((words[number] for place, number in asked if place >= border), None)
