"""What a search for capacity found: each trial by the rate that was asked for, with what was
measured of an objective; whether it held shows in the shape and the colour of its mark.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup

from soundstage.reports.charts.axis import LABEL, Axis, x_axis, y_axis
from soundstage.reports.charts.chart import AMBER, GREEN, GREY, RED, WIDTH, Chart
from soundstage.reports.charts.svg import both, element, line, number, svg, text, words_width
from soundstage.reports.run.capacity_found import TRIALS, FoundCapacity, TriedRate, capacity_found
from soundstage.reports.words import plain, seconds

_COLOURS = {"pass": GREEN, "fail": RED, "inconclusive": AMBER, "invalid": GREY}
#: At most this many objectives have a chart.
_CHARTS = 3
_POLLED = " A mark is the high end of times by polling; the line from it reaches to the low one."
_LEFT, _ROOM, _TALL = 60, 20, 230
#: Marks of one rate that would cover each other stand so many pixels apart.
_BESIDE = 8.0


@dataclass(frozen=True, slots=True)
class _Mark:
    """A trial in the picture: the objective's value (+inf: never), and its low end where times are
    known by polling.
    """

    trial: TriedRate
    value: float
    low: float


class _Placed(NamedTuple):
    """A mark and where it stands, in pixels."""

    mark: _Mark
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class _ObjectiveMarks:
    """One objective at one place, with its marks in the order of the rates."""

    slo: str
    where: str
    unit: str
    op: str
    bound: float
    marks: tuple[_Mark, ...]

    def words(self, value: float) -> str:
        """A value in the unit of the objective."""
        if self.unit == "s":
            return seconds(value) if value else "0"
        return f"{100 * value:.3g}%" if self.unit == "share" else f"{value:,.3g}"


def capacity_charts(found: Mapping[str, Any] | None) -> list[Chart]:
    """One for each objective (at most three); `found` is `capacity` of run.json. None of a run that
    searched for nothing.
    """
    answer = capacity_found(found)
    if found is None or answer is None:
        return []
    return [
        _chart(answer, each, number)
        for number, each in enumerate(_objectives(found["trials"], answer)[:_CHARTS])
    ]


def _objectives(
    trials: Sequence[Mapping[str, Any]], answer: FoundCapacity
) -> list[_ObjectiveMarks]:
    marks: dict[tuple[str, str], list[_Mark]] = {}
    entries: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row, trial in zip(trials, answer.trials, strict=False):
        for entry in row["slos"]:
            where = plain(" ".join(filter(None, (entry["api"], entry["endpoint"]))), 60)
            key = (entry["slo"], where)
            entries.setdefault(key, entry)
            if entry["n"]:
                value = math.inf if entry["value"] is None else float(entry["value"])
                low = entry.get("value_low")
                marks.setdefault(key, []).append(
                    _Mark(trial, value, value if low is None else float(low))
                )
    return [
        _ObjectiveMarks(
            slo=plain(slo, 120),
            where=where,
            unit=entries[slo, where]["unit"],
            op=entries[slo, where]["op"],
            bound=float(entries[slo, where]["bound"]),
            marks=tuple(sorted(found, key=lambda mark: (mark.trial.rate, mark.trial.number))),
        )
        for (slo, where), found in marks.items()
    ]


def _chart(answer: FoundCapacity, objective: _ObjectiveMarks, place: int) -> Chart:
    chart = "capacity-chart" if not place else f"capacity-chart-{place + 1}"
    said = answer.sentence
    where = f", {objective.where}" if objective.where else ""

    def draw(width: int) -> Markup:
        parts, top = _legend(objective, width)
        bottom = top + _TALL
        rates = Axis.over((mark.trial.rate for mark in objective.marks), _LEFT, width - _ROOM)
        values = [end for mark in objective.marks for end in (mark.value, mark.low)]
        heights = Axis.over([*values, objective.bound], 0, _TALL - 16)

        def y(value: float) -> float:
            return bottom - heights.at(value)

        parts += y_axis(
            _LEFT, width - _ROOM, [(y(at), objective.words(at)) for at in heights.ticks()]
        )
        parts += x_axis(rates, top, bottom, [(at, f"{at:g}") for at in rates.ticks()])
        end = {"text_anchor": "end", **LABEL}
        parts.append(text(width - _ROOM, bottom + 32, "arrivals a second, as asked for", **end))
        parts += _bracket(answer, rates, top, bottom)
        limit = y(objective.bound)
        stroke = {"stroke": "currentColor", "stroke_dasharray": "5 4", "stroke_opacity": ".7"}
        parts.append(line(_LEFT, limit, width - _ROOM, limit, **stroke))
        asked = f"asked: {objective.op} {objective.words(objective.bound)}"
        parts.append(text(_LEFT + 6, limit - 5, asked, font_size=11))
        middle = "".join(
            f"{'L' if at else 'M'}{number(rates.at(rate))} {number(y(value))}"
            for at, (rate, value) in enumerate(_middles(objective.marks))
        )
        parts.append(
            element("path", d=middle, fill="none", stroke="currentColor", stroke_opacity=".3")
        )
        for one in _placed(objective.marks, rates, y):
            parts += _drawn(one.mark, one.x, one.y, y(one.mark.low))
        return svg(chart, f"Capacity: {objective.slo}", said, width, bottom + 40, parts)

    wide, narrow = both(draw, WIDTH)
    return Chart(
        id=chart,
        title=f"{objective.slo} by arrival rate{where}",
        note="Each mark is a trial: what it measured, at the rate that was asked for. Several "
        "marks at one rate are trials that were repeated; the faint line goes through their "
        "medians, invalid ones left out. "
        + ("Shaded: where the capacity lies." if answer.fails and answer.rate else "")
        + (_POLLED if any(mark.low != mark.value for mark in objective.marks) else ""),
        svg=wide,
        head=("asked a second", "delivered", "trial", "answer", "measured", "exchanges"),
        rows=tuple(
            (
                f"{mark.trial.rate:.4g}",
                "–" if math.isnan(mark.trial.delivered) else f"{mark.trial.delivered:.3g}",
                str(mark.trial.number),
                mark.trial.answer[2],
                objective.words(mark.value),
                f"{mark.trial.exchanges:,}",
            )
            for mark in objective.marks
        ),
        narrow=narrow,
    )


def _middles(marks: Sequence[_Mark]) -> list[tuple[float, float]]:
    """By rate, the median of its valid trials: a line that never turns back."""
    values: dict[float, list[float]] = {}
    for mark in marks:
        if mark.trial.verdict != "invalid" and math.isfinite(mark.value):
            values.setdefault(mark.trial.rate, []).append(mark.value)
    return [(rate, statistics.median(found)) for rate, found in sorted(values.items())]


def _placed(marks: Sequence[_Mark], rates: Axis, y: Callable[[float], float]) -> list[_Placed]:
    """Each mark and where it stands: at its rate, and beside it where another of that rate would
    cover it.
    """
    placed: list[_Placed] = []
    for mark in marks:
        x, height = rates.at(mark.trial.rate), y(mark.value)
        taken = {
            round(other.x - x)
            for other in placed
            if other.mark.trial.rate == mark.trial.rate and abs(other.y - height) < _BESIDE
        }
        away = (way * step * _BESIDE for step in range(len(placed) + 1) for way in (1, -1))
        placed.append(_Placed(mark, x + next(at for at in away if round(at) not in taken), height))
    return placed


def _drawn(mark: _Mark, x: float, y: float, low: float) -> list[Markup]:
    trial = mark.trial
    said = f"trial {trial.number}, {trial.rate:.4g} a second: {trial.answer[2]}, {trial.words}"
    parts = [element("g", element("title", said), *_shape(trial.verdict, x, y))]
    if low != y:
        parts.append(line(x, y, x, low, stroke=_COLOURS[trial.verdict], stroke_width=2))
    return parts


def _shape(verdict: str, x: float, y: float) -> list[Markup]:
    """A mark that tells its verdict by its shape too: a dot, a cross, an open diamond, an open
    square.
    """
    colour = _COLOURS[verdict]
    open_ = {"stroke": colour, "stroke_width": 2, "fill": "none"}
    if verdict == "pass":
        return [element("circle", cx=x, cy=y, r=5.5, fill=colour)]
    if verdict == "fail":
        d = f"M{number(x - 5)} {number(y - 5)}l10 10m0 -10l-10 10"
        return [element("path", d=d, **{**open_, "stroke_width": 3})]
    if verdict == "inconclusive":
        return [element("path", d=f"M{number(x)} {number(y - 7)}l6 7l-6 7l-6 -7z", **open_)]
    return [element("rect", x=x - 4.5, y=y - 4.5, width=9, height=9, **open_)]


def _legend(objective: _ObjectiveMarks, width: int) -> tuple[list[Markup], float]:
    """The shapes that are in the picture and what they mean, in as many lines as the width needs;
    and the y beneath them.
    """
    there = {mark.trial.verdict for mark in objective.marks}
    parts: list[Markup] = []
    x, y = 8.0, 12.0
    for verdict, (_, _, word) in TRIALS.items():
        if verdict not in there:
            continue
        room = 16 + words_width(word) + 18
        if x > 8 and x + room > width:
            x, y = 8.0, y + 20
        parts += [*_shape(verdict, x + 6, y), text(x + 18, y + 4, word)]
        x += room
    return parts, y + 30


def _bracket(answer: FoundCapacity, rates: Axis, top: float, bottom: float) -> list[Markup]:
    parts: list[Markup] = []
    if answer.rate is not None and answer.fails is not None:
        left, right = rates.at(answer.rate), rates.at(answer.fails)
        box = {"x": left, "y": top, "width": max(right - left, 1.0), "height": bottom - top}
        parts.append(element("rect", **box, fill="currentColor", fill_opacity=".09"))
    for rate, word, colour, side in (
        (answer.rate, "holds", GREEN, "end"),
        (answer.fails, "fails", RED, "start"),
    ):
        if rate is None or not rates.low <= rate <= rates.high:
            continue
        x = rates.at(rate)
        parts.append(line(x, top - 4, x, bottom, stroke=colour, stroke_width=1.5))
        said = f"{word} {rate:.3g}"
        away = -4.0 if side == "end" else 4.0
        if side == "start" and x + 4 + words_width(said) > rates.right + _ROOM:
            side, away = "end", -4.0
        parts.append(text(x + away, top - 7, said, text_anchor=side, fill=colour, font_weight=650))
    return parts
