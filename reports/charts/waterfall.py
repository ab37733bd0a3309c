"""When the stages of a stream first arrive, as a waterfall."""

from __future__ import annotations

import math

from soundstage.reports.charts.axis import Axis, x_axis
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
from soundstage.reports.charts.svg import element, line, number, svg, text
from soundstage.reports.run.stage_lengths import Length
from soundstage.reports.run.summary import Group
from soundstage.reports.words import percent, plain, seconds


def waterfall(group: Group) -> Chart | None:
    """When the stages of a stream first arrive: p50 as a bar, p95 as a whisker."""
    if not group.stages:
        return None
    name = f"{plain(group.api, 20)} {plain(group.endpoint, 20)}"
    chart = f"waterfall-{slug(name)}"
    stages = group.stages[:STAGE_LIMIT]
    axis = Axis.over((value for s in stages for value in (s.p50, s.p95)), 180, 665, log=False)
    top, pitch = 26, 26
    bottom = top + pitch * len(stages)
    parts = x_axis(axis, top - 4, bottom)
    for x, words in ((755, "p50"), (825, "p95"), (WIDTH, "reached")):
        parts.append(text(x, 14, words, text_anchor="end", opacity=".7", font_size=11))
    before = 0.0
    for index, stage in enumerate(stages):
        y = top + pitch * index
        middle = y + pitch / 2 - 2
        start, end, far = axis.at(before), axis.at(stage.p50), axis.at(stage.p95)
        if math.isinf(stage.p95):
            far += 14
        if math.isfinite(stage.p50):
            before = max(before, stage.p50)
        parts.append(text(168, middle + 4, plain(stage.name, 26), text_anchor="end"))
        parts.append(
            element(
                "rect",
                x=axis.left,
                y=middle - 2,
                width=max(start - axis.left, 0.0),
                height=4,
                fill=BLUE,
                fill_opacity=".22",
            )
        )
        if math.isfinite(stage.p50):
            parts.append(
                element(
                    "rect",
                    x=start,
                    y=middle - 7,
                    width=max(end - start, 2.0),
                    height=14,
                    rx=2,
                    fill=BLUE,
                )
            )
            parts.append(line(end, middle, far, middle, stroke=ORANGE, stroke_width=2))
            cap = (
                f"M{number(far - 6)} {number(middle - 5)}l6 5l-6 5"
                if math.isinf(stage.p95)
                else f"M{number(far)} {number(middle - 5)}v10"
            )
            parts.append(element("path", d=cap, stroke=ORANGE, stroke_width=2, fill="none"))
        parts.append(text(755, middle + 4, seconds(stage.p50), text_anchor="end"))
        parts.append(text(825, middle + 4, seconds(stage.p95), text_anchor="end"))
        all_of_them = stage.reached == stage.n
        parts.append(
            text(
                WIDTH,
                middle + 4,
                percent(stage.reached, stage.n),
                text_anchor="end",
                fill="currentColor" if all_of_them else RED,
                font_weight=None if all_of_them else 700,
                opacity=".6" if all_of_them else None,
            )
        )
    more = len(group.stages) - len(stages)
    title = f"Stages of {name}"
    return Chart(
        id=chart,
        title=title,
        note="First arrival since the request was sent: bar to p50, whisker to p95. The solid part"
        " is what a stage adds to the one before it. “Reached” leaves out exchanges that went"
        f" well without the stage.{f' And {more} more stages.' if more else ''}"
        f"{_silence(group)}",
        svg=svg(
            chart,
            title,
            "; ".join(f"{plain(s.name, 40)}: p50 {seconds(s.p50)}" for s in stages),
            WIDTH,
            bottom + 26,
            parts,
        ),
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
