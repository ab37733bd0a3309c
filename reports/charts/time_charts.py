"""Charts over the time of a run: the load and what failed of it, how the quantiles of a milestone
moved, and how the generator did. All have the time of day beneath the seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from soundstage.reports.charts.axis import Axis, time_axis, y_axis
from soundstage.reports.charts.chart import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    TEAL,
    WIDTH,
    Chart,
    curve_style,
    slug,
)
from soundstage.reports.charts.chart_legend import LegendEntry, legend
from soundstage.reports.charts.svg import NARROW, both, element, number, svg, text
from soundstage.reports.run.failures import Failures
from soundstage.reports.run.summary import Group
from soundstage.reports.run.timeline import Generator, MilestoneCourse, Timeline
from soundstage.reports.run.wall_clock import ZONE, WallClock
from soundstage.reports.words import milestone_label, place_words, plain, plural, seconds

#: A series of a panel: values, one a slice (nan: none, +inf: never), colour, dash.
Line = tuple[Sequence[float], str, str]

#: Of the kinds of failures, in their order; one more stands for the rest.
_OF_FAILURES = (RED, AMBER, BLUE, PURPLE, TEAL, GREY)
#: From the lower edge of one panel to the upper edge of the next, where there is its title.
_APART = 40
#: What the labels of the time axis take below the last panel.
_LABELS = 40


def over_time(timeline: Timeline, clock: WallClock, failures: Failures | None = None) -> Chart:
    """Arrivals, exchanges in flight, and failures by kind, over the run."""
    slices, width = len(timeline.asked), timeline.width
    asked, started, ended = (
        [n / width for n in counts] for counts in (timeline.asked, timeline.started, timeline.ended)
    )
    rates: list[Line] = [(ended, GREEN, "2 3"), (asked, GREY, "5 3"), (started, BLUE, "")]
    key = (
        LegendEntry("asked", GREY, "5 3"),
        LegendEntry("started", BLUE),
        LegendEntry("ended", GREEN, "2 3"),
    )
    in_flight = [float(n) for n in timeline.in_flight]
    failed = {} if failures is None else failures.slices

    def draw(wide: int) -> Markup:
        axis = _axis(slices * width, wide)
        parts, top = legend(key, axis.left, axis.right)
        top += 24
        parts += _panel(axis, top, top + 100, "arrivals per second", rates, width)
        top += 100 + _APART
        parts += _panel(axis, top, top + 90, "in flight", [(in_flight, ORANGE, "")], width)
        bottom = top + 90
        if failed:
            more, top = _failed_legend(failed, axis, bottom + _APART)
            bottom = top + 70
            parts += [*more, *_bars(axis, top, bottom, failed, width)]
        parts += time_axis(axis, bottom - 70, bottom, clock)
        return svg("timeline", "Load over time", said, wide, bottom + _LABELS, parts)

    total, sent, most = sum(timeline.asked), sum(timeline.started), max(timeline.in_flight)
    said = f"{total:,} asked, {sent:,} started, at most {most:,} in flight."
    if failed:
        counted = (f"{sum(counts):,} {plain(name, 40)}" for name, counts in failed.items())
        said += f" Failed: {', '.join(counted)}."
    wide, narrow = both(draw, WIDTH)
    return Chart(
        id="timeline",
        title="Load over time",
        note=f"{said} Warm-up included; a slice is {width:g} s.",
        svg=wide,
        narrow=narrow,
        head=("from", ZONE, "asked", "started", "ended", "in flight", *failed),
        rows=tuple(
            (
                *_from(index * width, width, clock),
                f"{timeline.asked[index]:,}",
                f"{timeline.started[index]:,}",
                f"{timeline.ended[index]:,}",
                f"{timeline.in_flight[index]:,}",
                *(f"{counts[index]:,}" for counts in failed.values()),
            )
            for index in range(slices)
        ),
    )


def generator_chart(seen: Generator, clock: WallClock) -> Chart:
    """The load generator's own event loop and CPU over the run: whether to believe the rest."""
    slices, width = len(seen.lag), seen.width
    late: list[Line] = [([each * 1000 for each in seen.lag], ORANGE, "")]

    def draw(wide: int) -> Markup:
        axis = _axis(slices * width, wide)
        parts = _panel(axis, 30, 100, "latest that its event loop was, ms", late, width)
        parts += _panel(axis, 140, 210, "CPU, of one core", [(seen.cpu, BLUE, "")], width)
        parts += time_axis(axis, 140, 210, clock)
        return svg("generator", "The load generator itself", said, wide, 210 + _LABELS, parts)

    lags, cpus = ([each for each in v if not math.isnan(each)] for v in (seen.lag, seen.cpu))
    several = f" (the worst of {seen.processes} processes)" if seen.processes > 1 else ""
    said = f"At most {seconds(max(lags))} late and {max(cpus):.0%} of a core{several}."
    wide, narrow = both(draw, WIDTH)
    return Chart(
        id="generator",
        title="The load generator itself",
        note=f"{said} Where it is late or busy, the times of the API are in doubt.",
        svg=wide,
        narrow=narrow,
        head=("from", ZONE, "latest", "CPU"),
        rows=tuple(
            (
                *_from(index * width, width, clock),
                seconds(seen.lag[index]),
                "–" if math.isnan(seen.cpu[index]) else f"{seen.cpu[index]:.1%}",
            )
            for index in range(slices)
        ),
    )


def courses(group: Group, clock: WallClock) -> Chart | None:
    """p50 and p95 of the milestones of an endpoint, by when the request was due; None where
    there are fewer than three slices to see a course in.
    """
    shown = [one for one in group.courses if any(map(math.isfinite, one.p50))]
    if not shown or sum(n > 0 for n in shown[0].n) < 3:
        return None
    name = place_words(group.api, group.endpoint)
    chart, width = f"course-{slug(name)}", shown[0].width
    panels = [one for one in shown if one.milestone in group.names.headline]
    labels = {one.milestone: milestone_label(group.names, one.milestone) for one in panels}
    title = f"Quantiles over time of {name}"
    said = "; ".join(f"{labels[one.milestone]}: {_range(one)}" for one in panels)

    def draw(wide: int) -> Markup:
        axis = _axis(len(shown[0].n) * width, wide)
        key = (LegendEntry("p50", "currentColor"), LegendEntry("p95", "currentColor", "4 3"))
        parts, top = legend(key, axis.left, axis.right)
        bottom = top - 16
        for one in panels:
            top, bottom = bottom + _APART, bottom + _APART + 80
            colour, _ = curve_style(group.names.headline, one.milestone)
            lines: list[Line] = [(one.p95, colour, "4 3"), (one.p50, colour, "")]
            label = f"{labels[one.milestone]}, seconds"
            parts += _panel(axis, top, bottom, label, lines, width)
        parts += time_axis(axis, top, bottom, clock)
        return svg(chart, title, f"{said}.", wide, bottom + _LABELS, parts)

    wide, narrow = both(draw, WIDTH)
    return Chart(
        id=chart,
        title=title,
        note=f"By when a request was due, in slices of {width:g} s. A slice whose line is at the"
        " top edge, with an arrow, has a quantile that never came."
        + (" Times by polling: their high ends." if group.resolution else ""),
        svg=wide,
        narrow=narrow,
        head=(
            "from",
            ZONE,
            "n",
            *(f"{labels[one.milestone]} {q}" for one in panels for q in ("p50", "p95")),
        ),
        rows=tuple(
            (
                *_from(index * width, width, clock),
                f"{n:,}",
                *(seconds(v[index]) for one in panels for v in (one.p50, one.p95)),
            )
            for index, n in enumerate(panels[0].n)
        ),
    )


def _axis(span: float, wide: int) -> Axis:
    """The time axis of a picture of this width, from 0 to `span` seconds."""
    left, right = (56, 20) if wide <= NARROW else (60, 28)
    return Axis.until(span, left, wide - right)


def _from(begin: float, width: float, clock: WallClock) -> tuple[str, str]:
    """When a slice of `width` seconds begins: seconds into the run, and the time of day."""
    return f"{begin:g} s", clock.at(begin, tenths=width < 1)


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


def _failed_legend(
    failed: Mapping[str, Sequence[int]], axis: Axis, top: float
) -> tuple[list[Markup], float]:
    """The title of the panel of failures with what its colours mean; and where its bars begin."""
    entries = (
        LegendEntry(plain(name, 24), colour, None)
        for name, colour in zip(failed, _OF_FAILURES, strict=False)
    )
    parts, below = legend(entries, axis.left, axis.right, top - 4)
    return [text(axis.left, top - 12, "failures", font_weight=650), *parts], below + 8


def _bars(
    axis: Axis, top: float, bottom: float, failed: Mapping[str, Sequence[int]], width: float
) -> list[Markup]:
    """A bar for each slice in which exchanges failed, its parts the kinds one on the other."""
    high = max(map(sum, zip(*failed.values(), strict=True)), default=0) or 1
    parts = y_axis(axis.left, axis.right, [(bottom, "0"), (top, f"{high:,}")])
    stacked = [0] * len(next(iter(failed.values())))
    for counts, colour in zip(failed.values(), _OF_FAILURES, strict=False):
        path = ""
        for index, many in enumerate(counts):
            if not many:
                continue
            left, right = axis.at(index * width), axis.at((index + 1) * width)
            foot = bottom - stacked[index] / high * (bottom - top)
            stacked[index] += many
            head = bottom - stacked[index] / high * (bottom - top)
            path += f"M{number(left)} {number(foot)}V{number(head)}H{number(right)}V{number(foot)}Z"
        if path:
            parts.append(element("path", d=path, fill=colour))
    return parts
