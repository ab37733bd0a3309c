"""What is known about each rule once a gate has seen what it could, and how much it weighs.

Values in, values out: severities, waivers and the exit code; nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from soundstage.config import Config, Waiver
from soundstage.conformance.violations import Severity, Violation
from soundstage.contract.rules import Rule
from soundstage.exchange.exchange import Exchange

#: Reasons that are the target's or the environment's, not the contract's: exit code 6.
_ENVIRONMENT = ("api.", "http.", "environment.", "budget")
_EVIDENCE = 3


@dataclass(slots=True)
class RuleOutcome:
    """What is known about one rule. `outcome`: "passed", "failed", "warned", "known" (broken, and
    waived), "inconclusive" or "not_exercised"; `reason` says why where it is one of the last
    three, or what became of a waiver.
    """

    rule: Rule
    outcome: str
    reason: str | None = None
    found: list[tuple[str, Violation]] = field(default_factory=list)
    exchanges: int = 0

    def to_json(self) -> dict[str, Any]:
        """The row of `rules.ndjson` (design 9)."""
        rule = self.rule
        return {
            "rule": rule.id,
            "api": rule.api,
            "endpoint": rule.endpoint,
            "outcome": self.outcome,
            "reason": self.reason,
            "severity": rule.severity,
            "basis": rule.basis,
            "source": rule.source,
            "text": rule.text,
            "violations": len(self.found),
            "exchanges": self.exchanges,
            "evidence": [
                {
                    "exchange": exchange,
                    "chunk": violation.chunk,
                    "path": violation.path,
                    "message": violation.message,
                }
                for exchange, violation in self.found[:_EVIDENCE]
            ],
            "seconds": None,
        }


class Weights:
    """How much violations weigh by the user's configuration. `today` decides which waivers still
    hold; `strict`: a warning fails, too.
    """

    def __init__(self, config: Config, *, strict: bool, today: date) -> None:
        self._config = config
        self._today = today
        self._failing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
        self._used: set[Waiver] = set()

    def weigh(self, outcome: RuleOutcome) -> None:
        """Decide the outcome of a rule that was broken, as severities and waivers have it."""
        open_, expired, holding = [], [], []
        for _, violation in outcome.found:
            waivers = self._config.waivers_of(violation)
            self._used.update(waivers)
            holds = [waiver for waiver in waivers if waiver.holds(self._today)]
            holding += holds
            if not holds:
                open_.append(violation.severity)
                expired += waivers
        if self._failing & set(open_):
            outcome.outcome = "failed"
            if expired:
                outcome.reason = f"its waiver has expired: {expired[0].describe()}"
        elif holding:
            outcome.outcome, outcome.reason = "known", f"waived: {holding[0].describe()}"
        elif Severity.WARNING in open_:
            outcome.outcome = "warned"

    def unused(self) -> list[Waiver]:
        """Waivers that spoke of nothing that was found; known only when all outcomes are. Those of
        drift speak of two runs, and say nothing here.
        """
        unused = (each for each in self._config.waivers if each not in self._used)
        return [waiver for waiver in unused if waiver.drift is None]


def exit_code(outcomes: Iterable[RuleOutcome], *, sent: bool) -> int:
    """The exit code that follows (design 12): 1, 6, 5, 4 or 0, the first that applies. `sent`:
    anything was sent at all.
    """
    outcomes = list(outcomes)
    if any(outcome.outcome == "failed" for outcome in outcomes):
        return 1
    hidden = [o for o in outcomes if o.outcome == "inconclusive"]
    if any((o.reason or "").startswith(_ENVIRONMENT) for o in hidden):
        return 6
    if not sent:
        return 5
    return 4 if hidden else 0


def not_shown(outcome: RuleOutcome, exchanges: list[Exchange], not_sent: str | None) -> None:
    """Decide the outcome of a rule that none of the `exchanges` that concern it puts to the test.
    `not_sent`: why its endpoint was not asked, None if it was.
    """
    rule = outcome.rule
    if not_sent:
        outcome.outcome, outcome.reason = "inconclusive", not_sent
        return
    reasons = [exchange.reason for exchange in exchanges if exchange.reason]
    if reasons and len(reasons) == len(exchanges):
        outcome.outcome, outcome.reason = "inconclusive", _explained(exchanges[0])
        return
    outcome.outcome = "not_exercised"
    outcome.reason = "nothing that was sent or seen could have broken it"
    if rule.endpoint in ("error", "request") and not exchanges:
        outcome.reason = "not provoked on this target: it may cost money, or cannot be asked for"


def _explained(exchange: Exchange) -> str:
    reason = exchange.reason or ""
    if exchange.judge.failed:
        return f"{reason}: {exchange.judge.failed}"
    if exchange.end is not None and exchange.end.message and reason.startswith("environment"):
        return f"{reason}: {exchange.end.message}"
    if exchange.response.status not in (None, 200):
        return f"{reason}: the answer was {exchange.response.status}"
    return reason
