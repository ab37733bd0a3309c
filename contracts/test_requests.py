"""What may be asked: every rule of the request broken once, and requests explored at random.

Requests come from the contract's own schemas: Schemathesis makes them, Hypothesis drives it. What
the schema allows must give a conforming answer, what it rules out a documented error.
"""

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis

from soundstage.contract import Contract
from soundstage.contract.openapi import document
from soundstage.contract.rules import Rule
from soundstage.generation.requests import breaking


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
    assert gate.charges() == before


@pytest.mark.each_contract
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_explored_requests(contract: Contract, gate: Any, explore: int, mode: str) -> None:
    """`mode` is what Schemathesis aims at; what each request really is, the contract says."""
    # Without a config of its own it would read a schemathesis.toml of the current folder.
    config = schemathesis.Config()
    described = schemathesis.openapi.from_dict(document(contract), config=config)
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            operation = described[endpoint.path][endpoint.method]
            cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))
            _explore(cases, explore, lambda body, to=endpoint: gate.explored(contract, to, body))


def _explore(cases: Any, many: int, send: Callable[[Any], Any]) -> None:
    @hypothesis.settings(
        max_examples=many,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=cases)
    def explored(case: Any) -> None:
        exchange = send(case.body)
        broken = [each for each in exchange.violations if each.severity == "error"]
        assert not broken, f"{exchange.id}: {broken[0].message} [{broken[0].code}]"

    explored()
