"""Where streams end: stage by stage, how many exchanges are still on their way, and what ended
the others.
"""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup

from soundstage.reports.charts.bar_frame import BarFrame, bar_frame
from soundstage.reports.charts.chart import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    STAGE_LIMIT,
    WIDTH,
    Chart,
    bounded,
    slug,
)
from soundstage.reports.charts.chart_legend import LegendEntry, legend
from soundstage.reports.charts.svg import both, element, svg, text
from soundstage.reports.run.summary import Group
from soundstage.reports.words import percent, place_words, plain, plural

#: Colour of each way to end before the end; others are grey.
_COLOURS = {
    "failed": RED,
    "transport": ORANGE,
    "timeout": BLUE,
    "refused": PURPLE,
    "cut": "#4f6d8f",
    "censored": GREY,
}
_BEFORE = "(before any stage)"


def survival(group: Group) -> Chart | None:
    """For each stage the share of exchanges that did not end before it; where they ended, and how.

    None for an endpoint without stages and where every exchange came to its end.
    """
    if not group.ends or not group.measured:
        return None
    after: dict[str, Counter[str]] = {}
    for (stage, outcome), number in group.ends.items():
        after.setdefault(stage or _BEFORE, Counter())[outcome] += number
    names = [_BEFORE, *(stage.name for stage in group.stages)]
    name = place_words(group.api, group.endpoint)
    chart, title = f"survival-{slug(name)}", f"Where exchanges of {name} end"
    outcomes = [*_COLOURS, *sorted({how for _, how in group.ends} - set(_COLOURS))]
    seen = [how for how in outcomes if any(ended[how] for ended in after.values())]

    rows: list[tuple[str, ...]] = []
    lost: list[tuple[str, int, Counter[str]]] = []
    alive = group.measured
    for stage in names:
        ended = after.get(stage, Counter())
        lost.append((stage, alive, ended))
        alive -= ended.total()
        counts = (f"{ended[how]:,}" for how in seen)
        rows.append((plain(stage, 60), *counts, f"{alive:,}", percent(alive, group.measured)))

    def draw(width: int) -> Markup:
        frame = bar_frame(width)
        parts, top = _legend(seen, frame)
        pitch = 24 + frame.above
        for index, (stage, before, ended) in enumerate(lost[:STAGE_LIMIT]):
            y = top + pitch * index + frame.above
            parts.extend(_row(y, stage, before, ended, seen, group.measured, frame))
        height = top + pitch * min(len(lost), STAGE_LIMIT) + 6
        return svg(chart, title, f"{said}.", width, height, parts)

    well = group.outcomes.get("ok", 0)
    said = (
        f"{percent(well, group.measured)} of {plural(group.measured, 'exchange')} ended well; "
        + "; ".join(
            f"{sum(after[stage].values()):,} ended after {plain(stage, 40)}"
            for stage in sorted(after, key=lambda each: -after[each].total())[:8]
        )
    )
    wide, narrow = both(draw, WIDTH)
    return Chart(
        id=chart,
        title=title,
        note="Green: still on their way after the stage, in the order in which stages come;"
        " coloured: ended after it, and nothing more came. The number is how many are left.",
        svg=wide,
        narrow=narrow,
        head=("last stage seen", *seen, "still on their way", "of all"),
        rows=bounded(tuple(rows)),
    )


def _row(
    y: float,
    stage: str,
    before: int,
    ended: Counter[str],
    seen: list[str],
    measured: int,
    frame: BarFrame,
) -> list[Markup]:
    words = y - 5 if frame.above else y + 12
    parts = [frame.name(stage, words)]
    scale = (frame.right - frame.left) / measured
    left = before - ended.total()
    x = frame.left + left * scale
    if left:
        bar = {"x": frame.left, "y": y, "width": max(x - frame.left, 1.0), "height": 16}
        parts.append(element("rect", **bar, fill=GREEN, fill_opacity=".3"))
    for how in seen:
        if number := ended[how]:
            width = max(number * scale, 2.0)
            title = element("title", f"{number:,} {how} after {plain(stage, 40)}")
            colour = _COLOURS.get(how, GREY)
            parts.append(element("rect", title, x=x, y=y, width=width, height=16, fill=colour))
            x += width
    gone, still, share = frame.figures
    if lost := ended.total():
        parts.append(text(gone, words, f"−{lost:,}", text_anchor="end", font_weight=650))
    parts.append(text(still, words, f"{left:,}", text_anchor="end"))
    last = percent(left, measured)
    parts.append(text(share, words, last, text_anchor="end", opacity=".75"))
    return parts


def _legend(seen: list[str], frame: BarFrame) -> tuple[list[Markup], float]:
    """What the colours mean, the heads of the columns, and the y below them."""
    entries = (LegendEntry(plain(how, 20), _COLOURS.get(how, GREY), None) for how in seen)
    parts, y = legend(entries, frame.left, frame.right)
    for at, words in zip(frame.figures, ("ended", "left", "of all"), strict=True):
        parts.append(text(at, y + 12, words, text_anchor="end", opacity=".7", font_size=11))
    return parts, y + 22
