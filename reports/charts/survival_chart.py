"""Where streams end: stage by stage, how many exchanges are still on their way, and what ended
the others.
"""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup

from soundstage.reports.charts.chart import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    STAGE_LIMIT,
    WIDTH,
    Chart,
    bounded,
    slug,
)
from soundstage.reports.charts.svg import element, svg, text
from soundstage.reports.run.summary import Group
from soundstage.reports.words import percent, place_words, plain, plural

#: Colour of each way to end before the end; others are grey.
_COLOURS = {
    "failed": RED,
    "transport": ORANGE,
    "timeout": BLUE,
    "refused": "#9b59d0",
    "cut": "#4f6d8f",
    "censored": GREY,
}
_BEFORE = "(before any stage)"
_LEFT, _RIGHT = 180, 660


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

    parts = _legend(seen)
    top, pitch = 44, 24
    for index, (stage, before, ended) in enumerate(lost[:STAGE_LIMIT]):
        parts.extend(_row(top + pitch * index, stage, before, ended, seen, group.measured))
    well = group.outcomes.get("ok", 0)
    said = (
        f"{percent(well, group.measured)} of {plural(group.measured, 'exchange')} ended well; "
        + "; ".join(
            f"{sum(after[stage].values()):,} ended after {plain(stage, 40)}"
            for stage in sorted(after, key=lambda each: -after[each].total())[:8]
        )
    )
    height = top + pitch * min(len(lost), STAGE_LIMIT) + 6
    return Chart(
        id=chart,
        title=title,
        note="Green: still on their way after the stage, in the order in which stages come;"
        " coloured: ended after it, and nothing more came. The number is how many are left.",
        svg=svg(chart, title, f"{said}.", WIDTH, height, parts),
        head=("last stage seen", *seen, "still on their way", "of all"),
        rows=bounded(tuple(rows)),
    )


def _row(
    y: float, stage: str, before: int, ended: Counter[str], seen: list[str], measured: int
) -> list[Markup]:
    middle = y + 8
    parts = [text(_LEFT - 12, middle + 4, plain(stage, 26), text_anchor="end")]
    scale = (_RIGHT - _LEFT) / measured
    left = before - ended.total()
    x = _LEFT + left * scale
    if left:
        bar = {"x": _LEFT, "y": y, "width": max(x - _LEFT, 1.0), "height": 16}
        parts.append(element("rect", **bar, fill=GREEN, fill_opacity=".3"))
    for how in seen:
        if number := ended[how]:
            width = max(number * scale, 2.0)
            name = element("title", f"{number:,} {how} after {plain(stage, 40)}")
            colour = _COLOURS.get(how, GREY)
            parts.append(element("rect", name, x=x, y=y, width=width, height=16, fill=colour))
            x += width
    if gone := ended.total():
        words = f"−{gone:,}"
        parts.append(text(_RIGHT + 70, middle + 4, words, text_anchor="end", font_weight=650))
    parts.append(text(_RIGHT + 160, middle + 4, f"{left:,}", text_anchor="end"))
    parts.append(text(WIDTH, middle + 4, percent(left, measured), text_anchor="end", opacity=".75"))
    return parts


def _legend(seen: list[str]) -> list[Markup]:
    parts: list[Markup] = []
    x = float(_LEFT)
    for how in seen:
        colour = _COLOURS.get(how, GREY)
        parts.append(element("rect", x=x, y=8, width=14, height=14, rx=2, fill=colour))
        parts.append(text(x + 20, 19, plain(how, 20)))
        x += 44 + 7.0 * len(how[:20])
    for at, words in ((_RIGHT + 70, "ended"), (_RIGHT + 160, "left"), (WIDTH, "of all")):
        parts.append(text(at, 36, words, text_anchor="end", opacity=".7", font_size=11))
    return parts
