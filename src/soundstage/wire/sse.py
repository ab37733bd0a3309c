"""Server-sent events: bytes in, events out, as the WHATWG HTML standard says.

"HTML Living Standard", section 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event
stream". The decoder is incremental and its events do not depend on how the bytes were split.

Never here: reconnecting, media types, or what the data of an event means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

_BOM: Final = b"\xef\xbb\xbf"
_LF: Final = ord("\n")
_CR: Final = ord("\r")
_COLON: Final = ord(":")
#: A wait of more digits than this is a wait for ever; and Python will not read any number.
_RETRY_DIGITS: Final = 18


class EventTooLarge(Exception):
    """An event, with the comments and blank lines before it, is larger than the cap.

    `limit` is the cap in bytes; `events` are those that the same read completed before it.
    The decoder that raised it is not to be fed again.
    """

    def __init__(self, limit: int, events: list[Event]) -> None:
        super().__init__(f"an event is larger than {limit} bytes")
        self.limit = limit
        self.events = events


class Event(NamedTuple):
    """One dispatched event.

    `data`: the data lines joined by LF, bytes as received: broken UTF-8 stays visible.
    `type`: "message" unless the stream names one. `id`: the last event id at dispatch.
    `raw`: every byte since the end of the event before, comments and blank lines included. The
    `raw` of all events and what `close` returns make up the input. The LF of a CRLF that ends an
    event belongs to it if it came in the same read, otherwise to what follows: this byte is all
    that ever depends on the reads.
    """

    data: bytes
    type: str
    id: str
    raw: bytes

    @property
    def text(self) -> str:
        """The data as the standard decodes it: U+FFFD stands for what is not UTF-8."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Pending:
    """What was left when the stream ended.

    `raw`: the bytes since the last event; harmless if they are only comments and blank lines.
    `unterminated`: an event was under way, or a line: its end never came, so it does not count.
    `data`: the data which that event had so far.
    """

    raw: bytes
    unterminated: bool
    data: bytes


class Decoder:
    """Feed it the reads of one body, in order; then close it.

    `max_event_bytes` bounds what is kept of one event, and so the memory. `on_comment` is called
    with each comment line's bytes after its colon.

    `retry_ms` is the reconnection time that the stream asked for, in milliseconds, or None; a
    number of more than 18 digits counts as the largest of 18. `last_event_id` is that of the last
    block that a blank line ended, whether it was dispatched or not.
    """

    __slots__ = (
        "_block",
        "_buffer",
        "_data",
        "_fields",
        "_id",
        "_limit",
        "_line",
        "_on_comment",
        "_skip_lf",
        "_started",
        "_type",
        "last_event_id",
        "retry_ms",
    )

    def __init__(
        self,
        *,
        max_event_bytes: int = 16 * 2**20,
        on_comment: Callable[[bytes], None] | None = None,
    ) -> None:
        self.retry_ms: int | None = None
        self.last_event_id = ""
        self._limit = max_event_bytes
        self._on_comment = on_comment
        self._buffer = bytearray()  # all since the last event; grows in place, so in linear time
        self._line = 0  # where in it the line starts whose end has not come
        self._block = 0  # where in it the block of lines starts whose blank line has not come
        self._started = False  # whether the byte order mark has been looked for
        self._skip_lf = False  # whether the last line ended in CR, so that an LF would belong to it
        # The buffers of section 9.2.6, and whether this block put anything into one.
        self._data: list[bytes] = []
        self._type = b""
        self._id = ""
        self._fields = False

    @property
    def mid_event(self) -> bool:
        """Whether bytes came since the last event, or the last blank line, ended."""
        return len(self._buffer) > self._block

    @property
    def held_bytes(self) -> int:
        """How many bytes are held that belong to no event yet."""
        return len(self._buffer)

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this read completes. Raises `EventTooLarge`."""
        buffer = self._buffer
        if buffer:
            if self._started and b"\n" not in piece and b"\r" not in piece:
                # A part of a long line. The shortest way, for events that come in tiny reads.
                if len(buffer) + len(piece) > self._limit:
                    raise EventTooLarge(self._limit, [])
                buffer += piece
                if piece:
                    self._skip_lf = False
                return []
            return self._lines(piece, 0, [])
        # Nothing is pending: take whole events, which is what nearly every read holds.
        if piece[:6] == b"data: " and piece[-2:] == b"\n\n" and len(piece) <= self._limit:
            lines = piece[6:-2].split(b"\n\ndata: ")
            if piece.count(b"\n") == 2 * len(lines) and _CR not in piece:
                # All of them are one data line. (Cut where one ends and the next begins, they come
                # in half the time.)
                self._started = True
                self._skip_lf = False
                # Event(...), in half the time: this runs once per event.
                new, event_id = tuple.__new__, self.last_event_id
                return [
                    new(Event, (data, "message", event_id, b"data: " + data + b"\n\n"))
                    for data in lines
                ]
        # Events of one data line, perhaps with comments before it. Whatever else there is takes the
        # long way.
        events: list[Event] = []
        start = 0  # of the next event
        if len(piece) <= self._limit:
            ending = b"\r\n\r\n" if _CR in piece else b"\n\n"
            blocks = piece.split(ending)
            blocks.pop()  # what nothing has ended yet
            for block in blocks:
                data = block[6:]
                if block[:6] != b"data: " or _LF in data or _CR in data:
                    line = self._after_comments(block)
                    if line is None:
                        break
                    data = line
                raw = block + ending
                events.append(Event(data, "message", self.last_event_id, raw))
                start += len(raw)
        if start:
            self._started = True
            self._skip_lf = False
            if start == len(piece):
                return events
        return self._lines(piece, start, events)

    def _after_comments(self, block: bytes) -> bytes | None:
        """The data of a block whose lines are comments but the last, which is data, all ended in
        the same way; None of any other. Tells the comments.
        """
        ending = b"\r\n" if _CR in block else b"\n"
        *comments, line = block.split(ending)
        for each in comments:
            if not each.startswith(b":") or _CR in each or _LF in each:
                return None
        if not line.startswith(b"data: ") or _CR in line or _LF in line:
            return None
        if self._on_comment is not None:
            for each in comments:
                self._on_comment(each[1:])
        return line[6:]

    def close(self) -> Pending:
        """What is left at the end of the stream; it is never dispatched (section 9.2.6)."""
        raw = bytes(self._buffer)
        partial = raw[self._line :]
        data = list(self._data)
        if partial.startswith(b"data:"):
            data.append(_value(partial, 5))
        return Pending(raw, bool(partial) or self._fields, b"\n".join(data))

    def _lines(self, piece: bytes, start: int, events: list[Event]) -> list[Event]:
        """Section 9.2.5 from `start` on: interpret the lines."""
        buffer = self._buffer
        if not self._started:
            piece = bytes(buffer) + piece
            buffer.clear()
            if len(piece) < 3 and _BOM.startswith(piece):
                buffer += piece
                return events
            self._started = True
            if piece.startswith(_BOM):
                buffer += _BOM
                self._line = self._block = start = 3
        if self._skip_lf and start < len(piece):
            self._skip_lf = False
            if piece[start] == _LF:
                self._block += self._block == self._line
                self._line += 1
                buffer.append(_LF)
                start += 1
        head = bytes(buffer[self._line :])
        kept = at = start  # piece[kept:] belongs to the next event, piece[at:] to the next line
        # Of bytes (not of str) splitlines cuts at exactly the three line ends of the standard.
        for line in piece[start:].splitlines(keepends=True):
            content = line.rstrip(b"\r\n")
            if content == line:
                break  # the last one, whose end has not come
            at += len(line)
            if head:
                content, head = head + content, b""
            if content:
                self._interpret(content)
                continue
            if self._data:
                if len(buffer) + at - kept - (line == b"\r\n") > self._limit:
                    raise EventTooLarge(self._limit, events)
                events.append(self._event(bytes(buffer) + piece[kept:at]))
                buffer.clear()
                kept = at
            self._end_block()
            self._block = len(buffer) + at - kept
        if at > start:
            self._line = len(buffer) + at - kept
            self._skip_lf = at == len(piece) and piece.endswith(b"\r")
        if len(buffer) + len(piece) - kept > self._limit:
            raise EventTooLarge(self._limit, events)
        buffer += piece[kept:]
        return events

    def _interpret(self, line: bytes) -> None:
        """Section 9.2.6 for one line that is not empty."""
        if line.startswith(b"data:"):
            self._data.append(_value(line, 5))
            self._fields = True
        elif line[0] == _COLON:
            if self._on_comment is not None:
                self._on_comment(line[1:])
        else:
            colon = line.find(b":")
            name, value = (line, b"") if colon < 0 else (line[:colon], _value(line, colon + 1))
            if name == b"data":
                self._data.append(value)
            elif name == b"event":
                self._type = value
            elif name == b"id":
                if b"\0" not in value:
                    self._id = value.decode("utf-8", "replace")
            else:
                # Unknown fields are ignored; this one takes effect without a blank line.
                if name == b"retry" and value.isdigit():
                    digits = value.lstrip(b"0")[: _RETRY_DIGITS + 1]
                    self.retry_ms = min(int(digits or b"0"), 10**_RETRY_DIGITS - 1)
                return
            self._fields = True

    def _event(self, raw: bytes) -> Event:
        """The event of a block that has data, at its blank line."""
        type_ = self._type.decode("utf-8", "replace") or "message"
        return Event(b"\n".join(self._data), type_, self._id, raw)

    def _end_block(self) -> None:
        """What a blank line does with or without data: the id stays, the rest is reset."""
        self.last_event_id = self._id
        self._type = b""
        self._fields = False
        if self._data:
            self._data = []


def _value(line: bytes, start: int) -> bytes:
    """What stands after the colon, without the one space that may follow it."""
    return line[start + 1 :] if line.startswith(b" ", start) else line[start:]
