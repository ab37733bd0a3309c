"""The page of `soundstage runs trend`: the answer, then a chart for each series of each workload,
each point a link to its run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from soundstage.reports.charts.axis import Axis, y_axis
from soundstage.reports.charts.chart import BLUE, GREEN, GREY, RED, WIDTH, Chart
from soundstage.reports.charts.svg import both, element, line, number, svg, text
from soundstage.reports.formats import html
from soundstage.reports.history.run_links import link
from soundstage.reports.history.trend import Trend, Workload
from soundstage.reports.history.trend_answer import Move, answer
from soundstage.reports.history.trend_series import Point, TrendSeries
from soundstage.reports.words import plain, seconds

#: A page of more pictures than this is read by nobody.
CHART_LIMIT = 60
#: More than these are read by nobody either: changes on the first screen, runs that are left out.
_MOVES, _LEFT_OUT = 6, 100
_HEIGHT, _TOP, _BOTTOM = 240, 18, 200


@dataclass(frozen=True, slots=True)
class WorkloadSection:
    """What the page shows of a workload: the charts of headline milestones, and the others."""

    workload: Workload
    charts: tuple[Chart, ...]
    others: tuple[Chart, ...]
    hidden: int


def render(trend: Trend, root: Path, folder: Path) -> str:
    """The page of the runs in `root`, as text to be stored in UTF-8; it will lie in `folder`."""
    said = answer(trend)

    def told(move: Move) -> tuple[Move, str | None]:
        return move, link(move.run, folder)

    return html.page(
        "trend.html",
        answer=said,
        moves=[told(move) for move in said.moves[:_MOVES]],
        more_moves=len(said.moves) - _MOVES,
        root=str(root),
        sections=_sections(trend, folder),
        left_out=trend.left_out[:_LEFT_OUT],
        more_left_out=len(trend.left_out) - _LEFT_OUT,
    )


def _sections(trend: Trend, folder: Path) -> list[WorkloadSection]:
    """Headlines come first where there are too many charts for a page."""
    room, found = CHART_LIMIT, []
    wanted = [
        (each.name, [one for one in each.series if one.headline == headline])
        for headline in (True, False)
        for each in trend.workloads
    ]
    drawn: list[tuple[Chart, ...]] = []
    for name, series in wanted:
        taken = series[:room]
        room -= len(taken)
        first = f"trend-{len(drawn)}"
        drawn.append(
            tuple(_chart(f"{first}-{n}", one, name, folder) for n, one in enumerate(taken))
        )
    many = len(trend.workloads)
    for at, each in enumerate(trend.workloads):
        charts, others = drawn[at], drawn[at + many]
        hidden = len(each.series) - len(charts) - len(others)
        found.append(WorkloadSection(each, charts, others, hidden))
    return found


def _chart(id_: str, series: TrendSeries, workload: str, folder: Path) -> Chart:
    """The series of a workload as points with their intervals, evenly spaced."""
    title, said = f"{series.name} · {workload}", series.sentence

    def draw(width: int) -> Markup:
        return svg(id_, title, said, width, _HEIGHT, _parts(series, folder, width), role="group")

    wide, narrow = both(draw, WIDTH)
    return Chart(
        id=id_,
        title=title,
        note=said,
        svg=wide,
        narrow=narrow,
        head=("run", "when (UTC)", "n", "time", "95% interval"),
        rows=tuple(map(_row, series.points)),
    )


def _parts(series: TrendSeries, folder: Path, width: int) -> list[Markup]:
    left, right = (74, width - 20) if width == WIDTH else (56, width - 12)
    points = series.points
    highest = [value for p in points for value in (p.quantile.value, p.quantile.high)]
    axis = Axis.over(highest, 0.0, _BOTTOM - _TOP, log=False)
    step = (right - left) / max(1, len(points) - 1)
    # A single point stands in the middle.
    xs = [left + step * (place if len(points) > 1 else 0.5) for place in range(len(points))]

    def y(value: float) -> float:
        return _BOTTOM - axis.at(value)

    marks = [(y(tick), seconds(tick) if tick else "0") for tick in axis.ticks()]
    parts = y_axis(left, right, marks)
    for change in series.changes:
        x = (xs[change.at - 1] + xs[change.at]) / 2
        colour = RED if change.ratio > 1 else GREEN
        parts.append(line(x, _TOP, x, _BOTTOM, stroke=colour, stroke_dasharray="5 4"))
        words = f"{(change.ratio - 1) * 100:+.0f}%"
        side, shift = ("end", -5) if x > right - 60 else ("start", 5)
        bold = {"font_weight": 650, "text_anchor": side}
        parts.append(text(x + shift, _TOP + 4, words, fill=colour, **bold))
    path = "L".join(
        f"{number(x)} {number(y(p.quantile.value))}" for x, p in zip(xs, points, strict=True)
    )
    parts.append(element("path", d=f"M{path}", fill="none", stroke=GREY, stroke_opacity=".6"))
    parts += [_dot(x, point, y, folder) for x, point in zip(xs, points, strict=True)]
    for x, point, side in ((left, points[0], "start"), (right, points[-1], "end")):
        day = (point.run.created or "")[:10]
        parts.append(text(x, _BOTTOM + 20, day, text_anchor=side, opacity=".7"))
    return parts


def _dot(x: float, point: Point, y: Callable[[float], float], folder: Path) -> Markup:
    """A point with its interval, which leads to the run's report."""
    one = point.quantile
    parts: list[Markup] = []
    low, high = point.bounds
    if math.isfinite(low) and math.isfinite(high):
        parts.append(line(x, y(low), x, y(high), stroke=BLUE, stroke_opacity=".5"))
    fill = BLUE if math.isfinite(one.value) else RED
    said = f"{plain(point.run.id, 80)}: {point.words}, n = {point.n:,}"
    parts.append(element("circle", element("title", said), cx=x, cy=y(one.value), r=4.5, fill=fill))
    place = link(point.run, folder)
    if place is None:
        return element("g", *parts)
    return element("a", *parts, href=place, aria_label=said)


def _row(point: Point) -> tuple[str, ...]:
    low, high = ("unbounded" if math.isnan(b) else seconds(b) for b in point.bounds)
    when = (point.run.created or "")[:16].replace("T", " ")
    return plain(point.run.id, 80), when, f"{point.n:,}", point.words, f"{low} to {high}"
