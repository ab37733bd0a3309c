"""Transcripts: one exchange as NDJSON, replayable by `soundstage lint`.

A header line (what was asked, what the head said), a line for each event (seconds since the
exchange began, raw bytes in base64, so that broken framing and broken UTF-8 survive), a line for
bytes that made no event, and an end line that says who closed and why. Secrets never get in.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from soundstage.errors import UsageError
from soundstage.wire.redact import PRIVATE_FIELDS, Redactor

FORMAT = 1
#: What people wrote may come back in a response, too.
_PRIVATE = (*PRIVATE_FIELDS, "lyrics_sections")


@dataclass(slots=True)
class Transcript:
    """`header`: api, endpoint, request, response (status, headers) as far as they are known.
    `pieces`: (seconds since the start, raw bytes, coarse), whose bytes make up the body.
    `end`: kind, fault_of, message, cut; None if the transcript breaks off.
    """

    header: dict[str, Any]
    pieces: list[tuple[float, bytes, bool]] = field(default_factory=list)
    end: dict[str, Any] | None = None

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


def redacted(raw: bytes, redactor: Redactor) -> bytes:
    """Raw bytes of an event without secrets, queries of URLs, and people's own words.

    Bytes stay as they were wherever nothing is taken out, broken UTF-8 included; an event whose
    JSON holds private fields is written anew around them.
    """
    raw = redactor.data(raw)
    if redactor.keep_private:
        return raw
    if b"http" in raw:
        text = raw.decode("utf-8", "surrogateescape")
        raw = redactor.urls_in(text).encode("utf-8", "surrogateescape")
    if any(name.encode() in raw for name in _PRIVATE):
        start, end = raw.find(b"{"), raw.rfind(b"}") + 1
        try:
            value = json.loads(raw[start:end])
        except (ValueError, RecursionError):
            return raw
        kept = json.dumps(redactor.body(value, _PRIVATE), ensure_ascii=False)
        raw = raw[:start] + kept.encode("utf-8", "replace") + raw[end:]
    return raw


def looks_like_transcript(head: bytes) -> bool:
    """Whether a file that begins with `head` is one of ours."""
    return head.lstrip(b"\xef\xbb\xbf").startswith(b'{"transcript":')


def read(raw: bytes, name: str) -> Transcript:
    """Parse a transcript. `name` stands in errors.

    Raises UsageError with the line that is not understood; a last line that breaks off is dropped
    with whatever it held, and `end` stays None.
    """
    lines = raw.splitlines()
    header = _load(lines[0], name, 1)
    if header.pop("transcript", None) != FORMAT:
        raise UsageError(f"{name}:1: not a transcript of format {FORMAT}")
    transcript = Transcript(header)
    for number, line in enumerate(_whole(lines[1:], raw), 2):
        row = _load(line, name, number)
        if "end" in row:
            transcript.end = row["end"]
        else:
            try:
                body = base64.b64decode(row["raw"], validate=True)
                transcript.pieces.append((float(row["t"]), body, bool(row.get("coarse"))))
            except (KeyError, TypeError, ValueError, binascii.Error) as error:
                raise UsageError(f"{name}:{number}: not an event: {error!r}") from error
    return transcript


def _whole(lines: list[bytes], raw: bytes) -> Iterable[bytes]:
    return lines if raw.endswith(b"\n") else lines[:-1]


def _load(line: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{name}:{number}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{name}:{number}: not an object")
    return row


def _dump(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
