"""Transcripts: one exchange as NDJSON, which `lint` judges and `emulate --replay` serves again.

A header line (what was asked, what the head said), a line for each event (seconds since the
exchange began, raw bytes in base64, so that broken framing and broken UTF-8 survive), a line for
bytes that made no event, and an end line that says who closed and why. docs/transcripts.md.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from soundstage.errors import UsageError

FORMAT = 1


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
    lines = raw.splitlines()
    header = _load(lines[0], name, 1)
    if header.pop("transcript", None) != FORMAT:
        raise UsageError(f"{name}:1: not a transcript of format {FORMAT}")
    _check_head(header.get("response"), name)
    transcript = Transcript(header)
    for number, line in enumerate(_whole(lines[1:], raw), 2):
        row = _load(line, name, number)
        if "end" in row:
            if not isinstance(row["end"], dict):
                raise UsageError(f"{name}:{number}: the end is no object")
            _check_end(row["end"], f"{name}:{number}")
            transcript.end = row["end"]
        else:
            try:
                body = base64.b64decode(row["raw"], validate=True)
                transcript.pieces.append((float(row["t"]), body, bool(row.get("coarse"))))
            except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
                raise UsageError(f"{name}:{number}: not an event: {error!r}") from error
    return transcript


def _check_head(response: Any, name: str) -> None:
    """Raise UsageError unless `response` is what `Exchange.transcript` writes, or None."""
    if response is None:
        return
    if isinstance(response, dict):
        headers, status = response.get("headers", []), response.get("status")
        pairs = isinstance(headers, list) and all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)
            for pair in headers
        )
        if pairs and (status is None or type(status) is int):
            return
    raise UsageError(f"{name}:1: not the head of a response")


def _check_end(end: dict[str, Any], place: str) -> None:
    """Raise UsageError for an end whose members are not what `Exchange.transcript` writes."""
    for key in ("cut", "fault_of", "message"):
        if not isinstance(end.get(key), str | None):
            raise UsageError(f"{place}: {key} of the end is no string")


def _whole(lines: list[bytes], raw: bytes) -> Iterable[bytes]:
    return lines if raw.endswith(b"\n") else lines[:-1]


def _load(line: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}:{number}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{name}:{number}: not an object")
    return row


def _dump(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
