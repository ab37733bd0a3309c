"""What a contract check will do, counted before it does it, and in words (`--dry-run`): its test
cases, and what they send. Makes the requests, and sends none.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass, field

from soundstage import contracts as room
from soundstage.commands import isolation
from soundstage.contract import Contract, load
from soundstage.contracts import explored_requests
from soundstage.contracts.explored_requests import MadeUp
from soundstage.exchange.requests import valid_body
from soundstage.gate.contract_check import CheckOptions
from soundstage.output import visible

#: Requests of exploration for an endpoint where it is free.
EXPLORED = 10


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
    valid = {
        each.name: valid_body(contract, each, seed) for each in explored_requests.asked(contract)
    }
    explored: list[MadeUp] = []
    explored_requests.explore(contract, explore, explored.append)
    unusual = [made for _, made in explored_requests.unusual(contract, valid)]
    breaking = [
        made
        for rule in contract.rules
        if rule.endpoint == "request"
        for made in explored_requests.breaking_rule(contract, rule, valid)
    ]
    planned.explored += len(explored)
    planned.unusual += len(unusual)
    planned.breaking += len(breaking)
    planned.made_up += sum(made.billable for made in (*explored, *unusual, *breaking))


def planned(options: CheckOptions, explore: int | None, *, costly: bool) -> str:
    """What a check sends, and how much of it is billable, in words. Sends nothing. `costly`: the
    target is one where nothing is explored unless it is asked for.
    """
    many = explore if explore is not None else 0 if costly else EXPLORED
    with isolation.undisturbed():
        due = plan(options.apis, many, options.seed)
    lines = [
        f"{options.target}: one request to each of",
        *(f"  {each}" for each in due.endpoints),
    ]
    budget = options.budget
    billable = due.captured if budget is None else min(due.captured, budget)
    if many:
        limit, made_up = options.explore_budget, due.made_up
        most = f"; at most {limit} are paid for (--explore-budget)" if limit is not None else ""
        lines.append(
            f"{due.requests} explored requests ({due.explored} that Schemathesis thinks of, "
            f"{due.unusual} unusual, {due.breaking} that break a rule), {made_up} of them "
            f"billable{most}"
        )
        paid = made_up if limit is None else min(made_up, limit)
        if limit is None and costly:
            lines.append("none of these billable requests is sent without --explore-budget N")
            paid = 0
        billable += paid
    said = "no budget" if budget is None else f"a budget of {budget}"
    if budget is None and costly:
        said += ": without --budget N none of them is sent"
    least = "at most " if options.only is not None else ""
    lines.append(f"{least}{billable} billable requests, {said}; requests without a key are free")
    return visible.lines(lines)


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
