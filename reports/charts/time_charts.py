"""Charts over the time of a run: the load, and how the quantiles of a milestone moved."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from soundstage.reports.charts.axis import Axis, x_axis, y_axis
from soundstage.reports.charts.chart import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    WIDTH,
    Chart,
    curve_style,
    slug,
)
from soundstage.reports.charts.svg import element, line, number, svg, text
from soundstage.reports.run.summary import Group
from soundstage.reports.run.timeline import Generator, MilestoneCourse, Timeline
from soundstage.reports.words import milestone_label, place_words, plural, seconds

#: A series of a panel: values, one a slice (nan: none, +inf: never), colour, dash.
Line = tuple[Sequence[float], str, str]

_LEFT = 60


def over_time(timeline: Timeline) -> Chart:
    """Arrivals asked, started and ended, and exchanges in flight, over the run."""
    slices, width = len(timeline.asked), timeline.width
    asked, started, ended = (
        [n / width for n in counts] for counts in (timeline.asked, timeline.started, timeline.ended)
    )
    axis = Axis.until(slices * width, _LEFT, WIDTH - 24)
    rates: list[Line] = [(ended, GREEN, "2 3"), (asked, GREY, "5 3"), (started, BLUE, "")]
    parts = _panel(axis, 30, 130, "arrivals per second", rates, width)
    parts += x_axis(axis, 170, 270)
    in_flight = [float(n) for n in timeline.in_flight]
    parts += _panel(axis, 170, 270, "in flight", [(in_flight, ORANGE, "")], width)
    parts += _key(((GREY, "5 3", "asked"), (BLUE, "", "started"), (GREEN, "2 3", "ended")), 16)
    total, sent, most = sum(timeline.asked), sum(timeline.started), max(timeline.in_flight)
    said = f"{total:,} asked, {sent:,} started, at most {most:,} in flight."
    return Chart(
        id="timeline",
        title="Load over time",
        note=f"{said} Warm-up included; a slice is {width:g} s.",
        svg=svg("timeline", "Load over time", said, WIDTH, 296, parts),
        head=("from", "asked", "started", "ended", "in flight"),
        rows=tuple(
            (
                f"{index * width:g} s",
                f"{timeline.asked[index]:,}",
                f"{timeline.started[index]:,}",
                f"{timeline.ended[index]:,}",
                f"{timeline.in_flight[index]:,}",
            )
            for index in range(slices)
        ),
    )


def generator_chart(seen: Generator) -> Chart:
    """The load generator's own event loop and CPU over the run: whether to believe the rest."""
    slices, width = len(seen.lag), seen.width
    axis = Axis.until(slices * width, _LEFT, WIDTH - 24)
    parts = _panel(
        axis,
        30,
        100,
        "latest that its event loop was, ms",
        [([each * 1000 for each in seen.lag], ORANGE, "")],
        width,
    )
    parts += x_axis(axis, 140, 210)
    parts += _panel(axis, 140, 210, "CPU, of one core", [(seen.cpu, BLUE, "")], width)
    lags, cpus = ([each for each in v if not math.isnan(each)] for v in (seen.lag, seen.cpu))
    several = f" (the worst of {seen.processes} processes)" if seen.processes > 1 else ""
    said = f"At most {seconds(max(lags))} late and {max(cpus):.0%} of a core{several}."
    return Chart(
        id="generator",
        title="The load generator itself",
        note=f"{said} Where it is late or busy, the times of the API are in doubt.",
        svg=svg("generator", "The load generator itself", said, WIDTH, 236, parts),
        head=("from", "latest", "CPU"),
        rows=tuple(
            (
                f"{index * width:g} s",
                seconds(seen.lag[index]),
                "–" if math.isnan(seen.cpu[index]) else f"{seen.cpu[index]:.1%}",
            )
            for index in range(slices)
        ),
    )


def courses(group: Group) -> Chart | None:
    """p50 and p95 of the milestones of an endpoint, by when the request was due; None where
    there are fewer than three slices to see a course in.
    """
    shown = [one for one in group.courses if any(map(math.isfinite, one.p50))]
    if not shown or sum(n > 0 for n in shown[0].n) < 3:
        return None
    name = place_words(group.api, group.endpoint)
    chart, width = f"course-{slug(name)}", shown[0].width
    axis = Axis.until(len(shown[0].n) * width, _LEFT, WIDTH - 24)
    panels = [one for one in shown if one.milestone in group.names.headline]
    labels = {one.milestone: milestone_label(group.names, one.milestone) for one in panels}
    parts: list[Markup] = []
    top = 34.0
    for one in panels:
        colour, _ = curve_style(group.names.headline, one.milestone)
        bottom = top + 80
        if one is panels[-1]:
            parts += x_axis(axis, top, bottom)
        lines: list[Line] = [(one.p95, colour, "4 3"), (one.p50, colour, "")]
        label = f"{labels[one.milestone]}, seconds"
        parts += _panel(axis, top, bottom, label, lines, width)
        top = bottom + 36
    parts += _key((("currentColor", "", "p50"), ("currentColor", "4 3", "p95")), 16)
    title = f"Quantiles over time of {name}"
    said = "; ".join(f"{labels[one.milestone]}: {_range(one)}" for one in panels)
    return Chart(
        id=chart,
        title=title,
        note=f"By when a request was due, in slices of {width:g} s. A slice whose line is at the"
        " top edge, with an arrow, has a quantile that never came."
        + (" Times by polling: their high ends." if group.resolution else ""),
        svg=svg(chart, title, f"{said}.", WIDTH, top - 8, parts),
        head=(
            "from",
            "n",
            *(f"{labels[one.milestone]} {q}" for one in panels for q in ("p50", "p95")),
        ),
        rows=tuple(
            (
                f"{index * width:g} s",
                f"{n:,}",
                *(seconds(v[index]) for one in panels for v in (one.p50, one.p95)),
            )
            for index, n in enumerate(panels[0].n)
        ),
    )


def _range(one: MilestoneCourse) -> str:
    seen = [value for value in one.p50 if not math.isnan(value)]
    return f"p50 from {seconds(min(seen))} to {seconds(max(seen))} in {plural(len(seen), 'slice')}"


def _panel(
    axis: Axis, top: float, bottom: float, words: str, series: Sequence[Line], width: float
) -> list[Markup]:
    """One panel of steps over the slices of a run; +inf is drawn at the top with an arrow."""
    finite = [value for values, _, _ in series for value in values if math.isfinite(value)]
    high = max(finite, default=0.0) or 1.0
    parts = [text(axis.left, top - 10, words, font_weight=650)]
    marks = [(bottom - share * (bottom - top), f"{high * share:.3g}") for share in (0.0, 0.5, 1.0)]
    parts += y_axis(axis.left, axis.right, marks)
    for values, colour, dash in series:
        path, arrows, pen = "", "", False
        for index, value in enumerate(values):
            left, right = axis.at(index * width), axis.at((index + 1) * width)
            if math.isnan(value):
                pen = False
                continue
            y = bottom - min(value / high, 1.0) * (bottom - top)
            path += f"{'V' if pen else f'M{number(left)} '}{number(y)}H{number(right)}"
            pen = True
            if math.isinf(value):
                middle = (left + right) / 2
                arrows += f"M{number(middle - 4)} {number(y + 5)}l4 -5l4 5"
        drawn = {"fill": "none", "stroke": colour, "stroke_width": 2}
        if path:
            parts.append(element("path", d=path, stroke_dasharray=dash, **drawn))
        if arrows:
            parts.append(element("path", d=arrows, **drawn))
    return parts


def _key(entries: Sequence[tuple[str, str, str]], y: float) -> list[Markup]:
    parts = []
    for index, (colour, dash, words) in enumerate(entries):
        x = WIDTH - 96 * (len(entries) - index)
        parts.append(line(x, y, x + 24, y, stroke=colour, stroke_width=2, stroke_dasharray=dash))
        parts.append(text(x + 32, y + 4, words))
    return parts
