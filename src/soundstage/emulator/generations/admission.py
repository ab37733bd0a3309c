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
from typing import Final

from starlette.types import Receive, Scope

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.accounts import rates
from soundstage.emulator.accounts.accounts import Account, Accounts
from soundstage.emulator.accounts.charges import ChargeRefused, HeldPrice, Ledger
from soundstage.emulator.accounts.rates import RateLimit
from soundstage.emulator.accounts.triggers import Trigger
from soundstage.emulator.faults.choice import RequestFaults
from soundstage.emulator.generations.body_problems import NO_PROBLEMS, BodyProblems
from soundstage.emulator.generations.factory import (
    Factory,
    GenerationRequest,
    SongEndpoint,
    course_of,
)
from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.generations.read_bodies import ReadBodies
from soundstage.emulator.generations.repeats import Repeats
from soundstage.emulator.generations.request_reader import BadBody
from soundstage.emulator.generations.store import Store
from soundstage.emulator.http.asgi import (
    base_url,
    body_of,
    header,
    is_json,
    key_of,
    why_not_json,
)
from soundstage.emulator.http.journal import JournalEntry
from soundstage.emulator.http.replies import BODY_LIMIT, Headers, Reply, plain, refusal
from soundstage.emulator.pace.capacity import Capacity
from soundstage.emulator.pace.profile import Profile
from soundstage.errors import UsageError
from soundstage.generation.faults.fault_bills import NOT_AT_ALL, RETRIED, TWICE
from soundstage.near_names import did_you_mean

ERROR_HEADER: Final = b"soundstage-error"
#: Names the course of a generation: in an answer the one that it took, in a request the one that it
#: is to take again.
COURSE_HEADER: Final = b"soundstage-course"
_COURSE: Final = re.compile(rb"[0-9a-f]{32}")
_BY_WORD: Final = "a word in the prompt or the lyrics asks for this error"
_BY_KEY: Final = "the key asks for this error"
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
    """A request that is refused: the name of the error, its answer as the contract has it, and
    `why`, in words. `asked_for`: it comes because somebody asked for this error, and its body says
    no more than the contract's.
    """

    reason: str
    answer: Reply
    why: str
    problems: BodyProblems = NO_PROBLEMS
    asked_for: bool = False


@dataclass(slots=True)
class Accepted:
    """A request that was let in `at` a moment of the loop's clock, its price `held`. `course`
    decides how its generation goes (`factory.course_of`); `fails`: a word in it wants that to fail
    midway; `again`: it was asked for before, and is charged for no second time. `generation` is
    None until it has begun.
    """

    place: SongEndpoint
    asked: GenerationRequest
    raw: bytes
    base: str
    at: float
    account: Account
    held: HeldPrice
    course: bytes
    fails: bool
    again: bool = False
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
        self._capacity = Capacity()
        self._limited = False
        self._asked = 0
        self._refusing = False
        self._bodies: dict[int, ReadBodies] = {}
        self._repeats = Repeats()
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
        self._repeats.clear()
        self._bodies.clear()
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
            return self._declined(contract, "too_large", f"at most {BODY_LIMIT:,} bytes are read")
        entry.received(raw)
        body = self._bodies_of(place.endpoint).read(raw)
        if isinstance(body, BadBody):
            # Again, for what it says: nothing of the key may be in it.
            return self._bad_body(place, scope, raw)
        repeated = self._repeats.of(place, account, scope, raw)
        if repeated is not None and not repeated.same:
            why = f"the {place.endpoint.idempotency_key} was sent with another body before"
            return self._declined(contract, "wrong_types", why)
        early, late = _by_precedence([*body.in_prompt, *body.in_lyrics])
        # Nothing waits from here on, so that no other request comes between.
        if (unwanted := self._unwanted(contract, account, early)) is not None:
            return unwanted
        held = self._hold(place, account, late, at, free=repeated is not None)
        if isinstance(held, Declined):
            return held
        fails = any(word.fails for word in body.in_prompt)
        again = header(scope["headers"], COURSE_HEADER)
        if again is None:
            course = course_of(self.factory.seed, held.number, contract.api, raw)
        else:
            course = bytes.fromhex(again.decode())
        if repeated is not None:
            course = repeated.course
        else:
            self._repeats.keep(place, account, scope, raw, course)
        known = repeated is not None
        return Accepted(
            place, body.asked, raw, base_url(scope), at, account, held, course, fails, known
        )

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
        bill = place.endpoint.name
        charges = billed is not None and not accepted.again
        if accepted.again and faults is not None and faults.bill(bill, RETRIED):
            charges = True
        if charges and faults is not None:
            if faults.bill(place.endpoint.name, NOT_AT_ALL):
                charges = False
            elif faults.bill(place.endpoint.name, TWICE):
                self.ledger.charge_again(accepted.account, held.price, held.place)
        self.ledger.seal(held, due, charges=charges)
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

    def charge_anyway(self, place: SongEndpoint, scope: Scope) -> None:
        """Charge for a request that was refused: what no service should do."""
        account = self.account(scope, place.contract)
        if account is not None:
            where = place.contract.api, place.endpoint.name
            self.ledger.charge_again(account, self.accounts.price, where)

    def leave(self, accepted: Accepted) -> None:
        """Whoever asked has heard the answer, or has gone. A generation that has begun goes on; the
        price of one that has not is given back.
        """
        if accepted.generation is None:
            self.ledger.release(accepted.held)
        else:
            self.store.leave(accepted.generation)

    def _bodies_of(self, endpoint: Endpoint) -> ReadBodies:
        found = self._bodies.get(id(endpoint))
        if found is None:
            found = self._bodies[id(endpoint)] = ReadBodies(endpoint, self.accounts.triggers)
        return found

    def why_unauthorized(self, scope: Scope, contract: Contract) -> str:
        """Why a request has no account, in words; the key is not among them."""
        auth, headers = contract.auth, scope["headers"]
        wanted = f"{auth.header}: {auth.value('KEY')}"
        there = [value for name, value in headers if name == auth.header.lower().encode()]
        if not there:
            return f"there is no header {auth.header}; expected {wanted}"
        if len(there) > 1:
            return f"the header {auth.header} is there {len(there)} times; expected it once"
        if key_of(headers, auth) is None:
            return f"the header {auth.header} has another form; expected {wanted}"
        return "the key is not one of those that are accepted"

    def _account_of(
        self, place: SongEndpoint, scope: Scope, entry: JournalEntry
    ) -> Account | Declined:
        """Whose request it is, where its headers are in order."""
        contract = place.contract
        account = self.account(scope, contract)
        entry.account = None if account is None else account.name
        if (forced := self._forced(scope)) is not None:
            if forced not in self._errors:
                why = self._no_error(forced)
                return Declined("unknown_error", plain(400, why), why, asked_for=True)
            return self._wanted(contract, forced, "asked for by Soundstage-Error, or --error")
        again = header(scope["headers"], COURSE_HEADER)
        if again is not None and not _COURSE.fullmatch(again):
            text = "Soundstage-Course: 32 hexadecimal digits, as the header of an answer has them"
            return Declined("unknown_course", plain(400, text), text, asked_for=True)
        if account is None:
            why = self.why_unauthorized(scope, contract)
            return self._declined(contract, "unauthorized", why)
        if place.endpoint.request is not None and not is_json(scope["headers"]):
            return self._declined(contract, "wrong_media_type", why_not_json(scope["headers"]))
        return account

    def _unwanted(
        self, contract: Contract, account: Account, early: Trigger | None
    ) -> Declined | None:
        """The refusal that a word in the body, the key or the profile asks for."""
        if early is not None and early.error is not None:
            return self._wanted(contract, early.error, _BY_WORD, early.retry_after)
        if account.error is not None:
            return self._wanted(contract, account.error, _BY_KEY, account.retry_after)
        if self._refusing and (unlucky := self._refused_by_chance(contract.api)) is not None:
            name = self.factory.profile.name
            return self._wanted(contract, unlucky, f"the profile {name} refuses some")
        return None

    def _refused_by_chance(self, api: str) -> str | None:
        """The error that the next request gets because the profile wants so; None if none."""
        course = self.factory.profile.of(api)
        if not course.refusals:
            return None
        self._asked += 1
        return course.refusal(random.Random(f"{self.factory.seed}/{self._asked}/refusal"))

    def _hold(
        self, place: SongEndpoint, account: Account, late: Trigger | None, at: float, *, free: bool
    ) -> HeldPrice | Declined:
        """Hold the price, where nothing that comes after the key's own troubles stands against
        it: a word of the body, and no room for one more. `free`: nothing is charged.
        """
        billed = place.endpoint.billed and not free
        contract, price = place.contract, self.accounts.price if billed else 0
        where = contract.api, place.endpoint.name
        held = self.ledger.hold(account, price, self.rate(account), at, where)
        if isinstance(held, ChargeRefused):
            why = f"the balance of the key is below the price of {price}"
            if held.error == "rate_limit":
                why = f"the key is over its rate limit; free again in {held.wait_s:.1f} s"
            return self._declined(contract, held.error, why, held.wait_s or None)
        if self.store.crowded:
            self.store.prune(at)
        crowded = self.store.crowded or (self._limited and self._capacity.is_full(at))
        declined = None
        if late is not None and late.error is not None:
            declined = self._wanted(contract, late.error, _BY_WORD, late.retry_after)
        elif crowded:
            why = f"all slots and the queue of the profile {self.factory.profile.name} are taken"
            if self.store.crowded:
                why = "the songs that are being told take all the memory there is for them"
            declined = self._declined(contract, "service_unavailable", why)
        if declined is not None:
            self.ledger.release(held)
            return declined
        return held

    def _declined(
        self, contract: Contract, name: str, why: str, wait_s: float | None = None
    ) -> Declined:
        answer = self.refusal(contract, name)
        if wait_s is not None:
            header = (b"retry-after", rates.retry_after(wait_s))
            answer = replace(answer, headers=[*answer.headers, header])
        return Declined(name, answer, why)

    def _wanted(
        self, contract: Contract, name: str, why: str, wait_s: float | None = None
    ) -> Declined:
        """A refusal that somebody asked for."""
        return replace(self._declined(contract, name, why, wait_s), asked_for=True)

    def _bad_body(self, place: SongEndpoint, scope: Scope, raw: bytes) -> Declined:
        contract = place.contract
        key = key_of(scope["headers"], contract.auth)
        bad = self._bodies_of(place.endpoint).wrong(raw, key)
        return replace(self._declined(contract, bad.error, bad.why), problems=bad.problems)

    def refusal(self, contract: Contract, name: str) -> Reply:
        """A known error; from another contract where this one has no such error."""
        for each in (contract, *self.contracts.values()):
            if any(error.name == name for error in each.errors.known):
                return refusal(each, name)
        return refusal(contract, name if name in PRECEDENCE else "not_modelled")


def _by_precedence(words: Sequence[Trigger]) -> tuple[Trigger | None, Trigger | None]:
    """Of the words that ask for errors, the first before the key's own troubles, and after."""
    if not words:  # as nearly always
        return None, None
    asked = sorted(
        (PRECEDENCE.index(word.error), number)
        for number, word in enumerate(words)
        if word.error is not None
    )
    border = PRECEDENCE.index("rate_limit")
    early = next((words[number] for place, number in asked if place < border), None)
    return early, next((words[number] for place, number in asked if place >= border), None)
