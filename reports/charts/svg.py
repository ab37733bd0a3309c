"""SVG written as text: elements, a whole picture with its accessible name, and the axis of times.

Presentation attributes only (no style, no script, no request), so that a picture survives a
strict Content Security Policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

from soundstage.output import visible


def element(name: str, *children: str | Markup, **attributes: object) -> Markup:
    """An SVG element; children and attribute values are escaped and made visible, `_` in a name
    becomes `-`.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_quoted(number(value))}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    inside = "".join(_quoted(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def _quoted(words: str | Markup) -> Markup:
    return words if isinstance(words, Markup) else escape(visible.text(words))


def number(value: object) -> str:
    """A value as attribute text; coordinates keep a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def text(x: float, y: float, words: str, **attributes: object) -> Markup:
    """Words with their baseline at (x, y)."""
    return element("text", words, x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Markup:
    """A straight line."""
    path = f"M{number(float(x1))} {number(float(y1))}L{number(float(x2))} {number(float(y2))}"
    return element("path", d=path, fill="none", **attributes)


def svg(
    chart: str,
    title: str,
    description: str,
    width: int,
    height: float,
    parts: Iterable[Markup],
    role: str = "img",
) -> Markup:
    """A picture of `parts` with its accessible name and description, in currentColor. One that
    holds links has the role "group": what stands in an "img" cannot be reached by a keyboard.
    """
    return element(
        "svg",
        element("title", title, id=f"{chart}-t"),
        element("desc", description, id=f"{chart}-d"),
        *parts,
        id=chart,
        role=role,
        aria_labelledby=f"{chart}-t {chart}-d",
        viewBox=f"0 0 {width} {number(float(height))}",
        width=width,
        height=float(height),
        font_family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
        font_size=12,
        fill="currentColor",
    )


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
