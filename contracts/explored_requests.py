"""The requests that are made up: what breaks a rule, what is unusual, what Schemathesis thinks of.

The same for the same contract, so that what will be sent can be counted before it is. Nothing is
sent from here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.json_schema.patterns import is_plain
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import role_of
from soundstage.contract.rules import Rule
from soundstage.generation.broken_requests import breaking

#: What a body can be; anything else that Schemathesis has in its place means: none.
_JSON = (dict, list, str, int, float, bool, type(None))
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

    @property
    def billable(self) -> bool:
        """Whether it may be billed, if it carries a key."""
        return self.endpoint.billed and self.method == "POST"


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


def explore(contract: Contract, many: int, take: Callable[[MadeUp], None]) -> None:
    """Give `take` the requests of all of Schemathesis' phases for each endpoint: examples, coverage
    (boundaries, missing and mistyped parameters, unexpected methods) and fuzzing, valid and not, of
    each about `many`. What `take` raises is no part of it: Hypothesis would ask again.
    """
    import hypothesis
    import schemathesis
    from schemathesis.generation.hypothesis import builder

    from soundstage.contract.openapi import document

    # Without a config of its own it would read a schemathesis.toml of the current folder.
    config = schemathesis.Config()
    described = schemathesis.openapi.from_dict(_searchable(document(contract)), config=config)
    settings = hypothesis.settings(
        max_examples=2 * many,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    for endpoint in asked(contract):
        operation = described[endpoint.path][endpoint.method]
        case_of = _taker(endpoint, take)
        tried = builder.HypothesisTestConfig(
            project=described.config,
            modes=list(builder.HypothesisTestMode),
            settings=settings,
            # The same in continuous integration as anywhere else.
            apply_ci_profile=False,
        )
        builder.create_test(operation=operation, test_func=case_of, config=tried)()


def _searchable(value: Any) -> Any:
    """A document without the patterns for which no texts can be made up: Schemathesis searches with
    `re`, which knows no limit. What it makes up in their place is judged by the contract all the
    same.
    """
    if isinstance(value, list):
        return [_searchable(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _searchable(inner)
        for key, inner in value.items()
        if not (key == "pattern" and isinstance(inner, str) and not is_plain(inner))
    }


def _taker(endpoint: Endpoint, take: Callable[[MadeUp], None]) -> Callable[[Any], None]:
    def take_case(case: Any) -> None:
        body = case.body if isinstance(case.body, bytes) else b""
        if isinstance(case.body, _JSON):
            # Bytes, so that integers of any size are sent as they are.
            body = json.dumps(case.body).encode()
        take(MadeUp(endpoint, body, case.method, case.media_type or "application/json"))

    return take_case
