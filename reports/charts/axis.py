"""The axes of charts: values to pixels, round ticks, and the grid with its labels.

Times lie on `Axis`, linear or by decades; changes, as factors, on `ChangeAxis`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from soundstage.reports.charts.svg import element, line, number, text
from soundstage.reports.words import seconds, signed


@dataclass(frozen=True, slots=True)
class Axis:
    """Seconds to pixels: linear from 0 with a tick each `step`, or `log`, by decades."""

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


def x_axis(axis: Axis, top: float, bottom: float) -> list[Markup]:
    """Grid lines from `top` to `bottom` and the labels beneath them."""
    parts: list[Markup] = []
    grid: list[str] = []
    for tick in axis.ticks():
        x = axis.at(tick)
        grid.append(f"M{number(x)} {number(top)}V{number(bottom)}")
        label = _tick(round(tick, 9), tick if axis.log else axis.high)
        parts.append(text(x, bottom + 16, label, text_anchor="middle", opacity=".7", font_size=11))
    parts.insert(
        0,
        element("path", d="".join(grid), stroke="currentColor", stroke_opacity=".13", fill="none"),
    )
    return parts


def y_axis(heights: Axis, left: float, right: float, bottom: float) -> list[Markup]:
    """Grid lines across, from `left` to `right`, with the seconds before them; `heights` are pixels
    above `bottom`.
    """
    parts: list[Markup] = []
    for tick in heights.ticks():
        y = bottom - heights.at(tick)
        parts.append(line(left, y, right, y, stroke="currentColor", stroke_opacity=".13"))
        label = seconds(tick) if tick else "0"
        parts.append(text(left - 8, y + 4, label, text_anchor="end", opacity=".7", font_size=11))
    return parts


#: Changes, as factors, that an axis may mark, the first ones first; and how many pixels the words
#: of one take.
_CHANGES = (1, 2, 0.5, 1.2, 0.8, 4, 0.25, 10, 0.1, 1.1, 0.9, 1.4, 0.7, 1.05, 0.95)
_APART = 44
#: Changes beyond these lie at the ends: one gate that went astray must not squeeze the others.
_WIDEST = 20.0


@dataclass(frozen=True, slots=True)
class ChangeAxis:
    """Factors to pixels, on a log scale: half lies as far from no change as twice as much."""

    low: float
    high: float
    left: float
    right: float

    @classmethod
    def over(cls, factors: Iterable[float], left: float, right: float) -> ChangeAxis:
        """An axis that holds all finite factors, within a factor of 20, and some room beside."""
        values = [each for each in factors if math.isfinite(each) and each > 0]
        low, high = max(min(values), 1 / _WIDEST), min(max(values), _WIDEST)
        room = (high / low) ** 0.06
        return cls(low / room, high * room, left, right)

    def at(self, factor: float) -> float:
        """The x of a factor; the ends for what lies beyond them."""
        share = math.log(max(factor, self.low) / self.low) / math.log(self.high / self.low)
        return self.left + min(1.0, share) * (self.right - self.left)

    def ticks(self) -> list[float]:
        """The factors to mark, no change first, then the rounder ones; none too near another."""
        marked: list[float] = []
        for tick in _CHANGES:
            near = any(abs(self.at(tick) - self.at(each)) < _APART for each in marked)
            if self.low <= tick <= self.high and not near:
                marked.append(tick)
        return marked


def change_axis(axis: ChangeAxis, top: float, bottom: float) -> list[Markup]:
    """Grid lines at round changes, that of no change darker, and the labels beneath them."""
    parts: list[Markup] = []
    for tick in axis.ticks():
        x = axis.at(tick)
        parts.append(line(x, top, x, bottom, stroke="currentColor", stroke_opacity=".13"))
        said = "0" if tick == 1 else signed(tick)
        parts.append(text(x, bottom + 16, said, text_anchor="middle", opacity=".7", font_size=11))
    parts.append(
        line(axis.at(1), top, axis.at(1), bottom, stroke="currentColor", stroke_opacity=".55")
    )
    return parts
