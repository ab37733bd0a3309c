"""Sends requests that are made up: to provoke documented errors, to break a rule, to explore. What
should come of one says the contract's data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from soundstage.conformance.fields import FieldCheck
from soundstage.contract import Contract
from soundstage.contract.protocol import DocumentedError, Endpoint
from soundstage.errors import BudgetError
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.filled_paths import filled, names_in
from soundstage.exchange.patience import TimeUpError
from soundstage.exchange.requests import endpoint_of, own_values, sent_body, valid_body
from soundstage.gate.rule_outcomes import of_budget
from soundstage.gate.sender import Sender
from soundstage.gate.server_errors import is_server_error
from soundstage.untrusted import json_text
from soundstage.wire.media_type import media_type

#: Asks our emulator for an error; any other target ignores it.
ERROR_HEADER = "Soundstage-Error"


class MadeUpRequests:
    """The requests of one check that are no user's, each sent once where it is asked for again."""

    def __init__(self, sender: Sender, *, seed: int) -> None:
        self._sender = sender
        self._seed = seed
        self._provoked: dict[tuple[str, str], list[Exchange]] = {}

    def valid_body(self, contract: Contract, endpoint: Endpoint) -> dict[str, Any]:
        """A request that the contract allows; the same for the same seed."""
        return valid_body(contract, endpoint, self._seed)

    def valid_bodies(self, contract: Contract) -> dict[str, dict[str, Any]]:
        """A valid body for each endpoint that takes one, by its name."""
        return {
            each.name: self.valid_body(contract, each)
            for each in contract.endpoints.values()
            if each.request is not None
        }

    def provoked(self, contract: Contract, error: DocumentedError) -> list[Exchange]:
        """Answers to requests that should give a documented error; empty where it cannot be
        provoked. Our emulator is asked for it by a header; elsewhere only a missing key costs
        nothing, so nothing else is tried.
        """
        key = (contract.api, error.name)
        if key not in self._provoked:
            sent: list[Exchange] = []
            try:
                self._provoke(contract, error, sent)
            except TimeUpError as over:
                self._sender.not_sent[(contract.api, "error")] = of_budget(over)
            self._provoked[key] = sent
        return self._provoked[key]

    def _provoke(self, contract: Contract, error: DocumentedError, sent: list[Exchange]) -> None:
        for endpoint in contract.endpoints.values():
            if endpoint.request is None:
                continue
            body = self.valid_body(contract, endpoint)
            call = Call(
                contract,
                endpoint,
                sent_body(endpoint, body),
                scenario="errors",
                path=self._any_path(contract, endpoint),
                expect_error=True,
            )
            if self._sender.session.target.kind == "emulator" and not self._sender.costly:
                header = ((ERROR_HEADER, error.name),)
                sent.append(self._sender.send(replace(call, headers=header)))
            elif error.status == 401:
                sent.append(self._sender.send(replace(call, key=None)))

    def refused(
        self, contract: Contract, endpoint: Endpoint, body: Any, rule: str, **changes: Any
    ) -> None:
        """Send a request that breaks `rule` (without the API's name) and should be refused; each
        once. Where the budget does not cover it, it is not sent.
        """
        key = (contract.api, f"{endpoint.name} {rule} {body!r} {changes!r}")
        if key in self._provoked:
            return
        call = Call(
            contract,
            endpoint,
            body,
            scenario="refusals",
            expect_error=True,
            broken_rule=rule,
            **changes,
        )
        try:
            self._provoked[key] = [self._sender.send(call)]
        except BudgetError as error:
            self._sender.not_sent[(contract.api, "request")] = of_budget(error)

    def probe(self, contract: Contract, endpoint: Endpoint, **changes: Any) -> Exchange:
        """Send a valid request but for `changes` (fields of `Call`), which should be refused."""
        body = self.valid_body(contract, endpoint)
        call = Call(
            contract,
            endpoint,
            body,
            scenario="refusals",
            path=self._any_path(contract, endpoint),
            expect_error=True,
        )
        return self._sender.send(replace(call, **changes))

    def _any_path(self, contract: Contract, endpoint: Endpoint) -> str | None:
        """The path of an endpoint for a request that is to be refused, whatever is filled in."""
        names = names_in(endpoint)
        if not names:
            return None
        own = own_values(contract, endpoint, self._seed)
        return filled(endpoint, {**dict.fromkeys(names, "none"), **own})

    def explored(
        self,
        contract: Contract,
        endpoint: Endpoint,
        body: Any,
        *,
        method: str | None = None,
        content_type: str = "application/json",
    ) -> Exchange | None:
        """Send a request that was made up. Whether it is valid the contract's data says, not
        whoever made it; an invalid one should be refused. None where no budget covers it.
        """
        endpoint = endpoint_of(contract, endpoint, body)
        broken = self._broken_rule(contract, endpoint, body)
        if media_type(content_type) != "application/json":
            broken = broken or "request/media_type"
        other_method = method is not None and method.upper() != endpoint.method
        call = Call(
            contract,
            endpoint,
            body,
            scenario="explored",
            method=method,
            content_type=content_type,
            follow=False,
            expect_error=broken is not None or other_method,
            broken_rule=None if other_method else broken,
        )
        try:
            exchange = self._sender.send(call)
        except BudgetError as error:
            self._sender.not_sent[(contract.api, "request")] = of_budget(error)
            return None
        if is_server_error(exchange) and self._sender.exploring.left is None:
            exchange = self._sender.send(call)
        return exchange

    @staticmethod
    def _broken_rule(contract: Contract, endpoint: Endpoint, body: Any) -> str | None:
        parsed = json_text.parse(body) if isinstance(body, bytes) else None
        value = parsed.value if parsed is not None else body
        if not isinstance(value, dict) or (parsed is not None and parsed.problems):
            return "request/body"
        prefix = contract.rules.requests.get(endpoint.name, "")
        check = FieldCheck(contract.rules, "request", prefix, endpoint.request or {}, None)
        found = sorted(check.violations(value, None), key=lambda each: each.severity)
        return found[0].rule.removeprefix(f"{contract.api}/") if found else None
