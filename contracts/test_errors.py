"""Every rule about errors, each provoked where that is free: on an emulator all of them, on any
other target only what is refused before it could be billed.
"""

from collections.abc import Callable
from typing import Any

import pytest

from soundstage.contract import Contract
from soundstage.contract.rules import Rule
from soundstage.contracts import check_requests
from soundstage.contracts.check_requests import WRONGS
from soundstage.exchange.exchange import Call
from soundstage.gate import made_up_calls


@pytest.fixture(scope="session")
def provoked(gate: Any) -> None:
    """The errors of the contracts of which such rules were selected, provoked together."""
    apis = dict.fromkeys(rule.api for rule in gate.selected if rule.endpoint == "error")
    calls: list[Call] = []
    for api in apis:
        calls += made_up_calls.provoking(gate.contracts[api], gate.seed, freely=gate.freely)
    gate.made_up.send(calls)


@pytest.mark.rules("error")
@pytest.mark.usefixtures("provoked")
def test_rule(rule: Rule, holds: Callable[[Rule], None]) -> None:
    holds(rule)


@pytest.mark.each_contract
@pytest.mark.parametrize("wrong", sorted(WRONGS))
def test_refused(contract: Contract, gate: Any, wrong: str) -> None:
    """Answered with an error, and never with a 500."""
    for exchange in gate.made_up.send(check_requests.wrong(contract, wrong, gate.seed)):
        if exchange is None:
            pytest.skip(f"inconclusive: {gate.sender.not_sent[contract.api, 'request']}")
        if broken := gate.failing(exchange):
            said = f"{exchange.id}: {wrong}: {broken[0].message} [{broken[0].code}]"
            pytest.fail(said, pytrace=False)
        if (unjudged := gate.unjudged(exchange)) is not None:
            pytest.skip(f"inconclusive: {unjudged}")
