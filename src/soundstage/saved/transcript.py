"""Transcripts: one exchange as NDJSON, which `lint` judges and `emulate --replay` serves again.

A header line (what was asked, what the head said), a line for each event (seconds since the
exchange began, raw bytes in base64, so that broken framing and broken UTF-8 survive), a line for
bytes that made no event, and an end line that says who closed and why. docs/transcripts.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from soundstage.errors import UsageError
from soundstage.untrusted.json_values import MOST_VALUES, many_values

FORMAT = 1
#: So many events a transcript may have, and so long (thirty years, in seconds) it may have taken.
MOST_EVENTS: Final = 1_000_000
_LONGEST_S: Final = 1e9


@dataclass(slots=True)
class Transcript:
    """`header`: api, endpoint, request, response (status, headers) as far as they are known.
    `pieces`: (seconds since the start, raw bytes, coarse), whose bytes make up the body.
    `end`: kind, fault_of, message, cut; None if the transcript breaks off.
    `doubt`: why the body may not be all that came, of an answer that another tool saved; it counts
    only where the body is not whole, and is not written.
    """

    header: dict[str, Any]
    pieces: list[tuple[float, bytes, bool]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    doubt: str | None = None

    @property
    def body(self) -> bytes:
        """All the bytes that came, joined."""
        return b"".join(piece for _, piece, _ in self.pieces)

    def to_bytes(self) -> bytes:
        """The transcript as NDJSON."""
        return b"".join(line + b"\n" for line in self._lines())

    def _lines(self) -> Iterator[bytes]:
        yield _dump({"transcript": FORMAT, **self.header})
        for seconds, raw, coarse in self.pieces:
            row: dict[str, Any] = {"t": round(seconds, 6), "raw": base64.b64encode(raw).decode()}
            if coarse:
                row["coarse"] = True
            yield _dump(row)
        if self.end is not None:
            yield _dump({"end": self.end})


def looks_like_transcript(head: bytes) -> bool:
    """Whether a file that begins with `head` is one of ours."""
    return head.lstrip(b"\xef\xbb\xbf").startswith(b'{"transcript":')


def read(raw: bytes, name: str) -> Transcript:
    """Parse a transcript. `name` stands in errors.

    Raises UsageError with the line that is not understood; a last line that breaks off is dropped
    with whatever it held, and `end` stays None.
    """
    lines = _whole_lines(raw)
    header = _load(next(lines, raw), name, 1)
    if header.pop("transcript", None) != FORMAT:
        raise UsageError(f"{name}:1: not a transcript of format {FORMAT}")
    _check_header(header, f"{name}:1")
    transcript = Transcript(header)
    pieces = transcript.pieces
    for number, line in enumerate(lines, 2):
        row = _load(line, name, number)
        if "end" in row:
            _check_end(row["end"], f"{name}:{number}")
            transcript.end = row["end"]
            continue
        if len(pieces) >= MOST_EVENTS:
            raise UsageError(f"{name}:{number}: more than {MOST_EVENTS:,} events")
        try:
            if not _is_time(row["t"]):
                raise ValueError("t is no time in seconds")
            body = base64.b64decode(row["raw"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise UsageError(f"{name}:{number}: not an event: {str(error)[:200]}") from error
        pieces.append((float(row["t"]), body, bool(row.get("coarse"))))
    return transcript


#: Lines and their ends; a last line without one was not written whole.
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n)")


def _whole_lines(raw: bytes) -> Iterator[bytes]:
    return (match[1] for match in _LINE.finditer(raw))


def _is_time(value: Any) -> bool:
    """Whether it is a number of seconds that an exchange can have taken."""
    return type(value) in (int, float) and -_LONGEST_S <= value <= _LONGEST_S


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_headers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)
        for pair in value
    )


def _is_status(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= 999)


def _is_moment(value: Any) -> bool:
    return value is None or _is_time(value)


#: What each member must be that a reader looks at: where it stands, and the check.
_HEADER: Final = (
    ("api", _is_text),
    ("endpoint", _is_text),
    ("timing", _is_text),
    ("expect", _is_text),
)
_REQUEST: Final = (("method", _is_text), ("url", _is_text), ("headers", _is_headers))
_RESPONSE: Final = (
    ("status", _is_status),
    ("reason", _is_text),
    ("headers", _is_headers),
    ("t", _is_moment),
)
_END: Final = (
    ("kind", _is_text),
    ("fault_of", _is_text),
    ("message", _is_text),
    ("cut", _is_text),
    ("t", _is_moment),
)


def _check_header(header: dict[str, Any], place: str) -> None:
    """Raise UsageError for a header whose members are not what `Exchange.transcript` writes."""
    _check(header, _HEADER, place, "")
    parts = (("request", "a request", _REQUEST), ("response", "the head of a response", _RESPONSE))
    for part, what, members in parts:
        value = header.get(part)
        if value is None:
            continue
        if not isinstance(value, dict):
            raise UsageError(f"{place}: not {what}: /{part}")
        _check(value, members, f"{place}: not {what}", f"/{part}")


def _check_end(end: Any, place: str) -> None:
    if not isinstance(end, dict):
        raise UsageError(f"{place}: the end is no object")
    _check(end, _END, place, "/end")


def _check(
    value: dict[str, Any],
    members: tuple[tuple[str, Callable[[Any], bool]], ...],
    place: str,
    pointer: str,
) -> None:
    for name, holds in members:
        if name in value and not holds(value[name]):
            raise UsageError(f"{place}: {pointer}/{name} is not as `soundstage` writes it")


def _load(line: bytes, name: str, number: int) -> dict[str, Any]:
    if many_values(line):
        raise UsageError(f"{name}:{number}: more than {MOST_VALUES:,} values")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}:{number}: not JSON: {str(error)[:200]}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{name}:{number}: not an object")
    return row


def _dump(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
