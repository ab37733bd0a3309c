"""How the times of a milestone went from run to run: series, their changes of level, a chart each.

Values in, values out. A series holds runs that can be compared by eye: the same endpoint of the
same API version, against the same kind of target.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from soundstage.reports.charts.axis import Axis
from soundstage.reports.charts.chart import BLUE, GREY, RED, WIDTH, Chart
from soundstage.reports.charts.svg import element, line, number, svg, text
from soundstage.reports.history.changepoints import LevelChange, changes
from soundstage.reports.run.summary import Summary
from soundstage.reports.words import milestone_label, plain, plural, seconds

#: Quantiles that have a series of their own.
ORDERS = (0.5, 0.95)
_HEIGHT, _TOP, _BOTTOM, _LEFT, _RIGHT = 240, 18, 200, 74, WIDTH - 20


@dataclass(frozen=True, slots=True)
class Point:
    """A run in a series: `value` is the quantile in seconds (+inf: never got there), between `low`
    and `high` with 95% confidence (nan where so few exchanges cannot say). `href` leads to its
    report, relative to the page.
    """

    run: str
    created: str
    n: int
    value: float
    low: float
    high: float
    href: str


@dataclass(frozen=True, slots=True)
class TrendSeries:
    """One quantile of one milestone over the runs, oldest first. `left_out`: runs that never got
    there, which a change of level cannot be worked out from.
    """

    target: str
    api: str
    endpoint: str
    milestone: str
    order: float
    points: tuple[Point, ...]
    changes: tuple[LevelChange, ...]
    left_out: int

    @property
    def name(self) -> str:
        """`v6 stream TTSR p95, emulator`"""
        where = f"{plain(self.api, 40)} {plain(self.endpoint, 20)}"
        return f"{where} {milestone_label(self.milestone)} p{self.order * 100:g}, {self.target}"


@dataclass(frozen=True, slots=True)
class TrendRun:
    """What a trend needs of a bundle."""

    id: str
    created: str
    target: str
    href: str
    summary: Summary


def trend(runs: Iterable[TrendRun], milestones: Sequence[str] = ()) -> list[TrendSeries]:
    """The series of these runs, by endpoint and milestone; all milestones unless some are named.
    A series has at least two runs.
    """
    found: dict[tuple[str, str, str, str, float], list[Point]] = {}
    for run in sorted(runs, key=lambda each: (each.created, each.id)):
        for group in run.summary.groups:
            for one in group.milestones:
                if milestones and one.name not in milestones:
                    continue
                for quantile in one.intended:
                    if quantile.order in ORDERS:
                        key = (run.target, group.api, group.endpoint, one.name, quantile.order)
                        found.setdefault(key, []).append(
                            Point(
                                run.id,
                                run.created,
                                one.n,
                                quantile.value,
                                quantile.low,
                                quantile.high,
                                run.href,
                            )
                        )
    return [_series(key, points) for key, points in found.items() if len(points) > 1]


def _series(key: tuple[str, str, str, str, float], points: list[Point]) -> TrendSeries:
    places = [
        place for place, point in enumerate(points) if math.isfinite(point.value) and point.value
    ]
    logs = [math.log(points[place].value) for place in places]
    moved = tuple(LevelChange(places[each.at], each.ratio, each.p) for each in changes(logs))
    return TrendSeries(*key, tuple(points), moved, len(points) - len(places))


def sentence(series: TrendSeries) -> str:
    """What the series comes to, in a sentence."""
    last = series.points[-1]
    said = f"{plural(len(series.points), 'run')}; the last {seconds(last.value)}"
    for change in series.changes:
        percent = abs(change.ratio - 1) * 100
        how = "slower" if change.ratio > 1 else "faster"
        since = plain(series.points[change.at].run, 80)
        said += f"; {percent:.0f}% {how} since {since} (p = {change.p:.2g})"
    if not series.changes:
        said += "; no change of level" + (" among those that got there" if series.left_out else "")
    if series.left_out:
        said += f"; {plural(series.left_out, 'run')} never got there"
        if since_when := _lost(series.points):
            said += f", none since {plain(since_when.run, 80)}"
    return said + "."


def _lost(points: Sequence[Point]) -> Point | None:
    """The first of the runs at the end that never got there; None if the last one did."""
    first = None
    for point in reversed(points):
        if math.isfinite(point.value):
            break
        first = point
    return first


def chart(series: TrendSeries, place: int) -> Chart:
    """The series as points with their intervals, evenly spaced, each a link to its report."""
    points = series.points
    tops = [p.high if math.isfinite(p.high) else p.value for p in points]
    axis = Axis.over([*tops, *(p.value for p in points)], 0.0, _BOTTOM - _TOP, log=False)
    step = (_RIGHT - _LEFT) / max(1, len(points) - 1)
    xs = [_LEFT + step * number for number in range(len(points))]

    def y(value: float) -> float:
        return _BOTTOM - axis.at(value)

    parts: list[Markup] = []
    for tick in axis.ticks():
        grid = {"stroke": "currentColor", "stroke_opacity": ".13"}
        parts.append(line(_LEFT, y(tick), _RIGHT, y(tick), **grid))
        label = {"text_anchor": "end", "opacity": ".7", "font_size": 11}
        parts.append(text(_LEFT - 8, y(tick) + 4, seconds(tick) if tick else "0", **label))
    for change in series.changes:
        x = (xs[change.at - 1] + xs[change.at]) / 2
        parts.append(line(x, _TOP, x, _BOTTOM, stroke=RED, stroke_dasharray="5 4"))
        words = f"{(change.ratio - 1) * 100:+.0f}%"
        side = "end" if x > _RIGHT - 60 else "start"
        shift = -5 if side == "end" else 5
        parts.append(text(x + shift, _TOP + 10, words, fill=RED, text_anchor=side, font_size=12))
    curve = " ".join(
        f"{'M' if number_ == 0 else 'L'}{number(x)} {number(y(p.value))}"
        for number_, (x, p) in enumerate(zip(xs, points, strict=True))
    )
    parts.append(element("path", d=curve, fill="none", stroke=GREY, stroke_opacity=".6"))
    for x, point in zip(xs, points, strict=True):
        parts.append(_dot(x, point, y))
    for number_ in {0, len(points) - 1}:
        side = "start" if number_ == 0 else "end"
        day = points[number_].created[:10]
        parts.append(text(xs[number_], _BOTTOM + 18, day, text_anchor=side, opacity=".7"))
    name = series.name
    return Chart(
        id=f"trend-{place}",
        title=name,
        note=sentence(series),
        svg=svg(f"trend-{place}", name, sentence(series), WIDTH, _HEIGHT, parts, role="group"),
        head=("run", "when (UTC)", "n", "seconds", "95% interval"),
        rows=tuple(
            (
                plain(p.run, 80),
                f"{p.created[:16].replace('T', ' ')}",
                f"{p.n:,}",
                seconds(p.value),
                f"{_bound(p.low)} to {_bound(p.high)}",
            )
            for p in points
        ),
    )


def _dot(x: float, point: Point, y: object) -> Markup:
    assert callable(y)
    bar: list[Markup] = []
    if math.isfinite(point.low) and math.isfinite(point.high):
        bar = [line(x, y(point.low), x, y(point.high), stroke=BLUE, stroke_opacity=".5")]
    fill = BLUE if math.isfinite(point.value) else RED
    said = f"{plain(point.run, 80)}: {seconds(point.value)}, n = {point.n:,}"
    circle = element("circle", element("title", said), cx=x, cy=y(point.value), r=4.5, fill=fill)
    return element("a", *bar, circle, href=point.href, aria_label=said)


def _bound(value: float) -> str:
    return seconds(value) if not math.isnan(value) else "unbounded"
