"""The emulator as an ASGI application: every endpoint of the contracts, the status of
generations, their assets, and `/_emulator/health`.

The way of a chunk is kept short on purpose: no middleware, one timer and one `send` each.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

import orjson
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract, load, load_all
from soundstage.contract.protocol import Endpoint
from soundstage.emulator import assets
from soundstage.emulator.faults import Faults, named_in
from soundstage.emulator.generations import Factory, Generation, Store, tracks_of
from soundstage.emulator.ledger import Ledger
from soundstage.emulator.options import Options
from soundstage.emulator.pacing import profile
from soundstage.emulator.requests import (
    BODY_LIMIT,
    PRECEDENCE,
    Answer,
    Reader,
    Trigger,
    bearer_key,
    header,
    is_json,
    plain,
    refusal,
    triggers,
)
from soundstage.errors import UsageError
from soundstage.generation.faults import Fault

log = logging.getLogger("soundstage.emulator")

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

ERROR_HEADER: Final = b"soundstage-error"
FAULT_HEADER: Final = b"soundstage-fault"

#: Of a body that is too large this much is read and thrown away, so that the client, still
#: sending, gets to see the answer.
_DRAIN_LIMIT: Final = 16 * BODY_LIMIT
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_MEDIA_TYPES: Final = {"sse": b"text/event-stream", "lines": b"application/x-ndjson"}


class _Listener:
    """The far end of a response: wakes whoever waits when it goes away or the server stops."""

    __slots__ = ("_task", "gone", "waiter")

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self.waiter: asyncio.Future[None] | None = None
        self._task = asyncio.ensure_future(self._listen(receive))

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.leave()

    def leave(self) -> None:
        self.gone = True
        _wake(self.waiter)

    async def until(self, due: float, loop: asyncio.AbstractEventLoop) -> bool:
        """Wait for a moment of the loop's clock; False if the far end is gone by then."""
        if due > loop.time() and not self.gone:
            waiter = self.waiter = loop.create_future()
            timer = loop.call_at(due, _wake, waiter)
            await waiter
            timer.cancel()
        return not self.gone

    def close(self) -> None:
        self._task.cancel()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


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
        self._errors = {error.name for contract in served for error in contract.errors.known}
        if options.error is not None and options.error not in self._errors:
            raise UsageError(self._no_error(options.error))
        if options.speed <= 0:
            raise UsageError(f"the speed must be above zero, not {options.speed:g}")

        self._framing_exists(served)
        self.seed = secrets.randbits(32) if options.seed is None else options.seed
        self._faults = Faults(options.faults, served, self.seed)
        self._factory = Factory(self.seed, profile(options.profile), options.speed, self._faults)
        self._triggers = triggers()
        self._store = Store()
        self._ledger = Ledger(options.state, self._triggers.default_balance)
        self._closed = False
        self._listeners: set[_Listener] = set()
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
        for method in ("GET", "HEAD"):
            add(self._first, method, "/assets/{message_id}/{name}", self._asset)
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
            self.stop()
            self._closed = True
            self._ledger.close()

    def stop(self) -> None:
        """Cut every response that is still running; the server is about to close."""
        for listener in list(self._listeners):
            listener.leave()

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

    def _key(self, scope: Scope) -> str | None:
        """The key of a request, if it may be used; None if it is refused."""
        key = bearer_key(scope["headers"])
        known = self._triggers.keys.get(key or "")
        if key is None or (known is not None and known.error == "unauthorized"):
            return None
        if known is not None:
            return key
        if self.options.keys:
            return key if key in self.options.keys else None
        return key if self.options.on_loopback or key == self._triggers.default_key else None

    def _forced(self, scope: Scope) -> str | None:
        named = header(scope["headers"], ERROR_HEADER)
        return self.options.error if named is None else named.decode("latin-1")

    def _no_error(self, name: str) -> str:
        return f"no error is called {name!r}: there are {', '.join(sorted(self._errors))}"

    def _generation(self, contract: Contract, endpoint: Endpoint) -> Handler:
        reader = Reader(endpoint)
        framing = self.options.framing
        if endpoint.framings and framing not in endpoint.framings:
            framing = endpoint.framings[0]

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            named = self._named(contract, scope)
            if isinstance(named, Answer):
                await respond(scope, send, named)
                return
            accepted = await self._accept(
                contract, endpoint, reader, framing, scope, receive, named
            )
            if isinstance(accepted, Answer):
                await respond(scope, send, self._faults.in_refusal(contract, accepted, named))
                return
            listener = _Listener(receive)
            self._listeners.add(listener)
            try:
                if endpoint.kind == "stream":
                    await self._stream(accepted, framing, listener, send)
                else:
                    await self._wait(accepted, endpoint, named, listener, scope, send)
            finally:
                self._listeners.discard(listener)
                listener.close()
                self._go_on(accepted)

        return handle

    def _named(self, contract: Contract, scope: Scope) -> Fault | Answer | None:
        """The fault that a request asks for; 400 for one that its contract does not have."""
        name = header(scope["headers"], FAULT_HEADER)
        if name is None:
            return None
        fault = named_in(contract, name.decode("latin-1"), self.contracts)
        return plain(400, fault) if isinstance(fault, str) else fault

    async def _accept(
        self,
        contract: Contract,
        endpoint: Endpoint,
        reader: Reader,
        framing: str,
        scope: Scope,
        receive: Receive,
        named: Fault | None,
    ) -> Generation | Answer:
        """A new generation, its price held; or the answer that refuses it (`PRECEDENCE`)."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        headers = scope["headers"]
        if (forced := self._forced(scope)) is not None:
            if forced not in self._errors:
                return plain(400, self._no_error(forced))
            return self._refusal(contract, forced)
        if (key := self._key(scope)) is None:
            return refusal(contract, "unauthorized")
        if not is_json(headers):
            return refusal(contract, "wrong_media_type")
        if (raw := await _body(scope, receive)) is None:
            return refusal(contract, "too_large")
        asked = reader.read(raw)
        if isinstance(asked, str):
            return refusal(contract, asked)
        words = self._triggers.words_in(asked.prompt)
        early, late = _by_precedence([*words, *self._triggers.words_in(asked.lyrics or "")])
        if early is not None:
            return refusal(contract, early)
        trigger = self._triggers.keys.get(key)
        if trigger is not None and trigger.error is not None:
            return refusal(contract, trigger.error)
        generation = self._factory.make(
            contract,
            endpoint,
            asked,
            raw,
            _base_url(scope),
            framing,
            started,
            fails=any(word.fails for word in words),
            named=named,
        )
        message_id = generation.story.message_id
        opening = trigger.balance if trigger is not None else None
        generation.hold = self._ledger.hold(key, message_id, self._triggers.price, opening)
        if generation.hold is None:
            return refusal(contract, "insufficient_balance")
        if late is not None:
            self._ledger.release(generation.hold)
            return refusal(contract, late)
        self._store.add(generation)
        return generation

    def _refusal(self, contract: Contract, name: str) -> Answer:
        """A known error; from another contract where this one has no such error."""
        for each in (contract, *self.contracts.values()):
            if any(error.name == name for error in each.errors.known):
                return refusal(each, name)
        return refusal(contract, "not_modelled")

    # --- generations ------------------------------------------------------------------------------

    async def _stream(
        self, generation: Generation, framing: str, listener: _Listener, send: Send
    ) -> None:
        loop = asyncio.get_running_loop()
        headers = [(b"content-type", _MEDIA_TYPES[framing]), (b"cache-control", b"no-cache")]
        status = 200
        if generation.head is not None:
            status, media_type = generation.head
            headers[:1] = [(b"content-type", media_type.encode())] if media_type else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        charged_with, stamp = generation.charged_with, self.options.stamp
        started, schedule = generation.started, generation.schedule
        for number, chunk in enumerate(generation.chunks):
            if not await listener.until(started + schedule[number], loop):
                return
            if number == charged_with:
                self._charge(generation)
            generation.sent = number + 1
            if stamp:
                now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                chunk = b": sent=%d\n" % now + chunk
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait(
        self,
        generation: Generation,
        endpoint: Endpoint,
        named: Fault | None,
        listener: _Listener,
        scope: Scope,
        send: Send,
    ) -> None:
        loop = asyncio.get_running_loop()
        charged_with = generation.charged_with
        if charged_with is not None:
            due = generation.started + generation.schedule[charged_with]
            if not await listener.until(due, loop):
                return
            self._charge(generation)
        if not await listener.until(generation.end, loop):
            return
        generation.sent = len(generation.chunks)
        contract = generation.contract
        if generation.failed:
            answer = self._refusal(contract, "service_unavailable")
        else:
            result, message_id = generation.result(), generation.story.message_id
            answer = self._faults.in_result(contract, endpoint.name, result, message_id, named)
        await respond(scope, send, answer)

    def _charge(self, generation: Generation) -> None:
        if generation.hold is not None and not self._closed:
            self._ledger.charge(generation.hold)
            generation.hold = None

    def _go_on(self, generation: Generation) -> None:
        """After the response: the generation itself runs to its end, heard or not."""
        loop = asyncio.get_running_loop()
        if generation.hold is not None and (charged_with := generation.charged_with) is not None:
            due = generation.started + generation.schedule[charged_with]
            loop.call_at(due, self._charge, generation)
        loop.call_at(generation.end, self._finish, generation)

    def _finish(self, generation: Generation) -> None:
        if generation.charged_with is not None:
            self._charge(generation)
        elif generation.hold is not None and not self._closed:
            self._ledger.release(generation.hold)
            generation.hold = None
        generation.finish()

    def _status(self, contract: Contract, endpoint: Endpoint) -> Handler:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            found = self._store.get(next(iter(scope["path_params"].values()), ""))
            if self._key(scope) is None:
                answer = refusal(contract, "unauthorized")
            elif found is None:
                answer = refusal(contract, "not_found")
            else:
                now = asyncio.get_running_loop().time()
                answer = Answer(200, orjson.dumps(found.status(now)))
            await respond(scope, send, answer)

        return handle

    # --- assets, health ---------------------------------------------------------------------------

    async def _asset(self, scope: Scope, receive: Receive, send: Send) -> None:
        generation = self._store.get(scope["path_params"]["message_id"])
        name = scope["path_params"]["name"]
        content = None
        if generation is not None:
            story, now = generation.story, asyncio.get_running_loop().time()
            if story.album_art.endswith(f"/{name}"):
                content = await asyncio.to_thread(assets.cover)
            for place in range(len(tracks_of(generation.contract))):
                for url in (story.audio_urls[place], story.stream_urls[place]):
                    if url.endswith(f"/{name}") and generation.offers(url, now):
                        content = await asyncio.to_thread(assets.song, place)
        if content is None:
            await respond(scope, send, refusal(self._first, "not_found"))
            return
        media_type = assets.MEDIA_TYPES[name.rpartition(".")[2]]
        size = len(content)
        asked = (header(scope["headers"], b"range") or b"").decode("latin-1")
        part = assets.byte_range(asked, size)
        headers = [(b"accept-ranges", b"bytes")]
        if part is None or scope["method"] == "HEAD":
            answer = Answer(200, content, media_type, headers)
        elif part:
            place_in = f"bytes {part.start}-{part.stop - 1}/{size}"
            headers.append((b"content-range", place_in.encode()))
            answer = Answer(206, content[part.start : part.stop], media_type, headers)
        else:
            headers.append((b"content-range", f"bytes */{size}".encode()))
            answer = Answer(416, b"", media_type, headers)
        await respond(scope, send, answer)

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


def _by_precedence(words: Sequence[Trigger]) -> tuple[str | None, str | None]:
    """Of the errors that words ask for, the first before the key's own troubles, and after."""
    asked = sorted((w.error for w in words if w.error is not None), key=PRECEDENCE.index)
    border = PRECEDENCE.index("rate_limit")
    early = next((name for name in asked if PRECEDENCE.index(name) < border), None)
    return early, next((name for name in asked if PRECEDENCE.index(name) >= border), None)


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body; None if it is too large, or the client went away before its end."""
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if size <= BODY_LIMIT:
            parts.append(message.get("body", b""))
        elif size > _DRAIN_LIMIT:
            return None
        more = message.get("more_body", False)
    return b"".join(parts) if size <= BODY_LIMIT else None


def _base_url(scope: Scope) -> str:
    """Scheme and host as the client named them; a `Host` that makes no URL is not repeated."""
    named = (header(scope["headers"], b"host") or b"").decode("latin-1")
    if not _HOST.fullmatch(named):
        host, port = scope.get("server") or ("localhost", None)
        host = f"[{host}]" if ":" in host else host
        named = f"{host}:{port}" if port else host
    return f"{scope.get('scheme', 'http')}://{named}"


async def respond(scope: Scope, send: Send, answer: Answer) -> None:
    """Send a whole response; to HEAD its headers only."""
    kind = [(b"content-type", answer.media_type.encode())] if answer.media_type else []
    headers = [
        *kind,
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": False})
