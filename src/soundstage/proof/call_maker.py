"""Requests to every endpoint of a contract: paths and queries filled in with what an endpoint says
of its own parameters, and with what answers of other endpoints give.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.errors import UsageError
from soundstage.exchange.client import Call, Client
from soundstage.exchange.filled_paths import UnusableError, filled, names_in
from soundstage.exchange.given_by import given_by
from soundstage.exchange.requests import own_values, request_body, sent_body
from soundstage.generation.sampler import Unmet


@dataclass(slots=True)
class CallMaker:
    """Makes the requests of one contract to one emulator, through `client`. What an endpoint is
    asked with is asked for once.
    """

    contract: Contract
    client: Client
    seed: int = 0
    _known: dict[str, dict[str, str]] = field(default_factory=dict)

    def call(self, endpoint: Endpoint, rng: random.Random, **more: Any) -> Call:
        """A request that the contract allows. `more`: further parts of the `Call`.

        Raises UsageError where none can be made up, or nothing gives what its path is filled with.
        """
        try:
            values = self._values(endpoint, ())
            path = filled(endpoint, values) if values else None
        except (UnusableError, Unmet) as error:
            raise UsageError(f"{self.contract.api} {endpoint.name}: {error}") from error
        body = sent_body(endpoint, request_body(self.contract, endpoint, rng))
        return Call(self.contract, endpoint, body, path=path, **more)

    def _values(self, endpoint: Endpoint, on_the_way: tuple[str, ...]) -> dict[str, str]:
        """What the path and the query of an endpoint are filled in with, by name."""
        known = self._known.get(endpoint.name)
        if known is None:
            own = own_values(self.contract, endpoint, self.seed)
            missing = names_in(endpoint) - own.keys()
            known = {**own, **(self._given(endpoint, missing, on_the_way) if missing else {})}
            self._known[endpoint.name] = known
        return known

    def _given(
        self, endpoint: Endpoint, missing: set[str], on_the_way: tuple[str, ...]
    ) -> dict[str, str]:
        """Values of `missing` names that an answer of another endpoint gives."""
        on_the_way = (*on_the_way, endpoint.name)
        for other in self.contract.endpoints.values():
            gives = {each.name for each in other.gives}
            # A stream whose endpoint says nothing of it gives its id by its role.
            by_role = other.kind == "stream" and not gives and len(missing) == 1
            if other.name in on_the_way or not (missing <= gives or by_role):
                continue
            values = self._values(other, on_the_way)
            path = filled(other, values) if values else None
            body = request_body(self.contract, other, random.Random(self.seed))
            call = Call(self.contract, other, sent_body(other, body), path=path, keep_chunks=True)
            made = self.client.exchange(call)
            given = given_by(made)
            if missing <= given.keys():
                return {name: given[name] for name in missing}
            if by_role and made.message_id is not None:
                return dict.fromkeys(missing, made.message_id)
        raise UnusableError(f"nothing gives {min(missing)!r}")
