"""Violations by rule and stage, as a map: where in a stream the contract breaks, and how."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from soundstage.reports.charts import AMBER, GREY, RED, WIDTH, Chart, bounded, slug
from soundstage.reports.findings import Rule
from soundstage.reports.svg import element, svg, text
from soundstage.reports.wording import plain, plural

#: Rows and columns that a screen can show; the table has more.
_ROWS, _COLUMNS = 40, 16
_LABEL = 300
_PITCH = 24
#: Room for the slanted name of the last stage.
_SLANT = 84


def heat_map(api: str, rules: Iterable[Rule], stages: Iterable[str]) -> Chart | None:
    """Each cell: how often a rule of an API version was violated at a stage; None where none was.

    `stages` are the known names of stages, in their order: a rule belongs to the first of them
    that its id names, and what is left of the id is what was asked there. What names no stage
    stands under its endpoint.
    """
    order = list(dict.fromkeys(stages))
    cells: dict[str, dict[str, int]] = {}
    worst: dict[str, str] = {}
    for rule in rules:
        if not rule.violations or rule.api != api:
            continue
        asked, stage = _place(rule, order)
        if stage not in order:
            order.append(stage)
        row = cells.setdefault(asked, {})
        row[stage] = row.get(stage, 0) + rule.violations
        if rule.outcome == "failed" or asked not in worst:
            worst[asked] = rule.outcome
    if not cells:
        return None
    seen = [each for each in order if any(each in row for row in cells.values())]
    columns = seen[:_COLUMNS]
    asked_first = sorted(
        cells, key=lambda each: (worst[each] != "failed", -sum(cells[each].values()))
    )
    most = max(number for row in cells.values() for number in row.values())
    width = min(76.0, (WIDTH - _LABEL - _SLANT) / len(columns))
    top = 24 + 4.2 * max(len(plain(stage, 22)) for stage in columns)
    parts: list[Markup] = []
    for index, stage in enumerate(columns):
        x = _LABEL + width * index + width / 2
        parts.append(
            text(0, 0, plain(stage, 22), transform=f"translate({x:.1f} {top - 8:.1f}) rotate(-35)")
        )
    for index, asked in enumerate(asked_first[:_ROWS]):
        y = top + _PITCH * index
        parts.append(text(_LABEL - 10, y + 15, plain(asked, 44), text_anchor="end"))
        for column, stage in enumerate(columns):
            parts.append(
                _cell(
                    _LABEL + width * column,
                    y,
                    width,
                    cells[asked].get(stage, 0),
                    most,
                    worst[asked],
                )
            )
    total = sum(number for row in cells.values() for number in row.values())
    kinds = f"{plural(len(cells), 'kind')} at {plural(len(seen), 'stage')}"
    said = f"{plural(total, 'violation')} of {kinds}"
    more = len(cells) - _ROWS
    chart, title = (
        f"heat-{slug(plain(api, 20))}",
        f"Violations of {plain(api, 20)} by rule and stage",
    )
    return Chart(
        id=chart,
        title=title,
        note=f"{said}. The darker, the more (log scale); red breaks the contract, amber warns, grey"
        f" is noted or known.{f' And {more:,} more kinds.' if more > 0 else ''}",
        svg=svg(
            chart,
            title,
            f"{said}; most: {plain(asked_first[0], 80)}.",
            WIDTH,
            top + _PITCH * min(len(cells), _ROWS) + 6,
            parts,
        ),
        head=("what is asked", *(plain(stage, 40) for stage in seen)),
        rows=bounded(
            tuple(
                (
                    plain(asked, 160),
                    *(f"{cells[asked][each]:,}" if each in cells[asked] else "" for each in seen),
                )
                for asked in asked_first
            )
        ),
    )


def _place(rule: Rule, stages: Sequence[str]) -> tuple[str, str]:
    """What a rule asks, and the stage that it asks it of, from its id."""
    steps = rule.id.split("/")[2:] or [rule.id]
    for index, step in enumerate(steps):
        if step in stages:
            rest = [*steps[:index], *steps[index + 1 :]]
            return "/".join(rest) or step, step
    return "/".join(steps), f"({rule.endpoint})"


def _cell(x: float, y: float, width: float, number: int, most: int, outcome: str) -> Markup:
    frame = {"x": x + 1.0, "y": y + 1.0, "width": width - 2, "height": _PITCH - 2.0, "rx": 3}
    if not number:
        return element("rect", **frame, fill=GREY, fill_opacity=".08")
    heat = 0.3 + 0.7 * (math.log1p(number) / math.log1p(most))
    colour = {"failed": RED, "warned": AMBER}.get(outcome, GREY)
    ink = "#fff" if outcome == "failed" and heat > 0.8 else "currentColor"
    return element(
        "g",
        element("rect", **frame, fill=colour, fill_opacity=f"{heat:.2f}"),
        text(x + width / 2, y + 16, f"{number:,}", text_anchor="middle", fill=ink, font_weight=650),
    )
