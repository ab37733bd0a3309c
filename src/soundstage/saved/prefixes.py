"""Lines of a log: the same prefix before each of them, which is not the response's.

`docker logs -t`, `kubectl logs --timestamps`, Compose, syslog, line numbers, a quoted mail. Taken
off only where every line has one of the same shape, and only where what is left is a response.
"""

from __future__ import annotations

import re
from typing import Final

from soundstage.wire.lines import sniff_framing

_TIME: Final = rb"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
_DAY: Final = rb"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}"
#: Shapes of prefixes that differ from line to line: pattern, and what to call it.
_SHAPES: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (
            rb"[\[(]?"
            + _DAY
            + rb"[T ]"
            + _TIME
            + rb"(?:[ ]?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?[\])]?[:,]?"
            rb"(?: std(?:out|err) F)?",
            "a timestamp",
        ),
        (rb"[\[(]?" + _TIME + rb"[\])]?[:,]?", "a time"),
        (
            rb"(?:<[0-9]{1,3}>)?[A-Z][a-z]{2} [ 0-9][0-9] "
            + _TIME
            + rb"(?: [\w.-]+ [\w./-]+(?:\[[0-9]+\])?:)?",
            "a prefix of syslog",
        ),
        (rb"[\[(]?[0-9]{10}(?:[0-9]{3,9})?(?:\.[0-9]{1,9})?[\])]?:?", "a timestamp"),
        (rb"[ \t]*[0-9]{1,6}[:|\t-]", "a line number"),
        (rb"[ \t]*[0-9]{1,6} (?= )", "a line number"),
    )
)
#: Where a line of a response begins for sure: an event's data, an object, a status line.
_BEGINS: Final = re.compile(rb"(?<![\w\"-])data:|\{\"|HTTP/[0-9]")
_ON_ITS_LINE: Final = re.compile(rb"^(?:data:|\{\")", re.MULTILINE)
_LONGEST: Final = 120
#: Prefixes stand before prefixes, but not endlessly.
_MOST: Final = 4


def without_prefixes(body: bytes) -> tuple[bytes, list[str]] | None:
    """The body without what stands before each of its lines, and what that was, in words; None if
    there is nothing of the kind, or what is left is no response.
    """
    if sniff_framing(body[:65_536], ended=False) not in ("unknown", "json"):
        return None
    lines = body.split(b"\n")
    last = lines.pop() if not lines[-1].strip() else None
    if not lines:
        return None
    said: list[str] = []
    for _ in range(_MOST):
        found = _off(lines)
        if found is None:
            return None
        lines, name = found
        if name not in said:
            said.append(name)
        text = b"\n".join(lines) + (b"" if last is None else b"\n")
        if _is_response(text):
            return text, said
    return None


def _is_response(text: bytes) -> bool:
    start = text.lstrip(b"\r\n")
    if start.startswith(b"HTTP/"):
        return True
    return sniff_framing(text) in ("sse", "lines") and _ON_ITS_LINE.search(text) is not None


def _off(lines: list[bytes]) -> tuple[list[bytes], str] | None:
    """One prefix off each line, and its name."""
    for shape, name in _SHAPES:
        if (cut := _shaped(lines, shape)) is not None:
            return cut, name
    return _constant(lines)


def _shaped(lines: list[bytes], shape: re.Pattern[bytes]) -> list[bytes] | None:
    """The lines without a prefix of this shape, and without the one blank that ends it: where each
    line has one (a blank at the end of a line may have been lost).
    """
    kept = []
    for line in lines:
        match = shape.match(line)
        if match is None:
            return None
        rest = line[match.end() :]
        if rest[:1] in (b" ", b"\t"):
            rest = rest[1:]
        elif rest.strip() and not match[0].endswith((b"\t", b":", b"|", b"-")):
            return None
        kept.append(rest)
    return kept


def _constant(lines: list[bytes]) -> tuple[list[bytes], str] | None:
    """The lines without the text that stands before each of them, the same in all."""
    prefix = b""
    for line in lines:
        if begins := _BEGINS.search(line, 0, _LONGEST):
            prefix = line[: begins.start()]
            break
    if not prefix:
        return None
    bare = prefix.rstrip()
    kept = []
    for line in lines:
        if line.startswith(prefix):
            kept.append(line[len(prefix) :])
        elif line.rstrip() == bare:
            kept.append(b"")
        else:
            return None
    return kept, _quoted(prefix.decode("utf-8", "replace").strip())


def _quoted(prefix: str) -> str:
    return f"“{prefix}”" if prefix else "blanks"
