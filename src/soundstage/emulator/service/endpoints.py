"""What the endpoints of the contracts answer: generations, and looks at their state. Whether a
request becomes a generation is decided in `admission.py`, the answer is told in `streaming.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl

import orjson
from starlette.types import Message, Receive, Scope, Send

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.schema_words import described
from soundstage.contract.placeholders import PLACEHOLDER
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.faults.choice import Faults, RequestFaults
from soundstage.emulator.faults.expression import FAULT_HEADER
from soundstage.emulator.generations.admission import Admission, Declined
from soundstage.emulator.generations.factory import SongEndpoint
from soundstage.emulator.generations.generations import Generation, status_of
from soundstage.emulator.generations.states import look
from soundstage.emulator.http.asgi import FarEnd, body_of, header_list, respond
from soundstage.emulator.http.cors import Cors
from soundstage.emulator.http.explained import refuse
from soundstage.emulator.http.journal import ENTRY, JournalEntry
from soundstage.emulator.http.replies import BODY_LIMIT, Reply, plain, refusal
from soundstage.emulator.service.shared_timer import SharedTimer
from soundstage.emulator.service.streaming import SongAnswer
from soundstage.generation.faults.fault_bills import REFUSED
from soundstage.generation.faults.fault_ties import CHARGED_TWICE, UNKNOWN_ID
from soundstage.generation.walk import maker_of
from soundstage.output.cutting import head
from soundstage.untrusted import json_text

_LONGEST_METHOD: Final = 40
#: More parameters of a query are not looked at.
_MOST_PARAMETERS: Final = 100


_NO_GENERATION: Final = (
    "no generation is known by this id: it was not made by this emulator since its start, or its"
    " end is too long ago"
)

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Methods:
    """What a path answers, by method; 405 for any other."""

    def __init__(self, contract: Contract, cors: Cors) -> None:
        self.contract = contract
        self.handlers: dict[str, Handler] = {}
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self.handlers.get(scope["method"])
        if handler is not None:
            await handler(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            preflight = self._cors.preflight(scope, self.handlers)
            if preflight is not None:
                await respond(scope, send, preflight)
                return
        name, there = "method_not_allowed", ", ".join(sorted(self.handlers))
        answer = replace(refusal(self.contract, name), headers=[(b"allow", there.encode())])
        why = f"{head(scope['method'], _LONGEST_METHOD)} is not answered here; there is {there}"
        await refuse(scope, send, [self.contract], answer, name, why)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Makes the handlers, and knows who listens to a song. `framing` is that of streams which allow
    it; `stamp`: chunks say when they are sent.
    """

    framing: str | None
    stamp: bool
    admission: Admission
    faults: Faults
    listeners: set[FarEnd] = field(default_factory=set)
    _timer: SharedTimer = field(default_factory=SharedTimer)

    def stop(self) -> None:
        """Cut every song that is being told; the server is about to close."""
        for listener in list(self.listeners):
            listener.leave()

    def handler(self, contract: Contract, endpoint: Endpoint) -> Handler:
        """What answers an endpoint."""
        if endpoint.makes_songs:
            return self._generation(contract, endpoint)
        return self._status(contract, endpoint)

    def shared(self, contract: Contract, endpoints: Sequence[Endpoint]) -> Handler:
        """What answers several endpoints that one method and path are for: each gets the requests
        that its `when` asks for, the first without a `when` all others.
        """
        told = [
            (patterns.validator(each.when), self.handler(contract, each))
            for each in endpoints
            if each.when is not None
        ]
        rest = next((self.handler(contract, each) for each in endpoints if each.when is None), None)

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            entry: JournalEntry = scope[ENTRY]
            entry.api = contract.api
            if (raw := await body_of(receive)) is None:
                answer, why = refusal(contract, "too_large"), f"at most {BODY_LIMIT:,} bytes"
                await refuse(scope, send, [contract], answer, "too_large", why)
                return
            parsed = json_text.parse(raw)
            found = next((one for when, one in told if when.is_valid(parsed.value)), rest)
            if found is None and not isinstance(parsed.value, dict):
                found = told[0][1]  # which refuses it
            if found is None:
                entry.received(raw)
                answer = plain(422, "No endpoint is for such a request")
                asked = dict.fromkeys(described(each.when) for each in endpoints)
                why = f"expected {' or '.join(asked)}"
                await refuse(scope, send, [contract], answer, "wrong_types", why)
                return
            await found(scope, _again(raw, receive), send)

        return handle

    def _generation(self, contract: Contract, endpoint: Endpoint) -> Handler:
        place = SongEndpoint.of(contract, endpoint, self.framing)
        admission = self.admission

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            entry: JournalEntry = scope[ENTRY]
            entry.api, entry.endpoint = contract.api, endpoint.name
            admission.ledger.asked[contract.api, endpoint.name] += 1
            faults = None
            named = header_list(scope["headers"], FAULT_HEADER)
            if named is not None or self.faults.asked:
                faults = self.faults.of_request(contract, named)
            if isinstance(faults, str):
                answer = plain(400, faults)
                name = "unknown_fault"
                await refuse(scope, send, [contract], answer, name, faults, in_body=False)
                return
            if faults is not None:
                before = faults.before(scope["path"], scope.get("query_string", b""))
                if before is not None:
                    entry.fault = faults.struck
                    await respond(scope, send, before)
                    return
            accepted = await admission.accept(place, scope, receive, entry)
            if isinstance(accepted, Declined):
                if faults is not None and faults.bill(endpoint.name, REFUSED):
                    admission.charge_anyway(place, scope)
                await self._decline(accepted, faults, scope, send)
                return
            listener = FarEnd(receive, scope)
            self.listeners.add(listener)
            song = SongAnswer(
                admission, accepted, faults, listener, scope, send, self._timer, self.stamp
            )
            try:
                if endpoint.kind == "stream":
                    await song.stream()
                elif endpoint.kind == "job":
                    await song.accept()
                else:
                    await song.result()
            finally:
                self.listeners.discard(listener)
                listener.close()
                if (generation := accepted.generation) is not None:
                    entry.message_id, entry.chunks = generation.story.message_id, generation.sent
                admission.leave(accepted)

        return handle

    async def _decline(
        self, declined: Declined, faults: RequestFaults | None, scope: Scope, send: Send
    ) -> None:
        refused, entry = declined.answer, scope[ENTRY]
        self.admission.ledger.refused(declined.reason)
        answer = refused if faults is None else faults.in_refusal(refused)
        # A fault broke the body of the contract: as broken as it is, it is sent.
        whole = answer is refused
        if faults is not None:
            entry.fault = faults.struck
        await refuse(
            scope,
            send,
            self.admission.contracts.values(),
            answer,
            declined.reason,
            declined.why,
            problems=[asdict(each) for each in declined.problems.named],
            in_body=whole and not declined.asked_for,
        )

    def _status(self, contract: Contract, endpoint: Endpoint) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            entry: JournalEntry = scope[ENTRY]
            entry.api, entry.endpoint = contract.api, endpoint.name
            account = self.admission.account(scope, contract)
            found = None
            if account is not None:
                entry.account = account.name
                found = self.admission.store.find(contract.api, asked_with(endpoint, scope))
            faults = self._faults_of(contract, scope, found)
            ties: frozenset[str] = frozenset()
            if found is not None and found.endpoint is not None and faults is not None:
                ties = faults.ties(found.endpoint.name)
            if found is None or UNKNOWN_ID in ties:
                reason, why = "not_found", _NO_GENERATION
                if account is None:
                    reason, why = "unauthorized", self.admission.why_unauthorized(scope, contract)
                await refuse(scope, send, [contract], refusal(contract, reason), reason, why)
                return
            entry.message_id = found.story.message_id
            if CHARGED_TWICE in ties and account is not None:
                self.admission.ledger.charge_again(account, self.admission.accounts.price)
            now = asyncio.get_running_loop().time()
            answer = self._look(contract, endpoint, found, now, faults, ties)
            if faults is not None:
                entry.fault = faults.struck
            await respond(scope, send, answer)

        return handle

    def _faults_of(
        self, contract: Contract, scope: Scope, generation: Generation | None
    ) -> RequestFaults | None:
        """The faults that a look at a generation may get: those that its request names, those of
        the request that made it, or those of the emulator.
        """
        named = header_list(scope["headers"], FAULT_HEADER)
        if named is not None:
            found = self.faults.of_request(contract, named)
            return found if isinstance(found, RequestFaults) else None
        if generation is not None and generation.faults is not None:
            return generation.faults
        asked = self.faults.of_request(contract, None) if self.faults.asked else None
        return asked if isinstance(asked, RequestFaults) else None

    @staticmethod
    def _look(
        contract: Contract,
        endpoint: Endpoint,
        generation: Generation,
        now: float,
        faults: RequestFaults | None,
        ties: frozenset[str],
    ) -> Reply:
        if endpoint.protocol is None:
            response = endpoint.response or {}
            if not response.get("properties"):
                return Reply(endpoint.usual_status, orjson.dumps(status_of(generation, now)))
            body = maker_of(contract).result(response, generation.story)
            return Reply(endpoint.usual_status, orjson.dumps(body))
        body = look(contract, endpoint, generation, now, ties)
        if faults is None:
            return Reply(endpoint.usual_status, orjson.dumps(body))
        return faults.in_look(endpoint.name, generation.shown, generation.story.message_id)


def asked_with(endpoint: Endpoint, scope: Scope) -> dict[str, str]:
    """The values that a request fills into an endpoint's path and query, by name."""
    asked = {name: str(value) for name, value in scope.get("path_params", {}).items()}
    names = {
        said: match[1]
        for said, text in endpoint.query
        if (match := PLACEHOLDER.fullmatch(text)) is not None
    }
    query = scope.get("query_string", b"").decode("latin-1")
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS):
        if name in names:
            asked[names[name]] = value
    return asked


def _again(raw: bytes, receive: Receive) -> Receive:
    """A request whose body was read, as if it had not been."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return again
