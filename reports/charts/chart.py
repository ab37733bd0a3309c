"""What all charts of a page have in common: a drawing, its words, and the table that says the same.

Presentation attributes only (no style, no script, no request), so they survive a strict Content
Security Policy; text and axes are `currentColor` and marks are mid-tones, so that they stand on
a light page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 920
BLUE, ORANGE, GREEN = "#3f83f0", "#d9741a", "#1f9d76"
RED, AMBER, GREY = "#dc3d4a", "#cf8a0a", "#7c8794"
PURPLE, TEAL = "#9b59d0", "#1894a8"

#: Colour and dash of the headline milestones, the last of them first: most have one that ends all.
_STYLES = ((GREEN, ""), (ORANGE, "7 3"), (BLUE, ""), (AMBER, "7 3"), (GREY, ""), (RED, "7 3"))

#: At most this many stages are drawn, and rows are in a chart's table.
STAGE_LIMIT = 40
TABLE_LIMIT = 250


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, the words that go with it, and its numbers as a table. `narrow` is the same
    drawing for a narrow screen (`svg.both`), empty where `svg` is legible on one as well.
    """

    id: str
    title: str
    note: str
    svg: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    narrow: Markup | None = None


def curve_style(headline: Sequence[str], name: str) -> tuple[str, str]:
    """Colour and dash of one of the headline milestones of an endpoint."""
    return _STYLES[(len(headline) - 1 - headline.index(name)) % len(_STYLES)]


def slug(name: str) -> str:
    """A name as an id: letters, digits and hyphens."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())


def bounded(rows: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """The rows of a chart's table, or the first of them and a row that says how many more."""
    if len(rows) <= TABLE_LIMIT:
        return rows
    more = (f"and {len(rows) - TABLE_LIMIT:,} more", *([""] * (len(rows[0]) - 1)))
    return (*rows[:TABLE_LIMIT], more)
