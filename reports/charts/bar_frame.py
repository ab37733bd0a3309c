"""Where bars with a name and figures stand: beside them on a wide picture, above them on a narrow
one.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from soundstage.reports.charts.chart import WIDTH
from soundstage.reports.charts.svg import NARROW, element
from soundstage.reports.words import plain


@dataclass(frozen=True, slots=True)
class BarFrame:
    """Bars reach from `left` to `right`; `figures` are the right ends of the three figures of a
    line; `above` is the room above each bar for its name and figures, 0 where they stand beside it.
    """

    left: float
    right: float
    figures: tuple[float, float, float]
    above: int

    def name(self, words: str, y: float) -> Markup:
        """The name of a bar, with its baseline at `y`."""
        where = {"x": self.left} if self.above else {"x": self.left - 12, "text_anchor": "end"}
        return element("text", plain(words, 26), y=y, **where)


def bar_frame(width: int) -> BarFrame:
    """The frame of a picture of this width."""
    if width <= NARROW:
        return BarFrame(8, width - 24, (width - 116, width - 56, width), 18)
    return BarFrame(180, 650, (730, 815, WIDTH), 0)
