"""Charts of the stages of two arms: what grew of a gate's quantile, and where the time of both
goes. Narrow enough for a phone: what a bar is of stands above it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from soundstage.output.cutting import head
from soundstage.reports.charts.axis import Axis, x_axis
from soundstage.reports.charts.chart import BLUE, GREEN, GREY, RED, STAGE_LIMIT, Chart, slug
from soundstage.reports.charts.chart_legend import LegendEntry, legend
from soundstage.reports.charts.svg import both, element, line, number, svg, text, words_width
from soundstage.reports.compare.arm_changes import StageChange
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.compare.comparison_verdict import (
    growth_rows,
    shown_changes,
    signed_seconds,
    stage_words,
)
from soundstage.reports.compare.comparison_words import GROWTH_HEAD, signed_bounds
from soundstage.reports.compare.stage_growth import GateChange, StageGrowth
from soundstage.reports.decision.gates import Pairing
from soundstage.reports.words import plain, seconds, signed

#: Pixels of a chart that takes half a page, of its words, and of a row.
HALF, FONT, PITCH = 450, 13, 40
EDGE = 6
#: Each arm: name and colour.
_ARMS = (("base", GREY), ("candidate", BLUE))


def row_words(width: int, y: float, name: str, said: str, **style: object) -> list[Markup]:
    """The line above a bar: what it is of, and on the right what it says."""
    style = {"fill": "currentColor", **style}
    room = width - 2 * EDGE - words_width(said, FONT) - 8
    letters = max(8, int(room / words_width("m", FONT)))
    short = head(plain(name, 60), letters)
    return [
        text(EDGE, y, short, class_="over", font_size=FONT),
        text(width - EDGE, y, said, class_="over", text_anchor="end", font_size=FONT, **style),
    ]


def growths(made: Comparison) -> list[Chart]:
    """By how much each stage's part of a gate's quantile grew: a chart for each change that is
    told.
    """
    return [_growth(each) for each in shown_changes(made) if each.stages]


def _growth(change: GateChange) -> Chart:
    stages = [one for one in change.stages if one.is_stage][:STAGE_LIMIT]
    gate, whole = change.outcome.gate, signed_seconds(change.change)
    chart = f"growth-{slug(gate.name)}"
    said = "; ".join(f"{stage_words(one)} {signed_seconds(one.growth)}" for one in stages)
    named = {name for one in change.culprits() for name in (one.name, *one.meanwhile)}

    def draw(width: int) -> Markup:
        ends = [one.growth + way * one.half for one in stages for way in (-1, 1)]
        low, high = min(0.0, *ends), max(0.0, *ends)
        room = (high - low) * 0.03 or 1.0
        axis = Axis(low - room, high + room, EDGE, width - EDGE, 0.0)
        top = 8
        bottom = top + PITCH * len(stages) + 4
        marks = [(mark, signed_seconds(mark) if mark else "0") for mark in _marks(low, high)]
        zero = axis.at(0.0)
        stroke = {"stroke": "currentColor", "stroke_opacity": ".5"}
        parts = [*x_axis(axis, top, bottom, marks), line(zero, top, zero, bottom, **stroke)]
        for index, one in enumerate(stages):
            words = row_words(
                width,
                top + PITCH * index + 14,
                stage_words(one),
                signed_seconds(one.growth),
                **({"font_weight": 700, "fill": _colour(one)} if one.name in named else {}),
            )
            parts += words + _growth_bar(one, axis, top + PITCH * index + 25)
        return svg(chart, f"Where {gate.label} grew", said, width, bottom + 24, parts)

    wide, narrow = both(draw, HALF)
    return Chart(
        id=chart,
        title=f"Where {whole} of {gate.label} lie",
        note=f"By how much longer each stage took in the exchanges nearest to this quantile "
        f"({change.n_base:,} of the base, {change.n_candidate:,} of the candidate); the stages add "
        f"up to {whole}. Red is surely longer, green surely shorter, grey may be chance; thin: 99% "
        "intervals.",
        svg=wide,
        head=GROWTH_HEAD,
        rows=tuple(growth_rows(change)),
        narrow=narrow,
    )


def _colour(one: StageGrowth) -> str:
    return GREY if not one.sure else RED if one.growth > 0 else GREEN


def _growth_bar(one: StageGrowth, axis: Axis, y: float) -> list[Markup]:
    zero, end = axis.at(0.0), axis.at(one.growth)
    box = {"x": min(zero, end), "y": y - 5, "width": max(abs(end - zero), 1.5), "height": 10}
    low, high = axis.at(one.growth - one.half), axis.at(one.growth + one.half)
    cap = "".join(f"M{number(x)} {number(y - 3)}v 6" for x in (low, high))
    return [
        element("rect", **box, fill=_colour(one), rx=2),
        line(low, y, high, y, stroke="currentColor", stroke_opacity=".6"),
        element("path", d=cap, stroke="currentColor", stroke_opacity=".6", fill="none"),
    ]


def _marks(low: float, high: float) -> list[float]:
    """Zero and round values beside it, at most about six."""
    width = high - low
    if width <= 0:
        return [0.0]
    power = 10 ** math.floor(math.log10(width / 3))
    step = next((power * step for step in (1, 2, 5, 10) if width / (power * step) <= 5), width)
    return [step * at for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def waterfalls(made: Comparison) -> list[Chart]:
    """Where the time goes in both arms: a chart for each endpoint with stages."""
    charts = []
    for pairing in made.pairings:
        stages = [each for each in made.stages if each.pairing == pairing][:STAGE_LIMIT]
        if stages:
            charts.append(_waterfall(pairing, stages))
    return charts


def _waterfall(pairing: Pairing, stages: Sequence[StageChange]) -> Chart:
    chart, title = f"stages-{slug(pairing.words)}", f"Stages of {pairing.words}"
    told = "; ".join(f"{plain(s.name, 40)}: {' to '.join(map(seconds, _took(s)))}" for s in stages)
    whole = [sum(side) for side in zip(*(_took(each) for each in stages), strict=True)]

    def draw(width: int) -> Markup:
        top, pitch = 26, PITCH + 4
        bottom = top + pitch * len(stages) + 4
        axis = Axis.over(whole, EDGE, width - EDGE - 8, log=False)
        arms = (LegendEntry(arm, colour, None) for arm, colour in _ARMS)
        parts = [*legend(arms, EDGE, width)[0], *x_axis(axis, top, bottom)]
        begun = [0.0, 0.0]
        for index, each in enumerate(stages):
            y = top + pitch * index
            base, candidate = map(seconds, _took(each))
            said = f"{base} → {candidate} · {signed(each.change.value)}"
            parts += row_words(width, y + 15, each.name, said, **_style(each))
            for n, (took, (_, colour)) in enumerate(zip(_took(each), _ARMS, strict=True)):
                x, end = axis.at(begun[n]), axis.at(begun[n] + took)
                box = {"x": x, "y": y + 21 + 9 * n, "width": max(end - x, 2.0), "height": 8}
                parts.append(element("rect", **box, rx=2, fill=colour))
                begun[n] += took
        return svg(chart, title, told, width, bottom + 24, parts)

    wide, narrow = both(draw, HALF)
    return Chart(
        id=chart,
        title=title,
        note="Median seconds that each stage takes of an exchange that went well, one after the "
        "other. Stages that are under way at once share the time by how often their chunks come. "
        "Red is surely longer, green surely shorter.",
        svg=wide,
        head=("stage", "base p50", "candidate p50", "change", "99% interval", "surely"),
        rows=tuple(
            (
                plain(s.name, 60),
                f"{seconds(s.base.value)} (n = {s.n_base:,})",
                f"{seconds(s.candidate.value)} (n = {s.n_candidate:,})",
                signed(s.change.value),
                signed_bounds(s.change),
                ("longer" if s.shift > 0 else "shorter") if s.moved else "no",
            )
            for s in stages
        ),
        narrow=narrow,
    )


def _took(each: StageChange) -> tuple[float, float]:
    return each.base.value, each.candidate.value


def _style(each: StageChange) -> dict[str, object]:
    """Of a change of a stage: loud where it moved."""
    if not each.moved:
        return {"opacity": ".75"}
    return {"fill": RED if each.change.value > 1 else GREEN, "font_weight": 700}
