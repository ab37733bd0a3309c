"""What can be changed of an emulator while it runs: profile, faults, a forced error, rate limits.
Values only; what becomes of them is the business of `control.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soundstage.emulator.options import Options


@dataclass(frozen=True, slots=True)
class RunningSettings:
    """`profile` is the name of one, or (name, data) for one that was sent. `faults`
    None: those that it was started with. `limits` are rates by account, "" for all that have none
    of their own; None lifts a limit.
    """

    profile: str | tuple[str, Mapping[str, Any]]
    faults: tuple[str, ...] | None = None
    error: str | None = None
    limits: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Options) -> RunningSettings:
        """Those that an emulator starts with."""
        return cls(options.profile, error=options.error)
