"""The exchanges of a run that are worth a look, as lines of text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from soundstage.output import visible
from soundstage.reports.story.exchange_list import STANDINGS, ListedExchanges, standing
from soundstage.reports.words import place_words, plain, seconds
from soundstage.results.bundle import Bundle

Row = Mapping[str, Any]
_STOOD: Final = {
    "violates": "violate the contract",
    "failed": "failed",
    "inconclusive": "inconclusive",
    "kept": "kept",
    "conforms": "conform",
}
_STOOD_SHORT: Final = {**{each: each for each in STANDINGS}, "kept": "conforms"}


def list_lines(bundle: Bundle, found: ListedExchanges) -> Iterator[str]:
    """The rows that were found, how many more there are, and what to type next."""
    rows = [("EXCHANGE", "ENDPOINT", "", "WHY", "AT (UTC)", "AFTER", "KEPT")]
    for row in found.rows:
        kept = "transcript" if row.get("transcript") else "row"
        into = seconds(row["intended_ns"] / 1e9)
        rows.append(
            (
                plain(row["id"], 60),
                place_words(row["api"], row["endpoint"]),
                _STOOD_SHORT[standing(row)],
                _why(row),
                f"{moment(bundle, row):%H:%M:%S}",
                into,
                kept,
            )
        )
    yield from visible.table(rows, right={5})
    told = [f"{found.standings[each]:,} {_STOOD[each]}" for each in STANDINGS]
    yield ""
    yield ", ".join(each for each in told if not each.startswith("0 "))
    if found.total > len(found.rows):
        yield f"and {found.total - len(found.rows):,} more (--limit 0 shows all)"
    yield f"next: soundstage show {shlex.quote(str(bundle.path))} {plain(found.rows[0]['id'], 60)}"


def _why(row: Row) -> str:
    codes = [
        plain(name, 40) + (f" x{many:,}" if many > 1 else "") for name, many in row["codes"].items()
    ]
    if row["verdict"] == "violates" and codes:
        return ", ".join(codes[:3]) + (" …" if len(codes) > 3 else "")
    said = [] if row["outcome"] == "ok" else [row["outcome"]]
    if row.get("probe") and row["outcome"] == "refused":
        said = ["refused, as it was to be"]
    if row.get("http_status") not in (None, 200):
        said.append(f"HTTP {row['http_status']}")
    said += [plain(row["reason"], 60)] if row.get("reason") else []
    return ", ".join(said)


def moment(bundle: Bundle, row: Row) -> datetime:
    """When an exchange was due, in UTC."""
    began = datetime.fromisoformat(bundle.run["created"])
    try:
        return began + timedelta(microseconds=row["intended_ns"] / 1000)
    except OverflowError:
        return began
