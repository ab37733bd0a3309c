"""What may be asked: every rule of the request broken once, and requests explored at random.

Requests come from the contract's own schemas: Schemathesis makes them, Hypothesis drives it. What
the schema allows must give a conforming answer, what it rules out a documented error.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from soundstage.contract import Contract
from soundstage.contract.rules import Rule
from soundstage.contracts import check_requests
from soundstage.exchange.exchange import Call

#: So many findings of one test are said; all of them stand with their rules.
_SHOWN = 3
_OK = 200


@pytest.fixture(scope="session")
def refused(gate: Any, explore: int) -> None:
    """Requests that break the rules which were selected, sent together."""
    calls: list[Call] = []
    for api, contract in gate.contracts.items():
        rules = [rule for rule in gate.selected if (rule.api, rule.endpoint) == (api, "request")]
        calls += check_requests.breaking(contract, rules, gate.seed)
    gate.made_up.send(calls)


@pytest.mark.rules("request")
@pytest.mark.usefixtures("refused")
def test_rule(rule: Rule, holds: Callable[[Rule], None]) -> None:
    holds(rule)


@pytest.mark.each_contract
def test_a_refused_request_costs_nothing(contract: Contract, gate: Any, explore: int) -> None:
    """Held against the emulator's own books; no other target shows them."""
    before = gate.ties.charges()
    if before is None:
        pytest.skip("only an emulator shows what it has charged")
    sent = gate.made_up.send(check_requests.refused(contract, gate.seed))
    # One that was accepted is a finding of its own, and was not refused.
    accepted = sum(each is not None and each.response.status == _OK for each in sent)
    after = gate.ties.charges()
    if after is None:
        pytest.skip("inconclusive: cap.time: the emulator's books were not asked any more")
    charged = after - before
    assert charged <= accepted, f"{charged} were charged for, {accepted} of them were accepted"


@pytest.mark.each_contract
def test_unusual_requests_that_the_schema_allows(
    contract: Contract, gate: Any, explore: int
) -> None:
    """Long lyrics and all kinds of Unicode must give a conforming answer."""
    _try(gate, contract, check_requests.unusual(contract, gate.seed))


@pytest.mark.each_contract
def test_explored_requests(contract: Contract, gate: Any, explore: int) -> None:
    """What Schemathesis thinks of. What a request really is, the contract says, not the phase that
    made it.
    """
    calls = check_requests.explored(contract, explore, gate.seed)
    _try(gate, contract, (("", call) for call in calls))


def _try(gate: Any, contract: Contract, named: Iterable[tuple[str, Any]]) -> None:
    """Send requests, each with the name of what is tried out, and fail or skip the test by what
    all of them showed.
    """
    wanted = list(named)
    sent = gate.made_up.send(call for _, call in wanted)
    broken: list[str] = []
    unjudged: list[str] = []
    for (name, _), exchange in zip(wanted, sent, strict=True):
        if exchange is None:
            unjudged += filter(None, [gate.sender.not_sent.get((contract.api, "request"))])
            continue
        prefix = f"{name}: " if name else ""
        for each in gate.failing(exchange):
            broken.append(f"{exchange.id}: {prefix}{each.message} [{each.code}]")
        unjudged += filter(None, [gate.unjudged(exchange)])
    if broken:
        more = len(broken) - _SHOWN
        said = [*broken[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        pytest.fail("; ".join(said), pytrace=False)
    if unjudged:
        pytest.skip(f"inconclusive: {unjudged[0]}")
