"""The emulator as an ASGI application: every endpoint of the contracts, the status of
generations, their assets, and `/_emulator/health`. What becomes of a request is decided in
`admission.py`, the answer is told in `telling.py`.

There is no middleware: the fewer frames a stream's coroutine has, the less a chunk costs.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import orjson
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract, load, load_all
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.admission import Admission
from soundstage.emulator.asgi import respond
from soundstage.emulator.assets import Assets
from soundstage.emulator.faults import Faults
from soundstage.emulator.generations import Factory, Store
from soundstage.emulator.ledger import Ledger
from soundstage.emulator.options import Options
from soundstage.emulator.pacing import profile
from soundstage.emulator.requests import Answer, Reader, refusal, triggers
from soundstage.emulator.telling import Telling
from soundstage.errors import UsageError

log = logging.getLogger("soundstage.emulator")

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Methods:
    """What a path answers, by method; 405 for any other."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.handlers: dict[str, Handler] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self.handlers.get(scope["method"])
        if handler is None:
            refused = refusal(self.contract, "method_not_allowed")
            allow = ", ".join(sorted(self.handlers)).encode()
            answer = Answer(refused.status, refused.body, headers=[(b"allow", allow)])
            await respond(scope, send, answer)
        else:
            await handler(scope, receive, send)


class Emulator:
    """The application. Raises UsageError for options that do not fit the contracts."""

    def __init__(self, options: Options, contracts: Mapping[str, Contract] | None = None) -> None:
        if contracts is None:
            contracts = {api: load(api) for api in options.apis} if options.apis else load_all()
        self.options = options
        self.contracts = dict(contracts)
        served = list(self.contracts.values())
        if options.speed <= 0:
            raise UsageError(f"the speed must be above zero, not {options.speed:g}")

        self._framing_exists(served)
        self.seed = secrets.randbits(32) if options.seed is None else options.seed
        self._faults = Faults(options.faults, served, self.seed)
        self._factory = Factory(self.seed, profile(options.profile), options.speed, self._faults)
        self._store = Store()
        self._ledger = Ledger(options.state, triggers().default_balance)
        self._admission = Admission(
            options, self.contracts, self._factory, self._ledger, self._store
        )
        self._telling = Telling(options, self._admission, self._faults, self._ledger)
        self._first = served[0]
        methods = self._methods()
        self._places = {path: place for path, place in methods.items() if "{" not in path}
        routes = [Route(path, endpoint=place) for path, place in methods.items()]
        self._router = Router(
            routes, redirect_slashes=False, default=self._unknown, lifespan=self._lifespan
        )

    def _framing_exists(self, served: Sequence[Contract]) -> None:
        framing = self.options.framing
        there = {
            each: None
            for contract in served
            for endpoint in contract.endpoints.values()
            for each in endpoint.framings
        }
        if framing not in there:
            names = ", ".join(there)
            raise UsageError(f"no endpoint streams in the framing {framing!r}, only in {names}")
        if self.options.stamp and framing != "sse":
            raise UsageError("send times can only be stamped into Server-Sent Events")

    def _methods(self) -> dict[str, _Methods]:
        methods: dict[str, _Methods] = {}

        def add(contract: Contract, method: str, path: str, handler: Handler) -> None:
            place = methods.setdefault(path, _Methods(contract))
            place.handlers.setdefault(method, handler)

        kinds = {"stream": self._generation, "sync": self._generation, "status": self._status}
        for contract in self.contracts.values():
            for endpoint in contract.endpoints.values():
                make = kinds.get(endpoint.kind, self._not_modelled)
                add(contract, endpoint.method, endpoint.path, make(contract, endpoint))
        files = Assets(self._store, self._first)
        for method in ("GET", "HEAD"):
            add(self._first, method, "/assets/{message_id}/{name}", files)
            add(self._first, method, "/_emulator/health", self._health)
        return methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A path without parameters is looked up, not matched: the fewer frames a stream's
        # coroutine has, the less each of its chunks costs.
        place = self._places.get(scope["path"]) if scope["type"] == "http" else None
        try:
            await (place or self._router)(scope, receive, send)
        except Exception:
            log.exception("the emulator failed on %s", scope.get("path"))
            if scope["type"] != "http":
                raise
            # Where a response has begun already, this fails too, and the server cuts it.
            await respond(scope, send, refusal(self._first, "internal"))

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._telling.close()
            self._ledger.close()

    def stop(self) -> None:
        """Cut every response that is still running; the server is about to close."""
        self._telling.stop()

    # --- requests ---------------------------------------------------------------------------------

    async def _unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        first = scope["path"].split("/")[1] if "/" in scope["path"] else ""
        near = (
            contract
            for contract in self.contracts.values()
            for endpoint in contract.endpoints.values()
            if endpoint.path.split("/")[1] == first
        )
        await respond(scope, send, refusal(next(near, self._first), "not_found"))

    def _not_modelled(self, contract: Contract, endpoint: Endpoint) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            await respond(scope, send, refusal(contract, "not_modelled"))

        return handle

    def _generation(self, contract: Contract, endpoint: Endpoint) -> Handler:
        reader = Reader(endpoint)
        framing = self.options.framing
        if endpoint.framings and framing not in endpoint.framings:
            framing = endpoint.framings[0]

        admission, telling = self._admission, self._telling

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            named = admission.named(contract, scope)
            if isinstance(named, Answer):
                await respond(scope, send, named)
                return
            accepted = await admission.accept(
                contract, endpoint, reader, framing, scope, receive, named
            )
            if isinstance(accepted, Answer):
                await respond(scope, send, self._faults.in_refusal(contract, accepted, named))
            else:
                await telling.tell(accepted, endpoint, framing, named, scope, receive, send)

        return handle

    def _status(self, contract: Contract, endpoint: Endpoint) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            found = self._store.get(next(iter(scope["path_params"].values()), ""))
            if self._admission.key(scope) is None:
                answer = refusal(contract, "unauthorized")
            elif found is None:
                answer = refusal(contract, "not_found")
            else:
                now = asyncio.get_running_loop().time()
                answer = Answer(200, orjson.dumps(found.status(now)))
            await respond(scope, send, answer)

        return handle

    # --- assets, health ---------------------------------------------------------------------------

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        facts = {
            "emulator": "soundstage",
            "version": version("soundstage"),
            "profile": self.options.profile,
            "speed": self.options.speed,
            "seed": self.seed,
            "error": self.options.error,
            "faults": self._faults.counts,
            "charges": self._ledger.charged(),
            "contracts": {api: contract.sha256 for api, contract in self.contracts.items()},
        }
        await respond(scope, send, Answer(200, orjson.dumps(facts)))
