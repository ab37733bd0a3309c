"""Empirical distribution functions of times in one plot: the milestones of a run, or the arms of a
comparison.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from soundstage.reports.charts.axis import Axis, x_axis, y_axis
from soundstage.reports.charts.svg import element, line, number, svg, text, words_width
from soundstage.reports.words import between, percent, seconds
from soundstage.results.quantiles import rank

Floats = npt.NDArray[np.float64]

#: At most this many points of a curve; a screen shows no more.
_POINTS: Final = 160
#: How wide a plot is where two stand side by side, in pixels.
HALF: Final = 450
#: Shares that have a line in the plot, and those that have a row in the table beside it.
_GRID: Final = (0.0, 0.5, 0.95)
SHARES: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class CurveMark:
    """A quantile at `order`, in seconds, with its interval (nan where there is none)."""

    order: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class EcdfCurve:
    """One curve. `times`: sorted seconds of all exchanges, +inf for those that never got there;
    `said`: p50 and p95 as the legend says them, where not as those of `times`. `lows`: the low ends
    of times that are known by polling, sorted; None where all are exact.
    """

    label: str
    colour: str
    dash: str
    times: Floats
    said: tuple[str, str] | None = None
    marks: tuple[CurveMark, ...] = ()
    lows: Floats | None = None

    @property
    def p50(self) -> str:
        return self.said[0] if self.said else self.words(0.5)

    @property
    def p95(self) -> str:
        return self.said[1] if self.said else self.words(0.95)

    def words(self, share: float) -> str:
        """The time by which this share got there: `1.24 s`, or both ends of it."""
        high = seconds(self.at(share))
        if self.lows is None:
            return high
        return between(seconds(float(self.lows[rank(share, len(self.lows)) - 1])), high)

    @property
    def reached(self) -> int:
        return int(np.isfinite(self.times).sum())

    def at(self, share: float) -> float:
        """The time by which this share of the exchanges got there; +inf for never."""
        return float(self.times[rank(share, len(self.times)) - 1])


class EcdfPlot:
    """A plot of some curves, each with its legend above; more may be drawn into `parts`. `bounds`
    are times that the axis has to hold beside those of the curves, `width` is in pixels.
    """

    def __init__(
        self, curves: Sequence[EcdfCurve], bounds: Iterable[float] = (), width: int = HALF
    ) -> None:
        self._width = width
        legends = [self._legend(curve, curve.reached) for curve in curves]
        self.top = 12 + 18 * sum(map(len, legends))
        self.bottom = 230 + max(0, self.top - 66)
        reached = [curve.reached for curve in curves]
        ends = [
            float(curve.times[place])
            for curve, many in zip(curves, reached, strict=True)
            if many
            for place in (0, many - 1)
        ]
        ends += [
            float(curve.lows[0]) for curve in curves if curve.lows is not None and curve.reached
        ]
        self.axis = Axis.over([*ends, *bounds], 44, width - 26)
        self.parts = x_axis(self.axis, self.top, self.bottom)
        marks = [(self.height(share), f"{share:.0%}") for share in _GRID]
        self.parts += y_axis(self.axis.left, self.axis.right, marks)
        y = 10
        for curve, many, lines in zip(curves, reached, legends, strict=True):
            self._draw(curve, many, lines, y)
            y += 18 * len(lines)

    def height(self, share: float) -> float:
        """The y of a share of the exchanges."""
        return self.bottom - share * (self.bottom - self.top - 6)

    def svg(self, chart: str, title: str, said: str) -> Markup:
        """The picture, with `said` as its description."""
        return svg(chart, title, said, self._width, self.bottom + 24, self.parts)

    def _legend(self, curve: EcdfCurve, reached: int) -> list[str]:
        """The words beside a curve's line, in as many lines as the width asks for."""
        many = len(curve.times)
        words = [curve.label, f"p50 {curve.p50}", f"p95 {curve.p95}"]
        if reached < many:
            words.append(f"never: {percent(many - reached, many)}")
        lines = [words[0]]
        for each in words[1:]:
            longer = f"{lines[-1]} · {each}"
            if words_width(longer) <= self._width - 44 - 30:
                lines[-1] = longer
            else:
                lines.append(each)
        return lines

    def _draw(self, curve: EcdfCurve, reached: int, legend: Sequence[str], y: int) -> None:
        axis = self.axis
        stroke = {"stroke": curve.colour, "stroke_width": 2, "stroke_dasharray": curve.dash}
        self.parts.append(line(axis.left, y - 4, axis.left + 22, y - 4, **stroke))
        for index, words in enumerate(legend):
            self.parts.append(text(axis.left + 30, y + 18 * index, words))
        if not reached:
            return
        path = self._steps(curve.times, reached)
        self.parts.append(element("path", d=path, fill="none", stroke_linejoin="round", **stroke))
        if curve.lows is not None:
            thin = {**stroke, "stroke_width": 1, "fill": "none", "stroke_linejoin": "round"}
            self.parts.append(element("path", d=self._steps(curve.lows, reached), **thin))
        for mark in curve.marks:
            if math.isfinite(mark.value):
                self._mark(mark, curve.colour)

    def _mark(self, mark: CurveMark, colour: str) -> None:
        axis, y = self.axis, self.height(mark.order)
        if math.isfinite(mark.low) and not math.isnan(mark.high):
            low, high = axis.at(mark.low), axis.at(mark.high)
            thick = {"stroke": colour, "stroke_width": 6, "stroke_opacity": ".35"}
            self.parts.append(line(low, y, high, y, **thick))
        self.parts.append(element("circle", cx=axis.at(mark.value), cy=y, r=3.5, fill=colour))

    def _steps(self, times: Floats, reached: int) -> str:
        """The path of the step function, thinned to what a screen can show."""
        axis = self.axis
        picked = np.unique(np.linspace(0, reached - 1, min(reached, _POINTS)).astype(int))
        path = [f"M{number(axis.at(float(times[0])))} {number(float(self.height(0.0)))}"]
        for index in picked:
            x, y = axis.at(float(times[index])), self.height((int(index) + 1) / len(times))
            path.append(f"H{number(x)}V{number(float(y))}")
        path.append(f"H{number(axis.right)}")
        return "".join(path)


def share_rows(
    curves: Sequence[EcdfCurve],
) -> Iterable[tuple[str, tuple[float, ...]]]:
    """The table beside the plot: a share in words, and the time of each curve."""
    for share in SHARES:
        yield f"{share:.0%}", tuple(curve.at(share) for curve in curves)


def range_rows(curves: Sequence[EcdfCurve]) -> Iterable[tuple[str, tuple[str, ...]]]:
    """The same in words, with both ends of times that are known by polling."""
    for share in SHARES:
        yield f"{share:.0%}", tuple(curve.words(share) for curve in curves)
