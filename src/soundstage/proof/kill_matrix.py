"""What became of the faults that were tried: the kill matrix, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from soundstage.generation.faults.catalogue import Fault


class TrialFinding(NamedTuple):
    """What a client made of a fault that was put before it. `caught`: as the catalogue says it
    must; `placed`: there was an answer that it could be put in.
    """

    caught: bool
    found: tuple[str, ...] = ()
    placed: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one fault. `found` are the codes (with severity) that were there instead."""

    fault: Fault
    outcome: str  # killed, survived, wrong_code, no_place
    found: tuple[str, ...] = ()


@dataclass(slots=True)
class KillTable:
    """The kill matrix of one contract for the faults of one severity."""

    api: str
    trials: list[Trial] = field(default_factory=list)
    valid_streams: int = 0
    false_alarms: int = 0

    def of(self, outcome: str) -> list[Trial]:
        return [trial for trial in self.trials if trial.outcome == outcome]

    @property
    def tried(self) -> list[Trial]:
        """Those of faults that could be put in an answer at all."""
        return [trial for trial in self.trials if trial.outcome != "no_place"]

    @property
    def clean(self) -> bool:
        return len(self.of("killed")) == len(self.tried) and not self.false_alarms

    def to_json(self) -> dict[str, Any]:
        return {
            "api": self.api,
            "faults": len(self.trials),
            "killed": len(self.of("killed")),
            "survivors": [trial.fault.name for trial in self.of("survived")],
            "wrong_code": [trial.fault.name for trial in self.of("wrong_code")],
            "no_place": [trial.fault.name for trial in self.of("no_place")],
            "valid_streams": self.valid_streams,
            "false_alarms": self.false_alarms,
        }


@dataclass(slots=True)
class KillMatrix:
    """Both tables of a contract: faults that are errors, and those that are warnings. A false
    alarm counts as what it says. `alarms` are a few of them in words.
    """

    errors: KillTable
    warnings: KillTable
    alarms: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return self.errors.clean and self.warnings.clean

    def to_json(self) -> dict[str, Any]:
        return {**self.errors.to_json(), "warnings": self.warnings.to_json()}
