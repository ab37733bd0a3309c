"""Cells that say of which column they are.

On a narrow screen a table folds: each row becomes a card with a line a cell (`shell.html`), and a
cell without the head above it needs its words. Those are put in here, from the table's own head,
for every table of every page, so that no template has to write them twice and none can forget.

It is done on the finished page: templates write the tags, and in all that they fill in a `<` is
escaped, so that a tag is never somebody else's text.
"""

from __future__ import annotations

import re

_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
_HEAD = re.compile(r"<thead\b.*?</thead>", re.DOTALL)
_NAME = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
#: A row's beginning, or a cell's, with its attributes.
_OPENING = re.compile(r"<(tr|td|th)\b([^>]*)>")
_TAG = re.compile(r"<[^>]*>")
_SPAN = re.compile(r'\bcolspan="([0-9]{1,3})"')


def labelled(page: str) -> str:
    """The page with the name of its column as `data-label` on every cell of a table with a head."""
    return _TABLE.sub(lambda found: _table(found[0]), page)


def _table(table: str) -> str:
    head = _HEAD.search(table)
    if head is None:
        return table
    names = [" ".join(_TAG.sub(" ", each).split()) for each in _NAME.findall(head[0])]
    column = 0

    def cell(found: re.Match[str]) -> str:
        nonlocal column
        tag, attributes = found.groups()
        if tag == "tr":
            column = 0
            return found[0]
        name = names[column] if column < len(names) else ""
        span = _SPAN.search(attributes)
        column += int(span[1]) if span else 1
        if tag == "th" or not name:
            return found[0]
        quoted = name.replace('"', "&#34;")
        return f'<td{attributes} data-label="{quoted}">'

    return table[: head.end()] + _OPENING.sub(cell, table[head.end() :])
