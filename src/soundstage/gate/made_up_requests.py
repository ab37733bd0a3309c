"""Sends the requests that are made up: to provoke documented errors, to break a rule, to explore;
several at once, within their purse.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.rules import Rule
from soundstage.errors import BudgetError
from soundstage.exchange.exchange import EXPLORED, RATE_LIMITED, Call, Exchange
from soundstage.exchange.patience import TimeUpError
from soundstage.exchange.requests import valid_body
from soundstage.gate import made_up_calls
from soundstage.gate.at_once import AtOnce
from soundstage.gate.made_up_calls import ERRORS, Made
from soundstage.gate.rule_outcomes import of_budget, unjudged
from soundstage.gate.sender import Sender
from soundstage.gate.server_errors import is_server_error

#: After so many requests in a row that nobody answered, no more are sent.
_MOST_UNANSWERED = 5


class MadeUpRequests:
    """The requests of one check that are no user's, `at_once` of them at a time."""

    def __init__(
        self, sender: Sender, contracts: Mapping[str, Contract], *, seed: int, at_once: int
    ) -> None:
        self._sender = sender
        self._contracts = contracts
        self.seed = seed
        self._at_once = at_once

    def valid_body(self, contract: Contract, endpoint: Endpoint) -> dict[str, Any]:
        """A request that the contract allows; the same for the same seed."""
        return valid_body(contract, endpoint, self.seed)

    def valid_bodies(self, contract: Contract) -> dict[str, dict[str, Any]]:
        """A valid body for each endpoint that takes one, by its name."""
        return {
            each.name: self.valid_body(contract, each)
            for each in contract.endpoints.values()
            if each.request is not None
        }

    def provoking(self, contracts: Iterable[Contract]) -> list[Call]:
        """Requests that should give the documented errors; see `made_up_calls.provoking`."""
        target = self._sender.session.target
        freely = target.kind == "emulator" and not self._sender.costly
        return [
            call
            for contract in contracts
            for call in made_up_calls.provoking(contract, self.seed, freely=freely)
        ]

    def refusal(self, made: Made, rule: Rule) -> Call:
        """A request that breaks a rule, and should be refused."""
        return made_up_calls.refusal(self._contracts[rule.api], made, rule)

    def probe(self, contract: Contract, endpoint: Endpoint, **changes: Any) -> Call:
        """A valid request but for `changes`; see `made_up_calls.probe`."""
        return made_up_calls.probe(contract, endpoint, self.seed, **changes)

    def explored(self, contract: Contract, made: Made) -> Call:
        """A request that was made up to explore; see `made_up_calls.explored`."""
        return made_up_calls.explored(contract, made)

    def send(self, calls: Iterable[Call]) -> list[Exchange | None]:
        """Send them, and give their exchanges in their order: None for what no budget covers, and
        for all that is left once the time is over, or once nobody answers what is explored.
        `Sender.not_sent` says why.
        """
        wanted = list(calls)
        for scenario, many in Counter(each.scenario for each in wanted).items():
            self._sender.progress.expect(scenario, many)
        return _Together(self._sender, wanted, self._at_once).sent()


class _Together:
    """One list of requests that are sent together."""

    def __init__(self, sender: Sender, calls: list[Call], at_once: int) -> None:
        self._sender = sender
        self._calls = calls
        self._found: list[Exchange | None] = [None] * len(calls)
        self._lanes = AtOnce(at_once, self._ready, self._send, sender.cut)
        self._lock = threading.Lock()
        self._in_a_row = 0

    def sent(self) -> list[Exchange | None]:
        self._lanes.all(range(len(self._calls)))
        return self._found

    def _ready(self, number: int) -> str | None:
        call = self._calls[number]
        try:
            return self._sender.admit(call)
        except BudgetError as error:
            concerns = "error" if call.scenario == ERRORS else "request"
            self._sender.not_sent[call.contract.api, concerns] = of_budget(error)
            if isinstance(error, TimeUpError):
                self._lanes.stop()
        return None

    def _send(self, number: int, admitted: str) -> None:
        call = self._calls[number]
        exchange = self._sender.send(call, admitted)
        if call.scenario == EXPLORED:
            if is_server_error(exchange) and self._sender.exploring.left is None:
                exchange = self._sender.send(call)
            self._look_at(exchange)
        self._found[number] = exchange

    def _look_at(self, exchange: Exchange) -> None:
        """Go slower where the API asks for it, and stop where nobody answers."""
        if exchange.response.status == RATE_LIMITED:
            self._lanes.one_by_one()
        with self._lock:
            self._in_a_row = 0 if unjudged(exchange) is None else self._in_a_row + 1
            if self._in_a_row >= _MOST_UNANSWERED:
                self._lanes.stop()
