"""What a gate said at each look: the interval of the change against the margin, by songs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from soundstage.reports.charts.axis import LABEL, Axis, x_axis, y_axis
from soundstage.reports.charts.change_axis import change_axis, marked_changes
from soundstage.reports.charts.chart import AMBER, GREEN, RED, Chart, slug
from soundstage.reports.charts.svg import both, element, line, number, svg, text
from soundstage.reports.run.looks_told import LOOKS_HEAD, GateAtLook, LookedGate, LooksTold
from soundstage.reports.words import signed

_COLOURS = {"pass": GREEN, "fail": RED, "inconclusive": AMBER}
#: At most this many gates have a chart.
_CHARTS = 12
_WIDE, _LEFT, _ROOM, _TALL, _TOP = 445, 52, 16, 190, 20
#: Changes, as factors, that the axis may mark, the first ones first; and how far apart labels are.
_FACTORS = (1, 1.5, 0.67, 2, 0.5, 1.2, 0.8, 3, 0.33, 5, 0.2, 1.1, 0.9)
_APART = 16
#: Beyond these a change is out of the picture.
_WITHIN = (0.2, 5.0)


def looks_charts(told: LooksTold | None) -> list[Chart]:
    """One for each quantile gate; none of a run that was not looked at."""
    if told is None:
        return []
    timed = [each for each in told.gates if not each.is_rate and each.looks]
    return [_chart(told, each) for each in timed[:_CHARTS]]


def _chart(told: LooksTold, gate: LookedGate) -> Chart:
    name = f"looks-{slug(gate.label)}"

    def draw(width: int) -> Markup:
        bottom = _TOP + _TALL
        # Each look has as much room: they are about the same factor apart.
        shown = [each.n for each in gate.looks]
        sizes = [*shown, *(size for size in told.sizes if size > shown[-1])]
        places = Axis(0.0, len(sizes), _LEFT, width - _ROOM, 1.0)
        heights = _factors(gate.looks, told.margin)

        def y(factor: float) -> float:
            return bottom - heights.at(factor)

        limit = y(told.margin)
        worse = {"x": _LEFT, "width": width - _ROOM - _LEFT, "y": _TOP, "height": limit - _TOP}
        parts = [element("rect", **worse, fill=RED, fill_opacity=".09")]
        marks = [
            (y(factor), "0" if factor == 1 else signed(factor))
            for factor in marked_changes(heights, _FACTORS, _APART)
        ]
        parts += y_axis(_LEFT, width - _ROOM, marks)
        ticks = [(place + 0.5, f"{size:,}") for place, size in enumerate(sizes)]
        parts += x_axis(places, _TOP, bottom, ticks)
        end = {"text_anchor": "end", **LABEL}
        parts.append(text(width - _ROOM, bottom + 32, "songs an arm", **end))
        dashed = {"stroke": RED, "stroke_width": 1.5, "stroke_dasharray": "4 3"}
        parts.append(line(_LEFT, limit, width - _ROOM, limit, **dashed))
        parts.append(text(_LEFT, _TOP - 7, f"margin {signed(told.margin)}", fill=RED, font_size=11))
        for place, each in enumerate(gate.looks):
            parts += _bar(each, places.at(place + 0.5), y)
        return svg(name, gate.label, gate.words, width, bottom + 40, parts)

    wide, narrow = both(draw, _WIDE)
    return Chart(
        id=name,
        title=f"{gate.label}: {gate.answer[2]}",
        note="Candidate over base at each look, with its interval. Wholly beneath the dashed line "
        "the gate passes, wholly above it it fails. Looks without a mark were not needed.",
        svg=wide,
        head=LOOKS_HEAD,
        rows=tuple(each.cells for each in gate.looks),
        narrow=narrow,
    )


def _factors(looks: Sequence[GateAtLook], margin: float) -> Axis:
    bounds = (bound for each in looks for bound in (each.low, each.value, each.high))
    return change_axis(bounds, margin, _WITHIN, (0, _TALL))


def _bar(each: GateAtLook, x: float, y: Callable[[float], float]) -> list[Markup]:
    colour = _COLOURS[each.verdict]
    low, high = y(each.low), y(each.high)
    said = f"{each.n:,} songs: {each.change} ({each.interval})"
    bar = line(x, low, x, high, stroke=colour, stroke_width=4, stroke_opacity=".55")
    parts = [element("g", element("title", said), bar)]
    for at, closed, way in ((low, each.low > 0, 1), (high, math.isfinite(each.high), -1)):
        arrow = f"M{number(x - 5)} {number(at - 5 * way)}l5 {5 * way}l5 {-5 * way}"
        shape = f"M{number(x - 5)} {number(at)}h10" if closed else arrow
        parts.append(element("path", d=shape, stroke=colour, stroke_width=2, fill="none"))
    if math.isfinite(each.value):
        parts.append(element("circle", cx=x, cy=y(each.value), r=3.5, fill=colour))
    return parts
