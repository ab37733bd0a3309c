"""The page of `soundstage runs index`: all runs of a folder, the newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from soundstage.reports.formats import html
from soundstage.reports.history.run_links import reference
from soundstage.reports.history.runs_index import IndexRow
from soundstage.reports.words import plural

#: Icon and pill of each tone.
_PILLS = {
    "pass": ("✓", "passed"),
    "fail": ("✗", "failed"),
    "inconclusive": ("?", "warned"),
    "invalid": ("⊘", "warned"),
    "incomplete": ("…", "warned"),
    "unreadable": ("⊘", "warned"),
}
#: What the list can be narrowed to, in this order; the style sheet has a rule for each place.
_FILTERS = ("failed", "undecided or unreadable", "passed", "checks", "load runs", "live")


def render(rows: Sequence[IndexRow], older: int, root: Path, folder: Path) -> str:
    """The page of these runs, with `older` ones that it does not show, as text to be stored in
    UTF-8; it will lie in `folder`.
    """
    tones = Counter(row.tone for row in rows)
    sorts = {row.entry.id: _sorts(row) for row in rows}
    counts = Counter(place for places in sorts.values() for place in places)
    trend = root / "trend.html"
    bad = tones["fail"]
    return html.page(
        "runs_index.html",
        tone=rows[0].tone if rows else "neutral",
        icon=_PILLS[rows[0].tone][0] if rows else "·",
        title=_title(rows),
        counts=f"{plural(len(rows), 'run')}: {bad:,} failed, {tones['pass']:,} passed,"
        f" {len(rows) - bad - tones['pass']:,} undecided or unreadable",
        root=str(root),
        rows=rows,
        older=older,
        pills=_PILLS,
        sorts=sorts,
        filters=[(place, _FILTERS[place], counts[place]) for place in sorted(counts)]
        if len(counts) > 1
        else [],
        trend=reference(trend, folder) if trend.is_file() and not trend.is_symlink() else None,
    )


def _title(rows: Sequence[IndexRow]) -> str:
    """What the newest run came to: that is what a reader wants to know first."""
    return f"Newest: {rows[0].title}" if rows else "No runs yet"


def _sorts(row: IndexRow) -> list[int]:
    """The filters that a row passes."""
    outcome = {"fail": 0, "pass": 2}.get(row.tone, 1)
    found = [outcome]
    if row.entry.kind is not None:
        found.append(3 if row.entry.kind == "check" else 4)
    if row.entry.target_kind == "live":
        found.append(5)
    return found
