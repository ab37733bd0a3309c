"""Text as shells and editors save it, in UTF-8 again: UTF-16 and UTF-32, with or without a mark.

Windows PowerShell's `>` writes UTF-16 with a byte order mark. A mark of UTF-8 stays where it is: an
event stream may have one (WHATWG HTML, section 9.2.5), so whether it matters the reader must say.
"""

from __future__ import annotations

import codecs
from typing import Final

UTF8_BOM: Final = codecs.BOM_UTF8
#: Byte order marks, the longer first: UTF-32's begins as UTF-16's does.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Bytes that are looked at where no mark tells, and how many of them there must be.
_SNIFFED: Final = 4096
_LEAST: Final = 8
#: Of the places where ASCII text in this encoding has a NUL, so many do (the rest is other text).
_MOSTLY: Final = 0.7


def to_utf8(raw: bytes) -> tuple[bytes, str | None]:
    """`raw` in UTF-8, and the name of the encoding that it was in; None where nothing was done.
    What an encoding cannot hold becomes U+FFFD; half a character at the end is dropped.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark) and len(raw) > len(mark):
            return _decoded(raw[len(mark) :], encoding), _named(encoding)
    unmarked = _without_mark(raw[:_SNIFFED])
    if unmarked is not None:
        return _decoded(raw, unmarked), _named(unmarked)
    return raw, None


def _decoded(raw: bytes, encoding: str) -> bytes:
    unit = 4 if "32" in encoding else 2
    whole = raw[: len(raw) - len(raw) % unit]
    return whole.decode(encoding, "replace").encode("utf-8", "replace")


def _without_mark(head: bytes) -> str | None:
    """The encoding whose NULs stand where those of ASCII text would, and nowhere else."""
    if len(head) < _LEAST or b"\0" not in head:
        return None
    for encoding, unit, at in (
        ("utf-32-le", 4, 0),
        ("utf-32-be", 4, 3),
        ("utf-16-le", 2, 0),
        ("utf-16-be", 2, 1),
    ):
        text = head[at::unit]
        rest = b"".join(head[each::unit] for each in range(unit) if each != at)
        if rest and b"\0" not in text and rest.count(0) >= _MOSTLY * len(rest):
            return encoding
    return None


def _named(encoding: str) -> str:
    return encoding.upper().removesuffix("-LE").removesuffix("-BE")
