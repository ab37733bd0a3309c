"""The change of each gate of a comparison as an interval, against no change and the margin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from soundstage.reports.charts.axis import ChangeAxis, change_axis
from soundstage.reports.charts.chart import AMBER, GREEN, RED, WIDTH, Chart
from soundstage.reports.charts.svg import element, line, number, svg, text
from soundstage.reports.compare.cells import bounds, interval, value, verdict
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.compare.gates import GateOutcome
from soundstage.reports.compare.headline import change_of
from soundstage.reports.words import signed

#: Colour of what a gate says.
_COLOURS = {"pass": GREEN, "fail": RED, "inconclusive": AMBER}
_GATE_LIMIT = 40


def intervals(made: Comparison) -> Chart | None:
    """The change of each quantile gate with its interval, against no change and the margin."""
    gates = [each for each in made.gates if each.gate.order is not None][:_GATE_LIMIT]
    if not gates:
        return None
    limit = 1 + made.options.margin
    left, right, top, pitch = 236, 690, 30, 28
    axis = ChangeAxis.over([1 / limit, limit, *_factors(gates)], left, right)
    bottom = top + pitch * len(gates)
    margin = axis.at(limit)
    parts = [
        element(
            "rect",
            x=margin,
            y=top - 6,
            width=right - margin,
            height=bottom - top + 6,
            fill=RED,
            fill_opacity=".09",
        )
    ]
    parts += change_axis(axis, top - 6, bottom)
    parts.append(
        line(
            margin,
            top - 6,
            margin,
            bottom,
            stroke=RED,
            stroke_width=1.5,
            stroke_dasharray="4 3",
        )
    )
    parts.append(text(margin + 5, top - 12, f"margin {signed(limit)}", fill=RED, font_size=11))
    for index, each in enumerate(gates):
        parts += _interval_row(each, top + pitch * index + pitch / 2, axis)
    title = "Gates"
    said = "; ".join(f"{each.gate.label}: {change_of(each)}, {verdict(each)}" for each in gates)
    return Chart(
        id="gates",
        title="Change and interval of each gate",
        note="Candidate over base, on a log scale. Left of the dashed line a gate passes, right of "
        "it it fails, across it it cannot tell. An arrow is an open end.",
        svg=svg("gates", title, said, WIDTH, bottom + 26, parts),
        head=("gate", "base", "candidate", "change", "interval", "verdict"),
        rows=tuple(
            (
                each.gate.label,
                f"{value(each, each.base)} ({bounds(each, each.base) or 'open'})",
                f"{value(each, each.candidate)} ({bounds(each, each.candidate) or 'open'})",
                change_of(each),
                interval(each),
                verdict(each),
            )
            for each in gates
        ),
    )


def _factors(gates: Sequence[GateOutcome]) -> Iterator[float]:
    for each in gates:
        yield from (each.change.value, each.change.low, each.change.high)


def _interval_row(each: GateOutcome, y: float, axis: ChangeAxis) -> list[Markup]:
    left, right, at = axis.left, axis.right, axis.at
    one, colour = each.change, _COLOURS[each.verdict]
    parts = [text(left - 14, y + 4, each.gate.label, text_anchor="end")]
    x1 = at(one.low) if one.low > 0 else left
    x2 = at(one.high) if math.isfinite(one.high) else right
    parts.append(line(x1, y, x2, y, stroke=colour, stroke_width=4, stroke_opacity=".55"))
    for x, closed, way in ((x1, one.low > 0, -1), (x2, math.isfinite(one.high), 1)):
        shape = f"M{number(x)} {number(y - 6)}v12" if closed else _arrow(x, y, way)
        parts.append(element("path", d=shape, stroke=colour, stroke_width=2, fill="none"))
    if math.isfinite(one.value) and one.value > 0:
        parts.append(element("circle", cx=at(one.value), cy=y, r=4.5, fill=colour))
    words = f"{change_of(each)}  {verdict(each)}"
    parts.append(text(WIDTH, y + 4, words, text_anchor="end", fill=colour, font_weight=650))
    return parts


def _arrow(x: float, y: float, way: int) -> str:
    return f"M{number(x - 6 * way)} {number(y - 6)}l{6 * way} 6l{-6 * way} 6"
