"""What a response says it is: its Content-Type, however often it comes, and the media type in it.
The one place where that is decided, so that a live answer and a saved one are judged alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA: Final = re.compile(rf"(?!\*/\*){_TOKEN}/{_TOKEN}[ \t]*(?:;.*)?", re.DOTALL)
#: An element of a list: commas in quoted strings do not end it.
_ELEMENT: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)+', re.DOTALL)


def content_type_of(headers: Iterable[Sequence[str]]) -> str | None:
    """The value of Content-Type in `headers` ((name, value), in order); None if there is none.

    It may come once only; where it comes more often, or holds a list, the last member that is a
    media type counts, as for browsers and other recipients (RFC 9110, section 8.3; Fetch, "extract
    a MIME type").
    """
    values = [value for name, value in headers if name.lower() == "content-type"]
    if not values:
        return None
    whole = ", ".join(values)
    if "," not in whole:
        return whole
    members = [each.strip(" \t") for each in _ELEMENT.findall(whole)]
    valid = [each for each in members if _MEDIA.fullmatch(each)]
    return valid[-1] if valid else whole


def media_type(content_type: str | None) -> str:
    """The media type of a Content-Type without its parameters, in lower case (RFC 9110, section
    8.3.1); "" where there is none.
    """
    return (content_type or "").partition(";")[0].strip().lower()
