"""What a contract check will send, counted before it does, and in words (`--dry-run`). Makes the
very requests, and sends none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from soundstage.commands.checking import isolation
from soundstage.commands.checking.selected_cases import Selection, selected
from soundstage.conformance.coverage import is_tied
from soundstage.contract import Contract, load
from soundstage.contract.protocol import Endpoint
from soundstage.contracts import check_requests
from soundstage.exchange.exchange import Call
from soundstage.exchange.ties import polled_by, tied_endpoints
from soundstage.gate import made_up_calls
from soundstage.gate.captures import sources_of
from soundstage.gate.contract_check import EXPLORED, CheckOptions
from soundstage.gate.tie_checks import leaves_for
from soundstage.output import visible


@dataclass(slots=True)
class PlannedRequests:
    """Of requests that are made up: how many there are, how many of these the contract accepts and
    bills, and how many it refuses that would be billed if they were accepted.
    """

    requests: int = 0
    accepted: int = 0
    refused: int = 0

    @property
    def billable(self) -> int:
        """All that may be billed."""
        return self.accepted + self.refused

    def count(self, calls: Iterable[Call]) -> None:
        """Add requests."""
        for call in calls:
            self.requests += 1
            self.refused += call.billable and call.expect_error
            self.accepted += call.billable and not call.expect_error


@dataclass(slots=True)
class CheckPlan:
    """What will be sent, if all of it is paid for. `captured` and `tied` are the endpoints that are
    asked once, and those whose streams are left or whose jobs are counted (each as often as that is
    done); `made_up` the requests that are made up, by what they are for; `polled` names endpoints
    each of whose questions for a state is billed.
    """

    captured: list[tuple[Contract, Endpoint]] = field(default_factory=list)
    tied: list[tuple[Contract, Endpoint]] = field(default_factory=list)
    made_up: dict[str, PlannedRequests] = field(default_factory=dict)
    polled: list[str] = field(default_factory=list)

    @property
    def own(self) -> int:
        """Billable requests that are paid from the budget."""
        return sum(endpoint.billed for _, endpoint in (*self.captured, *self.tied))

    @property
    def made(self) -> PlannedRequests:
        """All that is made up, which is paid from a purse of its own."""
        whole = PlannedRequests()
        for each in self.made_up.values():
            whole.requests += each.requests
            whole.accepted += each.accepted
            whole.refused += each.refused
        return whole

    def billable(self, budget: int | None, explore_budget: int | None, *, costly: bool) -> int:
        """Billable requests that are sent within the budgets; None is none where it is `costly`,
        and any number elsewhere.
        """
        limits = (budget, explore_budget)
        own, made = (0 if limit is None and costly else limit for limit in limits)
        due = self.made.billable
        return (self.own if own is None else min(own, self.own)) + (
            due if made is None else min(made, due)
        )

    def requests(self, budget: int | None, explore_budget: int | None, *, costly: bool) -> int:
        """All requests that are sent within the budgets; without what asks for the state of a job
        or of a song whose stream was left.
        """
        whole = len(self.captured) + len(self.tied) + self.made.requests
        sent = self.billable(budget, explore_budget, costly=costly)
        return whole - (self.own + self.made.billable - sent)


def plan(
    contracts: Iterable[Contract], chosen: Selection, explore: int, seed: int, *, costly: bool
) -> CheckPlan:
    """What a check of the `chosen` cases sends, an endpoint explored with at most `explore`
    requests. `costly`: it may cost money; elsewhere an emulator is assumed.
    """
    made = CheckPlan()
    by_api = {each.api: each for each in contracts}
    for api, contract in by_api.items():
        rules = [rule for rule in chosen.rules if rule.api == api]
        _plan_captures(made, contract, (rule.endpoint for rule in rules))
        if any(map(is_tied, rules)):
            made.tied += [
                (contract, endpoint)
                for endpoint in tied_endpoints(contract)
                for _ in leaves_for(endpoint, costly=costly)
            ]
        made.polled += [f"{api} {each}" for each in polled_by(contract)]
        if any(rule.endpoint == "error" for rule in rules):
            _add(
                made,
                "to provoke errors",
                made_up_calls.provoking(contract, seed, freely=not costly),
            )
        broken = [rule for rule in rules if rule.endpoint == "request"]
        if explore:
            _add(made, "that break a rule", check_requests.breaking(contract, broken, seed))
    for name, api, given in chosen.whole:
        contract = by_api[api]
        if name == "test_refused":
            _add(
                made,
                "with a wrong key, method or path",
                check_requests.wrong(contract, given["wrong"], seed),
            )
        elif not explore:
            continue
        elif name == "test_a_refused_request_costs_nothing" and not costly:
            _add(made, "that should cost nothing", check_requests.refused(contract, seed))
        elif name == "test_unusual_requests_that_the_schema_allows":
            _add(made, "unusual", (call for _, call in check_requests.unusual(contract, seed)))
        elif name == "test_explored_requests":
            _add(made, "explored", check_requests.explored(contract, explore, seed))
    return made


def _add(made: CheckPlan, purpose: str, calls: Iterable[Call]) -> None:
    made.made_up.setdefault(purpose, PlannedRequests()).count(calls)


def _plan_captures(made: CheckPlan, contract: Contract, names: Iterable[str]) -> None:
    """The endpoints of that name, and those that something in their paths comes from."""
    due = [name for name in dict.fromkeys(names) if name in contract.endpoints]
    for name in due:
        source = next(iter(sources_of(contract, contract.endpoints[name])), None)
        if source is not None and source.name not in due:
            due.append(source.name)
    made.captured += [(contract, each) for each in contract.endpoints.values() if each.name in due]


def planned(options: CheckOptions, explore: int | None, *, costly: bool) -> str:
    """What a check sends, and how much of it is billable, in words. Sends nothing. `costly`: the
    target is one where nothing is explored unless it is asked for.
    """
    many = explore if explore is not None else 0 if costly else EXPLORED
    with isolation.undisturbed():
        chosen = selected(options.apis, options.only)
        due = plan(map(load, options.apis), chosen, many, options.seed, costly=costly)
    lines = [
        f"{options.target}: one request to each of",
        *(f"  {_place(*each, costly=costly)}" for each in due.captured),
        *_words_of_ties(due, costly=costly),
        *_words_of_made_up(due, many, options.explore_budget, costly=costly),
    ]
    limits = budget, _ = options.budget, options.explore_budget
    billable = due.billable(*limits, costly=costly)
    whole = f"{due.requests(*limits, costly=costly)} requests, {billable} of them billable"
    if costly:
        said = "no budget" if budget is None else f"a budget of {budget}"
        if budget is None:
            said += ": without --budget N none of the requests above is billed, or sent"
        lines.append(f"{whole}, {said}; requests without a key are free")
    else:
        lines.append(f"{whole} by the live API, and none here")
    return visible.lines(lines)


def _place(contract: Contract, endpoint: Endpoint, *, costly: bool) -> str:
    cost = "" if not costly else ", billable" if endpoint.billed else ", free"
    return f"{endpoint.method} {endpoint.path} ({contract.api} {endpoint.name}{cost})"


def _words_of_ties(due: CheckPlan, *, costly: bool) -> Iterator[str]:
    if due.tied:
        billed = sum(endpoint.billed for _, endpoint in due.tied)
        cost = f", {billed} billable" if costly else ""
        yield f"{len(due.tied)} more songs that are left on the way and asked for{cost}"
    if due.polled and costly:
        yield f"and each question for the state of a job of {', '.join(due.polled)} is billed"


def _words_of_made_up(
    due: CheckPlan, many: int, limit: int | None, *, costly: bool
) -> Iterator[str]:
    made, parts = due.made, due.made_up
    if not many:
        if made.requests:
            cost = f"{made.billable or 'none'} of them billed if accepted after all"
            cost = f", {cost}" if costly else ""
            yield f"{made.requests} requests that are to be refused{cost}"
        return
    kinds = [f"{each.requests} {purpose}" for purpose, each in parts.items() if each.requests]
    yield f"{made.requests} requests that are made up: {', '.join(kinds)}"
    explored = parts.get("explored", PlannedRequests())
    billed, if_not = (" and billed", " (billed if accepted after all)") if costly else ("", "")
    yield (
        f"  explored: at most {many} an endpoint (--explore), {explored.accepted} of them accepted"
        f"{billed}, {explored.refused} refused"
    )
    yield (
        f"  of all these with a key, {made.accepted} are accepted{billed}, and {made.refused} are "
        f"to be refused{if_not}"
    )
    if limit is not None:
        yield f"  at most {limit} of these {made.billable} are sent (--explore-budget)"
    elif costly:
        yield f"  none of these {made.billable} is sent without --explore-budget N"
