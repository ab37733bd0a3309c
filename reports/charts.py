"""Charts as inline SVG, drawn from a report's values; each with the table that says the same.

Presentation attributes only (no style, no script, no request), so they survive a strict Content
Security Policy; text and axes are `currentColor` and marks are mid-tones, so that they stand on
a light page and on a dark one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from soundstage.reports.findings import Rule
from soundstage.reports.summary import Group, Milestone
from soundstage.reports.svg import Axis, element, line, number, svg, text, x_axis
from soundstage.reports.wording import (
    HEADLINE_MILESTONES,
    OUTCOMES,
    milestone_label,
    percent,
    plain,
    plural,
    seconds,
)

WIDTH = 920
BLUE, ORANGE, GREEN = "#3f83f0", "#d9741a", "#1f9d76"
RED, AMBER, GREY = "#dc3d4a", "#cf8a0a", "#7c8794"

#: Colour and dash of the milestones that are drawn as curves.
CURVES = {
    "streaming_ready": (BLUE, ""),
    "audio": (ORANGE, "7 3"),
    "complete": (GREEN, ""),
}

#: At most this many cells of the matrix, stages of a waterfall, rows of a chart's table.
CELL_LIMIT = 1500
STAGE_LIMIT = 40
TABLE_LIMIT = 250

#: At most this many points of a curve; a screen shows no more.
_POINTS = 160


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, the words that go with it, and its numbers as a table."""

    id: str
    title: str
    note: str
    svg: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


# Contract matrix

_CELL = 20
_LABEL = 190
_TALLY = 62
_ACROSS = (WIDTH - _LABEL - _TALLY) // _CELL

#: Fill of a cell, its opacity, its outline, and the colour of its glyph.
_CELLS = {
    "failed": (RED, "1", "", "#fff"),
    "warned": (AMBER, "1", "", "#1a1200"),
    "inconclusive": ("none", "1", GREY, "currentColor"),
    "known": (BLUE, ".16", BLUE, "currentColor"),
    "passed": (GREEN, ".2", "", GREEN),
    "not_exercised": ("none", "1", "", GREY),
}


def matrix(rules: Sequence[Rule]) -> Chart | None:
    """Each rule at each endpoint as a cell, a line for each thing that the rules are about."""
    if not rules:
        return None
    groups: dict[tuple[str, str], dict[str, list[Rule]]] = {}
    for rule in rules[:CELL_LIMIT]:
        subjects = groups.setdefault((rule.api, rule.endpoint), {})
        subjects.setdefault(rule.subject, []).append(rule)

    tally = {outcome: sum(rule.outcome == outcome for rule in rules) for outcome in OUTCOMES}
    parts = [element("defs", *(_cell_symbol(outcome) for outcome in OUTCOMES))]
    parts.extend(_legend(tally))
    y = 40.0
    for (api, endpoint), subjects in sorted(groups.items()):
        y += 26
        parts.append(
            text(0, y - 8, f"{plain(api, 20)} {plain(endpoint, 20)}", font_weight=650, font_size=13)
        )
        parts.append(line(0, y - 1, WIDTH, y - 1, stroke="currentColor", stroke_opacity=".2"))
        y += 5
        for subject, members in subjects.items():
            y = _matrix_row(parts, y, subject, members)
    more = len(rules) - CELL_LIMIT
    if more > 0:
        y += 20
        parts.append(text(0, y - 6, f"and {more:,} more", opacity=".7"))
    said = ", ".join(f"{count} {OUTCOMES[key][1]}" for key, count in tally.items() if count)
    urgency = list(OUTCOMES)
    ordered = sorted(rules, key=lambda rule: urgency.index(rule.outcome))
    rows = tuple(
        (
            f"{OUTCOMES[rule.outcome][0]} {OUTCOMES[rule.outcome][1]}",
            plain(rule.id, 160),
            rule.endpoint,
            plain(rule.reason, 120) if rule.reason else plural(rule.exchanges, "exchange"),
        )
        for rule in ordered
    )
    return Chart(
        id="matrix",
        title="Contract matrix",
        note=f"{plural(len(rules), 'rule')}: {said}. A cell is a rule at an endpoint.",
        svg=svg("matrix", "Contract matrix", f"{len(rules)} rules: {said}.", WIDTH, y + 4, parts),
        head=("outcome", "rule", "endpoint", "seen in, or why not"),
        rows=bounded(rows),
    )


def _cell_symbol(outcome: str) -> Markup:
    fill, opacity, outline, ink = _CELLS[outcome]
    size = _CELL - 4
    return element(
        "g",
        element(
            "rect",
            width=size,
            height=size,
            rx=3.5,
            fill=fill,
            fill_opacity=opacity,
            stroke=outline,
        ),
        text(size / 2, 12, OUTCOMES[outcome][0], fill=ink, text_anchor="middle", font_weight=700),
        id=f"m-{outcome}",
    )


def _use(outcome: str, x: float, y: float, *children: Markup) -> Markup:
    return element("use", *children, href=f"#m-{outcome}", x=float(x), y=float(y))


def _legend(tally: dict[str, int]) -> list[Markup]:
    parts: list[Markup] = []
    x = 0.0
    for outcome, count in tally.items():
        if not count:
            continue
        words = f"{count:,} {OUTCOMES[outcome][1]}"
        parts.append(_use(outcome, x, 6))
        parts.append(text(x + 22, 18.5, words))
        x += 44 + 7.0 * len(words)
    return parts


def _matrix_row(parts: list[Markup], y: float, subject: str, members: list[Rule]) -> float:
    """Draw the cells of one subject; returns the y below them."""
    parts.append(text(_LABEL - 12, y + 12.5, plain(subject, 26), text_anchor="end", opacity=".85"))
    for index, rule in enumerate(members):
        name = element("title", f"{OUTCOMES[rule.outcome][1]}: {plain(rule.id, 160)}")
        column, line = index % _ACROSS, index // _ACROSS
        parts.append(_use(rule.outcome, _LABEL + column * _CELL, y + line * _CELL, name))
    passed = sum(rule.outcome == "passed" for rule in members)
    parts.append(
        text(
            WIDTH,
            y + 12.5,
            f"{passed}/{len(members)}",
            text_anchor="end",
            opacity=".6" if passed == len(members) else "1",
            font_size=11,
        )
    )
    return y + _CELL * math.ceil(len(members) / _ACROSS) + 1


# Stage waterfall


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
        f" well without the stage.{f' And {more} more stages.' if more else ''}",
        svg=svg(
            chart,
            title,
            "; ".join(f"{plain(s.name, 40)}: p50 {seconds(s.p50)}" for s in stages),
            WIDTH,
            bottom + 26,
            parts,
        ),
        head=("stage", "p50", "p95", "reached", "of"),
        rows=bounded(
            tuple(
                (plain(s.name, 60), seconds(s.p50), seconds(s.p95), f"{s.reached:,}", f"{s.n:,}")
                for s in group.stages
            )
        ),
    )


# Distribution


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
        legend = (
            f"{milestone_label(one.name)} · p50 {seconds(p50.value)} · p95 {seconds(p95.value)}"
        )
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
    parts.extend(_goal(goal, axis, height) for goal in goals)
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


def _goal(goal: Mapping[str, Any], axis: Axis, height: Callable[[float], float]) -> Markup:
    """An objective as the corner at (bound, share): a curve that passes above meets it."""
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
            floor - 6,
            label,
            text_anchor="end" if right else "start",
            font_size=11,
        ),
    )


def _first(one: Milestone) -> float:
    return float(one.times[0])


def _last(one: Milestone) -> float:
    return float(one.times[one.reached - 1]) if one.reached else math.inf


def _at_share(one: Milestone, share: float) -> float:
    return float(one.times[max(1, math.ceil(round(share * one.n, 9))) - 1])


def _steps(one: Milestone, axis: Axis, height: Callable[[float], float]) -> str:
    """The path of a step function, thinned to what a screen can show."""
    picked = np.unique(np.linspace(0, one.reached - 1, min(one.reached, _POINTS)).astype(int))
    path = [f"M{number(axis.at(float(one.times[0])))} {number(float(height(0.0)))}"]
    for index in picked:
        x, y = axis.at(float(one.times[index])), height((int(index) + 1) / one.n)
        path.append(f"H{number(x)}V{number(float(y))}")
    path.append(f"H{number(axis.right)}")
    return "".join(path)


def slug(name: str) -> str:
    """A name as an id: letters, digits and hyphens."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())


def bounded(rows: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """The rows of a chart's table, or the first of them and a row that says how many more."""
    if len(rows) <= TABLE_LIMIT:
        return rows
    more = (f"and {len(rows) - TABLE_LIMIT:,} more", *([""] * (len(rows[0]) - 1)))
    return (*rows[:TABLE_LIMIT], more)
