"""Captures each endpoint once: one generation per version and endpoint serves all rules, so that a
live check of four endpoints costs four.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from threading import Thread

from soundstage.contract import Contract
from soundstage.contract.asset_fields import duration_of
from soundstage.contract.protocol import Endpoint
from soundstage.errors import BudgetError
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.filled_paths import UnusableError, filled, names_in
from soundstage.exchange.given_by import given_by
from soundstage.exchange.requests import own_values, sent_body, valid_body
from soundstage.gate.rule_outcomes import of_budget
from soundstage.gate.sender import Sender
from soundstage.gate.server_errors import is_server_error

#: An exchange that is cut gets so long to say so, in seconds.
_CUT_S = 2.0


class Captures:
    """The one exchange with each endpoint of `contracts` (by API)."""

    def __init__(
        self, sender: Sender, contracts: Mapping[str, Contract], *, seed: int, at_once: int
    ) -> None:
        self._sender = sender
        self._contracts = contracts
        self._seed = seed
        self._at_once = at_once
        self._captured: dict[tuple[str, str], Exchange | None] = {}

    def all(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Capture several (api, endpoint) at once, as a generation may take minutes."""
        todo = [pair for pair in dict.fromkeys(wanted) if pair not in self._captured]
        # What looks a generation up needs one first.
        first = [pair for pair in todo if not names_in(self._endpoint(pair))]
        self._sender.progress.expect("check", len(todo))
        failed: list[BaseException] = []
        # Threads are not joined: once Ctrl-C has interrupted that, Python takes them for ended.
        ended = {pair: threading.Event() for pair in first}

        def capture(pair: tuple[str, str]) -> None:
            try:
                self.of(*pair)
            except BaseException as error:  # noqa: BLE001 - given to the caller below
                failed.append(error)
            finally:
                ended[pair].set()

        begun: list[tuple[str, str]] = []
        try:
            for number, pair in enumerate(first):
                if number >= self._at_once:
                    ended[first[number - self._at_once]].wait()
                # Daemons, so that Ctrl-C need not wait for songs that take minutes.
                Thread(target=capture, args=(pair,), daemon=True).start()
                begun.append(pair)
            for pair in first:
                ended[pair].wait()
        except KeyboardInterrupt:
            # What has come so far was paid for: it is judged, and stands in the report.
            self._sender.cut()
            deadline = time.monotonic() + _CUT_S
            for pair in begun:
                ended[pair].wait(max(0.0, deadline - time.monotonic()))
            raise
        if failed:
            raise failed[0]
        for pair in todo:
            self.of(*pair)

    def of(self, api: str, endpoint: str) -> Exchange | None:
        """The one exchange with an endpoint; sent when first asked for. None if it could not be
        sent, with the reason in `not_sent`.
        """
        pair = (api, endpoint)
        if pair not in self._captured:
            try:
                self._captured[pair] = self._capture(self._contracts[api], self._endpoint(pair))
            except BudgetError as error:
                self._captured[pair] = None
                self._sender.not_sent[pair] = of_budget(error)
        return self._captured[pair]

    def _endpoint(self, pair: tuple[str, str]) -> Endpoint:
        return self._contracts[pair[0]].endpoints[pair[1]]

    def _capture(self, contract: Contract, endpoint: Endpoint) -> Exchange | None:
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
            return self._sender.send(Call(contract, endpoint, path=path))
        body = valid_body(contract, endpoint, self._seed)
        if endpoint.kind == "sync" and (asked := duration_of(endpoint.request)) is not None:
            # Streams get the documented default, results another length: both must be kept to.
            name, schema = asked
            if isinstance(default := schema.get("default"), int):
                body.setdefault(name, max(1, default * 2 // 3))
        call = Call(contract, endpoint, sent_body(endpoint, body), path=path, confirm=1)
        exchange = self._sender.send(call)
        if is_server_error(exchange) and self._sender.session.budget.left is None:
            # Asking is free: does it come again?
            exchange = self._sender.send(call)
        return exchange

    def _filled_in(self, contract: Contract, endpoint: Endpoint) -> dict[str, str] | None:
        """What an endpoint's path and query are filled in with: values of its own, and those that
        an exchange with another endpoint gave. None, with the reason in `not_sent`, where none has.
        """
        names = names_in(endpoint)
        own = own_values(contract, endpoint, self._seed)
        if not names - own.keys():
            return own
        for other in contract.endpoints.values():
            ours = {each.name for each in other.gives} >= names - own.keys()
            if other is endpoint or not (ours or (other.kind == "stream" and not other.gives)):
                continue
            made = self.of(contract.api, other.name)
            given = {} if made is None else given_by(made)
            if names - own.keys() <= given.keys():
                return {**own, **given}
            if made is not None and made.message_id is not None and len(names) == 1:
                return dict.fromkeys(names, made.message_id)
        reason = "no generation to look up: none was given an id"
        self._sender.not_sent[(contract.api, endpoint.name)] = reason
        return None
