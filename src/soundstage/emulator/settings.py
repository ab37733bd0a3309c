"""What can be changed of an emulator while it runs, for all its workers: profile, faults, a forced
error, rate limits. Values only; what becomes of them is `app.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from soundstage.emulator.options import Options


@dataclass(frozen=True, slots=True)
class Settings:
    """`profile` is the name of one, or (name, data) for one that was sent. `faults_set` is how
    often the faults were replaced. `limits` are rates by account, "" for all that have none of
    their own; None lifts a limit.
    """

    profile: str | tuple[str, Mapping[str, Any]]
    faults: tuple[str, ...] = ()
    faults_set: int = 0
    error: str | None = None
    limits: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Options) -> Settings:
        """Those that an emulator starts with."""
        return cls(options.profile, options.faults, error=options.error)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """The inverse of `to_json`."""
        profile = data["profile"]
        return cls(
            profile if isinstance(profile, str) else (profile[0], profile[1]),
            tuple(data["faults"]),
            data["faults_set"],
            data["error"],
            data["limits"],
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
