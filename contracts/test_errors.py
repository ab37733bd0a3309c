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
