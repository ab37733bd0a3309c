"""The requests that the checks make up, as calls: what is sent is what is counted before.

Nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.rules import Rule
from soundstage.contracts import explored_requests
from soundstage.contracts.explored_requests import MadeUp
from soundstage.exchange.exchange import Call
from soundstage.exchange.requests import valid_body
from soundstage.gate import made_up_calls

#: What is wrong with a request that no schema speaks of. None of them carries a key that could be
#: billed, or asks for a generation at all.
WRONGS: dict[str, dict[str, Any]] = {
    "no key": {"key": None},
    "wrong method": {"method": "GET", "body": None},
    "no such path": {"path": "/no/such/path", "key": None},
}


def wrong(contract: Contract, what: str, seed: int) -> list[Call]:
    """A request to each endpoint with one of `WRONGS`."""
    return [
        made_up_calls.probe(contract, endpoint, seed, **WRONGS[what])
        for endpoint in explored_requests.asked(contract)
    ]


def breaking(contract: Contract, rules: Iterable[Rule], seed: int) -> Iterator[Call]:
    """Requests that break each of some rules of the request."""
    valid = _valid(contract, seed)
    for rule in rules:
        for made in explored_requests.breaking_rule(contract, rule, valid):
            yield made_up_calls.refusal(contract, made, rule)


def refused(contract: Contract, seed: int) -> Iterator[Call]:
    """Requests of all kinds that should be refused, and so cost nothing."""
    for endpoint in explored_requests.asked(contract):
        valid = valid_body(contract, endpoint, seed)
        for body in (*({**valid, name: ["of another type"]} for name in valid), b"{", {}):
            yield made_up_calls.explored(contract, MadeUp(endpoint, body, endpoint.method))
        for key in (None, "key-unknown"):
            yield made_up_calls.probe(contract, endpoint, seed, key=key)


def unusual(contract: Contract, seed: int) -> Iterator[tuple[str, Call]]:
    """Requests with unusual texts, each with the name of the field."""
    for name, made in explored_requests.unusual(contract, _valid(contract, seed)):
        yield name, made_up_calls.explored(contract, made)


def explored(contract: Contract, many: int, seed: int) -> list[Call]:
    """At most `many` requests for each endpoint, of what Schemathesis thinks of."""
    return [
        made_up_calls.explored(contract, made)
        for made in explored_requests.explore(contract, many, seed)
    ]


def _valid(contract: Contract, seed: int) -> dict[str, dict[str, object]]:
    """A valid body for each endpoint that takes one, by its name."""
    return {
        each.name: valid_body(contract, each, seed) for each in explored_requests.asked(contract)
    }
