"""What a contract check should have been charged, beside what an emulator charged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.rules import BILLING, Rule
from soundstage.errors import BudgetError, TargetError
from soundstage.exchange.account.billing import Billing, BillJudgement
from soundstage.exchange.exchange import Call
from soundstage.exchange.filled_paths import filled
from soundstage.exchange.requests import own_values, sent_body, valid_body
from soundstage.exchange.target import find
from soundstage.gate.sender import Sender


def is_of_bill(rule: Rule) -> bool:
    """Whether a rule is about what is charged, which no exchange shows."""
    return rule.id.endswith(f"/{BILLING}")


class GateBill:
    """The bill of one check, as far as it has been sent; looked at anew when more has been."""

    def __init__(self, sender: Sender, contracts: Mapping[str, Contract], *, seed: int) -> None:
        self._sender = sender
        self._seed = seed
        self._contracts = contracts
        self._again: set[str] = set()
        self._retried: set[str] = set()
        self._known: tuple[int, Billing, dict[str, Any]] | None = None

    def retry(self, rules: Iterable[Rule]) -> None:
        """Send a request twice with one key where a contract names a header for it, so that what
        the second costs can be seen. Once, and only where that is free.
        """
        sender = self._sender
        for rule in rules:
            endpoint = self._contracts[rule.api].endpoints.get(rule.endpoint)
            if not is_of_bill(rule) or endpoint is None or rule.id in self._retried:
                continue
            if endpoint.idempotency_key is None or sender.costly or sender.live:
                continue
            self._retried.add(rule.id)
            call = self._call(self._contracts[rule.api], endpoint)
            with suppress(BudgetError):
                first = sender.send(call)
                second = sender.send(call)
                if first.judge.ended:
                    self._again.add(second.id)

    def _call(self, contract: Contract, endpoint: Endpoint) -> Call:
        own = own_values(contract, endpoint, self._seed)
        assert endpoint.idempotency_key is not None
        return Call(
            contract,
            endpoint,
            sent_body(endpoint, valid_body(contract, endpoint, self._seed)),
            path=filled(endpoint, own) if own else None,
            headers=((endpoint.idempotency_key, uuid4().hex),),
            scenario="bill",
        )

    def billing(self) -> tuple[Billing, dict[str, Any]]:
        """What is expected so far, and what the target says of itself now."""
        sender, taken = self._sender, self._sender.taken
        if self._known is None or self._known[0] != taken:
            billing = Billing.of(self._contracts.values(), sender.session.target.about)
            for each in sender.exchanges:
                row = sender.weights.row(each.row(sender.started_ns), each.violations)
                billing.add(row, again=each.id in self._again)
            self._known = taken, billing, self._about()
        return self._known[1:]

    def _about(self) -> dict[str, Any]:
        session = self._sender.session
        if "charged" not in session.target.about or self._sender.halted():
            return {}
        try:
            return dict(find(session.target.url, session.transport).about)
        except TargetError:
            return {}

    def judge(self, rule: Rule) -> tuple[BillJudgement, str | None]:
        """What became of a rule about what is charged, and the exchange that it stands by."""
        contract = self._contracts[rule.api]
        header = contract.endpoints[rule.endpoint].idempotency_key
        given = {name.lower() for name, _ in self._sender.session.target.headers}
        if header is not None and header.lower() in given:
            return BillJudgement(reason=f"each request has the same {header}"), None
        billing, about = self.billing()
        judged = billing.judge(contract, contract.endpoints[rule.endpoint], about)
        return judged, billing.last(rule.api, rule.endpoint)
