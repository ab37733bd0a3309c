"""What a contract check will do, counted before it does it: its test cases, and what they send."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass, field

from soundstage import contracts as room
from soundstage.contract import Contract, load
from soundstage.contracts import exploring
from soundstage.contracts.exploring import MadeUp
from soundstage.exchange.requests import valid_body


@dataclass(slots=True)
class CheckPlan:
    """What will be sent. `endpoints` are sentences, one for each that is asked once; `captured` of
    these requests are billable. Of the requests that are made up, `explored`, `unusual` and
    `breaking` count all of them, `made_up` those that are billable.
    """

    endpoints: list[str] = field(default_factory=list)
    captured: int = 0
    explored: int = 0
    unusual: int = 0
    breaking: int = 0
    made_up: int = 0

    @property
    def requests(self) -> int:
        """All requests that are made up."""
        return self.explored + self.unusual + self.breaking


def plan(apis: Iterable[str], explore: int, seed: int) -> CheckPlan:
    """What a check of these versions sends where requests may cost money: each endpoint is explored
    with about `explore` requests. Makes the very requests, and sends none of them.
    """
    planned = CheckPlan()
    for contract in map(load, apis):
        for endpoint in contract.endpoints.values():
            cost = "billable" if endpoint.billed else "free"
            place = f"{contract.api} {endpoint.name}, {cost}"
            planned.endpoints.append(f"{endpoint.method} {endpoint.path} ({place})")
            planned.captured += endpoint.billed
        if explore:
            _count_made_up(planned, contract, explore, seed)
    return planned


def _count_made_up(planned: CheckPlan, contract: Contract, explore: int, seed: int) -> None:
    valid = {each.name: valid_body(contract, each, seed) for each in exploring.asked(contract)}
    explored: list[MadeUp] = []
    exploring.explore(contract, explore, explored.append)
    unusual = [made for _, made in exploring.unusual(contract, valid)]
    breaking = [
        made
        for rule in contract.rules
        if rule.endpoint == "request"
        for made in exploring.breaking_rule(contract, rule, valid)
    ]
    planned.explored += len(explored)
    planned.unusual += len(unusual)
    planned.breaking += len(breaking)
    planned.made_up += sum(made.billable for made in (*explored, *unusual, *breaking))


def cases(contracts: Iterable[Contract]) -> int:
    """How many test cases the contracts yield: one for each rule, whatever is installed of the
    checks, and those of the checks that hold a contract as a whole.
    """
    known = list(contracts)
    rules = sum(1 for contract in known for _ in contract.rules)
    return rules + len(known) * sum(_of_each_contract())


def _of_each_contract() -> Iterable[int]:
    """For each check of a whole contract, how many cases of one contract it has."""
    for module in pkgutil.iter_modules(room.__path__):
        if module.name.startswith("test_"):
            found = vars(importlib.import_module(f"{room.__name__}.{module.name}"))
            for name, check in found.items():
                if name.startswith("test_") and inspect.isfunction(check):
                    marks = getattr(check, "pytestmark", [])
                    if any(mark.name == "each_contract" for mark in marks):
                        spread = (mark for mark in marks if mark.name == "parametrize")
                        yield math.prod(len(mark.args[1]) for mark in spread)
