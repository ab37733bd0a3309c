"""A contract gate: captures each endpoint once, provokes errors and explores, all within a budget.

What was sent and seen goes into the run bundle as it happens; what it says of the rules is in
`conclusion`.
"""

from __future__ import annotations

from collections.abc import Iterable

from soundstage.config import Waiver
from soundstage.conformance.violations import Violation
from soundstage.contract import Contract
from soundstage.contract.rules import Rule
from soundstage.exchange.client import Exchange
from soundstage.gate.captures import Captures
from soundstage.gate.gate_bill import GateBill
from soundstage.gate.made_up_requests import MadeUpRequests
from soundstage.gate.rule_outcomes import unjudged
from soundstage.gate.sender import Sender
from soundstage.gate.shown_by_rule import ShownByRule
from soundstage.gate.tie_checks import TieChecks

#: Requests that are under way together: where they may cost money, and where not.
POLITE, FREE = 2, 8


class ContractGate:
    """One contract check with one target: what is sent (`captures`, `ties`, `made_up`), and what is
    known of it.
    """

    def __init__(
        self,
        sender: Sender,
        contracts: Iterable[Contract],
        *,
        seed: int = 0,
        at_once: int | None = None,
    ) -> None:
        """`at_once`: how many requests are under way together; None: as many as it is polite to."""
        at_once = at_once or (POLITE if sender.costly else FREE)
        self.contracts = {contract.api: contract for contract in contracts}
        self.sender = sender
        self.seed = seed
        self.captures = Captures(sender, self.contracts, seed=seed, at_once=at_once)
        self.ties = TieChecks(sender, self.contracts, seed=seed)
        self.bill = GateBill(sender, self.contracts, seed=seed)
        self.made_up = MadeUpRequests(sender, at_once=at_once)
        #: The rules that were selected, once they are known.
        self.selected: list[Rule] = []
        self._shown: tuple[int, ShownByRule] | None = None
        #: By rule, how long its own check took, with the requests that it sent.
        self.check_seconds: dict[str, float] = {}
        self.session = sender.session
        self.bundle = sender.bundle
        self.config = sender.config
        self.assets = sender.assets
        self.patience = sender.patience
        self.weights = sender.weights

    @property
    def exchanges(self) -> list[Exchange]:
        """All exchanges so far, in the order in which they were begun."""
        return self.sender.exchanges

    def shown(self) -> ShownByRule:
        """What all exchanges so far say, by rule."""
        sent = self.sender.taken
        if self._shown is None or self._shown[0] != sent:
            self._shown = sent, ShownByRule(self.exchanges, live=self.live)
        return self._shown[1]

    @property
    def live(self) -> bool:
        """Whether the target is the live API, or treated as it is; see `Target.as_live`."""
        return self.sender.live

    @property
    def costly(self) -> bool:
        """Whether a billable request may cost the user money; see `Sender.costly`."""
        return self.sender.costly

    @property
    def freely(self) -> bool:
        """Whether documented errors can be had for the asking, and for nothing."""
        return self.session.target.kind == "emulator" and not self.costly

    def failing(self, exchange: Exchange) -> list[Violation]:
        """What turns the run red in an exchange, by severities and waivers."""
        return self.weights.failing(exchange.violations)

    @staticmethod
    def unjudged(exchange: Exchange) -> str | None:
        """Why an answer says nothing about the contract; None if it is the API's word."""
        return unjudged(exchange)

    def unused_waivers(self) -> list[Waiver]:
        """Waivers that spoke of nothing that was found; known only when all outcomes are."""
        return self.weights.unused()
