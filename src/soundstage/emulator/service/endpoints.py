"""What the endpoints of the contracts answer: generations, their status, and 501 for what is not
modelled. Whether a request becomes a generation is decided in `admission.py`, the answer is told in
`streaming.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.accounts.ledger import Ledger
from soundstage.emulator.faults.choice import Faults
from soundstage.emulator.generations.admission import Admission, Declined
from soundstage.emulator.generations.status import status_of
from soundstage.emulator.generations.store import Store
from soundstage.emulator.http.asgi import respond
from soundstage.emulator.http.cors import Cors
from soundstage.emulator.http.journal import ENTRY, JournalEntry
from soundstage.emulator.http.messages import Reader, Reply, refusal
from soundstage.emulator.service.streaming import Telling

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
        answer = None
        if scope["method"] == "OPTIONS":
            answer = self._cors.preflight(scope, self.handlers)
        if answer is None:
            refused = refusal(self.contract, "method_not_allowed")
            allow = ", ".join(sorted(self.handlers)).encode()
            answer = Reply(refused.status, refused.body, headers=[(b"allow", allow)])
        await respond(scope, send, answer)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Makes the handlers; `framing` is that of streams which allow it."""

    framing: str
    admission: Admission
    telling: Telling
    faults: Faults
    ledger: Ledger
    store: Store

    def handler(self, contract: Contract, endpoint: Endpoint) -> Handler:
        """What answers an endpoint."""
        if endpoint.kind in ("stream", "sync"):
            return self._generation(contract, endpoint)
        if endpoint.kind == "status":
            return self._status(contract, endpoint)
        return self._not_modelled(contract)

    def _not_modelled(self, contract: Contract) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            await respond(scope, send, refusal(contract, "not_modelled"))

        return handle

    def _generation(self, contract: Contract, endpoint: Endpoint) -> Handler:
        reader = Reader(endpoint)
        framing = self.framing
        if endpoint.framings and framing not in endpoint.framings:
            framing = endpoint.framings[0]

        admission, telling, faults = self.admission, self.telling, self.faults
        ledger, store = self.ledger, self.store

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            entry: JournalEntry = scope[ENTRY]
            entry.api, entry.endpoint = contract.api, endpoint.name
            named = admission.named(contract, scope)
            if isinstance(named, Reply):
                entry.reason = "unknown_fault"
                await respond(scope, send, named)
                return
            query = scope.get("query_string", b"")
            before = faults.before(contract, scope["path"], query, named)
            if before is not None:
                await respond(scope, send, before)
                return
            accepted = await admission.accept(
                contract, endpoint, reader, framing, scope, receive, named, entry
            )
            if isinstance(accepted, Declined):
                entry.reason, answer = accepted.reason, accepted.answer
                ledger.refused(entry.reason)
                await respond(scope, send, faults.in_refusal(contract, answer, named))
                return
            generation = accepted.generation
            if endpoint.kind == "stream":
                entry.status = 200 if generation.head is None else generation.head[0]
            try:
                await telling.tell(generation, endpoint, framing, named, scope, receive, send)
            finally:
                entry.chunks = generation.sent
                store.leave(generation)

        return handle

    def _status(self, contract: Contract, endpoint: Endpoint) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            entry: JournalEntry = scope[ENTRY]
            entry.api, entry.endpoint = contract.api, endpoint.name
            account = self.admission.account(scope)
            found = None
            if account is not None:
                entry.account = account.name
                found = self.store.get(next(iter(scope["path_params"].values()), ""))
            if found is None:
                entry.reason = "unauthorized" if account is None else "not_found"
                answer = refusal(contract, entry.reason)
            else:
                entry.message_id = found.story.message_id
                now = asyncio.get_running_loop().time()
                answer = Reply(200, orjson.dumps(status_of(found, now)))
            await respond(scope, send, answer)

        return handle
