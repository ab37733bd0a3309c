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
        gate.made_up.provoked(contract, error)
    holds(rule)


#: What is wrong with a request that no schema speaks of. None of them carries a key that could be
#: billed, or asks for a generation at all.
_WRONGS = {
    "no key": {"key": None},
    "wrong method": {"method": "GET", "body": None},
    "no such path": {"path": "/no/such/path", "key": None},
}


@pytest.mark.each_contract
@pytest.mark.parametrize("wrong", sorted(_WRONGS))
def test_refused(contract: Contract, gate: Any, wrong: str) -> None:
    """Answered with an error, and never with a 500."""
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            exchange = gate.made_up.probe(contract, endpoint, **_WRONGS[wrong])
            if broken := gate.failing(exchange):
                said = f"{exchange.id}: {wrong}: {broken[0].message} [{broken[0].code}]"
                pytest.fail(said, pytrace=False)
            if (unjudged := gate.unjudged(exchange)) is not None:
                pytest.skip(f"inconclusive: {unjudged}")
