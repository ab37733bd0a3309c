"""Every rule about errors, each provoked where that is free: on an emulator all of them, on any
other target only what is refused before it could be billed.
"""

from collections.abc import Callable
from typing import Any

import pytest

from soundstage.contract import Contract
from soundstage.contract.rules import Rule


@pytest.mark.rules("error")
def test_rule(rule: Rule, gate: Any, holds: Callable[[Rule], None]) -> None:
    contract: Contract = gate.contracts[rule.api]
    for error in contract.errors.known:
        gate.provoked(contract, error)
    holds(rule)


#: What is wrong with a request that no schema speaks of. None of them carries a key that could be
#: billed, or asks for a generation at all.
_WRONGS = {
    "no key": {"key": None},
    "wrong method": {"method": "GET", "body": None},
    "no such path": {"path": "/no/such/path", "key": None},
}
#: No answer, or one that says nothing about the contract.
_OUTAGES = (None, 429, 502, 503, 504)


@pytest.mark.each_contract
@pytest.mark.parametrize("wrong", sorted(_WRONGS))
def test_refused(contract: Contract, gate: Any, wrong: str) -> None:
    """Answered with an error, and never with a 500."""
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            exchange = gate.probe(contract, endpoint, **_WRONGS[wrong])
            status = exchange.response.status
            if status in _OUTAGES:
                pytest.skip(f"inconclusive: the answer was {status or exchange.reason}")
            assert 400 <= status < 500, f"{exchange.id}: {wrong} was answered with {status}"
            broken = [each for each in exchange.violations if each.severity == "error"]
            assert not broken, f"{exchange.id}: {broken[0].message} [{broken[0].code}]"
