"""Whether a request becomes a generation: keys, bodies, triggers, rates and balances, in the order
of `PRECEDENCE`. What is refused gets the answer that its contract documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.types import Receive, Scope

from soundstage.contract import Contract
from soundstage.emulator.accounts import rates
from soundstage.emulator.accounts.accounts import Account, Accounts
from soundstage.emulator.accounts.ledger import ChargeRefused, HeldPrice, Ledger
from soundstage.emulator.accounts.rates import RateLimit
from soundstage.emulator.accounts.triggers import Trigger
from soundstage.emulator.faults.choice import RequestFaults
from soundstage.emulator.generations.factory import Factory, SongEndpoint
from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.generations.store import Store
from soundstage.emulator.http.asgi import base_url, body_of
from soundstage.emulator.http.journal import JournalEntry
from soundstage.emulator.http.messages import (
    PRECEDENCE,
    GenerationRequest,
    Reply,
    bearer_key,
    header,
    is_json,
    plain,
    refusal,
)
from soundstage.emulator.pace.capacity import Capacity
from soundstage.emulator.pace.profile import Profile
from soundstage.errors import UsageError

ERROR_HEADER: Final = b"soundstage-error"


@dataclass(frozen=True, slots=True)
class Declined:
    """A request that is refused: the name of the error, and its answer."""

    reason: str
    answer: Reply


@dataclass(frozen=True, slots=True)
class _WantedSong:
    """What a request asks for that is in order so far. `late` is the word in it whose error comes
    after those of the key; `fails`: a word wants the generation to fail midway.
    """

    asked: GenerationRequest
    raw: bytes
    late: Trigger | None
    fails: bool


class Admission:
    """Lets requests in: each becomes a generation (`factory`) whose price is held (`ledger`) and
    which is kept (`store`), or gets its refusal.
    """

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        factory: Factory,
        ledger: Ledger,
        store: Store,
        accounts: Accounts,
    ) -> None:
        self.contracts = contracts
        self.factory = factory
        self.ledger = ledger
        self.store = store
        self.accounts = accounts
        self._triggers = accounts.triggers
        self._capacity = Capacity()
        self._limited = False
        self._asked = 0
        self._error: str | None = None
        self._limits: Mapping[str, RateLimit | None] = {}
        served = contracts.values()
        self._errors = {error.name for contract in served for error in contract.errors.known}

    def check(self, error: str | None) -> None:
        """Raises UsageError for an error to be forced that no contract knows."""
        if error is not None and error not in self._errors:
            raise UsageError(self._no_error(error))

    def apply(self, profile: Profile, error: str | None, limits: Mapping[str, str | None]) -> None:
        """Go by other settings from now on: the error that each request gets, and rates by account,
        "" for all that have none of their own; None lifts a limit.
        """
        self._error = error
        self._limits = {
            name: None if text is None else rates.parse(text, "rate limit")
            for name, text in limits.items()
        }
        # Those who are in keep their slots when others are told of another profile.
        self._limited = profile.limited
        self._capacity.slots, self._capacity.queue = profile.slots, profile.queue
        self._capacity.slowdown = profile.slowdown

    def reset(self) -> None:
        """Forget who was let in."""
        self._capacity.clear()
        self._asked = 0

    def account(self, scope: Scope) -> Account | None:
        """The account that a request is for; None if its key is not accepted."""
        return self.accounts.of(bearer_key(scope["headers"]))

    def rate(self, account: Account) -> RateLimit | None:
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

    async def accept(
        self,
        place: SongEndpoint,
        scope: Scope,
        receive: Receive,
        faults: RequestFaults | None,
        entry: JournalEntry,
    ) -> Generation | Declined:
        """A new generation, its price held; or the answer that refuses it (`PRECEDENCE`)."""
        started = asyncio.get_running_loop().time()
        account = self._account_of(place.contract, scope, entry)
        if isinstance(account, Declined):
            return account
        if (raw := await body_of(receive)) is None:
            return self._declined(place.contract, "too_large")
        entry.received(raw)
        song = self._read(place, account, raw)
        if isinstance(song, Declined):
            return song
        # Nothing waits from here on, so that no other request comes between.
        made = self._hold(place, account, song, base_url(scope), started, faults)
        if isinstance(made, Generation):
            entry.message_id = made.story.message_id
        return made

    def _account_of(
        self, contract: Contract, scope: Scope, entry: JournalEntry
    ) -> Account | Declined:
        """Whose request it is, where its headers are in order."""
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
        return account

    def _read(self, place: SongEndpoint, account: Account, raw: bytes) -> _WantedSong | Declined:
        """What a body asks for, where neither a word in it nor the key asks for an error."""
        contract = place.contract
        asked = place.reader.read(raw)
        if isinstance(asked, str):
            return self._declined(contract, asked)
        words = self._triggers.words_in(asked.prompt)
        early, late = _by_precedence([*words, *self._triggers.words_in(asked.lyrics or "")])
        if early is not None and early.error is not None:
            return self._declined(contract, early.error, early.retry_after)
        if account.error is not None:
            return self._declined(contract, account.error, account.retry_after)
        if (unlucky := self.factory.refused(contract.api, self._count)) is not None:
            return self._declined(contract, unlucky)
        return _WantedSong(asked, raw, late, any(word.fails for word in words))

    def _hold(
        self,
        place: SongEndpoint,
        account: Account,
        song: _WantedSong,
        base: str,
        started: float,
        faults: RequestFaults | None,
    ) -> Generation | Declined:
        """Hold the price and make the generation; a price that is held for none is given back."""
        contract = place.contract
        held = self.ledger.hold(account, self.accounts.price, self.rate(account), started)
        if isinstance(held, ChargeRefused):
            return self._declined(contract, held.error, held.wait_s or None)
        try:
            if song.late is not None and song.late.error is not None:
                self.ledger.release(held)
                return self._declined(contract, song.late.error, song.late.retry_after)
            generation = self.factory.make(
                place,
                song.asked,
                song.raw,
                base,
                started,
                number=held.number,
                fails=song.fails,
                faults=faults,
            )
            if not (self.store.has_room(generation, started) and self._admitted(generation)):
                self.ledger.release(held)
                return self._declined(contract, "service_unavailable")
            self._put(held, place.endpoint.name, generation, len(song.raw))
        except BaseException:
            self.ledger.release(held)
            raise
        return generation

    def _count(self) -> int:
        self._asked += 1
        return self._asked

    def _admitted(self, generation: Generation) -> bool:
        """Give a generation its slot, or a place in the queue before it; False if that is full."""
        if not self._limited:
            return True
        started = generation.started
        admitted = self._capacity.admit(started, generation.service)
        if admitted is None:
            return False
        generation.put_off(admitted.start - started, admitted.stretch)
        return True

    def _put(self, held: HeldPrice, endpoint: str, generation: Generation, text: int) -> None:
        """Say what a price is held for, and keep the generation."""
        billed, due = generation.charged_with, generation.end
        if billed is not None and billed < len(generation.schedule):
            due = generation.started + generation.schedule[billed]
        self.ledger.seal(held, due, charges=billed is not None)
        self.store.add(
            generation, number=held.number, endpoint=endpoint, account=held.account, text=text
        )

    def _declined(self, contract: Contract, name: str, wait_s: float | None = None) -> Declined:
        answer = self.refusal(contract, name)
        if wait_s is not None:
            header = (b"retry-after", rates.retry_after(wait_s))
            answer = replace(answer, headers=[*answer.headers, header])
        return Declined(name, answer)

    def refusal(self, contract: Contract, name: str) -> Reply:
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
