"""The contract matrix: each rule at each endpoint as a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from soundstage.reports.charts.chart import AMBER, BLUE, GREEN, GREY, RED, WIDTH, Chart, bounded
from soundstage.reports.charts.svg import NARROW, both, element, line, svg, text, words_width
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.words import OUTCOMES, place_words, plain, plural

#: At most this many cells.
CELL_LIMIT = 1500

_CELL = 20
_LABEL = 190
_TALLY = 62

#: Fill of a cell, its opacity, its outline, and the colour of its glyph.
_CELLS = {
    "failed": (RED, "1", "", "#fff"),
    "outside": (RED, ".5", "", "#ffffff"),
    "warned": (AMBER, "1", "", "#1a1200"),
    "inconclusive": ("none", "1", GREY, "currentColor"),
    "known": (BLUE, ".16", BLUE, "currentColor"),
    "passed": (GREEN, ".2", "", GREEN),
    "not_exercised": ("none", "1", "", GREY),
}


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a picture of this width stands: on a narrow one the name of a line stands above its
    cells, and symbols have ids of their own, since both pictures are in one page.
    """

    width: int

    @property
    def narrow(self) -> bool:
        return self.width <= NARROW

    @property
    def left(self) -> int:
        return 0 if self.narrow else _LABEL

    @property
    def across(self) -> int:
        """How many cells stand side by side."""
        return (self.width - self.left - (0 if self.narrow else _TALLY)) // _CELL

    def symbol(self, outcome: str) -> str:
        return f"m-{outcome}-narrow" if self.narrow else f"m-{outcome}"


def matrix(rules: Sequence[RuleResult]) -> Chart | None:
    """Each rule at each endpoint as a cell, a line for each thing that the rules are about."""
    if not rules:
        return None
    groups: dict[tuple[str, str], dict[str, list[RuleResult]]] = {}
    for rule in rules[:CELL_LIMIT]:
        subjects = groups.setdefault((rule.api, rule.endpoint), {})
        subjects.setdefault(rule.subject, []).append(rule)

    tally = {outcome: sum(rule.outcome == outcome for rule in rules) for outcome in OUTCOMES}
    said = ", ".join(f"{count} {OUTCOMES[key][1]}" for key, count in tally.items() if count)
    description = f"{len(rules)} rules: {said}."

    def draw(width: int) -> Markup:
        layout = _Layout(width)
        parts, bottom = _parts(layout, groups, tally, len(rules) - CELL_LIMIT)
        return svg("matrix", "Contract matrix", description, width, bottom, parts)

    wide, narrow = both(draw, WIDTH)
    urgency = list(OUTCOMES)
    ordered = sorted(rules, key=lambda rule: urgency.index(rule.outcome))
    rows = tuple(
        (
            f"{OUTCOMES[rule.outcome][0]} {OUTCOMES[rule.outcome][1]}",
            plain(rule.id, 160),
            plain(rule.endpoint, 40),
            plain(rule.reason, 120) if rule.reason else _seen(rule),
        )
        for rule in ordered
    )
    return Chart(
        id="matrix",
        title="Contract matrix",
        note=f"{plural(len(rules), 'rule')}: {said}. A cell is a rule at an endpoint.",
        svg=wide,
        narrow=narrow,
        head=("outcome", "rule", "endpoint", "seen in, or why not"),
        rows=bounded(rows),
    )


def _parts(
    layout: _Layout,
    groups: dict[tuple[str, str], dict[str, list[RuleResult]]],
    tally: dict[str, int],
    more: int,
) -> tuple[list[Markup], float]:
    """The picture, with `more` rules that it does not show; and the y beneath it."""
    width = layout.width
    parts = [element("defs", *(_cell_symbol(layout, outcome) for outcome in OUTCOMES))]
    y = _legend(parts, layout, tally)
    for (api, endpoint), subjects in sorted(groups.items()):
        y += 26
        parts.append(text(0, y - 8, place_words(api, endpoint), font_weight=650, font_size=13))
        parts.append(line(0, y - 1, width, y - 1, stroke="currentColor", stroke_opacity=".2"))
        y += 5
        for subject, members in subjects.items():
            y = _matrix_row(parts, layout, y, subject, members)
    if more > 0:
        y += 20
        parts.append(text(0, y - 6, f"and {more:,} more", opacity=".7"))
    return parts, y + 4


def _seen(rule: RuleResult) -> str:
    return rule.times if rule.violations else plural(rule.exchanges, "exchange")


def _cell_symbol(layout: _Layout, outcome: str) -> Markup:
    fill, opacity, outline, ink = _CELLS[outcome]
    size = _CELL - 4
    return element(
        "g",
        element(
            "rect",
            width=size,
            height=size,
            rx=3.5,
            fill=fill,
            fill_opacity=opacity,
            stroke=outline,
        ),
        text(size / 2, 12, OUTCOMES[outcome][0], fill=ink, text_anchor="middle", font_weight=700),
        id=layout.symbol(outcome),
    )


def _use(symbol: str, x: float, y: float, *children: Markup) -> Markup:
    return element("use", *children, href=f"#{symbol}", x=float(x), y=float(y))


def _legend(parts: list[Markup], layout: _Layout, tally: dict[str, int]) -> float:
    """Draw what the cells mean, in as many lines as it takes; returns the y below."""
    x, y = 0.0, 6.0
    for outcome, count in tally.items():
        if not count:
            continue
        words = f"{count:,} {OUTCOMES[outcome][1]}"
        width = 22 + words_width(words)
        if x and x + width > layout.width:
            x, y = 0.0, y + 22
        parts.append(_use(layout.symbol(outcome), x, y))
        parts.append(text(x + 22, y + 12.5, words))
        x += width + 22
    return y + 34


def _matrix_row(
    parts: list[Markup], layout: _Layout, y: float, subject: str, members: list[RuleResult]
) -> float:
    """Draw the cells of one subject; returns the y below them."""
    name = plain(subject, 26)
    if layout.narrow:
        parts.append(text(0, y + 12.5, name, opacity=".85"))
    else:
        parts.append(text(_LABEL - 12, y + 12.5, name, text_anchor="end", opacity=".85"))
    passed = sum(rule.outcome == "passed" for rule in members)
    parts.append(
        text(
            layout.width,
            y + 12.5,
            f"{passed}/{len(members)}",
            text_anchor="end",
            opacity=".6" if passed == len(members) else "1",
            font_size=11,
        )
    )
    if layout.narrow:
        y += 18
    for index, rule in enumerate(members):
        title = element("title", f"{OUTCOMES[rule.outcome][1]}: {plain(rule.id, 160)}")
        column, row = index % layout.across, index // layout.across
        x = layout.left + column * _CELL
        parts.append(_use(layout.symbol(rule.outcome), x, y + row * _CELL, title))
    return y + _CELL * math.ceil(len(members) / layout.across) + 1
