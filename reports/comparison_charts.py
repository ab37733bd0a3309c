"""Charts of a comparison: each gate's interval, the times of both arms, and their stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from soundstage.reports.charts import AMBER, BLUE, GREEN, GREY, RED, WIDTH, Chart
from soundstage.reports.compare import Comparison, change_of
from soundstage.reports.comparison_words import bounds, interval, stage_interval, value, verdict
from soundstage.reports.gates import Outcome, Pairing
from soundstage.reports.stage_change import StageChange, signed
from soundstage.reports.svg import Axis, element, line, number, svg, text, x_axis
from soundstage.reports.wording import (
    HEADLINE_MILESTONES,
    milestone_label,
    percent,
    plain,
    plural,
    seconds,
)
from soundstage.results.quantiles import rank

Floats = npt.NDArray[np.float64]

#: Colour of what a gate says.
_COLOURS = {"pass": GREEN, "fail": RED, "inconclusive": AMBER}
#: Each arm: name, colour, dash.
_ARMS = (("base", GREY, "5 3"), ("candidate", BLUE, ""))
_GATE_LIMIT = 40
_STAGE_LIMIT = 40
_POINTS = 160
_SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
#: Changes, as factors, that the axis of intervals may mark, the first ones first; and how many
#: pixels the words of one take.
_TICKS = (1, 2, 0.5, 1.2, 0.8, 4, 0.25, 10, 0.1, 1.1, 0.9, 1.4, 0.7, 1.05, 0.95)
_APART = 44


def intervals(made: Comparison) -> Chart | None:
    """The change of each quantile gate with its interval, against no change and the margin."""
    gates = [each for each in made.gates if each.gate.order is not None][:_GATE_LIMIT]
    if not gates:
        return None
    limit = 1 + made.options.margin
    low, high = _span(gates, limit)
    left, right, top, pitch = 236, 690, 30, 28
    bottom = top + pitch * len(gates)

    def at(factor: float) -> float:
        share = (math.log(max(factor, low)) - math.log(low)) / (math.log(high) - math.log(low))
        return left + min(1.0, share) * (right - left)

    parts = [
        element(
            "rect",
            x=at(limit),
            y=top - 6,
            width=right - at(limit),
            height=bottom - top + 6,
            fill=RED,
            fill_opacity=".09",
        )
    ]
    for tick in _ticks(low, high, at):
        x = at(tick)
        parts.append(line(x, top - 6, x, bottom, stroke="currentColor", stroke_opacity=".13"))
        said = "0" if tick == 1 else signed(tick)
        parts.append(text(x, bottom + 16, said, text_anchor="middle", opacity=".7", font_size=11))
    parts.append(line(at(1), top - 6, at(1), bottom, stroke="currentColor", stroke_opacity=".55"))
    parts.append(
        line(
            at(limit),
            top - 6,
            at(limit),
            bottom,
            stroke=RED,
            stroke_width=1.5,
            stroke_dasharray="4 3",
        )
    )
    parts.append(text(at(limit) + 5, top - 12, f"margin {signed(limit)}", fill=RED, font_size=11))
    for index, each in enumerate(gates):
        parts += _interval_row(each, top + pitch * index + pitch / 2, at, (left, right))
    title = "Gates"
    said = "; ".join(f"{each.gate.label}: {change_of(each)}, {verdict(each)}" for each in gates)
    return Chart(
        id="gates",
        title="Change and interval of each gate",
        note="Candidate over base, on a log scale. Left of the dashed line a gate passes, right of "
        "it it fails, across it it cannot tell. An arrow is an open end.",
        svg=svg("gates", title, said, WIDTH, bottom + 26, parts),
        head=("gate", "base", "candidate", "change", "interval", "verdict"),
        rows=tuple(
            (
                each.gate.label,
                f"{value(each, each.base)} ({bounds(each, each.base) or 'open'})",
                f"{value(each, each.candidate)} ({bounds(each, each.candidate) or 'open'})",
                change_of(each),
                interval(each),
                verdict(each),
            )
            for each in gates
        ),
    )


def _span(gates: Sequence[Outcome], limit: float) -> tuple[float, float]:
    """The factors at both ends of the axis: all finite bounds, within a factor of 20."""
    values = [1 / limit, limit]
    for each in gates:
        one = each.change
        values += [x for x in (one.value, one.low, one.high) if math.isfinite(x) and x > 0]
    low, high = max(min(values), 0.05), min(max(values), 20.0)
    room = (high / low) ** 0.06
    return low / room, high * room


def _ticks(low: float, high: float, at: Callable[[float], float]) -> list[float]:
    """The factors to mark, no change first, then the rounder ones; none too near another."""
    marked: list[float] = []
    for tick in _TICKS:
        if low <= tick <= high and all(abs(at(tick) - at(each)) >= _APART for each in marked):
            marked.append(tick)
    return marked


def _interval_row(
    each: Outcome, y: float, at: Callable[[float], float], ends: tuple[float, float]
) -> list[Markup]:
    left, right = ends
    one, colour = each.change, _COLOURS[each.verdict]
    parts = [text(left - 14, y + 4, each.gate.label, text_anchor="end")]
    x1 = at(one.low) if one.low > 0 else left
    x2 = at(one.high) if math.isfinite(one.high) else right
    parts.append(line(x1, y, x2, y, stroke=colour, stroke_width=4, stroke_opacity=".55"))
    for x, closed, way in ((x1, one.low > 0, -1), (x2, math.isfinite(one.high), 1)):
        shape = f"M{number(x)} {number(y - 6)}v12" if closed else _arrow(x, y, way)
        parts.append(element("path", d=shape, stroke=colour, stroke_width=2, fill="none"))
    if math.isfinite(one.value) and one.value > 0:
        parts.append(element("circle", cx=at(one.value), cy=y, r=4.5, fill=colour))
    words = f"{change_of(each)}  {verdict(each)}"
    parts.append(text(WIDTH, y + 4, words, text_anchor="end", fill=colour, font_weight=650))
    return parts


def _arrow(x: float, y: float, way: int) -> str:
    return f"M{number(x - 6 * way)} {number(y - 6)}l{6 * way} 6l{-6 * way} 6"


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
