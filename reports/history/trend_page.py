"""The page of `soundstage runs trend`: a chart for each series, each point a link to its run."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from soundstage.output.uris import of_path
from soundstage.reports.charts.axis import Axis, y_axis
from soundstage.reports.charts.chart import BLUE, GREY, RED, WIDTH, Chart
from soundstage.reports.charts.svg import element, line, number, svg, text
from soundstage.reports.formats import html
from soundstage.reports.history.trend import Point, TrendSeries
from soundstage.reports.words import plain, plural, seconds

#: A page of more pictures than this is read by nobody.
CHART_LIMIT = 60
_HEIGHT, _TOP, _BOTTOM, _LEFT, _RIGHT = 240, 18, 200, 74, WIDTH - 20


def render(series: Sequence[TrendSeries], root: Path, folder: Path) -> str:
    """The page of the runs in `root`, as text to be stored in UTF-8; it will lie in `folder`."""
    drawn = {f"trend-{place}": each for place, each in enumerate(series[:CHART_LIMIT])}
    moved = [(id_, each.name, each.sentence) for id_, each in drawn.items() if each.changes]
    slower = [each for each in drawn.values() if each.changes and each.changes[-1].ratio > 1]
    title = "No change of level" if series else "Nothing to compare yet"
    if moved:
        title = f"{plural(len(moved), 'series')} moved"
    if slower:
        title = f"{plural(len(slower), 'series')} slower than before"
    return html.page(
        "trend.html",
        title=title,
        tone="inconclusive" if slower else "pass",
        icon="↗" if slower else "→",
        runs=len({point.run.id for each in series for point in each.points}),
        root=str(root),
        moved=moved,
        charts=[_chart(id_, each, folder) for id_, each in drawn.items()],
    )


def _chart(id_: str, series: TrendSeries, folder: Path) -> Chart:
    """The series as points with their intervals, evenly spaced."""
    points = series.points
    highest = [value for p in points for value in (p.quantile.value, p.quantile.high)]
    axis = Axis.over(highest, 0.0, _BOTTOM - _TOP, log=False)
    step = (_RIGHT - _LEFT) / (len(points) - 1)
    xs = [_LEFT + step * place for place in range(len(points))]

    def y(value: float) -> float:
        return _BOTTOM - axis.at(value)

    marks = [(y(tick), seconds(tick) if tick else "0") for tick in axis.ticks()]
    parts = y_axis(_LEFT, _RIGHT, marks)
    for change in series.changes:
        x = (xs[change.at - 1] + xs[change.at]) / 2
        parts.append(line(x, _TOP, x, _BOTTOM, stroke=RED, stroke_dasharray="5 4"))
        words = f"{(change.ratio - 1) * 100:+.0f}%"
        side, shift = ("end", -5) if x > _RIGHT - 60 else ("start", 5)
        parts.append(text(x + shift, _TOP + 10, words, fill=RED, text_anchor=side, font_size=12))
    path = "L".join(
        f"{number(x)} {number(y(p.quantile.value))}" for x, p in zip(xs, points, strict=True)
    )
    parts.append(element("path", d=f"M{path}", fill="none", stroke=GREY, stroke_opacity=".6"))
    parts += [_dot(x, point, y, folder) for x, point in zip(xs, points, strict=True)]
    for x, point, side in ((_LEFT, points[0], "start"), (_RIGHT, points[-1], "end")):
        day = (point.run.created or "")[:10]
        parts.append(text(x, _BOTTOM + 18, day, text_anchor=side, opacity=".7"))
    title, said = series.name, series.sentence
    return Chart(
        id=id_,
        title=title,
        note=said,
        svg=svg(id_, title, said, WIDTH, _HEIGHT, parts, role="group"),
        head=("run", "when (UTC)", "n", "seconds", "95% interval"),
        rows=tuple(map(_row, points)),
    )


def _dot(x: float, point: Point, y: Callable[[float], float], folder: Path) -> Markup:
    """A point with its interval, which leads to the run's report."""
    one, report = point.quantile, point.run.path / "report.html"
    parts: list[Markup] = []
    low, high = point.bounds
    if math.isfinite(low) and math.isfinite(high):
        parts.append(line(x, y(low), x, y(high), stroke=BLUE, stroke_opacity=".5"))
    fill = BLUE if math.isfinite(one.value) else RED
    said = f"{plain(point.run.id, 80)}: {point.words}, n = {point.n:,}"
    parts.append(element("circle", element("title", said), cx=x, cy=y(one.value), r=4.5, fill=fill))
    place = os.path.relpath(report if report.exists() else point.run.path, folder)
    return element("a", *parts, href=of_path(place), aria_label=said)


def _row(point: Point) -> tuple[str, ...]:
    low, high = ("unbounded" if math.isnan(b) else seconds(b) for b in point.bounds)
    when = (point.run.created or "")[:16].replace("T", " ")
    return plain(point.run.id, 80), when, f"{point.n:,}", point.words, f"{low} to {high}"
