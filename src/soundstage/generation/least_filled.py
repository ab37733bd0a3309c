"""Values of a request that says no more than it must, each by the role that its field has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from soundstage.generation.sampler import MISSING, Candidates, Knowledge, Place, SchemaSampler

#: Only ever named, never fetched by us: a host that cannot exist (RFC 2606).
_NOBODYS_URL: Final = "https://example.invalid/audio.mp3"


class LeastFilled(Knowledge):
    """Nothing that may be left out; `by_role` makes a value for a role."""

    def __init__(self, sampler: SchemaSampler, by_role: Mapping[str, Callable[[], Any]]) -> None:
        self._sampler, self._by_role = sampler, by_role

    def value(self, place: Place) -> Any:
        role = (self._sampler.role_at(place) or "").removesuffix("_or_null")
        if role in self._by_role:
            return self._by_role[role]()
        return Candidates((_NOBODYS_URL,)) if role == "reference_audio" else MISSING

    def has(self, place: Place) -> bool:
        return False
