"""The contract matrix: each rule at each endpoint as a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from soundstage.reports.charts.chart import AMBER, BLUE, GREEN, GREY, RED, WIDTH, Chart, bounded
from soundstage.reports.charts.svg import element, line, svg, text
from soundstage.reports.run.rule_results import RuleResult
from soundstage.reports.words import OUTCOMES, place_words, plain, plural

#: At most this many cells.
CELL_LIMIT = 1500

_CELL = 20
_LABEL = 190
_TALLY = 62
_ACROSS = (WIDTH - _LABEL - _TALLY) // _CELL

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


def matrix(rules: Sequence[RuleResult]) -> Chart | None:
    """Each rule at each endpoint as a cell, a line for each thing that the rules are about."""
    if not rules:
        return None
    groups: dict[tuple[str, str], dict[str, list[RuleResult]]] = {}
    for rule in rules[:CELL_LIMIT]:
        subjects = groups.setdefault((rule.api, rule.endpoint), {})
        subjects.setdefault(rule.subject, []).append(rule)

    tally = {outcome: sum(rule.outcome == outcome for rule in rules) for outcome in OUTCOMES}
    parts = [element("defs", *(_cell_symbol(outcome) for outcome in OUTCOMES))]
    parts.extend(_legend(tally))
    y = 40.0
    for (api, endpoint), subjects in sorted(groups.items()):
        y += 26
        parts.append(text(0, y - 8, place_words(api, endpoint), font_weight=650, font_size=13))
        parts.append(line(0, y - 1, WIDTH, y - 1, stroke="currentColor", stroke_opacity=".2"))
        y += 5
        for subject, members in subjects.items():
            y = _matrix_row(parts, y, subject, members)
    more = len(rules) - CELL_LIMIT
    if more > 0:
        y += 20
        parts.append(text(0, y - 6, f"and {more:,} more", opacity=".7"))
    said = ", ".join(f"{count} {OUTCOMES[key][1]}" for key, count in tally.items() if count)
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
        svg=svg("matrix", "Contract matrix", f"{len(rules)} rules: {said}.", WIDTH, y + 4, parts),
        head=("outcome", "rule", "endpoint", "seen in, or why not"),
        rows=bounded(rows),
    )


def _seen(rule: RuleResult) -> str:
    return rule.times if rule.violations else plural(rule.exchanges, "exchange")


def _cell_symbol(outcome: str) -> Markup:
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
        id=f"m-{outcome}",
    )


def _use(outcome: str, x: float, y: float, *children: Markup) -> Markup:
    return element("use", *children, href=f"#m-{outcome}", x=float(x), y=float(y))


def _legend(tally: dict[str, int]) -> list[Markup]:
    parts: list[Markup] = []
    x = 0.0
    for outcome, count in tally.items():
        if not count:
            continue
        words = f"{count:,} {OUTCOMES[outcome][1]}"
        parts.append(_use(outcome, x, 6))
        parts.append(text(x + 22, 18.5, words))
        x += 44 + 7.0 * len(words)
    return parts


def _matrix_row(parts: list[Markup], y: float, subject: str, members: list[RuleResult]) -> float:
    """Draw the cells of one subject; returns the y below them."""
    parts.append(text(_LABEL - 12, y + 12.5, plain(subject, 26), text_anchor="end", opacity=".85"))
    for index, rule in enumerate(members):
        name = element("title", f"{OUTCOMES[rule.outcome][1]}: {plain(rule.id, 160)}")
        column, line = index % _ACROSS, index // _ACROSS
        parts.append(_use(rule.outcome, _LABEL + column * _CELL, y + line * _CELL, name))
    passed = sum(rule.outcome == "passed" for rule in members)
    parts.append(
        text(
            WIDTH,
            y + 12.5,
            f"{passed}/{len(members)}",
            text_anchor="end",
            opacity=".6" if passed == len(members) else "1",
            font_size=11,
        )
    )
    return y + _CELL * math.ceil(len(members) / _ACROSS) + 1
