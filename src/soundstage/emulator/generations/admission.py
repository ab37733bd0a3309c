"""Whether a request becomes a generation: keys, bodies, triggers, rates and balances, in the order
of `PRECEDENCE`. What is refused gets the answer that its contract documents.

A request is let in first, its price held, and its generation begun after that: what the answer to
it says before its first chunk does not depend on the song.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.types import Receive, Scope

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.accounts import rates
from soundstage.emulator.accounts.accounts import Account, Accounts
from soundstage.emulator.accounts.charges import ChargeRefused, HeldPrice, Ledger
from soundstage.emulator.accounts.rates import RateLimit
from soundstage.emulator.accounts.triggers import Trigger
from soundstage.emulator.faults.choice import RequestFaults
from soundstage.emulator.generations.factory import (
    Factory,
    GenerationRequest,
    SongEndpoint,
    course_of,
)
from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.generations.store import Store
from soundstage.emulator.http.asgi import base_url, body_of, header, is_json, key_of
from soundstage.emulator.http.journal import JournalEntry
from soundstage.emulator.http.replies import Headers, Reply, plain, refusal
from soundstage.emulator.pace.capacity import Capacity
from soundstage.emulator.pace.profile import Profile
from soundstage.errors import UsageError
from soundstage.near_names import did_you_mean
from soundstage.untrusted import json_text

ERROR_HEADER: Final = b"soundstage-error"
#: Names the course of a generation: in an answer the one that it took, in a request the one that it
#: is to take again.
COURSE_HEADER: Final = b"soundstage-course"
_COURSE: Final = re.compile(rb"[0-9a-f]{32}")
#: Errors in the order in which a request is held against them, after path and method.
PRECEDENCE: Final = (
    "unauthorized",
    "wrong_media_type",
    "too_large",
    "broken_json",
    "wrong_types",
    "invalid_prompt",
    "nsfw",
    "rate_limit",
    "insufficient_balance",
    "service_unavailable",
)


@dataclass(frozen=True, slots=True)
class Declined:
    """A request that is refused: the name of the error, and its answer."""

    reason: str
    answer: Reply


@dataclass(slots=True)
class Accepted:
    """A request that was let in `at` a moment of the loop's clock, its price `held`. `course`
    decides how its generation goes (`factory.course_of`); `fails`: a word in it wants that to fail
    midway. `generation` is None until it has begun.
    """

    place: SongEndpoint
    asked: GenerationRequest
    raw: bytes
    base: str
    at: float
    held: HeldPrice
    course: bytes
    fails: bool
    generation: Generation | None = None

    @property
    def named(self) -> Headers:
        """The header by which its generation can be asked for again."""
        return [(COURSE_HEADER, self.course.hex().encode())]


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
        self._refusing = False
        self._readers: dict[int, Reader] = {}
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
        self._limited, self._refusing = profile.limited, profile.refuses
        self._capacity.slots, self._capacity.queue = profile.slots, profile.queue
        self._capacity.slowdown = profile.slowdown

    def reset(self) -> None:
        """Forget who was let in."""
        self._capacity.clear()
        self._asked = 0

    def account(self, scope: Scope, contract: Contract) -> Account | None:
        """The account that a request is for; None if its key is not accepted."""
        return self.accounts.of(key_of(scope["headers"], contract.auth))

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
        there = ", ".join(sorted(self._errors))
        return f"no error is called {name!r}: there are {there}{did_you_mean(name, self._errors)}"

    async def accept(
        self, place: SongEndpoint, scope: Scope, receive: Receive, entry: JournalEntry
    ) -> Accepted | Declined:
        """A request whose price is held and whose generation may begin; or the answer that refuses
        it (`PRECEDENCE`).
        """
        at = asyncio.get_running_loop().time()
        contract = place.contract
        account = self._account_of(place, scope, entry)
        if isinstance(account, Declined):
            return account
        if (raw := await body_of(receive)) is None:
            return self._declined(contract, "too_large")
        entry.received(raw)
        asked = self._reader(place.endpoint).read(raw)
        if isinstance(asked, str):
            return self._declined(contract, asked)
        words = self._triggers.words_in(asked.prompt)
        early, late = _by_precedence([*words, *self._triggers.words_in(asked.lyrics or "")])
        # Nothing waits from here on, so that no other request comes between.
        if (unwanted := self._unwanted(contract, account, early)) is not None:
            return unwanted
        held = self._hold(place, account, late, at)
        if isinstance(held, Declined):
            return held
        fails = any(word.fails for word in words)
        again = header(scope["headers"], COURSE_HEADER)
        if again is None:
            course = course_of(self.factory.seed, held.number, contract.api, raw)
        else:
            course = bytes.fromhex(again.decode())
        return Accepted(place, asked, raw, base_url(scope), at, held, course, fails)

    def begin(self, accepted: Accepted, faults: RequestFaults | None = None) -> Generation:
        """Make the generation of a request that was let in, give it its slot, say when its price is
        due, and keep it.
        """
        place, held = accepted.place, accepted.held
        generation = self.factory.make(
            place,
            accepted.asked,
            accepted.course,
            accepted.base,
            accepted.at,
            fails=accepted.fails,
            faults=faults,
        )
        if self._limited:
            slot = self._capacity.admit(generation.started, generation.service)
            generation.put_off(slot.start - generation.started, slot.stretch)
        billed = generation.billed_at if place.endpoint.billed else None
        due = generation.end if billed is None else billed
        self.ledger.seal(held, due, charges=billed is not None)
        self.store.add(
            generation,
            number=held.number,
            endpoint=place.endpoint.name,
            account=held.account,
            text=len(accepted.raw),
        )
        generation.faults = faults
        accepted.generation = generation
        return generation

    def leave(self, accepted: Accepted) -> None:
        """Whoever asked has heard the answer, or has gone. A generation that has begun goes on; the
        price of one that has not is given back.
        """
        if accepted.generation is None:
            self.ledger.release(accepted.held)
        else:
            self.store.leave(accepted.generation)

    def _reader(self, endpoint: Endpoint) -> Reader:
        found = self._readers.get(id(endpoint))
        if found is None:
            found = self._readers[id(endpoint)] = Reader(endpoint)
        return found

    def _account_of(
        self, place: SongEndpoint, scope: Scope, entry: JournalEntry
    ) -> Account | Declined:
        """Whose request it is, where its headers are in order."""
        contract = place.contract
        account = self.account(scope, contract)
        entry.account = None if account is None else account.name
        if (forced := self._forced(scope)) is not None:
            if forced not in self._errors:
                return Declined("unknown_error", plain(400, self._no_error(forced)))
            return self._declined(contract, forced)
        again = header(scope["headers"], COURSE_HEADER)
        if again is not None and not _COURSE.fullmatch(again):
            text = "Soundstage-Course: 32 hexadecimal digits, as the header of an answer has them"
            return Declined("unknown_course", plain(400, text))
        if account is None:
            return self._declined(contract, "unauthorized")
        if place.endpoint.request is not None and not is_json(scope["headers"]):
            return self._declined(contract, "wrong_media_type")
        return account

    def _unwanted(
        self, contract: Contract, account: Account, early: Trigger | None
    ) -> Declined | None:
        """The refusal that a word in the body, the key or the profile asks for."""
        if early is not None and early.error is not None:
            return self._declined(contract, early.error, early.retry_after)
        if account.error is not None:
            return self._declined(contract, account.error, account.retry_after)
        if self._refusing and (unlucky := self._refused_by_chance(contract.api)) is not None:
            return self._declined(contract, unlucky)
        return None

    def _refused_by_chance(self, api: str) -> str | None:
        """The error that the next request gets because the profile wants so; None if none."""
        course = self.factory.profile.of(api)
        if not course.refusals:
            return None
        self._asked += 1
        return course.refusal(random.Random(f"{self.factory.seed}/{self._asked}/refusal"))

    def _hold(
        self, place: SongEndpoint, account: Account, late: Trigger | None, at: float
    ) -> HeldPrice | Declined:
        """Hold the price, where nothing that comes after the key's own troubles stands against
        it: a word of the body, and no room for one more.
        """
        contract, price = place.contract, self.accounts.price if place.endpoint.billed else 0
        held = self.ledger.hold(account, price, self.rate(account), at)
        if isinstance(held, ChargeRefused):
            return self._declined(contract, held.error, held.wait_s or None)
        if self.store.crowded:
            self.store.prune(at)
        crowded = self.store.crowded or (self._limited and self._capacity.is_full(at))
        declined = None
        if late is not None and late.error is not None:
            declined = self._declined(contract, late.error, late.retry_after)
        elif crowded:
            declined = self._declined(contract, "service_unavailable")
        if declined is not None:
            self.ledger.release(held)
            return declined
        return held

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


class Reader:
    """Reads the bodies of one endpoint's requests by its schema. The prompt, the lyrics and the
    duration are the fields that have these roles.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._bodyless = endpoint.request is None
        schema = endpoint.request or {"type": "object"}
        self._validator = patterns.validator(schema)
        self._required = frozenset(schema.get("required", ()))
        roles = {sub.get("x-role"): name for name, sub in schema.get("properties", {}).items()}
        self._prompt: str | None = roles.get("prompt")
        self._lyrics: str | None = roles.get("lyrics")
        self._duration: str | None = roles.get("duration")
        length = schema.get("properties", {}).get(self._duration, {})
        self._seconds: int | float | None = length.get("default")

    def read(self, raw: bytes) -> GenerationRequest | str:
        """What a body asks for, or the name of the error that it deserves."""
        if self._bodyless:
            return GenerationRequest("", None, {}, self._seconds)
        parsed = json_text.parse(raw)
        if parsed.problems or not parsed.ok:
            return "broken_json"
        body = parsed.value
        if not isinstance(body, dict):
            return "wrong_types"
        if not self._validator.is_valid(body) and (fault := self._fault_of(body)) is not None:
            return fault
        prompt, lyrics = str(body.get(self._prompt) or ""), body.get(self._lyrics)
        return GenerationRequest(prompt, lyrics, body, body.get(self._duration, self._seconds))

    def _fault_of(self, body: Mapping[str, Any]) -> str | None:
        """A missing, empty or blank prompt has an error of its own; it yields to any other. None
        where nothing is wrong but that a pattern came to its limit.
        """
        if self._required - body.keys() - {self._prompt}:
            return "wrong_types"
        fault = None
        for error in self._validator.iter_errors(body):
            if patterns.gave_up(error):
                continue
            fault = "invalid_prompt"
            at, keyword = list(error.instance_path), list(error.schema_path)[-1]
            about_prompt = at == [self._prompt] and keyword != "type"
            if not about_prompt and keyword != "required":
                return "wrong_types"
        return fault
