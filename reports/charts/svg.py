"""SVG written as text: elements, and a whole picture with its accessible name.

Presentation attributes only (no style, no script, no request), so that a picture survives a
strict Content Security Policy.

A picture that is as wide as a page is drawn twice, by the same function: once `NARROW`, for a
screen of 390 px, on which the wide one would be too small to read. The page shows one of them;
without its style sheet the narrow one stays hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from markupsafe import Markup, escape

from soundstage.output import visible

#: How wide a picture is that is drawn for a narrow screen, in pixels.
NARROW = 340
#: How wide a letter is, of the height of its font: rather too wide than too narrow.
_LETTER = 0.58


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


def words_width(words: str, font_size: float = 12) -> float:
    """About how many pixels a text takes; fonts differ, so it is no more than a guide."""
    return len(words) * font_size * _LETTER


def both(draw: Callable[[int], Markup], wide: int) -> tuple[Markup, Markup]:
    """What `draw` makes of the two widths, to be a chart's `svg` and `narrow`."""
    return draw(wide), draw(NARROW)


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
    holds links has the role "group": what stands in an "img" cannot be reached by a keyboard. One
    that is `NARROW` has an id and a class of its own, and is hidden until a style sheet shows it.
    """
    narrow = width <= NARROW
    chart = f"{chart}-narrow" if narrow else chart
    return element(
        "svg",
        element("title", title, id=f"{chart}-t"),
        element("desc", description, id=f"{chart}-d"),
        *parts,
        id=chart,
        class_="narrow" if narrow else None,
        display="none" if narrow else None,
        role=role,
        aria_labelledby=f"{chart}-t {chart}-d",
        viewBox=f"0 0 {width} {number(float(height))}",
        width=width,
        height=float(height),
        font_family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
        font_size=12,
        fill="currentColor",
    )
