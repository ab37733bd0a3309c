"""Response heads that were saved with a body: `curl -i`, `-D -`, `-v`, HTTPie, raw captures.

Each head is taken off, and the last one counts: before it come those of a proxy's CONNECT, of
1xx answers, of redirects and of refused first attempts. A request that the tool printed before
(`curl -v`, `http -v`) tells what was asked. Status lines of HTTP/1.0 to 3; CRLF or LF.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

#: RFC 9112, section 4; HTTP/2 and 3 have none, and tools print one without a minor version.
_STATUS: Final = re.compile(
    rb"HTTP/[0-9](?:\.[0-9])?[ \t]+([1-9][0-9]{2})(?:[ \t]([^\r\n]*))?\r?\n?"
)
_REQUEST: Final = re.compile(rb"([A-Z]{3,10})[ \t]+(\S+)[ \t]+HTTP/[0-9](?:\.[0-9])?\r?\n")
_ANY_STATUS: Final = re.compile(
    rb"^HTTP/[0-9](?:\.[0-9])?[ \t]+[1-9][0-9]{2}[ \t\r\n]", re.MULTILINE
)
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:")
#: More than this before a body is no head.
_LONGEST: Final = 256 * 1024
#: What `curl -v` puts before its own lines: what it says, what it sends, what it gets, and notes on
#: data that it does not show.
_VERBOSE: Final = re.compile(rb"[*<>] |[*<>]\r?\n|[{}] \[[0-9]+ bytes data\]")
_LEFT: Final = re.compile(
    rb"\* (?:Connection #[0-9]+ to host \S+ left intact|[Cc]losing connection[^\r\n]*)\s*\Z"
)


@dataclass(slots=True)
class SavedHead:
    """The head of the answer that counts; `heads` were there. `asked`: method and URL of the
    request, where the tool printed it. `body` is what follows.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    heads: int = 1
    asked: tuple[str, str] | None = None
    more: bool = field(default=False)
    """Another answer follows in the body."""

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in lower case; None if absent."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def split(raw: bytes) -> SavedHead | None:
    """The head that `raw` begins with, and the body after it; None if it begins with none."""
    start = raw.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _VERBOSE.match(start):
        return _verbose(start)
    asked = None
    if request := _REQUEST.match(start):
        asked = _asked(request, start)
        status = _ANY_STATUS.search(start[: 4 * _LONGEST])
        if status is None:
            return None
        start = start[status.start() :]
    return _last(start, asked)


def _last(text: bytes, asked: tuple[str, str] | None) -> SavedHead | None:
    found: SavedHead | None = None
    heads = 0
    while (status := _STATUS.match(text)) is not None:
        heads += 1
        headers, text = _fields(text[status.end() :])
        found = SavedHead(int(status[1]), _text(status[2] or b""), headers, text, heads, asked)
        if _STATUS.match(text.lstrip(b"\r\n")):
            text = text.lstrip(b"\r\n")
    if found is not None:
        found.more = _ANY_STATUS.search(found.body) is not None
    return found


def _fields(text: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """Header fields up to the blank line, and what follows it. A line that begins with white space
    goes on with the field before (RFC 9112, section 5.2); one that is no field ends the head.
    """
    headers: list[tuple[str, str]] = []
    at = 0
    while at < min(len(text), _LONGEST):
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end].rstrip(b"\r")
        if not line.strip():
            return headers, text[end + 1 :]
        if line[:1] in b" \t" and headers:
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {_text(line)}".strip())
        elif _FIELD.match(line):
            name_raw, _, value_raw = line.partition(b":")
            headers.append((_text(name_raw), _text(value_raw)))
        else:
            return headers, text[at:]
        at = end + 1
    return headers, text[at:]


def _verbose(text: bytes) -> SavedHead | None:
    """What `curl -v ... 2>&1` prints: its own lines are taken out, the body's stay as they are."""
    got, sent, body = bytearray(), bytearray(), []
    for line in text.splitlines(keepends=True) if b"\n" in text else [text]:
        if not _VERBOSE.match(line):
            body.append(line)
        elif line.startswith(b"<"):
            got += line[2:] if line[1:2] == b" " else line[1:]
        elif line.startswith(b">"):
            sent += line[2:] if line[1:2] == b" " else line[1:]
    if not got:
        return None
    request = None
    for match in _REQUEST.finditer(bytes(sent)):
        if match[1] != b"CONNECT":
            request = _asked(match, bytes(sent))
    found = _last(bytes(got), request)
    if found is not None:
        found.body = _LEFT.sub(b"", b"".join(body))
        found.more = False
    return found


def _asked(request: re.Match[bytes], text: bytes) -> tuple[str, str]:
    host = re.search(rb"^host:[ \t]*(\S+)", text[:_LONGEST], re.MULTILINE | re.IGNORECASE)
    url = _text(request[2])
    if url.startswith("/") and host is not None:
        url = f"http://{_text(host[1])}{url}"
    return _text(request[1]), url


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip()


# --- bodies that still have the framing of the connection -----------------------------------------

_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


@dataclass(frozen=True, slots=True)
class Dechunked:
    """A body without the framing of chunks; `whole`: its last chunk was there."""

    body: bytes
    whole: bool


def dechunked(body: bytes) -> Dechunked | None:
    """The body in `body` if that is framed in chunks from its first byte (RFC 9112, section 7.1),
    None if it is not. The line ends around the chunks may have become LF.
    """
    pieces: list[bytes] = []
    at = 0
    while (size := _SIZE.match(body, at)) is not None:
        length = int(size[1], 16)
        at = size.end()
        if length == 0:
            return Dechunked(b"".join(pieces), True)
        piece = body[at : at + length]
        pieces.append(piece)
        at += length
        if at >= len(body):
            break
        if body.startswith(b"\r\n", at):
            at += 2
        elif body.startswith(b"\n", at):
            at += 1
        else:
            return None
    else:
        if not pieces or body[at:].strip(b"\r\n0123456789abcdefABCDEF"):
            return None
    return Dechunked(b"".join(pieces), False)
