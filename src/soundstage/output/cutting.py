"""Cuts text of others to a length that people read, so that no answer grows in what is said of it.

Values only. Who cuts says how long a text was, so that two that differ stay apart.
"""

from __future__ import annotations


def cut(text: str, most: int) -> str:
    """`text`, if it has at most `most` characters; else its head and its tail, and between them
    how many characters it had in all. `most` is at least 40; the result is never longer than it.
    """
    if len(text) <= most:
        return text
    gap = f"…[{len(text)} characters]…"
    tail = (most - len(gap)) // 4
    return text[: most - len(gap) - tail] + gap + text[len(text) - tail :]
