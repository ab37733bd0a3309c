"""What may be asked: every rule of the request broken once, and requests explored at random.

Requests come from the contract's own schemas: Schemathesis makes them, Hypothesis drives it. What
the schema allows must give a conforming answer, what it rules out a documented error.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from soundstage.contract import Contract
from soundstage.contract.rules import Rule
from soundstage.contracts import explored_requests
from soundstage.contracts.explored_requests import MadeUp

#: So many findings of one test are said; all of them stand with their rules.
_SHOWN = 3
_OK = 200
#: After so many requests in a row that nobody answered, no more are sent.
_PATIENCE = 5


@pytest.mark.rules("request")
def test_rule(rule: Rule, gate: Any, holds: Callable[[Rule], None], explore: int) -> None:
    contract: Contract = gate.contracts[rule.api]
    path = rule.id.removeprefix(f"{rule.api}/")
    for each in explored_requests.breaking_rule(contract, rule, gate.valid_bodies(contract)):
        gate.refused(contract, each.endpoint, each.body, path, content_type=each.content_type)
    holds(rule)


@pytest.mark.each_contract
def test_a_refused_request_costs_nothing(contract: Contract, gate: Any, explore: int) -> None:
    """Held against the emulator's own books; no other target shows them."""
    before = gate.charges()
    if before is None:
        pytest.skip("only an emulator shows what it has charged")
    sent = []
    for endpoint in explored_requests.asked(contract):
        valid = gate.valid_body(contract, endpoint)
        for name in valid:
            sent.append(gate.explored(contract, endpoint, {**valid, name: ["of another type"]}))
        sent.append(gate.explored(contract, endpoint, b"{"))
        sent.append(gate.explored(contract, endpoint, {}))
        sent.append(gate.probe(contract, endpoint, key=None))
        sent.append(gate.probe(contract, endpoint, key="key-unknown"))
    # One that was accepted is a finding of its own, and was not refused.
    accepted = sum(each is not None and each.response.status == _OK for each in sent)
    after = gate.charges()
    if after is None:
        pytest.skip("inconclusive: cap.time: the emulator's books were not asked any more")
    charged = after - before
    assert charged <= accepted, f"{charged} were charged for, {accepted} of them were accepted"


@pytest.mark.each_contract
def test_unusual_requests_that_the_schema_allows(
    contract: Contract, gate: Any, explore: int
) -> None:
    """Long lyrics and all kinds of Unicode must give a conforming answer."""
    tried = _Tried(gate, contract)
    with suppress(pytest.skip.Exception):
        for name, each in explored_requests.unusual(contract, gate.valid_bodies(contract)):
            tried.send(each, name)
    tried.conclude()


@pytest.mark.each_contract
def test_explored_requests(contract: Contract, gate: Any, explore: int) -> None:
    """What Schemathesis thinks of. What a request really is, the contract says, not the phase that
    made it.
    """
    tried = _Tried(gate, contract)
    with suppress(pytest.skip.Exception):
        explored_requests.explore(contract, explore, tried.send)
    tried.conclude()


class _Tried:
    """The made-up requests of one test: all of them are sent, and what they showed is said at the
    end, since Hypothesis would send a request that fails again and again.
    """

    def __init__(self, gate: Any, contract: Contract) -> None:
        self._gate = gate
        self._contract = contract
        self._broken: list[str] = []
        self._unjudged: list[str] = []
        self._in_a_row = 0

    def send(self, made: MadeUp, what: str = "") -> None:
        """Send one. Raises the exception of a skipped test, which Hypothesis lets pass, where no
        budget covers it or nobody answers any more.
        """
        exchange = self._gate.explored(
            self._contract,
            made.endpoint,
            made.body,
            method=made.method,
            content_type=made.content_type,
        )
        if exchange is None:
            self._unjudged.append(self._gate.not_sent[self._contract.api, "request"])
            pytest.skip("no budget")
        named = f"{what}: " if what else ""
        for each in self._gate.failing(exchange):
            self._broken.append(f"{exchange.id}: {named}{each.message} [{each.code}]")
        unjudged = self._gate.unjudged(exchange)
        self._in_a_row = 0 if unjudged is None else self._in_a_row + 1
        if unjudged is not None:
            self._unjudged.append(unjudged)
        if self._in_a_row == _PATIENCE:
            pytest.skip("nobody answers")

    def conclude(self) -> None:
        """Fail or skip the test by what was seen."""
        if self._broken:
            more = len(self._broken) - _SHOWN
            said = [*self._broken[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
            pytest.fail("; ".join(said), pytrace=False)
        if self._unjudged:
            pytest.skip(f"inconclusive: {self._unjudged[0]}")
