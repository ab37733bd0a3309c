"""Stages of a stream as a waterfall: a line a stage with its bar, and figures beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from soundstage.reports.charts.axis import LABEL, Axis, x_axis
from soundstage.reports.charts.bar_frame import BarFrame, bar_frame
from soundstage.reports.charts.chart import (
    BLUE,
    ORANGE,
    RED,
    STAGE_LIMIT,
    WIDTH,
    Chart,
    bounded,
    slug,
)
from soundstage.reports.charts.svg import both, element, line, number, svg, text
from soundstage.reports.run.stage_lengths import Length
from soundstage.reports.run.summary import Group, StageSummary
from soundstage.reports.words import percent, place_words, plain, seconds

#: How high a bar is, in pixels.
_HIGH = 14


@dataclass(frozen=True, slots=True)
class StageLine:
    """One stage: its bar from `begin` to `end` in seconds, and the end of its whisker (nan for
    none, +inf for one without an end); two figures in words, and a third with how it is drawn.
    """

    name: str
    begin: float
    end: float
    whisker: float
    figures: tuple[str, str]
    last: str
    style: dict[str, object]


def _picture(chart: str, title: str, said: str, lines: Sequence[StageLine], width: int) -> Markup:
    frame = bar_frame(width)
    top, pitch = 26, 26 + frame.above
    bottom = top + pitch * len(lines)
    ends = (end for each in lines for end in (each.end, each.whisker))
    axis = Axis.over(ends, frame.left, frame.right, log=False)
    parts = x_axis(axis, top - 4, bottom)
    for x, words in zip(frame.figures, ("p50", "p95", "reached"), strict=True):
        parts.append(text(x, top - 12, words, text_anchor="end", **LABEL))
    for index, each in enumerate(lines):
        parts += _line(each, axis, top + pitch * index + (pitch + frame.above) / 2 - 2, frame)
    return svg(chart, title, said, width, bottom + 26, parts)


def _line(each: StageLine, axis: Axis, middle: float, frame: BarFrame) -> list[Markup]:
    words = middle + 4 - (frame.above and _HIGH / 2 + 10)
    length = axis.at(each.begin) - frame.left
    lead = {"x": frame.left, "y": middle - 2, "width": length, "height": 4}
    parts = [
        frame.name(each.name, words),
        element("rect", **lead, fill=BLUE, fill_opacity=".22"),
        *_bar(each, axis, middle),
    ]
    for x, figure in zip(frame.figures, each.figures, strict=False):
        parts.append(text(x, words, figure, text_anchor="end"))
    last = text(frame.figures[-1], words, each.last, text_anchor="end", **each.style)
    return [*parts, last]


def _bar(bar: StageLine, axis: Axis, middle: float) -> list[Markup]:
    if not math.isfinite(bar.end):
        return []
    start, end = axis.at(bar.begin), axis.at(bar.end)
    box = {"x": start, "y": middle - _HIGH / 2, "width": max(end - start, 2.0), "height": _HIGH}
    parts = [element("rect", **box, rx=2, fill=BLUE)]
    if not math.isnan(bar.whisker):
        far = axis.at(bar.whisker)
        cap = f"M{number(far)} {number(middle - 5)}v10"
        if math.isinf(bar.whisker):
            far += 14
            cap = f"M{number(far - 6)} {number(middle - 5)}l6 5l-6 5"
        parts.append(line(end, middle, far, middle, stroke=ORANGE, stroke_width=2))
        parts.append(element("path", d=cap, stroke=ORANGE, stroke_width=2, fill="none"))
    return parts


def waterfall(group: Group) -> Chart | None:
    """When the stages of a stream first arrive: p50 as a bar, p95 as a whisker."""
    if not group.stages:
        return None
    name = place_words(group.api, group.endpoint)
    chart, title = f"waterfall-{slug(name)}", f"Stages of {name}"
    shown, lines, before = group.stages[:STAGE_LIMIT], [], 0.0
    for stage in shown:
        figures = seconds(stage.p50), seconds(stage.p95)
        reached = percent(stage.reached, stage.n)
        times = before, stage.p50, stage.p95
        lines.append(StageLine(stage.name, *times, figures, reached, _style(stage)))
        if math.isfinite(stage.p50):
            before = max(before, stage.p50)
    more = len(group.stages) - len(shown)
    said = "; ".join(f"{plain(s.name, 40)}: p50 {seconds(s.p50)}" for s in shown)
    wide, narrow = both(lambda width: _picture(chart, title, said, lines, width), WIDTH)
    return Chart(
        id=chart,
        title=title,
        note="First arrival since the request was sent: bar to p50, whisker to p95. The solid part"
        " is what a stage adds to the one before it. “Reached” leaves out exchanges that went"
        f" well without the stage.{f' And {more} more stages.' if more else ''}"
        f"{_silence(group)}" + (" Times by polling: their high ends." if group.resolution else ""),
        svg=wide,
        narrow=narrow,
        head=("stage", "p50", "p95", "reached", "of", *_LENGTHS),
        rows=bounded(
            tuple(
                (
                    *(plain(s.name, 60), seconds(s.p50), seconds(s.p95)),
                    *(f"{s.reached:,}", f"{s.n:,}", *_lengths(group.lengths.get(s.name))),
                )
                for s in group.stages
            )
        ),
    )


def _style(stage: StageSummary) -> dict[str, object]:
    """Of a share that reached the stage: loud where it is not all of them."""
    if stage.reached == stage.n:
        return {"fill": "currentColor", "opacity": ".6"}
    return {"fill": RED, "font_weight": 700}


#: Columns of the table alone: the chart has no room for them.
_LENGTHS = ("lasts p50", "lasts p95", "gap before it p50", "gap before it p95")


def _lengths(length: Length | None) -> tuple[str, ...]:
    if length is None:
        return ("",) * len(_LENGTHS)
    values = (length.lasted_p50, length.lasted_p95, length.gap_p50, length.gap_p95)
    return tuple(seconds(value) for value in values)


def _silence(group: Group) -> str:
    found = group.silence
    if found is None:
        return ""
    return (
        f" The longest silence in a stream: p50 {seconds(found.p50)}, p95 {seconds(found.p95)},"
        f" at most {seconds(found.longest)}."
    )
