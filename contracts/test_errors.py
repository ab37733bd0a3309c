"""Every rule about errors, each provoked where that is free: on an emulator all of them, on any
other target only what is refused before it could be billed.
"""

from collections.abc import Callable
from typing import Any

import pytest

from soundstage.contract import Contract
from soundstage.contract.rules import Rule


@pytest.fixture(scope="session")
def provoked(gate: Any) -> None:
    """The errors of the contracts of which such rules were selected, provoked together."""
    apis = dict.fromkeys(rule.api for rule in gate.selected if rule.endpoint == "error")
    gate.made_up.send(gate.made_up.provoking(gate.contracts[api] for api in apis))


@pytest.mark.rules("error")
@pytest.mark.usefixtures("provoked")
def test_rule(rule: Rule, holds: Callable[[Rule], None]) -> None:
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
    calls = [
        gate.made_up.probe(contract, endpoint, **_WRONGS[wrong])
        for endpoint in contract.endpoints.values()
        if endpoint.request is not None
    ]
    for exchange in gate.made_up.send(calls):
        if exchange is None:
            pytest.skip(f"inconclusive: {gate.sender.not_sent[contract.api, 'request']}")
        if broken := gate.failing(exchange):
            said = f"{exchange.id}: {wrong}: {broken[0].message} [{broken[0].code}]"
            pytest.fail(said, pytrace=False)
        if (unjudged := gate.unjudged(exchange)) is not None:
            pytest.skip(f"inconclusive: {unjudged}")
