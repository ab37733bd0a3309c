"""Charts of a comparison: the times of both arms, and their stages."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from soundstage.reports.charts.axis import Axis, x_axis
from soundstage.reports.charts.chart import BLUE, GREEN, GREY, RED, STAGE_LIMIT, WIDTH, Chart, slug
from soundstage.reports.charts.ecdf import CurveMark, EcdfCurve, EcdfPlot, share_rows
from soundstage.reports.charts.svg import element, svg, text
from soundstage.reports.compare.cells import stage_interval
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.compare.gates import Pairing
from soundstage.reports.compare.stage_change import StageChange, signed
from soundstage.reports.words import HEADLINE_MILESTONES, milestone_label, plain, plural, seconds
from soundstage.results.quantiles import rank

Floats = npt.NDArray[np.float64]

#: Each arm: name, colour, dash.
_ARMS = (("base", GREY, "5 3"), ("candidate", BLUE, ""))


def distributions(made: Comparison) -> list[Chart]:
    """The times of both arms as empirical distribution functions, a chart a milestone."""
    charts = []
    for pairing in made.pairings:
        for name in HEADLINE_MILESTONES:
            if name in pairing.milestones:
                times = [
                    np.sort(np.concatenate([run.times[name] for run in arm.series(pairing.place)]))
                    for arm in (made.base, made.candidate)
                ]
                charts.append(_distribution(made, pairing, name, times))
    return charts


def _distribution(made: Comparison, pairing: Pairing, name: str, times: list[Floats]) -> Chart:
    curves = [
        _curve(arm, values, _marks(made, pairing, name, side))
        for side, (arm, values) in enumerate(zip(_ARMS, times, strict=True))
    ]
    plot = EcdfPlot(curves)
    where = f"{plain(pairing.api, 40)} {plain(pairing.endpoint, 20)}"
    title = f"{milestone_label(name)} of {where}"
    chart = f"ecdf-{slug(f'{where}-{name}')}"
    said = "; ".join(f"{each.label}: p50 {each.p50}, p95 {each.p95}" for each in curves)
    return Chart(
        id=chart,
        title=title,
        note=f"Share of exchanges that got there, by seconds from the intended start: "
        f"{plural(len(times[0]), 'exchange')} of the base, {len(times[1]):,} of the candidate. "
        "Thick: the gates' intervals.",
        svg=plot.svg(chart, title, said),
        head=("share", "base", "candidate", "change"),
        rows=tuple(
            (share, seconds(a), seconds(b), signed(_over(a, b)))
            for share, (a, b) in share_rows(curves)
        ),
    )


def _curve(arm: tuple[str, str, str], times: Floats, marks: tuple[CurveMark, ...]) -> EcdfCurve:
    p50, p95 = (seconds(float(times[rank(share, len(times)) - 1])) for share in (0.5, 0.95))
    return EcdfCurve(*arm, times, p50, p95, marks)


def _marks(made: Comparison, pairing: Pairing, name: str, side: int) -> tuple[CurveMark, ...]:
    """The quantiles that are gates, each with its interval. Those of several runs are not of this
    curve.
    """
    return tuple(
        CurveMark(each.gate.order, one.value, one.low, one.high)
        for each in made.gates
        if (each.gate.pairing, each.gate.what, each.method) == (pairing, name, "samples")
        and each.gate.order is not None
        for one in ((each.base, each.candidate)[side],)
    )


def _over(base: float, candidate: float) -> float:
    if math.isinf(base):
        return 1.0 if math.isinf(candidate) else 0.0
    return candidate / base if base > 0 else math.nan


def waterfalls(made: Comparison) -> list[Chart]:
    """Where the time goes in both arms: a chart for each endpoint with stages."""
    charts = []
    for pairing in made.pairings:
        stages = [each for each in made.stages if each.pairing == pairing][:STAGE_LIMIT]
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
    chart = f"stages-{slug(where)}"
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
