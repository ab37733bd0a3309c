"""One thing that can differ between two sides that were observed: a value, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from soundstage.reports.drift.documented import Said
from soundstage.reports.drift.presence import Presence


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that exchanges show or do not. `kind` is what sort of thing it is, `detail` which
    one (a type, a value, another stage; of a range, what was seen of the candidate); `was`
    describes the base where that helps. `said`: what the contract says about its being seen. Of
    `KIND.limit`, `seen` counts one exchange for "at least one went beyond".
    """

    kind: str
    stage: str | None
    path: str
    detail: str
    said: Said
    seen: Presence
    was: str = ""
