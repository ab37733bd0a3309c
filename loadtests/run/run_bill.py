"""What a load run should have been charged, beside what an emulator charged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.contract.rules import BILLING
from soundstage.errors import TargetError
from soundstage.exchange.account.billing import Billing, cost_of
from soundstage.exchange.session import Session
from soundstage.exchange.target import find
from soundstage.loadtests.run.rows import RowRecorder


class RunBill:
    """The bill of one run: it watches the rows, and is looked at once, when all have ended."""

    def __init__(self, session: Session, contracts: Mapping[str, Contract]) -> None:
        self._session = session
        self._billing = Billing.of(contracts.values(), session.target.about)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row."""
        self._billing.add(row)

    def settle(self, recording: RowRecorder) -> None:
        """Hold what is expected against the account; what differs is a finding of the run."""
        about = self._about()
        for contract in self._billing.contracts.values():
            for endpoint in contract.endpoints.values():
                last = self._billing.last(contract.api, endpoint.name)
                if last is None or not endpoint.billed or self._has_one_key(endpoint):
                    continue
                judged = self._billing.judge(contract, endpoint, about)
                if judged.reason is None:
                    rule = f"{contract.api}/{endpoint.name}/{BILLING}"
                    recording.matrix.exercised(contract.api, endpoint.name, rule)
                if judged.found is not None:
                    recording.found_at_the_end(last, contract.api, endpoint.name, judged.found)

    def _has_one_key(self, endpoint: Endpoint) -> bool:
        """Whether each request is, by its header, the same one again."""
        given = {name.lower() for name, _ in self._session.target.headers}
        return (endpoint.idempotency_key or "").lower() in given

    def _about(self) -> Mapping[str, Any]:
        target = self._session.target
        if "charged" not in target.about:
            return {}
        try:
            return find(target.url, self._session.transport).about
        except TargetError:
            return {}

    def cost(self) -> dict[str, Any]:
        """`cost` of the budget in run.json."""
        return cost_of(self._billing)
