"""Captures each endpoint once: one generation per version and endpoint serves all rules, so that a
live check of four endpoints costs four.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.asset_fields import duration_of
from soundstage.contract.protocol import Endpoint
from soundstage.errors import BudgetError
from soundstage.exchange.exchange import RATE_LIMITED, Call, Exchange
from soundstage.exchange.filled_paths import UnusableError, filled, names_in
from soundstage.exchange.given_by import given_by
from soundstage.exchange.job_follower import retry_after
from soundstage.exchange.patience import REASON, TimeUpError
from soundstage.exchange.requests import own_values, sent_body, valid_body
from soundstage.gate.at_once import AtOnce
from soundstage.gate.rule_outcomes import of_budget
from soundstage.gate.sender import Sender

#: What was too many is asked again so often, ...
_MOST_AGAIN = 3
#: ... so many seconds later where the API does not say when (of a faster emulator: its seconds),
#: and never waited for longer than this.
_WAIT_S = 5.0
_LONGEST_WAIT_S = 120.0


def sources_of(contract: Contract, endpoint: Endpoint) -> Iterator[Endpoint]:
    """The endpoints whose exchanges may give what stands in the path and query of `endpoint`; none
    where it is filled in with values of its own.
    """
    names = names_in(endpoint) - endpoint.parameters.keys()
    if not names:
        return
    for other in contract.endpoints.values():
        ours = {each.name for each in other.gives} >= names
        if other is not endpoint and (ours or (other.kind == "stream" and not other.gives)):
            yield other


class Captures:
    """The one exchange with each endpoint of `contracts` (by API)."""

    def __init__(
        self, sender: Sender, contracts: Mapping[str, Contract], *, seed: int, at_once: int
    ) -> None:
        self._sender = sender
        self._contracts = contracts
        self._seed = seed
        self.at_once = at_once
        self._captured: dict[tuple[str, str], Exchange | None] = {}
        self._lanes = AtOnce(at_once, self._ready, self._capture, sender.halt)
        self._lock = threading.Lock()
        #: The exchange that was the first of too many; how many were asked again; and until when
        #: nothing more is asked, in monotonic seconds.
        self._slowed_by: str | None = None
        self._asked_again = 0
        self._not_before = 0.0

    def all(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Capture several (api, endpoint) at once, as a generation may take minutes. After one that
        was too many (429) the rest come one by one, and it is asked again after them.
        """
        todo = [pair for pair in dict.fromkeys(wanted) if pair not in self._captured]
        # What looks a generation up needs one first.
        self._sender.progress.expect("check", len(todo))
        first = [pair for pair in todo if not self._is_given(self._endpoint(pair))]
        for _ in range(1 + _MOST_AGAIN):
            self._lanes.all(first)
            first = [pair for pair in first if self._is_limited(pair)]
            if first and self._sender.patience.over():
                break
        given = [pair for pair in todo if pair not in self._captured]
        AtOnce(1, self._ready, self._capture, self._sender.halt).all(given)

    def of(self, api: str, endpoint: str) -> Exchange | None:
        """The one exchange with an endpoint; sent when first asked for. None if it could not be
        sent, with the reason in `not_sent`.
        """
        pair = (api, endpoint)
        if pair not in self._captured and (ready := self._ready(pair)) is not None:
            self._capture(pair, ready)
        return self._captured[pair]

    def facts(self) -> dict[str, Any]:
        """The `sending` of run.json."""
        return {
            "at_once": self.at_once,
            "slowed_by": self._slowed_by,
            "asked_again": self._asked_again,
        }

    @staticmethod
    def _is_given(endpoint: Endpoint) -> bool:
        """Whether something of its path is what another endpoint gives."""
        return bool(names_in(endpoint) - endpoint.parameters.keys())

    def _is_limited(self, pair: tuple[str, str]) -> bool:
        exchange = self._captured[pair]
        return exchange is not None and exchange.response.status == RATE_LIMITED

    def _ready(self, pair: tuple[str, str]) -> tuple[Call, str] | None:
        """The request of a capture, and its id; None where none can be: `not_sent` says why."""
        try:
            call = self._call(self._contracts[pair[0]], self._endpoint(pair))
            if call is not None:
                return call, self._sender.admit(call)
        except BudgetError as error:
            self._sender.not_sent[pair] = of_budget(error)
        # What was too many before stays what is known.
        self._captured.setdefault(pair, None)
        return None

    def _capture(self, pair: tuple[str, str], ready: tuple[Call, str]) -> None:
        call, admitted = ready
        if self._wait():
            # The time is over, or Ctrl-C came: what was paid for and not sent is given back.
            self._sender.withdraw(call)
            self._captured.setdefault(pair, None)
            self._sender.not_sent[pair] = f"{REASON}: it was not sent while it had to wait"
            return
        again = pair in self._captured
        try:
            exchange = self._sender.ask(call, admitted)
        except TimeUpError as error:
            # What was too many before stays what is known.
            self._captured.setdefault(pair, None)
            self._sender.not_sent[pair] = of_budget(error)
            return
        self._asked_again += again
        self._captured[pair] = exchange
        if exchange.response.status == RATE_LIMITED and call.endpoint.kind != "status":
            self._slow_down(exchange)

    def _slow_down(self, exchange: Exchange) -> None:
        """Go one by one from here on, and not before the API asks for it."""
        second_s = self._sender.session.target.second_s
        asked = retry_after(exchange.response)
        wait_s = _WAIT_S * second_s if asked is None else min(asked, _LONGEST_WAIT_S)
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + wait_s)
            told, self._slowed_by = self._slowed_by, self._slowed_by or exchange.id
        self._lanes.one_by_one()
        if told is None:
            place = f"{exchange.call.contract.api} {exchange.call.endpoint.name}"
            self._sender.progress.said(
                f"{place} was one request too many (429, not billed): the rest go one by one, the "
                f"next in {wait_s:.0f} s"
            )

    def _wait(self) -> bool:
        """Wait until the API may be asked again; True if it was interrupted."""
        left = self._not_before - time.monotonic()
        return left > 0 and self._sender.session.client.interrupt.wait(left)

    def _endpoint(self, pair: tuple[str, str]) -> Endpoint:
        return self._contracts[pair[0]].endpoints[pair[1]]

    def _call(self, contract: Contract, endpoint: Endpoint) -> Call | None:
        """The request that captures an endpoint; None, with the reason in `not_sent`, if none."""
        values = self._filled_in(contract, endpoint)
        if values is None:
            return None
        path = None
        if values:
            try:
                path = filled(endpoint, values)
            except UnusableError as error:
                reason = f"no generation to look up: its id cannot stand in a URL: {error}"
                self._sender.not_sent[(contract.api, endpoint.name)] = reason
                return None
        if endpoint.kind == "status":
            return Call(contract, endpoint, path=path)
        body = valid_body(contract, endpoint, self._seed)
        if endpoint.kind == "sync" and (asked := duration_of(endpoint.request)) is not None:
            # Streams get the documented default, results another length: both must be kept to.
            name, schema = asked
            if isinstance(default := schema.get("default"), int):
                body.setdefault(name, max(1, default * 2 // 3))
        return Call(contract, endpoint, sent_body(endpoint, body), path=path, confirm=1)

    def _filled_in(self, contract: Contract, endpoint: Endpoint) -> dict[str, str] | None:
        """What an endpoint's path and query are filled in with: values of its own, and those that
        an exchange with another endpoint gave. None, with the reason in `not_sent`, where none has.
        """
        names = names_in(endpoint)
        own = own_values(contract, endpoint, self._seed)
        if not names - own.keys():
            return own
        for other in sources_of(contract, endpoint):
            made = self.of(contract.api, other.name)
            given = {} if made is None else given_by(made)
            if names - own.keys() <= given.keys():
                return {**own, **given}
            if made is not None and made.message_id is not None and len(names) == 1:
                return dict.fromkeys(names, made.message_id)
        reason = "no generation to look up: none was given an id"
        self._sender.not_sent[(contract.api, endpoint.name)] = reason
        return None
