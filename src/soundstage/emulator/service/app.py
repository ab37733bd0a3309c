"""The emulator as an ASGI application: every endpoint of the contracts (`endpoints.py`), the assets
of generations, the admin API and the page, put together and looked after.

There is no middleware: the fewer frames a stream's coroutine has, the less memory it takes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract, load, load_all
from soundstage.contract.paths import is_at
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.accounts import rates, triggers
from soundstage.emulator.accounts.accounts import Accounts
from soundstage.emulator.accounts.charges import Ledger
from soundstage.emulator.faults.choice import Faults
from soundstage.emulator.generations.admission import Admission
from soundstage.emulator.generations.factory import Factory
from soundstage.emulator.generations.store import Store
from soundstage.emulator.http.access_log import access_log
from soundstage.emulator.http.asgi import NoBody, header, respond
from soundstage.emulator.http.cors import Cors
from soundstage.emulator.http.explained import refuse
from soundstage.emulator.http.guard import Guard
from soundstage.emulator.http.journal import ENTRY, Journal, JournalEntry
from soundstage.emulator.http.replies import STOPPING, going_away, refusal
from soundstage.emulator.options import Options
from soundstage.emulator.pace.profiles import profile
from soundstage.emulator.service.admin import PREFIX, Admin
from soundstage.emulator.service.control import Control
from soundstage.emulator.service.endpoints import Endpoints, Handler, Methods
from soundstage.emulator.service.file_routes import Assets
from soundstage.emulator.service.nearest_place import nearest_place
from soundstage.emulator.service.page import ExampleCall, Page
from soundstage.errors import UsageError
from soundstage.output.cutting import head

log = logging.getLogger("soundstage.emulator")

#: Seconds between two looks at what is due, while something is; else at what is too old.
_TEND_S: Final = 0.05
_TIDY_S: Final = 1.0


class Emulator:
    """The application, whose state is in memory and gone when it stops. Raises UsageError for
    options that do not fit the contracts.
    """

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
        self._first = served[0]
        accounts = _accounts(options)
        self._ledger, self.store, self._journal = Ledger(), Store(), Journal()
        self._faults = Faults(options.faults, served, self.seed)
        factory = Factory(self.seed, profile(options.profile), options.speed)
        admission = Admission(self.contracts, factory, self._ledger, self.store, accounts)
        self.control = Control(options, self.contracts, admission, self._faults, self._journal)
        self.guard = Guard(options)
        self._cors = Cors(options.cors)
        self._admin = Admin(self.control, self.guard, self._first)
        self._files = Assets(self.store, self._first)
        self._page = Page(self.contracts, self.guard, _key_to_show(options, accounts))
        self._endpoints = Endpoints(options.framing, options.stamp, admission, self._faults)
        self._log = access_log(options.log, options.log_format, sys.stderr)
        self._stopping = False
        self._tending: asyncio.AbstractEventLoop | None = None
        methods = self._methods()
        #: The methods and paths that make songs: faults are about their answers.
        self._songs = {
            (endpoint.method, endpoint.path)
            for contract in served
            for endpoint in contract.endpoints.values()
            if endpoint.makes_songs or endpoint.sampled
        }
        self._methods_at = methods
        self._places = {path: place for path, place in methods.items() if "{" not in path}
        routes = [Route(path, endpoint=place) for path, place in methods.items()]
        self._router = Router(
            routes, redirect_slashes=False, default=self._unknown, lifespan=self._lifespan
        )

    def _framing_exists(self, served: Sequence[Contract]) -> None:
        framing = self.options.framing
        if framing is None:
            return
        there = {
            each: None
            for contract in served
            for endpoint in contract.endpoints.values()
            for each in endpoint.framings
        }
        # A contract without streams has none, and needs none.
        if there and framing not in there:
            names = ", ".join(there)
            raise UsageError(f"no endpoint streams in the framing {framing!r}, only in {names}")
        if self.options.stamp and framing != "sse":
            raise UsageError("send times can only be stamped into Server-Sent Events")

    def _methods(self) -> dict[str, Methods]:
        methods: dict[str, Methods] = {}

        def add(contract: Contract, method: str, path: str, handler: Handler) -> None:
            place = methods.setdefault(path, Methods(contract, self._cors))
            place.handlers.setdefault(method, handler)

        for contract in self.contracts.values():
            for (method, path), endpoints in _by_place(contract).items():
                taken = methods.get(path)
                if taken is not None and method in taken.handlers:
                    both = f"{taken.contract.api} and {contract.api} both answer {method} {path}"
                    raise UsageError(f"{both}: say with --api which is to be served")
                if len(endpoints) == 1 and endpoints[0].when is None:
                    handler = self._endpoints.handler(contract, endpoints[0])
                else:
                    handler = self._endpoints.shared(contract, endpoints)
                add(contract, method, path, handler)
                if method == "GET" and not any(each.makes_songs for each in endpoints):
                    add(contract, "HEAD", path, handler)
        for method in ("GET", "HEAD"):
            add(self._first, method, "/assets/{message_id}/{name}", self._asset)
            add(self._first, method, "/", self._page)
        return methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        self._tend(loop)
        path = scope["path"]
        entry: JournalEntry | None = None
        began = time.monotonic()  # the loop's own clock stands still within a turn
        try:
            if path.startswith(PREFIX):
                await self._admin(scope, receive, send)
                return
            entry = scope[ENTRY] = self._journal.begin(scope["method"], path)
            if self._log is not None:
                send = self._log.begin(scope, send, entry.time)
            origin = header(scope["headers"], b"origin")
            if origin is not None:
                send = self._cors.sending(origin, send)
            if (scope["method"], path) not in self._songs and not self._is_song(scope):
                send = self._faults.without_place(scope["headers"], send)
            # A path without parameters is looked up, not matched: the fewer frames a stream's
            # coroutine has, the less memory it takes.
            place = self._places.get(path)
            handler = place.handlers.get(scope["method"], place) if place else self._router
            await handler(scope, receive, send)
            if self._stopping and entry.status is None:
                await refuse(scope, send, (), going_away(), "stopping", STOPPING)
        except NoBody as refused:
            if entry is not None:
                entry.refused("unread_body", orjson.loads(refused.answer.body)["detail"])
            await respond(scope, send, refused.answer)
        except Exception:
            log.exception("the emulator failed on %s", path)
            # Where a response has begun already, this fails too, and the server cuts it.
            await respond(scope, send, refusal(self._first, "internal"))
        finally:
            if entry is not None:
                entry.seconds = round(time.monotonic() - began, 6)
                if self._log is not None:
                    self._log.end(scope, entry)

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        self._tend(loop)
        try:
            yield
        finally:
            self.stop()
            self._ledger.end(loop.time())
            self._tending = None
            if self._log is not None:
                self._log.close()

    def stop(self) -> None:
        """Cut every response that is still running; the server is about to close. What has not
        begun to be answered is told so.
        """
        self._stopping = True
        self._endpoints.stop()
        self._files.stop()

    def calls(self, url: str) -> list[ExampleCall]:
        """How each endpoint that makes songs can be called; `url` is where this one is reached."""
        return self._page.calls(url)

    def unread(self, client: tuple[str, int] | None, status: int, why: str) -> None:
        """Enter what came on a connection and could not be read as a request."""
        entry = self._journal.begin("", "")
        entry.status = status
        entry.refused("unreadable", why)
        if self._log is not None:
            self._log.unread(client, status, why)

    def _tend(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that somebody looks after what is due, in this event loop."""
        if self._tending is not loop:
            self._tending = loop
            loop.call_later(_TEND_S, self._look_after, loop)

    def _look_after(self, loop: asyncio.AbstractEventLoop) -> None:
        """Settle holds that are due, and forget what is too old. Goes on as long as there is
        anything to wait for.
        """
        if self._tending is not loop:
            return
        self._ledger.settle(loop.time())
        self.store.prune(loop.time())
        if self._ledger.waiting():
            loop.call_later(_TEND_S, self._look_after, loop)
        elif self.store:
            loop.call_later(_TIDY_S, self._look_after, loop)
        else:
            self._tending = None

    # --- requests ---------------------------------------------------------------------------------

    def _is_song(self, scope: Scope) -> bool:
        """Whether a path with parameters in it is one that songs are made or looked at by."""
        return any(
            method == scope["method"] and "{" in path and is_at(path, scope["path"])
            for method, path in self._songs
        )

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
        whose = next(near, self._first)
        places = {path: place.handlers for path, place in self._methods_at.items()}
        why = f"no such path; {nearest_place(scope['path'], places)}"
        preflight = self._cors.preflight(scope, ())
        if scope["method"] == "OPTIONS" and preflight is not None:
            # A page gets to read the answer to what it asks then, which says what is wrong.
            await respond(scope, send, preflight)
            return
        answer = refusal(whose, "not_found")
        await refuse(scope, send, self.contracts.values(), answer, "not_found", why)

    async def _asset(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry: JournalEntry = scope[ENTRY]
        entry.message_id = head(scope["path_params"]["message_id"], 100, end="")
        await self._files(scope, receive, send)


def _by_place(contract: Contract) -> dict[tuple[str, str], list[Endpoint]]:
    """The endpoints of each method and path."""
    found: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in contract.endpoints.values():
        found.setdefault((endpoint.method, endpoint.path), []).append(endpoint)
    return found


def _accounts(options: Options) -> Accounts:
    rate = options.rate_limit
    return Accounts(
        triggers.with_file(options.triggers),
        keys=options.keys,
        file=options.accounts,
        balance=options.balance,
        rate=None if rate is None else rates.parse(rate, "--rate-limit"),
        on_loopback=options.on_loopback,
    )


def _key_to_show(options: Options, accounts: Accounts) -> str:
    """The key in the page's examples; those that were made for somebody are not for everybody."""
    if options.keys or options.accounts is not None:
        return "YOUR-KEY"
    return "any-key" if accounts.any_key else accounts.triggers.default_key
