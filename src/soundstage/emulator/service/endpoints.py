"""What the endpoints of the contracts answer: generations, their status, and 501 for what is not
modelled. Whether a request becomes a generation is decided in `admission.py`, the answer is told in
`streaming.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.faults.choice import Faults
from soundstage.emulator.faults.expression import FAULT_HEADER
from soundstage.emulator.generations.admission import Admission, Declined
from soundstage.emulator.generations.factory import SongEndpoint
from soundstage.emulator.generations.generations import status_of
from soundstage.emulator.http.asgi import FarEnd, header_list, respond
from soundstage.emulator.http.cors import Cors
from soundstage.emulator.http.journal import ENTRY, JournalEntry
from soundstage.emulator.http.replies import Reply, plain, refusal
from soundstage.emulator.service.streaming import SongAnswer

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
    """Makes the handlers, and knows who listens to a song. `framing` is that of streams which allow
    it; `stamp`: chunks say when they are sent.
    """

    framing: str
    stamp: bool
    admission: Admission
    faults: Faults
    listeners: set[FarEnd] = field(default_factory=set)

    def stop(self) -> None:
        """Cut every song that is being told; the server is about to close."""
        for listener in list(self.listeners):
            listener.leave()

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
        place = SongEndpoint.of(contract, endpoint, self.framing)
        admission = self.admission

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            entry: JournalEntry = scope[ENTRY]
            entry.api, entry.endpoint = contract.api, endpoint.name
            faults = None
            named = header_list(scope["headers"], FAULT_HEADER)
            if named is not None or self.faults.asked:
                faults = self.faults.of_request(contract, named)
            if isinstance(faults, str):
                entry.reason = "unknown_fault"
                await respond(scope, send, plain(400, faults))
                return
            if faults is not None:
                before = faults.before(scope["path"], scope.get("query_string", b""))
                if before is not None:
                    await respond(scope, send, before)
                    return
            accepted = await admission.accept(place, scope, receive, entry)
            if isinstance(accepted, Declined):
                entry.reason, refused = accepted.reason, accepted.answer
                admission.ledger.refused(entry.reason)
                answer = refused if faults is None else faults.in_refusal(refused)
                await respond(scope, send, answer)
                return
            listener = FarEnd(receive)
            self.listeners.add(listener)
            song = SongAnswer(admission, accepted, faults, listener, scope, send, self.stamp)
            try:
                if endpoint.kind == "stream":
                    await song.stream()
                else:
                    await song.result()
            finally:
                self.listeners.discard(listener)
                listener.close()
                if (generation := accepted.generation) is not None:
                    entry.message_id, entry.chunks = generation.story.message_id, generation.sent
                admission.leave(accepted)

        return handle

    def _status(self, contract: Contract, endpoint: Endpoint) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            entry: JournalEntry = scope[ENTRY]
            entry.api, entry.endpoint = contract.api, endpoint.name
            account = self.admission.account(scope)
            found = None
            if account is not None:
                entry.account = account.name
                found = self.admission.store.get(next(iter(scope["path_params"].values()), ""))
            if found is None:
                entry.reason = "unauthorized" if account is None else "not_found"
                answer = refusal(contract, entry.reason)
            else:
                entry.message_id = found.story.message_id
                now = asyncio.get_running_loop().time()
                answer = Reply(200, orjson.dumps(status_of(found, now)))
            await respond(scope, send, answer)

        return handle
