"""Axes of charts: seconds (or rates, or factors) to pixels, the values that they mark, and the
lines and labels of both directions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from soundstage.reports.charts.svg import element, line, number, text, words_width
from soundstage.reports.run.wall_clock import ZONE, WallClock

#: How the words beside an axis look.
LABEL: dict[str, object] = {"opacity": ".7", "font_size": 11}


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to pixels: linear from 0 with a tick each `step`, or `log`, by decades."""

    low: float
    high: float
    left: float
    right: float
    step: float
    log: bool = False

    @classmethod
    def until(cls, high: float, left: float, right: float) -> Axis:
        """A linear axis from 0 to exactly `high`."""
        return cls(0.0, high, left, right, _step(high))

    @classmethod
    def over(cls, values: Iterable[float], left: float, right: float, *, log: bool = True) -> Axis:
        """A linear axis that holds all finite values; decades where `log` and they span 100x."""
        finite = [value for value in values if math.isfinite(value)]
        high = max((value for value in finite if value > 0), default=1.0)
        low = min((value for value in finite if value > 0), default=high)
        if log and high / low > 100:
            return cls(10 ** math.floor(math.log10(low)), high * 1.15, left, right, 10.0, True)
        step = _step(high)
        return cls(0.0, math.ceil(high / step - 1e-9) * step, left, right, step)

    def at(self, value: float) -> float:
        """The x of a value; the right end for +inf, the left one for what lies below."""
        if value >= self.high:
            return self.right
        if value <= self.low:
            return self.left
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)

    def ticks(self) -> list[float]:
        """Round values to mark, at most about 8."""
        if not self.log:
            count = math.floor(self.high / self.step + 1e-9)
            return [self.step * index for index in range(count + 1)]
        decades = math.log10(self.high / self.low)
        every = max(1, math.ceil(decades / 8))
        return [
            tick
            for index in range(0, math.floor(decades) + 1, every)
            if (tick := self.low * 10**index) <= self.high
        ]


def _step(high: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides [0, high] into 3 to 7."""
    power = 10 ** math.floor(math.log10(high / 4))
    return next(float(power * step) for step in (1, 2, 5, 10) if high / (power * step) <= 6.5)


def _tick(value: float, unit: float) -> str:
    """A tick in seconds, in milliseconds where the whole axis is below one second."""
    if value == 0:
        return "0"
    return f"{value * 1000:g} ms" if unit < 1 else f"{value:g} s"


def x_axis(
    axis: Axis, top: float, bottom: float, marks: Iterable[tuple[float, str]] | None = None
) -> list[Markup]:
    """Grid lines from `top` to `bottom` and the labels beneath them: of the `marks` (value and
    words), or of the axis's own ticks as times. A label for which there is no room beside the one
    before it is left out; its line stays.
    """
    if marks is None:
        marks = [
            (tick, _tick(round(tick, 9), tick if axis.log else axis.high)) for tick in axis.ticks()
        ]
    placed = [(axis.at(value), words) for value, words in marks]
    grid = "".join(f"M{number(x)} {number(top)}V{number(bottom)}" for x, _ in placed)
    return [
        element("path", d=grid, stroke="currentColor", stroke_opacity=".13", fill="none"),
        *(
            text(x, bottom + 16, words, text_anchor="middle", **LABEL)
            for x, words in _roomy(placed)
        ),
    ]


def time_axis(axis: Axis, top: float, bottom: float, clock: WallClock) -> list[Markup]:
    """An axis of seconds into a run, with the time of day beneath them: 30 px below `bottom`."""
    ticks, tenths = axis.ticks(), axis.step < 1
    times = [(axis.at(tick), clock.at(tick, tenths=tenths)) for tick in ticks]
    return [
        *x_axis(axis, top, bottom),
        text(0, bottom + 30, ZONE, **LABEL),
        *(text(x, bottom + 30, words, text_anchor="middle", **LABEL) for x, words in _roomy(times)),
    ]


def _roomy(placed: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    """The labels at their middles, without those that would run into the one on their left."""
    kept: list[tuple[float, str]] = []
    ends = -math.inf
    for x, words in sorted(placed):
        half = words_width(words, 11) / 2
        if x - half >= ends:
            kept.append((x, words))
            ends = x + half + 6
    return kept


def y_axis(left: float, right: float, marks: Iterable[tuple[float, str]]) -> list[Markup]:
    """Grid lines from `left` to `right`, and the label of each on its left: by y and words."""
    parts = []
    for y, words in marks:
        parts.append(line(left, y, right, y, stroke="currentColor", stroke_opacity=".15"))
        parts.append(text(left - 8, y + 4, words, text_anchor="end", **LABEL))
    return parts
