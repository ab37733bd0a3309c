"""The legend of a chart: what its colours and dashes mean, in as many lines as its width needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from soundstage.reports.charts.svg import element, line, text, words_width

_PITCH = 18
_SWATCH, _GAP = 22, 16


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A colour and what it means; a line with its `dash`, or a box where that is None."""

    words: str
    colour: str
    dash: str | None = ""


def legend(
    entries: Iterable[LegendEntry], left: float, right: float, top: float = 4
) -> tuple[list[Markup], float]:
    """The entries one beside the other from `left` to `right`, with as many lines as that takes;
    and the y beneath the last line.
    """
    parts: list[Markup] = []
    x, y = left, top
    for each in entries:
        width = _SWATCH + 6 + words_width(each.words)
        if x > left and x + width > right:
            x, y = left, y + _PITCH
        parts += [_swatch(each, x, y), text(x + _SWATCH + 6, y + 11, each.words)]
        x += width + _GAP
    return parts, y + _PITCH


def _swatch(each: LegendEntry, x: float, y: float) -> Markup:
    if each.dash is None:
        return element("rect", x=x + 4, y=y, width=14, height=12, rx=2, fill=each.colour)
    middle = y + 7
    stroke = {"stroke": each.colour, "stroke_width": 2, "stroke_dasharray": each.dash}
    return line(x, middle, x + _SWATCH, middle, **stroke)
