"""Whether a request becomes a generation: keys, bodies, triggers and balances, in the order of
`PRECEDENCE`. What is refused gets the answer that its contract documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.types import Receive, Scope

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.asgi import base_url, body_of
from soundstage.emulator.faults import named_in
from soundstage.emulator.generations import Factory, Generation, Store
from soundstage.emulator.ledger import Ledger
from soundstage.emulator.options import Options
from soundstage.emulator.requests import (
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

ERROR_HEADER: Final = b"soundstage-error"
FAULT_HEADER: Final = b"soundstage-fault"


class Admission:
    """The way in. Raises UsageError for a forced error that no contract knows."""

    def __init__(
        self,
        options: Options,
        contracts: Mapping[str, Contract],
        factory: Factory,
        ledger: Ledger,
        store: Store,
    ) -> None:
        self._options = options
        self.contracts = contracts
        self._factory = factory
        self._ledger = ledger
        self._store = store
        self._triggers = triggers()
        served = contracts.values()
        self._errors = {error.name for contract in served for error in contract.errors.known}
        if options.error is not None and options.error not in self._errors:
            raise UsageError(self._no_error(options.error))

    def key(self, scope: Scope) -> str | None:
        """The key of a request, if it may be used; None if it is refused."""
        key = bearer_key(scope["headers"])
        known = self._triggers.keys.get(key or "")
        if key is None or (known is not None and known.error == "unauthorized"):
            return None
        if known is not None:
            return key
        if self._options.keys:
            return key if key in self._options.keys else None
        return key if self._options.on_loopback or key == self._triggers.default_key else None

    def _forced(self, scope: Scope) -> str | None:
        named = header(scope["headers"], ERROR_HEADER)
        return self._options.error if named is None else named.decode("latin-1")

    def _no_error(self, name: str) -> str:
        return f"no error is called {name!r}: there are {', '.join(sorted(self._errors))}"

    def named(self, contract: Contract, scope: Scope) -> Fault | Answer | None:
        """The fault that a request asks for; 400 for one that its contract does not have."""
        name = header(scope["headers"], FAULT_HEADER)
        if name is None:
            return None
        fault = named_in(contract, name.decode("latin-1"), self.contracts)
        return plain(400, fault) if isinstance(fault, str) else fault

    async def accept(
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
            return self.refusal(contract, forced)
        if (key := self.key(scope)) is None:
            return refusal(contract, "unauthorized")
        if not is_json(headers):
            return refusal(contract, "wrong_media_type")
        if (raw := await body_of(scope, receive)) is None:
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
            base_url(scope),
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

    def refusal(self, contract: Contract, name: str) -> Answer:
        """A known error; from another contract where this one has no such error."""
        for each in (contract, *self.contracts.values()):
            if any(error.name == name for error in each.errors.known):
                return refusal(each, name)
        return refusal(contract, "not_modelled")


def _by_precedence(words: Sequence[Trigger]) -> tuple[str | None, str | None]:
    """Of the errors that words ask for, the first before the key's own troubles, and after."""
    asked = sorted((w.error for w in words if w.error is not None), key=PRECEDENCE.index)
    border = PRECEDENCE.index("rate_limit")
    early = next((name for name in asked if PRECEDENCE.index(name) < border), None)
    return early, next((name for name in asked if PRECEDENCE.index(name) >= border), None)
