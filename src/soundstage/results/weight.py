"""How much a broken rule weighs in a run, and what its rule comes to. Values only.

`exchange.weights` weighs violations by the user's configuration; where nobody has one, severities
alone decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from soundstage.conformance.violations import Severity, Violation


class Weight(StrEnum):
    """What a violation does to a run. The order is that of urgency: the first decides a rule."""

    FAILED = "failed"
    KNOWN = "known"
    WARNED = "warned"
    NOTED = "passed"


@dataclass(frozen=True, slots=True)
class Weighed:
    """A violation, with the severity that it has in this run. `reason` says what became of a waiver
    that speaks of it, None if none does.
    """

    violation: Violation
    weight: Weight
    reason: str | None = None

    @property
    def fails(self) -> bool:
        """Whether it turns the run red."""
        return self.weight is Weight.FAILED


class Weighing(Protocol):
    """Weighs violations."""

    def of(self, violation: Violation) -> Weighed: ...


class SeverityWeights:
    """Weighs by severity alone. `strict`: a warning fails, too."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict

    def of(self, violation: Violation) -> Weighed:
        return Weighed(violation, by_severity(violation.severity, strict=self._strict))


def by_severity(severity: Severity, *, strict: bool) -> Weight:
    """What a violation that nothing waives does."""
    if severity is Severity.ERROR or (strict and severity is Severity.WARNING):
        return Weight.FAILED
    return Weight.WARNED if severity is Severity.WARNING else Weight.NOTED


def outcome_of(found: Iterable[tuple[Weight, str | None]]) -> tuple[str, str | None]:
    """What a rule comes to whose violations weigh so much, each with its reason: the worst decides
    the outcome, and the first reason of that weight stands with it.
    """
    pairs = list(found)
    for weight in Weight:
        reasons = [reason for each, reason in pairs if each is weight]
        if reasons:
            return weight.value, next((reason for reason in reasons if reason), None)
    return Weight.NOTED.value, None
