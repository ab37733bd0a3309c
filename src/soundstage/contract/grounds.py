"""What a rule rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a rule rests on: `basis` (documented, exemplified, inferred), the place on the page,
    and a severity where it does not follow from the basis.
    """

    basis: str
    source: str
    severity: str | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Grounds:
        return cls(data["basis"], data["source"], data.get("severity"))
