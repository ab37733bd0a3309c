"""How many streams of a run were held back on their way (`stream.buffered`), and what that means
for its times.

A buffer makes times later than they were, and nobody knows by how much; and what serves a stream
whole may never have made it at all. So such a time is neither met nor missed by an objective, but
where even its low end is too late (`row_facts.straddles`), and a run of which many streams were
held back says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

#: From so large a share of an endpoint's streams on the run's times are the buffer's: a p95 is made
#: of no more.
SHARE: Final = 0.05
_SHOWN: Final = 2
#: The code of the finding (`soundstage explain`), by which words of a run are known to tell of it.
BUFFERED: Final = "stream.buffered"

Place = tuple[str, str]


class HeldStreams:
    """The streams of a run that went well, by (api, endpoint): all, and those held back."""

    def __init__(self) -> None:
        self._all: Counter[Place] = Counter()
        self._held: Counter[Place] = Counter()

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row of exchanges.ndjson.gz."""
        if row["outcome"] == "ok" and not row.get("warmup") and not row.get("probe"):
            place = row["api"], row["endpoint"]
            self._all[place] += 1
            self._held[place] += "held_back" in row

    def to_json(self) -> dict[str, Any]:
        """`held_back` of the totals of run.json; nothing where none was."""
        rows = [
            {"api": api, "endpoint": endpoint, "streams": self._all[api, endpoint], "held": many}
            for (api, endpoint), many in sorted(self._held.items())
            if many
        ]
        return {"held_back": rows} if rows else {}


def held_words(totals: Mapping[str, Any]) -> str | None:
    """What the headline of a run says, by its totals: None where it were too few to matter."""
    said = list(_said(totals))
    return "; ".join(said[:_SHOWN]) or None


def _said(totals: Mapping[str, Any]) -> Iterator[str]:
    rows = totals.get("held_back")
    for row in rows if isinstance(rows, list) else ():
        if row["held"] >= SHARE * row["streams"]:
            where = f"{row['api']} {row['endpoint']}"
            yield (
                f"{where}: {row['held']:,} of {row['streams']:,} streams were held back on their "
                f"way ({BUFFERED}): times before their end are a buffer's, not the API's"
            )
