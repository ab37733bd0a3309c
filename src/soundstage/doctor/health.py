"""What is looked at, and what was found: checks and the diagnosis that they make. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from soundstage.doctor.causes import CAUSES, Cause
from soundstage.exit_codes import worst

Outcome = Literal["ok", "problem", "not known"]
#: In the order in which they are looked at: what fails first explains what comes after it.
CHECKS: Final = (
    "name",
    "address",
    "connection",
    "TLS",
    "HTTP",
    "host",
    "key",
    "clock",
    "contract",
    "machine",
)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One thing that was looked at. `said`: what was found, one line, of our words and of what the
    target sent (which the output makes harmless).
    """

    name: str
    outcome: Outcome
    said: str
    cause: Cause | None = None

    def to_json(self) -> dict[str, Any]:
        """As one of `checks` (doctor.schema.json)."""
        row: dict[str, Any] = {"name": self.name, "outcome": self.outcome, "said": self.said}
        if self.cause is not None:
            row |= {"cause": self.cause.name, "todo": self.cause.todo}
        return row


def ok(name: str, said: str) -> HealthCheck:
    """A check that found nothing wrong."""
    return HealthCheck(name, "ok", said)


def unknown(name: str, said: str) -> HealthCheck:
    """A check that no free request can decide; `said` is why."""
    return HealthCheck(name, "not known", said)


def problem(name: str, cause: str, said: str) -> HealthCheck:
    """A check that found a cause, by its name in `causes.CAUSES`."""
    return HealthCheck(name, "problem", said, CAUSES[cause])


@dataclass(slots=True)
class Diagnosis:
    """What was found of one target: `kind` as of a `Target`; `requests`: what was sent."""

    target: str
    kind: str
    apis: tuple[str, ...]
    checks: list[HealthCheck] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def first(self) -> HealthCheck | None:
        """The first check that found a problem: it explains the others."""
        return next((each for each in self.checks if each.cause is not None), None)

    @property
    def code(self) -> int:
        """The exit code: of all causes that were found, the one that weighs most."""
        return worst(each.cause.code for each in self.checks if each.cause is not None)

    def to_json(self) -> dict[str, Any]:
        """As `--format json` prints it (doctor.schema.json)."""
        first = self.first
        return {
            "target": self.target,
            "kind": self.kind,
            "apis": list(self.apis),
            "exit_code": self.code,
            "first": None if first is None else first.to_json(),
            "checks": [each.to_json() for each in self.checks],
            "requests": self.requests,
        }
