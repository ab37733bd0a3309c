"""Charts of a comparison: the change of each gate against its margin, and the times of both arms.
Those of stages are in `stage_charts`.
"""

from __future__ import annotations

import math

from markupsafe import Markup

from soundstage.reports.charts.axis import Axis, x_axis
from soundstage.reports.charts.change_axis import change_axis, marked_changes
from soundstage.reports.charts.chart import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    RED,
    Chart,
    slug,
)
from soundstage.reports.charts.ecdf import CurveMark, EcdfCurve, EcdfPlot, share_rows
from soundstage.reports.charts.svg import both, element, line, number, svg, text, words_width
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.compare.comparison_words import (
    GATE_HEAD,
    bounds,
    gate_row,
)
from soundstage.reports.compare.stage_charts import HALF, PITCH, row_words
from soundstage.reports.decision.gate_outcomes import GateOutcome
from soundstage.reports.decision.gates import Pairing
from soundstage.reports.words import plural, seconds, signed

#: Colour of what a gate says.
_COLOURS = {"pass": GREEN, "fail": RED, "inconclusive": AMBER}
_GATE_LIMIT = 40
#: Changes, as factors, that the axis of gates may mark, the first ones first; and how many pixels
#: the words of one take.
_FACTORS = (1, 2, 0.5, 1.2, 0.8, 4, 0.25, 10, 0.1, 1.1, 0.9, 1.4, 0.7, 1.05, 0.95)
_APART = 44
#: Beyond these a change is out of the picture.
_WITHIN = (0.05, 20.0)
#: Each arm: name and colour; the base is dashed where both are lines.
_ARMS = (("base", GREY), ("candidate", BLUE))
_DASHES = ("5 3", "")


def gate_intervals(made: Comparison) -> Chart | None:
    """The change of each quantile gate with its interval, against no change and the margin."""
    gates = [each for each in made.gates if each.gate.order is not None][:_GATE_LIMIT]
    if not gates:
        return None
    limit = 1 + made.gate_rules.margin
    rows = [gate_row(each) for each in gates]
    told = "; ".join(f"{label}: {change}, {verdict}" for label, _, _, change, _, verdict in rows)

    def draw(width: int) -> Markup:
        changes = (factor for each in gates for factor in each.widest)
        axis = change_axis(changes, limit, _WITHIN, (14, width - 14))
        top = 30
        bottom = top + PITCH * len(gates) + 4
        worse = {"x": axis.at(limit), "width": axis.right - axis.at(limit)}
        worse |= {"y": top - 6, "height": bottom - top + 6}
        parts = [element("rect", **worse, fill=RED, fill_opacity=".09")]
        marks = [
            (mark, "0" if mark == 1 else signed(mark))
            for mark in marked_changes(axis, _FACTORS, _APART)
        ]
        parts += x_axis(axis, top - 6, bottom, marks)
        for factor, stroke in (
            (1.0, {"stroke": "currentColor", "stroke_opacity": ".55"}),
            (limit, {"stroke": RED, "stroke_width": 1.5, "stroke_dasharray": "4 3"}),
        ):
            parts.append(line(axis.at(factor), top - 6, axis.at(factor), bottom, **stroke))
        said = f"margin {signed(limit)}"
        x = min(axis.at(limit) + 5, width - words_width(said, 11))
        parts.append(text(x, top - 12, said, fill=RED, font_size=11))
        for index, (each, row) in enumerate(zip(gates, rows, strict=True)):
            parts += _gate_line(each, row, axis, top + PITCH * index, width)
        return svg("gates", "Gates", told, width, bottom + 24, parts)

    wide, narrow = both(draw, HALF)
    return Chart(
        id="gates",
        title="Change and interval of each gate",
        note="Candidate over base, on a log scale. Left of the dashed line a gate passes, right of "
        "it it fails, across it it cannot tell. An arrow is an open end.",
        svg=wide,
        head=GATE_HEAD,
        rows=tuple(
            (
                row[0],
                f"{row[1]} ({bounds(each, each.base) or 'open'})",
                f"{row[2]} ({bounds(each, each.candidate) or 'open'})",
                *row[3:],
            )
            for each, row in zip(gates, rows, strict=True)
        ),
        narrow=narrow,
    )


def _gate_line(
    each: GateOutcome, row: tuple[str, ...], axis: Axis, top: float, width: int
) -> list[Markup]:
    one, colour, y = each.widest, _COLOURS[each.verdict], top + 28
    x1, x2 = axis.at(one.low), axis.at(one.high)
    loud = {"fill": colour, "font_weight": 650}
    parts = row_words(width, top + 14, row[0], f"{row[3]} · {row[5]}", **loud)
    parts.append(line(x1, y, x2, y, stroke=colour, stroke_width=4, stroke_opacity=".55"))
    for x, closed, way in ((x1, one.low > 0, -1), (x2, math.isfinite(one.high), 1)):
        arrow = f"M{number(x - 6 * way)} {number(y - 6)}l{6 * way} 6l{-6 * way} 6"
        shape = f"M{number(x)} {number(y - 6)}v12" if closed else arrow
        parts.append(element("path", d=shape, stroke=colour, stroke_width=2, fill="none"))
    values = [one.value] if each.best is None else [each.best.change.value, one.value]
    for value in values:
        if math.isfinite(value) and value > 0:
            parts.append(element("circle", cx=axis.at(value), cy=y, r=4.5, fill=colour))
    return parts


def distributions(made: Comparison) -> list[Chart]:
    """The times of both arms as empirical distribution functions, a chart a milestone."""
    return [
        _distribution(made, pairing, name) for pairing in made.pairings for name in pairing.headline
    ]


def _distribution(made: Comparison, pairing: Pairing, name: str) -> Chart:
    curves = []
    for side, (arm, runs) in enumerate(zip(_ARMS, (made.base, made.candidate), strict=True)):
        times = runs.times(pairing.place, name)
        marks, lows = _marks(made, pairing, name, side), runs.lows(pairing.place, name)
        curves.append(EcdfCurve(*arm, _DASHES[side], times, marks=marks, lows=lows))
    polled = any(curve.lows is not None for curve in curves)
    title = f"{pairing.label(name)} of {pairing.words}"
    chart = f"ecdf-{slug(f'{pairing.words}-{name}')}"
    said = "; ".join(f"{each.label}: p50 {each.p50}, p95 {each.p95}" for each in curves)
    many = [len(each.times) for each in curves]
    half, narrow = both(lambda width: EcdfPlot(curves, (), width).svg(chart, title, said), HALF)
    return Chart(
        id=chart,
        title=title,
        note=f"Share of exchanges that got there, by seconds from the intended start: "
        f"{plural(many[0], 'exchange')} of the base, {many[1]:,} of the candidate. "
        "Thick: the gates' intervals."
        + (
            " Thin: the low ends of times by polling; the table has the high ones."
            if polled
            else ""
        ),
        svg=half,
        narrow=narrow,
        head=("share", "base", "candidate", "change"),
        rows=tuple(
            (share, seconds(a), seconds(b), signed(_over(a, b)))
            for share, (a, b) in share_rows(curves)
        ),
    )


def _marks(made: Comparison, pairing: Pairing, name: str, side: int) -> tuple[CurveMark, ...]:
    """The quantiles that are gates, each with its interval. Those of several runs are not of this
    curve.
    """
    return tuple(
        _mark(each, each.gate.order, side)
        for each in made.gates
        if (each.gate.pairing, each.gate.what, each.method) == (pairing, name, "samples")
        and each.gate.order is not None
    )


def _mark(each: GateOutcome, order: float, side: int) -> CurveMark:
    value, low, high = (each.base, each.candidate)[side]
    if each.best is not None:
        low = (each.best.base, each.best.candidate)[side].low
    return CurveMark(order, value, low, high)


def _over(base: float, candidate: float) -> float:
    if math.isinf(base):
        return 1.0 if math.isinf(candidate) else 0.0
    return candidate / base if base > 0 else math.nan
