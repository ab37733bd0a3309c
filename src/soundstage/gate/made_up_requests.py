"""Sends the requests that are made up: to provoke documented errors, to break a rule, to explore;
several at once, within their purse.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from soundstage.errors import BudgetError
from soundstage.exchange.exchange import EXPLORED, RATE_LIMITED, Call, Exchange
from soundstage.exchange.patience import TimeUpError
from soundstage.gate.at_once import AtOnce
from soundstage.gate.made_up_calls import ERRORS
from soundstage.gate.rule_outcomes import of_budget, unjudged
from soundstage.gate.sender import Sender

#: After so many requests in a row that nobody answered, no more are sent.
_MOST_UNANSWERED = 5


class MadeUpRequests:
    """The requests of one check that are no user's, `at_once` of them at a time."""

    def __init__(self, sender: Sender, *, at_once: int) -> None:
        self._sender = sender
        self._at_once = at_once

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
        self._lanes = AtOnce(at_once, self._ready, self._send, sender.halt)
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._time_up: TimeUpError | None = None

    def sent(self) -> list[Exchange | None]:
        left = self._lanes.all(range(len(self._calls)))
        if self._time_up is not None:
            for number in left:
                self._not_sent(number, self._time_up)
        return self._found

    def _ready(self, number: int) -> str | None:
        call = self._calls[number]
        try:
            return self._sender.admit(call)
        except BudgetError as error:
            self._not_sent(number, error)
        return None

    def _not_sent(self, number: int, error: BudgetError) -> None:
        call = self._calls[number]
        concerns = "error" if call.scenario == ERRORS else "request"
        self._sender.not_sent[call.contract.api, concerns] = of_budget(error)
        if isinstance(error, TimeUpError):
            self._time_up = error
            self._lanes.stop()

    def _send(self, number: int, admitted: str) -> None:
        call = self._calls[number]
        send = self._sender.ask if call.scenario == EXPLORED else self._sender.send
        try:
            exchange = send(call, admitted)
        except TimeUpError as error:
            self._not_sent(number, error)
            return
        if call.scenario == EXPLORED:
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
