"""Cuts text of others to a length that people read, so that no answer grows in what is said of it,
and takes secrets out first: nobody would know the half of one again.

The one place where texts are shortened; whoever cuts says how long a text was, so that two that
differ stay apart. What is short enough is given back as it is: as a whole it is known when it
leaves (`outgoing.py`).
"""

from __future__ import annotations

from soundstage.output import outgoing


def head(text: str, most: int, end: str = "…") -> str:
    """`text`, if it has at most `most` characters; else its beginning, with `end` to say that it
    was cut. Never longer than `most`.
    """
    if len(text) <= most:
        return text
    return outgoing.part(text, 0, most - len(end)) + end


def cut(text: str, most: int) -> str:
    """`text`, if it has at most `most` characters; else its head and its tail, and between them
    how many characters it had in all. `most` is at least 40; the result is never longer than it.
    """
    if len(text) <= most:
        return text
    gap = f"…[{len(text)} characters]…"
    tail = (most - len(gap)) // 4
    first = outgoing.part(text, 0, most - len(gap) - tail)
    return first + gap + outgoing.part(text, len(text) - tail, len(text))


def part(text: str, start: int, end: int) -> str:
    """What stands from `start` to `end`, at most so many characters."""
    return outgoing.part(text, start, end)


def beginning(data: bytes, most: int) -> bytes:
    """The first `most` bytes."""
    return outgoing.beginning(data, most)
