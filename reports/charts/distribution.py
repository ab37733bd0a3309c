"""How long milestones took, as empirical distribution functions, with their objectives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from soundstage.reports.charts.chart import AMBER, GREEN, RED, Chart, curve_style, slug
from soundstage.reports.charts.ecdf import (
    HALF,
    CurveMark,
    EcdfCurve,
    EcdfPlot,
    range_rows,
    share_rows,
)
from soundstage.reports.charts.svg import both, element, number, text
from soundstage.reports.run.milestone_times import TOO_FEW, MilestoneSummary
from soundstage.reports.run.summary import Group
from soundstage.reports.words import between, milestone_label, place_words, plain, plural, seconds


def distribution(group: Group, slos: Iterable[Mapping[str, Any]] = ()) -> Chart | None:
    """The headline milestones as empirical distribution functions: p50 and p95 with intervals, and
    each objective of `slos` (run.json) on a quantile of this endpoint as the corner that the
    curve has to pass.
    """
    found = [one for name in group.names.headline if (one := group.milestone(name)) and one.n]
    if not found:
        return None
    curves = [_curve(group, one) for one in found]
    goals = _goals(group, slos)
    bounds = [goal["bound"] for goal in goals]
    said_goals = [f"{plain(goal['slo'], 80)}: {_GOALS[goal['verdict']][1]}" for goal in goals]
    name = place_words(group.api, group.endpoint)
    chart, title, n = f"ecdf-{slug(name)}", f"Times of {name}", found[0].n
    said = "; ".join(
        f"{milestone_label(group.names, one.name)}: p50 {_ends(one, 0)}, p95 {_ends(one, 2)}"
        for one in found
    )
    described = "; ".join([said, *said_goals, f"n = {n}."])

    def draw(width: int) -> Markup:
        plot = EcdfPlot(curves, bounds, width)
        plot.parts.extend(_goal(goal, plot, index) for index, goal in enumerate(goals))
        if not any(one.reached for one in found):
            x, y = (plot.axis.left + plot.axis.right) / 2, (plot.top + plot.bottom) / 2
            never = "no exchange got there"
            plot.parts.append(text(x, y, never, text_anchor="middle", opacity=".7"))
        return plot.svg(chart, title, described)

    half, narrow = both(draw, HALF)
    scale = " (log scale)" if EcdfPlot(curves, bounds).axis.log else ""
    return Chart(
        id=chart,
        title=title,
        note=f"Share of {plural(n, 'exchange')} that got there, by seconds from the intended start"
        f"{scale}. Thick: the 95% interval of p50 and p95."
        + (" Thin: the low ends of times by polling." if _polled(found) else "")
        + (f" Objectives are corners: {', '.join(said_goals)}." if goals else ""),
        svg=half,
        narrow=narrow,
        head=("share", *(curve.label for curve in curves)),
        rows=tuple((share, *map(seconds, times)) for share, times in share_rows(curves))
        if not _polled(found)
        else tuple((share, *said) for share, said in range_rows(curves)),
    )


def _curve(group: Group, one: MilestoneSummary) -> EcdfCurve:
    marks = (
        CurveMark(one.intended[place].order, one.intended[place].value, *one.bounds(place))
        for place in (0, 2)
    )
    label, style = (
        milestone_label(group.names, one.name),
        curve_style(group.names.headline, one.name),
    )
    lows = None if one.low is None else one.low.times
    said = one.said(0), one.said(2)
    return EcdfCurve(label, *style, one.times, said, tuple(marks), lows)


def _polled(found: Iterable[MilestoneSummary]) -> bool:
    return any(one.low is not None for one in found)


def _ends(one: MilestoneSummary, place: int) -> str:
    if place and not one.tells(place):
        return TOO_FEW
    high = seconds(one.intended[place].value)
    return high if one.low is None else between(seconds(one.low.intended[place].value), high)


#: How the sign of an objective is drawn.
SIGNS = {"<": "<", "<=": "≤", ">": ">", ">=": "≥"}
#: Colour of an objective, and the word for what became of it.
_GOALS = {"pass": (GREEN, "met"), "fail": (RED, "missed"), "inconclusive": (AMBER, "undecided")}


def _goals(group: Group, slos: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The objectives on quantiles of this endpoint's curves."""
    return [
        goal
        for goal in slos
        if goal["kind"] == "quantile"
        and (goal["api"], goal["endpoint"]) == (group.api, group.endpoint)
        and goal["milestone"] in group.names.headline
    ][:8]


def _goal(goal: Mapping[str, Any], plot: EcdfPlot, index: int) -> Markup:
    """An objective as the corner at (bound, share): a curve that passes above meets it. Labels
    stand one above the other, the first at the bottom.
    """
    colour, word = _GOALS[goal["verdict"]]
    axis = plot.axis
    x, y, floor = axis.at(goal["bound"]), plot.height(goal["order"]), plot.height(0.0)
    path = f"M{number(float(axis.left))} {number(y)}H{number(x)}V{number(floor)}"
    label = f"{SIGNS.get(goal['op'], goal['op'])} {seconds(goal['bound'])} {word}"
    right = x > axis.right - 110
    return element(
        "g",
        element("title", f"{plain(goal['slo'], 80)}: {word}"),
        element("path", d=path, fill="none", stroke=colour, stroke_dasharray="2 3"),
        element("path", d=f"M{number(x)} {number(y - 5)}v10", stroke=colour, stroke_width=3),
        text(
            x + (-6 if right else 6),
            floor - 6 - 14 * index,
            label,
            text_anchor="end" if right else "start",
            font_size=11,
        ),
    )
