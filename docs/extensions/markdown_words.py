"""Text of the program as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ACTIVE = re.compile(r"([\\*_\[\]<>|#~])")
#: Options, variables of the environment and pages in running text.
_NAMED = re.compile(
    r"(?<![\w-])--[a-z][a-z-]*[a-z]|\$?\b[A-Z]+_[A-Z_]+[A-Z]\b|\bdocs(/[\w/-]+\.md)(#[\w-]+)?"
)


def escaped(text: str) -> str:
    """Text of one line that Markdown takes literally, but for `code` in it."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if part.startswith("`") and part.endswith("`") and len(part) > 1 else _plain(part)
        for part in parts
    )


def _plain(text: str) -> str:
    done, at = [], 0
    for found in _NAMED.finditer(text):
        link = f"[]({found[1]}{found[2] or ''})" if found[1] else code(found[0])
        done += [_ACTIVE.sub(r"\\\1", text[at : found.start()]), link]
        at = found.end()
    return "".join([*done, _ACTIVE.sub(r"\\\1", text[at:])])


def code(text: object) -> str:
    """A code span. In a table it may hold no bar that is not escaped."""
    return f"`{text}`"


def sentence(text: str, *, capital: bool = True) -> str:
    """With a capital letter and a full stop."""
    text = text.strip()
    if not text:
        return ""
    first = text[0].upper() if capital else text[0]
    return first + text[1:] + ("" if text[-1] in ".:!?" else ".")


def fenced(lines: str, language: str = "text") -> list[str]:
    """A block of code, and an empty line."""
    return [f"```{language}", *lines.strip("\n").splitlines(), "```", ""]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], look: str = "stacked") -> list[str]:
    """A table, and an empty line. `look` is its class: stacked ones put cells below each other
    where the screen is narrow.
    """
    cells = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [
        "```{table}",
        f":class: {look}",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {row} |" for row in cells),
        "```",
        "",
    ]


def item(kind: str, name: str, lines: Sequence[str], *options: str) -> list[str]:
    """Something that has a name, by which the site's search finds it, and a place to link to."""
    return [f"````{{{kind}}} {name}", *options, *lines, "````", ""]
