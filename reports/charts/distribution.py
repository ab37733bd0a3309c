"""How long milestones took, as empirical distribution functions, with their objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from soundstage.reports.charts.chart import AMBER, CURVES, GREEN, RED, Chart, slug
from soundstage.reports.charts.svg import Axis, element, line, number, svg, text, x_axis
from soundstage.reports.run.summary import Group, MilestoneSummary
from soundstage.reports.words import (
    HEADLINE_MILESTONES,
    milestone_label,
    percent,
    plain,
    plural,
    seconds,
)

#: At most this many points of a curve; a screen shows no more.
_POINTS = 160


def distribution(group: Group, slos: Iterable[Mapping[str, Any]] = ()) -> Chart | None:
    """TTSR, audio and TTC as empirical distribution functions: p50 and p95 with intervals, and
    each objective of `slos` (run.json) on a quantile of this endpoint as the corner that the
    curve has to pass.
    """
    curves = [one for name in HEADLINE_MILESTONES if (one := group.milestone(name)) and one.n]
    if not curves:
        return None
    name = f"{plain(group.api, 20)} {plain(group.endpoint, 20)}"
    chart = f"ecdf-{slug(name)}"
    width, top, bottom = 450, 12 + 18 * len(curves), 230
    goals = _goals(group, slos)
    finite = [t for one in curves for t in (_first(one), _last(one))]
    axis = Axis.over([*finite, *(goal["bound"] for goal in goals)], 44, width - 26)
    parts = x_axis(axis, top, bottom)

    def height(share: float) -> float:
        return bottom - share * (bottom - top - 6)

    for share in (0.0, 0.5, 0.95):
        y = height(share)
        parts.append(line(axis.left, y, axis.right, y, stroke="currentColor", stroke_opacity=".18"))
        parts.append(text(36, y + 4, f"{share:.0%}", text_anchor="end", opacity=".7", font_size=11))
    for index, one in enumerate(curves):
        colour, dash = CURVES[one.name]
        p50, p95 = one.intended[0], one.intended[2]
        legend = f"{milestone_label(one.name)} · p50 {p50.words} · p95 {p95.words}"
        if one.reached < one.n:
            legend += f" · never: {percent(one.n - one.reached, one.n)}"
        y = 10 + 18 * index
        stroke = {"stroke": colour, "stroke_width": 2, "stroke_dasharray": dash}
        parts.append(line(axis.left, y - 4, axis.left + 22, y - 4, **stroke))
        parts.append(text(axis.left + 30, y, legend))
        if not one.reached:
            continue
        path = _steps(one, axis, height)
        parts.append(element("path", d=path, fill="none", stroke_linejoin="round", **stroke))
        for mark in (p50, p95):
            if not math.isfinite(mark.value):
                continue
            x, level = axis.at(mark.value), height(mark.order)
            if math.isfinite(mark.low) and not math.isnan(mark.high):
                ends = axis.at(mark.low), axis.at(mark.high)
                parts.append(
                    line(
                        ends[0],
                        level,
                        ends[1],
                        level,
                        stroke=colour,
                        stroke_width=6,
                        stroke_opacity=".35",
                    )
                )
            parts.append(element("circle", cx=x, cy=level, r=3.5, fill=colour))
    parts.extend(_goal(goal, axis, height, index) for index, goal in enumerate(goals))
    if not any(one.reached for one in curves):
        parts.append(
            text(
                (axis.left + axis.right) / 2,
                (top + bottom) / 2,
                "no exchange got there",
                text_anchor="middle",
                opacity=".7",
            )
        )
    said_goals = [f"{plain(goal['slo'], 80)}: {_GOALS[goal['verdict']][1]}" for goal in goals]
    title = f"Times of {name}"
    n = curves[0].n
    said = "; ".join(
        f"{milestone_label(one.name)}: p50 {seconds(one.intended[0].value)},"
        f" p95 {seconds(one.intended[2].value)}"
        for one in curves
    )
    return Chart(
        id=chart,
        title=title,
        note=f"Share of {plural(n, 'exchange')} that got there, by seconds from the intended start"
        f"{' (log scale)' if axis.log else ''}. Thick: the 95% interval of p50 and p95."
        + (f" Objectives are corners: {', '.join(said_goals)}." if goals else ""),
        svg=svg(
            chart,
            title,
            "; ".join([said, *said_goals, f"n = {n}."]),
            width,
            bottom + 24,
            parts,
        ),
        head=("share", *(milestone_label(one.name) for one in curves)),
        rows=tuple(
            (f"{share:.0%}", *(seconds(_at_share(one, share)) for one in curves))
            for share in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
        ),
    )


#: Colour of an objective, and the word for what became of it.
_GOALS = {"pass": (GREEN, "met"), "fail": (RED, "missed"), "inconclusive": (AMBER, "undecided")}


def _goals(group: Group, slos: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The objectives on quantiles of this endpoint's curves."""
    return [
        goal
        for goal in slos
        if goal["kind"] == "quantile"
        and (goal["api"], goal["endpoint"]) == (group.api, group.endpoint)
        and goal["milestone"] in CURVES
    ][:8]


def _goal(
    goal: Mapping[str, Any], axis: Axis, height: Callable[[float], float], index: int
) -> Markup:
    """An objective as the corner at (bound, share): a curve that passes above meets it. Labels
    stand one above the other, the first at the bottom.
    """
    colour, word = _GOALS[goal["verdict"]]
    x, y, floor = axis.at(goal["bound"]), height(goal["order"]), height(0.0)
    path = f"M{number(float(axis.left))} {number(y)}H{number(x)}V{number(floor)}"
    label = f"≤ {seconds(goal['bound'])} {word}"
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


def _first(one: MilestoneSummary) -> float:
    return float(one.times[0])


def _last(one: MilestoneSummary) -> float:
    return float(one.times[one.reached - 1]) if one.reached else math.inf


def _at_share(one: MilestoneSummary, share: float) -> float:
    return float(one.times[max(1, math.ceil(round(share * one.n, 9))) - 1])


def _steps(one: MilestoneSummary, axis: Axis, height: Callable[[float], float]) -> str:
    """The path of a step function, thinned to what a screen can show."""
    picked = np.unique(np.linspace(0, one.reached - 1, min(one.reached, _POINTS)).astype(int))
    path = [f"M{number(axis.at(float(one.times[0])))} {number(float(height(0.0)))}"]
    for index in picked:
        x, y = axis.at(float(one.times[index])), height((int(index) + 1) / one.n)
        path.append(f"H{number(x)}V{number(float(y))}")
    path.append(f"H{number(axis.right)}")
    return "".join(path)
