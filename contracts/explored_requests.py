"""The requests that are made up: what breaks a rule, what is unusual, what is thought of at random.

The same for the same contract and seed, so that what will be sent can be counted before it is.
Nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import role_of
from soundstage.contract.rules import Rule
from soundstage.generation.broken_requests import breaking

#: The roles of parameters in which people write what they like, and what they may write.
_WORDS = ("prompt", "lyrics")
_UNUSUAL = (
    "la " * 33_000,
    "\U0001f3b6 cafe\u0301 \u05e9\u05d9\u05e8 \u202eabc\u202c \u200d",
    "one\ntwo\r\nthree\ttab \u0000 nul \u2028 line",
)


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A request to `endpoint`; `body` is JSON to encode, or bytes to send as they are."""

    endpoint: Endpoint
    body: Any
    method: str
    content_type: str = "application/json"


def asked(contract: Contract) -> Iterator[Endpoint]:
    """The endpoints that take a request."""
    return (each for each in contract.endpoints.values() if each.request is not None)


def breaking_rule(
    contract: Contract, rule: Rule, valid: dict[str, dict[str, Any]]
) -> Iterator[MadeUp]:
    """Requests that break a rule of the request, and if possible no other; none if no value is
    known that does. `valid`: a valid body for each endpoint, by its name.
    """
    for endpoint in asked(contract):
        whole = valid[endpoint.name]
        if rule.id == f"{rule.api}/request/body":
            for body in (b"{", b"", b"[]"):
                yield MadeUp(endpoint, body, endpoint.method)
        elif rule.id == f"{rule.api}/request/media_type":
            yield MadeUp(endpoint, whole, endpoint.method, "text/plain")
        elif (broken := breaking(contract, rule, whole)) is not None:
            yield MadeUp(endpoint, broken, endpoint.method)


def unusual(contract: Contract, valid: dict[str, dict[str, Any]]) -> Iterator[tuple[str, MadeUp]]:
    """Requests that the schema allows, with texts as few people write them; each with the name of
    the field.
    """
    for endpoint in asked(contract):
        for name, schema in (endpoint.request or {})["properties"].items():
            if role_of(schema) in _WORDS:
                for text in _UNUSUAL:
                    body = {**valid[endpoint.name], name: text}
                    yield name, MadeUp(endpoint, body, endpoint.method)


def explore(contract: Contract, many: int, seed: int) -> list[MadeUp]:
    """At most `many` requests for each endpoint, of what Schemathesis thinks of; no two alike."""
    if many == 0:
        return []
    # Not before: it takes a while to load.
    from soundstage.contracts import schemathesis_cases

    thought_of = schemathesis_cases.ThoughtOf(contract)
    return [
        MadeUp(endpoint, *case)
        for endpoint in asked(contract)
        for case in thought_of.cases(endpoint, many, f"{seed}/{contract.api}/{endpoint.name}")
    ]
