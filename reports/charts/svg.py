"""SVG written as text: elements, and a whole picture with its accessible name.

Presentation attributes only (no style, no script, no request), so that a picture survives a
strict Content Security Policy.
"""

from __future__ import annotations

from collections.abc import Iterable

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
