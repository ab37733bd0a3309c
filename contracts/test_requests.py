"""What may be asked: every rule of the request broken once, and requests explored at random.

Requests come from the contract's own schemas: Schemathesis makes them, Hypothesis drives it. What
the schema allows must give a conforming answer, what it rules out a documented error.
"""

import json
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.generation.hypothesis import builder

from soundstage.contract import Contract
from soundstage.contract.openapi import document
from soundstage.contract.roles import role_of
from soundstage.contract.rules import Rule
from soundstage.generation.requests import breaking

#: What a body can be; anything else that Schemathesis has in its place means: none.
_JSON = (dict, list, str, int, float, bool, type(None))
#: The roles of parameters in which people write what they like, and what they may write.
_WORDS = ("prompt", "lyrics")
_UNUSUAL = (
    "la " * 33_000,
    "\U0001f3b6 cafe\u0301 \u05e9\u05d9\u05e8 \u202eabc\u202c \u200d",
    "one\ntwo\r\nthree\ttab \u0000 nul \u2028 line",
)


@pytest.mark.rules("request")
def test_rule(rule: Rule, gate: Any, holds: Callable[[Rule], None], explore: int) -> None:
    contract: Contract = gate.contracts[rule.api]
    path = rule.id.removeprefix(f"{rule.api}/")
    for endpoint in contract.endpoints.values():
        if endpoint.request is None:
            continue
        valid = gate.valid_body(contract, endpoint)
        if path == "request/body":
            for body in (b"{", b"", b"[]"):
                gate.refused(contract, endpoint, body, path)
            gate.refused(contract, endpoint, valid, path, content_type="text/plain")
        elif (body := breaking(contract, rule, valid)) is not None:
            gate.refused(contract, endpoint, body, path)
    holds(rule)


@pytest.mark.each_contract
def test_a_refused_request_costs_nothing(contract: Contract, gate: Any, explore: int) -> None:
    """Held against the emulator's own books; no other target shows them."""
    before = gate.charges()
    if before is None:
        pytest.skip("only an emulator shows what it has charged")
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            valid = gate.valid_body(contract, endpoint)
            for name in valid:
                gate.explored(contract, endpoint, {**valid, name: ["of another type"]})
            gate.explored(contract, endpoint, b"{")
            gate.explored(contract, endpoint, {})
            gate.probe(contract, endpoint, key=None)
            gate.probe(contract, endpoint, key="key-unknown")
    assert gate.charges() == before


@pytest.mark.each_contract
def test_unusual_requests_that_the_schema_allows(
    contract: Contract, gate: Any, explore: int
) -> None:
    """Long lyrics and all kinds of Unicode must give a conforming answer."""
    for endpoint in contract.endpoints.values():
        if endpoint.request is None:
            continue
        valid = gate.valid_body(contract, endpoint)
        texts = [
            name
            for name, schema in endpoint.request["properties"].items()
            if role_of(schema) in _WORDS
        ]
        for name in texts:
            for text in _UNUSUAL:
                exchange = _sent(gate, contract, endpoint, {**valid, name: text})
                broken = [each for each in exchange.violations if each.severity == "error"]
                assert not broken, f"{exchange.id}: {name}: {broken[0].message}"


def _sent(gate: Any, *arguments: Any, **more: Any) -> Any:
    """An exchange with a made-up request; the test is skipped where no budget covers it."""
    exchange = gate.explored(*arguments, **more)
    if exchange is None:
        pytest.skip("inconclusive: no budget for exploration is left (--explore-budget)")
    return exchange


def _explorer(gate: Any, contract: Contract, endpoint: Any) -> Callable[[Any], None]:
    def explored(case: Any) -> None:
        body = case.body if isinstance(case.body, bytes) else b""
        if isinstance(case.body, _JSON):
            # Bytes, so that integers of any size are sent as they are.
            body = json.dumps(case.body).encode()
        exchange = _sent(
            gate,
            contract,
            endpoint,
            body,
            method=case.method,
            content_type=case.media_type or "application/json",
        )
        broken = [each for each in exchange.violations if each.severity == "error"]
        assert not broken, f"{exchange.id}: {broken[0].message} [{broken[0].code}]"

    return explored


@pytest.mark.each_contract
def test_explored_requests(contract: Contract, gate: Any, explore: int) -> None:
    """All of Schemathesis' phases for a single operation: examples, coverage (boundaries, missing
    and mistyped parameters, unexpected methods) and fuzzing, valid and not. What a request really
    is, the contract says, not the phase that made it.
    """
    # Without a config of its own it would read a schemathesis.toml of the current folder.
    config = schemathesis.Config()
    described = schemathesis.openapi.from_dict(document(contract), config=config)
    settings = hypothesis.settings(
        max_examples=2 * explore,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            operation = described[endpoint.path][endpoint.method]

            explored = _explorer(gate, contract, endpoint)
            config = builder.HypothesisTestConfig(
                project=described.config, modes=list(builder.HypothesisTestMode), settings=settings
            )
            builder.create_test(operation=operation, test_func=explored, config=config)()
