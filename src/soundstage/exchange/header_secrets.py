"""Which parts of a header field that the user sends along are secrets."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Container, Iterator
from typing import Final

from soundstage.output.outgoing import SHORTEST

#: A header with one of these in its name carries a secret, however short.
_TELLTALES: Final = ("auth", "key", "token", "secret", "cookie", "password", "session")
#: Headers that say what everybody may know (RFC 9110; W3C Trace Context), and our emulator's.
_PUBLIC: Final = re.compile(
    r"accept(-.*)?|cache-control|connection|content-.*|date|dnt|expect|from|host|if-.*|origin"
    r"|pragma|prefer|priority|range|referer|sec-.*|te|traceparent|tracestate|user-agent|via"
    r"|x-(request|correlation|trace)-id|soundstage-.*",
    re.IGNORECASE,
)
_PART: Final = re.compile(r"[^\s;,]+")


def secrets_in(name: str, value: str, target: str, words: Container[str]) -> Iterator[str]:
    """The secrets in a header field: its value, each of its parts that could be one (a scheme's
    credentials, the value of a cookie), and the password that `Basic` holds. A value that is a word
    of `words`, or stands in `target`, the URL that everybody may see, is none, unless the name of
    the header says that it is.
    """
    telling = any(word in name.lower() for word in _TELLTALES)
    if not telling and (_PUBLIC.fullmatch(name) or len(value) < SHORTEST or value in target):
        return
    if not telling and value in words:
        return
    yield value
    parts = _PART.findall(value)
    for part in [*parts, *(part.partition("=")[2] for part in parts)]:
        if len(part) >= SHORTEST and part not in words and part not in target:
            yield part
    if parts and parts[0].lower() == "basic":
        yield from _basic(parts[-1])


def _basic(credentials: str) -> Iterator[str]:
    """User and password, and the password (RFC 7617)."""
    try:
        pair = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield pair
    password = pair.partition(":")[2]
    if len(password) >= SHORTEST:
        yield password
