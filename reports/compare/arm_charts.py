"""Charts of a comparison: the times of both arms, and their stages."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from soundstage.reports.charts.chart import BLUE, GREEN, GREY, RED, WIDTH, Chart
from soundstage.reports.charts.svg import Axis, element, line, number, svg, text, x_axis
from soundstage.reports.compare.cells import stage_interval
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.compare.gates import Pairing
from soundstage.reports.compare.stage_change import StageChange, signed
from soundstage.reports.words import (
    HEADLINE_MILESTONES,
    milestone_label,
    percent,
    plain,
    plural,
    seconds,
)
from soundstage.results.quantiles import rank

Floats = npt.NDArray[np.float64]

#: Each arm: name, colour, dash.
_ARMS = (("base", GREY, "5 3"), ("candidate", BLUE, ""))
_STAGE_LIMIT = 40
_POINTS = 160
_SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


def distributions(made: Comparison) -> list[Chart]:
    """The times of both arms as empirical distribution functions, a chart a milestone."""
    charts = []
    for pairing in made.pairings:
        for name in HEADLINE_MILESTONES:
            if name in pairing.milestones:
                times = [
                    np.sort(np.concatenate([run.times[name] for run in arm.series(place)]))
                    for arm, place in (
                        (made.base, pairing.base),
                        (made.candidate, pairing.candidate),
                    )
                ]
                charts.append(_distribution(made, pairing, name, times))
    return charts


def _distribution(made: Comparison, pairing: Pairing, name: str, times: list[Floats]) -> Chart:
    width, top, bottom = 450, 12 + 18 * len(_ARMS), 230
    reached = [int(np.isfinite(arm).sum()) for arm in times]
    ends = [
        float(arm[place])
        for arm, n in zip(times, reached, strict=True)
        if n
        for place in (0, n - 1)
    ]
    axis = Axis.over(ends, 44, width - 26)

    def height(share: float) -> float:
        return bottom - share * (bottom - top - 6)

    parts = x_axis(axis, top, bottom)
    for share in (0.0, 0.5, 0.95):
        y = height(share)
        parts.append(line(axis.left, y, axis.right, y, stroke="currentColor", stroke_opacity=".18"))
        parts.append(text(36, y + 4, f"{share:.0%}", text_anchor="end", opacity=".7", font_size=11))
    for index, ((arm, colour, dash), values, n) in enumerate(
        zip(_ARMS, times, reached, strict=True)
    ):
        y = 10 + 18 * index
        stroke = {"stroke": colour, "stroke_width": 2, "stroke_dasharray": dash}
        p50, p95 = (seconds(_at(values, share)) for share in (0.5, 0.95))
        legend = f"{arm} · p50 {p50} · p95 {p95}"
        if n < len(values):
            legend += f" · never: {percent(len(values) - n, len(values))}"
        parts.append(line(axis.left, y - 4, axis.left + 22, y - 4, **stroke))
        parts.append(text(axis.left + 30, y, legend))
        if n:
            path = _steps(values, n, axis, height)
            parts.append(element("path", d=path, fill="none", stroke_linejoin="round", **stroke))
    parts += _marks(made, pairing, name, axis, height)
    where = f"{plain(pairing.api, 40)} {plain(pairing.endpoint, 20)}"
    title = f"{milestone_label(name)} of {where}"
    chart = f"ecdf-{_slug(f'{where}-{name}')}"
    return Chart(
        id=chart,
        title=title,
        note=f"Share of exchanges that got there, by seconds from the intended start: "
        f"{plural(len(times[0]), 'exchange')} of the base, {len(times[1]):,} of the candidate. "
        "Thick: the gates' intervals.",
        svg=svg(
            chart,
            title,
            "; ".join(
                f"{arm}: p50 {seconds(_at(values, 0.5))}, p95 {seconds(_at(values, 0.95))}"
                for (arm, _, _), values in zip(_ARMS, times, strict=True)
            ),
            width,
            bottom + 24,
            parts,
        ),
        head=("share", "base", "candidate", "change"),
        rows=tuple(
            (f"{share:.0%}", seconds(a), seconds(b), signed(_over(a, b)))
            for share in _SHARES
            for a, b in [(_at(times[0], share), _at(times[1], share))]
        ),
    )


def _marks(
    made: Comparison, pairing: Pairing, name: str, axis: Axis, height: Callable[[float], float]
) -> list[Markup]:
    """The quantiles that are gates, each with its interval."""
    parts = []
    for each in made.gates:
        if each.gate.pairing != pairing or each.gate.what != name or each.gate.order is None:
            continue
        if each.method != "samples":
            continue  # the intervals of several runs are not those of this curve
        for (_, colour, _), one in zip(_ARMS, (each.base, each.candidate), strict=True):
            if not math.isfinite(one.value):
                continue
            y = height(each.gate.order)
            low, high = (axis.at(max(one.low, axis.low)), axis.at(one.high))
            parts.append(line(low, y, high, y, stroke=colour, stroke_width=6, stroke_opacity=".35"))
            parts.append(element("circle", cx=axis.at(one.value), cy=y, r=3.5, fill=colour))
    return parts


def _steps(values: Floats, reached: int, axis: Axis, height: Callable[[float], float]) -> str:
    picked = np.unique(np.linspace(0, reached - 1, min(reached, _POINTS)).astype(int))
    path = [f"M{number(axis.at(float(values[0])))} {number(float(height(0.0)))}"]
    for index in picked:
        x, y = axis.at(float(values[index])), height((int(index) + 1) / len(values))
        path.append(f"H{number(x)}V{number(float(y))}")
    path.append(f"H{number(axis.right)}")
    return "".join(path)


def _at(values: Floats, share: float) -> float:
    return float(values[rank(share, len(values)) - 1])


def _over(base: float, candidate: float) -> float:
    if math.isinf(base):
        return 1.0 if math.isinf(candidate) else 0.0
    return candidate / base if base > 0 else math.nan


def waterfalls(made: Comparison) -> list[Chart]:
    """Where the time goes in both arms: a chart for each endpoint with stages."""
    charts = []
    for pairing in made.pairings:
        stages = [each for each in made.stages if each.pairing == pairing][:_STAGE_LIMIT]
        if stages:
            charts.append(_waterfall(pairing, stages))
    return charts


def _waterfall(pairing: Pairing, stages: list[StageChange]) -> Chart:
    where = f"{plain(pairing.api, 40)} {plain(pairing.endpoint, 20)}"
    top, pitch = 44, 34
    bottom = top + pitch * len(stages)
    sums = [
        sum(arm) for arm in zip(*((s.base.value, s.candidate.value) for s in stages), strict=True)
    ]
    axis = Axis.over(sums, 150, 620, log=False)
    parts = x_axis(axis, top - 4, bottom)
    for x, (arm, colour, _) in zip((150, 240), _ARMS, strict=True):
        parts.append(element("rect", x=x, y=6, width=14, height=9, rx=2, fill=colour))
        parts.append(text(x + 20, 15, arm))
    for x, words in ((700, "base"), (775, "candidate"), (WIDTH, "change")):
        parts.append(text(x, 15, words, text_anchor="end", opacity=".7", font_size=11))
    begun = [0.0, 0.0]
    for index, each in enumerate(stages):
        y = top + pitch * index
        parts.append(text(138, y + 18, plain(each.name, 24), text_anchor="end"))
        for side, one in enumerate((each.base, each.candidate)):
            start, end = axis.at(begun[side]), axis.at(begun[side] + one.value)
            begun[side] += one.value
            parts.append(
                element(
                    "rect",
                    x=start,
                    y=y + 3 + 11 * side,
                    width=max(end - start, 2.0),
                    height=9,
                    rx=2,
                    fill=_ARMS[side][1],
                )
            )
        for x, words in ((700, seconds(each.base.value)), (775, seconds(each.candidate.value))):
            parts.append(text(x, y + 18, words, text_anchor="end"))
        worse = each.moved and each.change.value > 1
        parts.append(
            text(
                WIDTH,
                y + 18,
                f"{signed(each.change.value)}{' moved' if each.moved else ''}",
                text_anchor="end",
                fill=RED if worse else GREEN if each.moved else "currentColor",
                font_weight=700 if each.moved else None,
                opacity=None if each.moved else ".65",
            )
        )
    title = f"Stages of {where}"
    chart = f"stages-{_slug(where)}"
    return Chart(
        id=chart,
        title=title,
        note="Median seconds that each stage takes of an exchange that went well, one after the "
        "other. Stages that are under way at once share the time by how often their chunks come.",
        svg=svg(
            chart,
            title,
            "; ".join(
                f"{plain(s.name, 40)}: {seconds(s.base.value)} to {seconds(s.candidate.value)}"
                for s in stages
            ),
            WIDTH,
            bottom + 26,
            parts,
        ),
        head=("stage", "base p50", "candidate p50", "change", "99% interval", "moved"),
        rows=tuple(
            (
                plain(s.name, 60),
                f"{seconds(s.base.value)} (n = {s.n_base:,})",
                f"{seconds(s.candidate.value)} (n = {s.n_candidate:,})",
                signed(s.change.value),
                stage_interval(s),
                "yes" if s.moved else "no",
            )
            for s in stages
        ),
    )


def _slug(name: str) -> str:
    """A name as an id: letters, digits and hyphens."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
