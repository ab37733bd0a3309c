"""Transcripts: one exchange as NDJSON, replayable by `soundstage lint`.

A header line (what was asked, what the head said), a line for each event (seconds since the
exchange began, raw bytes in base64, so that broken framing and broken UTF-8 survive), a line for
bytes that made no event, and an end line that says who closed and why. Secrets never get in.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from soundstage.errors import UsageError
from soundstage.wire.redact import MARK, PRIVATE_FIELDS, Redactor

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
    """Raw bytes of an event or a body without secrets, queries of URLs, and people's own words.

    Only what is taken out is changed: broken UTF-8 and broken JSON survive, and what stands inside
    broken JSON is found, too.
    """
    raw = redactor.data(raw)
    if redactor.keep_private:
        return raw
    if b"http" in raw.lower():
        text = raw.decode("utf-8", "surrogateescape")
        raw = redactor.urls_in(text).encode("utf-8", "surrogateescape")
    if b"\\" in raw or any(name.encode() in raw for name in _PRIVATE):
        raw = b"".join(_hidden(raw, redactor))
    return raw


#: Strings (the last perhaps without its end), punctuation, and what stands between.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}:,]|[^"\[\]{}:,]++', re.DOTALL)
#: A colon, in the next `data` line of the event perhaps.
_COLON = re.compile(rb"(?:\s|\ndata:)*:")
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]*")


def _hidden(raw: bytes, redactor: Redactor) -> Iterator[bytes]:
    """The tokens of `raw` with the values of private fields, and the queries of URLs that are
    written with escapes, taken out. Walks tokens, since a parser would stop at what is broken.
    """
    depth = 0
    hidden_from: int | None = None  # the depth of the private array or object that we are in
    private, key = False, ""
    for match in _TOKEN.finditer(raw):
        token = match[0]
        first = token[:1]
        if first == b'"':
            if (hidden_from is not None or private) and not _COLON.match(raw, match.end()):
                yield _mark(token)
                continue
            text = _text(token)
            key = text or ""
            plain = redactor.urls_in(key)
            if text is None and b"\\" in token:
                yield _mark(token)
            else:
                yield token if plain == key else json.dumps(plain).encode()
            continue
        if first == b":":
            if key:  # else it is that of a `data` line
                private, key = key in _PRIVATE, ""
        elif first == b",":
            private = False
        elif first in b"[{":
            depth += 1
            if private and hidden_from is None:
                hidden_from, private = depth, False
        elif first in b"]}":
            if hidden_from is not None and depth <= hidden_from:
                hidden_from = None
            depth -= 1
        elif hidden_from is not None or private:
            token = _NUMBER.sub(f'"{MARK}"'.encode(), token)
        yield token


def _text(token: bytes) -> str | None:
    """What a string token says; None if it cannot be read."""
    try:
        return str(json.loads(token.decode("utf-8", "surrogateescape"), strict=False))
    except ValueError:
        return None


def _mark(token: bytes) -> bytes:
    text = _text(token)
    many = len(token.strip(b'"')) if text is None else len(text)
    end = b'"' if len(token) > 1 and token.endswith(b'"') else b""
    return b'"[redacted %d chars]' % many + end


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
            transcript.end = row["end"]
        else:
            try:
                body = base64.b64decode(row["raw"], validate=True)
                transcript.pieces.append((float(row["t"]), body, bool(row.get("coarse"))))
            except (KeyError, TypeError, ValueError, binascii.Error) as error:
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
