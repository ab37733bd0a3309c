"""Bare JSON lines, the other framing that a stream may have, and telling the framings apart.

Each line is one event; there is no standard for this, only the sample code of the documentation.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from soundstage.untrusted import json_text
from soundstage.wire.sse import Decoder, Event, EventTooLarge, Pending

Framing = Literal["sse", "lines", "json", "unknown"]


class LineDecoder:
    """Each line that is not empty is an event. Only LF and CRLF end lines: a lone CR is white space
    of JSON. A byte order mark stays in its line, for `json_text` to judge.

    Used as `sse.Decoder` is. An event's `type` is "message", its `id` empty; `raw` holds the line
    with its end and any empty lines before it.
    """

    __slots__ = ("_buffer", "_limit", "_line", "last_event_id", "retry_ms")

    def __init__(self, *, max_event_bytes: int = 16 * 2**20) -> None:
        self.retry_ms: int | None = None  # never set: there are no fields
        self.last_event_id = ""
        self._limit = max_event_bytes
        self._buffer = bytearray()  # all since the last event
        self._line = 0  # where in it the line starts whose end has not come

    @property
    def mid_event(self) -> bool:
        """Whether bytes came since the last line ended."""
        return len(self._buffer) > self._line

    @property
    def held_bytes(self) -> int:
        """How many bytes are held that belong to no event yet."""
        return len(self._buffer)

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this read completes. Raises `EventTooLarge`."""
        buffer = self._buffer
        events: list[Event] = []
        start = kept = 0  # piece[start:] belongs to the next line, piece[kept:] to the next event
        head = b""
        while (end := piece.find(b"\n", start)) >= 0:
            line = piece[start:end]
            if not start:
                head = bytes(buffer[self._line :])
                line = head + line
            start = end + 1
            line = line.removesuffix(b"\r")
            if line:
                if len(buffer) + start - kept > self._limit:
                    raise EventTooLarge(self._limit, events)
                raw = bytes(buffer) + piece[kept:start]
                events.append(Event(line, "message", "", raw))
                buffer.clear()
                kept = start
        if len(buffer) + len(piece) - kept > self._limit:
            raise EventTooLarge(self._limit, events)
        if start:
            self._line = len(buffer) + start - kept
        buffer += piece[kept:]
        return events

    def close(self) -> Pending:
        """What is left. A last line without its end is `data`; whether it counts is not ours to
        say (many writers leave out the last LF).
        """
        raw = bytes(self._buffer)
        data = raw[self._line :].removesuffix(b"\r")
        return Pending(raw, bool(data), data)


def decoded(body: bytes, framing: str) -> tuple[list[Event], Pending | None]:
    """The events of a body that is all there, framed as "sse" or "lines", and what was left of it;
    of one with an event that is too large those before it, and None.
    """
    decoder = LineDecoder() if framing == "lines" else Decoder()
    try:
        events = decoder.feed(body)
    except EventTooLarge as error:
        return error.events, None
    return events, decoder.close()


_BOM: Final = b"\xef\xbb\xbf"
#: A field line of an event stream: a comment, or a known name with a colon or alone on its line.
_FIELD: Final = re.compile(rb"(?:data|event|id|retry)?:|(?:data|event|id|retry)[\r\n]")
#: How arrays, and objects over several lines, begin; "[notice] ..." of a log does not.
_ARRAY: Final = re.compile(rb'\[[ \t\r\n]*(?:[\[\]{"0-9-]|true|false|null)')
_OBJECT: Final = re.compile(rb'\{[ \t\r\n]*["}]')
#: How a line ends within a document that an object may come next in.
_GOES_ON: Final = (b":", b",", b"[", b"{")
_SCALAR: Final = re.compile(rb'"|-?[0-9]|true|false|null')
_NOT_ONE_TEXT: Final = {"json.syntax", "json.trailing_text", "json.empty"}


def sniff_framing(head: bytes, *, ended: bool = True) -> Framing:
    """What the first bytes of a body look like, whatever its media type says.

    `ended`: `head` is the whole body; otherwise more may follow, and the answer is "unknown" where
    that could change it. Ask again with more: the first line is enough.

    - "sse": the first line that is not empty, after a byte order mark or none, is a field line.
    - "lines": the first line that is not empty is a whole JSON object and has its line end. A
      body of just that is one line and also one document with a newline: "lines", by design, as
      it gives the same single chunk. Also if it is a broken object, which does not go on in the
      next line, and the next line a whole one.
    - "json": an array, an object that its first line does not finish, a scalar that is the whole
      body, or a one-line object that the body ends without a newline.
    - "unknown": anything else: HTML, plain text, an object cut off within its first line.

    That an object has problems (NaN, broken UTF-8) is no matter here.
    """
    body = head.removeprefix(_BOM).lstrip(b"\r\n")
    if _FIELD.match(body):
        return "sse"
    body = body.lstrip(b" \t\r\n")
    if _ARRAY.match(body):
        return "json"
    line, newline, rest = body.partition(b"\n")
    if newline and _is_broken_object(line) and _begins_with_object(rest):
        return "lines"
    if not _OBJECT.match(body):
        return "json" if ended and _SCALAR.match(body) and _is_one_text(body) else "unknown"
    whole = _is_one_text(line)
    if newline:
        return "lines" if whole else "json"
    return "json" if whole and ended else "unknown"


def _is_broken_object(line: bytes) -> bool:
    """Whether it begins as an object and is none, nor the first line of one over several lines."""
    line = line.rstrip(b" \t\r")
    return line.startswith(b"{") and not line.endswith(_GOES_ON) and not _is_one_text(line)


def _begins_with_object(text: bytes) -> bool:
    """Whether the first line that is not empty is a whole object and has its line end."""
    line, newline, _ = text.lstrip(b"\r\n").partition(b"\n")
    return bool(newline) and _OBJECT.match(line) is not None and _is_one_text(line)


def _is_one_text(line: bytes) -> bool:
    problems = json_text.parse(line).problems
    return not any(problem.code in _NOT_ONE_TEXT for problem in problems)
