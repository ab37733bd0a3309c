"""Classes of text: what can be said of a string, or of a key, without saying what it is.

Pure; knows no API.
"""

from __future__ import annotations

import re

_LOOKED_AT = 256
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_TOKEN = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")
_FORMATS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("uri", re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#:@]\S*")),
    ("uuid", re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")),
    (
        "date-time",
        re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}[^\s]{0,16})?"),
    ),
    ("date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")),
    ("digits", re.compile(r"[0-9]{4,}")),
    ("hex", re.compile(r"[0-9a-fA-F]{16,}")),
    ("token", _TOKEN),
)
#: An example of each class of text, by which a pattern says which classes it means.
EXAMPLES = {
    "uri": "https://host.example/path",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "date-time": "2026-11-21T08:36:15Z",
    "date": "2026-11-21",
    "digits": "20261121",
    "hex": "9f86d081884c7d659a2feaa0",
    "token": "word",
    "text": "some words",
    "empty": "",
}
#: Classes that say something; a token, a text or nothing at all may be anything.
SPECIFIC = frozenset({"uri", "uuid", "date-time", "date", "digits", "hex"})


def format_of(text: str) -> str:
    """The class of a text: one of `EXAMPLES`. Only its first 256 characters are looked at."""
    if not text:
        return "empty"
    head = text[:_LOOKED_AT]
    for name, pattern in _FORMATS:
        if pattern.fullmatch(head):
            return name
    return "text"


def is_token(text: str) -> bool:
    """Whether a text is one word of letters, digits and `_.:+-`, at most 64 of them."""
    return _TOKEN.fullmatch(text) is not None


def name_of(key: str) -> str:
    """An undocumented key, if it looks like the name of a field; else its class, `<uuid>`, since
    keys can be data.
    """
    if _NAME.fullmatch(key):
        kind = format_of(key)
        if kind == "token":
            return key
        return f"<{kind}>"
    return f"<{format_of(key)}>"
