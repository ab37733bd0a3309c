"""Transcripts: one exchange as NDJSON, which `lint` judges and `emulate --replay` serves again.

A header line (what was asked, what the head said), a line for each event (seconds since the
exchange began, raw bytes in base64, so that broken framing and broken UTF-8 survive), a line for
bytes that made no event, and an end line that says who closed and why. In format 2 the looks at
what the exchange made follow, each with its own header, bytes and end, and a line that says why
nobody looked any longer. docs/how-to/transcripts.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.saved.transcript_parts import check_end, check_header, check_over, is_time
from soundstage.untrusted.json_values import MOST_VALUES, many_values
from soundstage.wire.url import origin_of

#: The format of one request with its answer, and that of one with looks at what it made.
FORMAT: Final = 1
WITH_LOOKS: Final = 2
#: So many events a transcript may have, and so many looks.
MOST_EVENTS: Final = 1_000_000
MOST_LOOKS: Final = 10_000


@dataclass(slots=True)
class Transcript:
    """`header`: api, endpoint, request, response (status, headers) as far as they are known.
    `pieces`: (seconds since the start, raw bytes, coarse), whose bytes make up the body.
    `end`: kind, fault_of, message, cut; None if the transcript breaks off.
    `doubt`: why the body may not be all that came, of an answer that another tool saved; it counts
    only where the body is not whole, and is not written.
    `looks`: the questions for the state of what it made, in order, each with its answer: as this
    one, but for `api` and `endpoint`, and with `t` in its header, when it was sent.
    `over`: why nobody looked any longer (`cut`, `t`; `charged`: how often it was charged for;
    `second`: how long a second of the contract's is there); None if nobody looked, or the
    transcript breaks off.
    """

    header: dict[str, Any]
    pieces: list[tuple[float, bytes, bool]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    doubt: str | None = None
    looks: list[Transcript] = field(default_factory=list)
    over: dict[str, Any] | None = None

    @property
    def body(self) -> bytes:
        """All the bytes that came, joined."""
        return b"".join(piece for _, piece, _ in self.pieces)

    def answer_header(self, name: str) -> str | None:
        """The value of a header of the answer; of one that comes twice the first, None if it is not
        there.
        """
        headers = (self.header.get("response") or {}).get("headers") or ()
        wanted = name.lower()
        return next((str(value) for key, value in headers if str(key).lower() == wanted), None)

    @property
    def followed(self) -> bool:
        """Whether somebody looked at what it made, or was about to."""
        return bool(self.looks) or self.over is not None

    def to_bytes(self) -> bytes:
        """The transcript as NDJSON: of format 2 only where somebody looked at what it made."""
        return b"".join(line + b"\n" for line in self._lines())

    def _lines(self) -> Iterator[bytes]:
        yield _dump({"transcript": WITH_LOOKS if self.followed else FORMAT, **self.header})
        yield from self._answer()
        for look in self.looks:
            yield _dump({"look": look.header})
            yield from look._answer()
        if self.over is not None:
            yield _dump({"over": self.over})

    def _answer(self) -> Iterator[bytes]:
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
    with whatever it held, and `end` (or `over`) stays None.
    """
    lines = _whole_lines(raw)
    header = _load(next(lines, raw), name, 1)
    form = header.pop("transcript", None)
    if type(form) is not int or form not in (FORMAT, WITH_LOOKS):
        raise UsageError(f"{name}:1: not a transcript of format {FORMAT} or {WITH_LOOKS}")
    check_header(header, f"{name}:1")
    reading = _TranscriptReading(Transcript(header), looks=form == WITH_LOOKS)
    for number, line in enumerate(lines, 2):
        reading.take(_load(line, name, number), f"{name}:{number}")
    return reading.whole


class _TranscriptReading:
    """A transcript while its lines come. `looks`: whether its format has any."""

    def __init__(self, whole: Transcript, *, looks: bool) -> None:
        self.whole = whole
        self._looks = looks
        self._now = whole
        self._events = 0

    def take(self, row: dict[str, Any], place: str) -> None:
        """The next line. Raises UsageError, which begins with `place`, for what cannot come."""
        if self._looks and self.whole.over is not None:
            raise UsageError(f"{place}: more after the line that says that it was over")
        if self._looks and "look" in row:
            self._look(row["look"], place)
        elif self._looks and "over" in row:
            check_over(row["over"], place)
            self._is_ended(place)
            self.whole.over = row["over"]
        elif "end" in row:
            check_end(row["end"], place)
            if self._looks and self._now.end is not None:
                raise UsageError(f"{place}: a second end of one answer")
            self._now.end = row["end"]
        else:
            self._event(row, place)

    def _look(self, header: Any, place: str) -> None:
        self._is_ended(place)
        if len(self.whole.looks) >= MOST_LOOKS:
            raise UsageError(f"{place}: more than {MOST_LOOKS:,} looks")
        if not isinstance(header, dict):
            raise UsageError(f"{place}: a look that is no object")
        check_header(header, place, "/look")
        if not is_time(header.get("t")):
            raise UsageError(f"{place}: /look/t is no time in seconds")
        if _host(header) != _host(self.whole.header):
            raise UsageError(f"{place}: a look at another host than the one that was asked")
        self._now = Transcript(header)
        self.whole.looks.append(self._now)

    def _is_ended(self, place: str) -> None:
        if self._now.end is None:
            raise UsageError(f"{place}: the answer before this line has no end")

    def _event(self, row: dict[str, Any], place: str) -> None:
        if self._looks and self._now.end is not None:
            raise UsageError(f"{place}: neither a look nor the line that says that it was over")
        self._events += 1
        if self._events > MOST_EVENTS:
            raise UsageError(f"{place}: more than {MOST_EVENTS:,} events")
        try:
            if not is_time(row["t"]):
                raise ValueError("t is no time in seconds")
            body = base64.b64decode(row["raw"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise UsageError(f"{place}: not an event: {head(str(error), 200)}") from error
        self._now.pieces.append((float(row["t"]), body, bool(row.get("coarse"))))


def _host(header: dict[str, Any]) -> object:
    """The origin that was asked; None where no URL says so."""
    return origin_of((header.get("request") or {}).get("url") or "")


#: Lines and their ends; a last line without one was not written whole.
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n)")


def _whole_lines(raw: bytes) -> Iterator[bytes]:
    return (match[1] for match in _LINE.finditer(raw))


def _load(line: bytes, name: str, number: int) -> dict[str, Any]:
    if many_values(line):
        raise UsageError(f"{name}:{number}: more than {MOST_VALUES:,} values")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}:{number}: not JSON: {head(str(error), 200)}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{name}:{number}: not an object")
    return row


def _dump(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
