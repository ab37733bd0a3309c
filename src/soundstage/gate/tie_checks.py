"""Puts to the test what the endpoints of a contract say of one generation: leaves streams, and asks
for what became of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from soundstage.conformance.coverage import is_tied
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.rule_book import Rule
from soundstage.errors import BudgetError, TargetError
from soundstage.exchange.exchange import Call, Leave
from soundstage.exchange.filled_paths import filled
from soundstage.exchange.requests import own_values, sent_body, valid_body
from soundstage.exchange.target import find
from soundstage.exchange.ties import ask_alone, leave_and_ask, leaves_of, tied_endpoints
from soundstage.gate.at_once import AtOnce
from soundstage.gate.rule_outcomes import of_budget
from soundstage.gate.sender import Sender


def leaves_for(endpoint: Endpoint, *, costly: bool) -> Iterator[Leave | None]:
    """Where the streams of an endpoint are left, and None for a job that is made while nothing else
    is; where it may be `costly`, each stream is left but once.
    """
    leaves = list(leaves_of(endpoint))
    if costly:
        leaves = leaves[-1:] if len(leaves) < 2 else leaves[1:2]
    yield from leaves
    if endpoint.kind == "job" and not costly:
        yield None


class TieChecks:
    """The ties of `contracts` (by API), each put to the test once."""

    def __init__(self, sender: Sender, contracts: Mapping[str, Contract], *, seed: int) -> None:
        self._sender = sender
        self._contracts = contracts
        self._seed = seed
        self._tied: set[str] = set()
        #: Why an endpoint was not held against the one that knows its generations.
        self.not_sent: dict[tuple[str, str], str] = {}

    def all(self, rules: Iterable[Rule]) -> None:
        """Put to the test what rules say of two endpoints and one generation, where any does."""
        for api in dict.fromkeys(rule.api for rule in rules if is_tied(rule)):
            self.of(self._contracts[api])

    def of(self, contract: Contract) -> None:
        """Put to the test what the endpoints of a contract say of one generation: leave its streams
        after each stage, and ask for what became of them. Once; where it may cost money, each
        stream is left but once, and only within the budget.
        """
        if contract.api in self._tied:
            return
        self._tied.add(contract.api)
        tasks = []
        for endpoint in tied_endpoints(contract):
            own = own_values(contract, endpoint, self._seed)
            call = Call(
                contract,
                endpoint,
                sent_body(endpoint, valid_body(contract, endpoint, self._seed)),
                path=filled(endpoint, own) if own else None,
                confirm=1,
                scenario="ties",
            )
            tasks += [(call, each) for each in leaves_for(endpoint, costly=self._sender.costly)]
        AtOnce(1, self._ready, self._put_to_the_test, self._sender.halt).all(tasks)

    def _ready(self, task: tuple[Call, Leave | None]) -> Call | None:
        call, _ = task
        try:
            self._sender.patience.check()
        except BudgetError as error:
            self._not_sent(call, error)
            return None
        return call

    def _put_to_the_test(self, task: tuple[Call, Leave | None], call: Call) -> None:
        client, leave = self._sender.session.client, task[1]
        try:
            with self._sender.progress.sending(call) as watched:
                if leave is None:
                    tied = ask_alone(client, watched, self.charges)
                else:
                    tied = leave_and_ask(client, watched, leave, self.charges)
                self._sender.take(tied)
        except BudgetError as error:
            self._not_sent(call, error)

    def _not_sent(self, call: Call, error: BudgetError) -> None:
        self.not_sent[call.contract.api, call.endpoint.name] = of_budget(error)

    def charges(self) -> int | None:
        """How many generations an emulator has charged for; None where nobody says, or where
        asking for it may cost money.
        """
        if (
            self._sender.live
            or self._sender.costly
            or "charges" not in self._sender.session.target.about
        ):
            return None
        if self._sender.halted():
            return None
        try:
            charges = find(
                self._sender.session.target.url, self._sender.session.transport
            ).about.get("charges")
        except TargetError:
            if self._sender.halted():
                return None
            raise
        return None if charges is None else int(charges)
