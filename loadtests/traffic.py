"""What a load run sends: a mixture of endpoints, each request with a body of its own."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from soundstage.contract import Contract, load
from soundstage.contract.protocol import Endpoint
from soundstage.errors import UsageError
from soundstage.exchange.client import Call
from soundstage.exchange.requests import request_body

#: The scenario that rows of a load run carry.
SCENARIO = "load"
#: The kinds of endpoint that make songs.
KINDS = ("stream", "sync")


class Traffic:
    """Calls to the endpoints of these kinds ("stream", "sync") of these API versions, in turn.
    The same seed gives the same requests.

    Raises UsageError if there is no such version, or it has no such endpoint.
    """

    def __init__(self, apis: Iterable[str], kinds: Iterable[str], seed: int) -> None:
        self.contracts = [load(api) for api in dict.fromkeys(apis)]
        self.places = [(c, _endpoint(c, k)) for k in dict.fromkeys(kinds) for c in self.contracts]
        self._rng = Random(f"traffic/{seed}")
        self._turn = 0

    def next_call(self, intended_ns: int | None = None) -> Call:
        """The next request, due at `intended_ns` (monotonic; None: whenever it starts)."""
        contract, endpoint = self.places[self._turn % len(self.places)]
        self._turn += 1
        body = request_body(contract, endpoint, self._rng)
        return Call(contract, endpoint, body, scenario=SCENARIO, intended_ns=intended_ns)


def _endpoint(contract: Contract, kind: str) -> Endpoint:
    endpoint = contract.endpoint_of_kind(kind)
    if endpoint is None or endpoint.request is None:
        raise UsageError(f"{contract.api} has no endpoint of the kind {kind!r}")
    return endpoint
