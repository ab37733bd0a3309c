"""HTTP archives (HAR 1.2), as browsers and proxies save them: each answer becomes a transcript.

An archive has no times inside a body, so the whole of it counts as having come at once, and no
bytes that are not text, so broken UTF-8 does not survive. http://www.softwareishard.com/blog/har-12-spec/

Archives are written by many tools, cleaned by hand and by scripts, and cut. So each entry is read
as far as it can be; one that cannot says why, and never spoils the others.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from soundstage.errors import UsageError
from soundstage.output.cutting import head
from soundstage.saved import compression
from soundstage.saved.har_errors import end_of, error_of
from soundstage.saved.transcript import Transcript
from soundstage.untrusted import json_text
from soundstage.untrusted.json_values import MOST_VALUES, many_values
from soundstage.wire.end import FAULT_OF, EndKind
from soundstage.wire.media_type import media_type

_LOG: Final = re.compile(rb'"log"\s*:\s*\{|\A\{\s*"log"\s*:\s*[^"\s]')
#: So far into a file its "log" must begin (tools put their own members before it).
_NEAR: Final = 65_536
#: Media types by which archives say that they know none.
_UNKNOWN: Final = frozenset(
    {"", "x-unknown", "application/x-unknown", "unknown", "unknown/unknown"}
)
_OK: Final = 200
#: Reasons for which an answer in an archive cannot be judged to its end.
NO_BODY: Final = "archive.no_body"
CUT_BODY: Final = "archive.cut_body"
NO_ANSWER: Final = "archive.no_answer"
CLIENT_ERROR: Final = "archive.client_error"
CACHED: Final = "archive.not_modified"
#: Redirects that keep method and body, and those that do not (RFC 9110, section 15.4).
_FOLLOWED: Final = frozenset({307, 308})
_CHANGED: Final = frozenset({301, 302, 303})

#: All bodies of an archive together, unpacked, may be so many times as large as one.
BODIES_TIMES: Final = 4

#: Gives the bytes of a file that an archive names, None if there is none (`attached.py`).
Attached = Callable[[str], bytes | None]
#: Whether the answer to this method and path is wanted; those of others are not read.
Wanted = Callable[[str, str], bool]


@dataclass(slots=True)
class ArchiveEntry:
    """One entry of an archive by its zero-based number. `path` is that of the URL, None where there
    is none. `exchange` is None where the answer is not wanted, or nothing of it can be used;
    `problem` says what is odd. `started`: when it was sent, in seconds (Unix time), `took`: how
    long it took; None where the archive does not say.
    """

    number: int
    method: str = ""
    path: str | None = None
    exchange: Transcript | None = None
    problem: str | None = None
    followed: bool = False
    """A redirect that another entry of the archive follows."""
    started: float | None = None
    took: float | None = None


def looks_like_har(head: bytes) -> bool:
    """Whether a file that begins with `head` is an HTTP archive."""
    text = head[:_NEAR].lstrip(b"\xef\xbb\xbf \t\r\n")
    return text.startswith(b"{") and _LOG.search(text) is not None


def read(
    raw: bytes,
    name: str,
    attached: Attached | None = None,
    *,
    wanted: Wanted | None = None,
    limit: int = 64 * 2**20,
) -> list[ArchiveEntry]:
    """The entries of an archive. `name` stands in errors; `attached` gives bodies that lie beside
    the archive; none is read beyond `limit` bytes. Request headers are left out: they hold cookies
    and keys.

    An entry without its body (browsers drop those that are too large, and streams) has no end.
    Raises UsageError if the file is no archive.
    """
    entries = _entries(raw, name)
    wanted = wanted or (lambda method, path: True)
    found: list[ArchiveEntry] = []
    left = BODIES_TIMES * limit
    for number, each in enumerate(entries):
        entry = _entry(number, each, attached, wanted, min(limit, left))
        if entry.exchange is not None:
            left -= sum(len(piece) for _, piece, _ in entry.exchange.pieces)
        if left <= 0:
            size = BODIES_TIMES * limit // 2**20
            raise UsageError(f"{name}: a HAR file whose bodies come to more than {size} MiB")
        found.append(entry)
    _mark_followed(found)
    return found


def _entries(raw: bytes, name: str) -> list[Any]:
    if many_values(raw):
        raise UsageError(f"{name}: a HAR file of more than {MOST_VALUES:,} values")
    try:
        archive = json.loads(raw.decode("utf-8-sig", "replace"))
    except RecursionError:
        raise UsageError(f"{name}: not a HAR file: nested too deep") from None
    except ValueError as error:
        raise UsageError(f"{name}: not a HAR file: {head(str(error), 200)}") from error
    log = archive.get("log") if isinstance(archive, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"{name}: not a HAR file: it has no log.entries")
    return entries


def _entry(
    number: int, entry: Any, attached: Attached | None, wanted: Wanted, limit: int
) -> ArchiveEntry:
    found = ArchiveEntry(number)
    if not isinstance(entry, dict):
        found.problem = f"it is {_type(entry)}, no object"
        return found
    request, response = entry.get("request"), entry.get("response")
    if not isinstance(request, dict):
        found.problem = "it has no request"
        return found
    url, method = request.get("url"), request.get("method")
    if not isinstance(url, str) or not isinstance(method, str):
        found.problem = "its request has no method and URL"
        return found
    found.method = method.strip().upper()
    found.started, found.took = _moment(entry.get("startedDateTime")), _took(entry.get("time"))
    found.path, found.problem = _path(url.strip())
    if found.path is None or not wanted(found.method, found.path):
        return found
    if not isinstance(response, dict):
        found.problem = "it has no response"
        return found
    try:
        found.exchange = _exchange(entry, found, url.strip(), response, attached, limit)
        found.problem = None
    except _Unusable as error:
        found.problem = str(error)
    return found


class _Unusable(Exception):
    """Nothing of the entry's answer can be used; the message says why."""


def _path(url: str) -> tuple[str | None, str | None]:
    """The path of a URL, also where its host is no host any more; and what is odd about it."""
    try:
        return urlsplit(url).path or "/", None
    except ValueError:
        found = re.match(r"[a-z][a-z0-9+.-]*://[^/?#]*([^?#]*)", url, re.IGNORECASE)
        return (found[1] or "/") if found else None, "its URL is none"


def _exchange(
    entry: dict[str, Any],
    found: ArchiveEntry,
    url: str,
    response: dict[str, Any],
    attached: Attached | None,
    limit: int,
) -> Transcript:
    content = response.get("content")
    content = content if isinstance(content, dict) else {}
    headers = _headers(response.get("headers"))
    media = str(content.get("mimeType") or "").strip()
    known = media_type(media) not in _UNKNOWN
    if known and not any(key.lower() == "content-type" for key, _ in headers):
        headers.append(["content-type", media])
    timings = entry.get("timings")
    seconds = _seconds(timings.get("wait") if isinstance(timings, dict) else None)
    status = _status(response.get("status"))
    exchange = Transcript(
        {
            "request": {
                "method": found.method,
                "url": found.path if found.problem else url,
                "body": _sent(entry["request"]),
            },
            "response": {
                "status": status,
                "reason": str(response.get("statusText") or ""),
                "headers": headers,
                "t": seconds,
            },
            "timing": "har",
        }
    )
    body, exchange.doubt = _body(content, headers, status, attached, limit)
    if body:
        exchange.pieces.append((seconds, body, False))
    error = error_of(entry, response)
    _end(exchange, status, error, seconds)
    if body is None and error is None and exchange.doubt is not None:
        exchange.end = None
    return exchange


def _end(exchange: Transcript, status: int | None, error: str | None, seconds: float) -> None:
    kind, message = EndKind.COMPLETE, error or ""
    if error is not None:
        kind = end_of(error) or EndKind.CANCELLED
    fault = FAULT_OF.get(kind)
    if kind is EndKind.RESET and status is None:
        fault = "environment"  # as `End.of` has it: no head had come
    if fault == "api":
        exchange.doubt = None  # it is known why the body is not whole
    if kind is EndKind.CANCELLED:
        exchange.doubt = CLIENT_ERROR
        fault = None
    elif status is None and error is None:
        exchange.doubt = NO_ANSWER
    elif status in _CHANGED and error is None:
        kind, fault = EndKind.REDIRECT, "api"
        message = f"redirect {status} is not followed: only 307 and 308 keep method and body"
    elif status in _FOLLOWED and error is None:
        kind, fault, message = EndKind.REDIRECT, "harness", f"redirect {status}"
    exchange.end = {
        "kind": kind.value,
        "fault_of": fault,
        "message": message,
        "cut": None,
        "t": seconds,
    }


# --- parts of an entry ----------------------------------------------------------------------------


def _headers(value: Any) -> list[list[str]]:
    """Names and values, as a list of objects (HAR) or as one object (some tools)."""
    pairs: Iterator[tuple[Any, Any]]
    if isinstance(value, dict):
        pairs = ((name, one) for name, each in value.items() for one in _listed(each))
    elif isinstance(value, list):
        pairs = ((each.get("name"), each.get("value")) for each in value if isinstance(each, dict))
    else:
        return []
    return [
        [name, str(text)]
        for name, text in pairs
        if isinstance(name, str) and name and not name.startswith(":") and text is not None
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _status(value: Any) -> int | None:
    """The status as a number; None where there was no answer (archives say 0 or -1)."""
    if isinstance(value, str) and re.fullmatch(
        r"\s*[0-9]{3}(?:\s.*)?", value, re.ASCII | re.DOTALL
    ):
        value = int(value.strip()[:3])
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    return value if type(value) is int and 100 <= value <= 999 else None


def _seconds(value: Any) -> float:
    """Milliseconds of an archive as seconds, 0.0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        seconds = float(value) / 1000
    except OverflowError:
        return 0.0
    return seconds if 0 <= seconds < math.inf else 0.0


def _moment(value: Any) -> float | None:
    """A moment as archives write it (ISO 8601), in seconds of Unix time; None for what is none."""
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _took(value: Any) -> float | None:
    """Milliseconds as seconds; None where an archive does not say, or says -1."""
    return _seconds(value) or None


def _sent(request: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON object that was sent; None if there was none, or another body."""
    data = request.get("postData")
    text = data.get("text") if isinstance(data, dict) else None
    if not isinstance(text, str):
        return None
    value = json_text.parse(text.encode("utf-8", "replace")).value
    return value if isinstance(value, dict) else None


def _body(
    content: dict[str, Any],
    headers: list[list[str]],
    status: int | None,
    attached: Attached | None,
    limit: int,
) -> tuple[bytes | None, str | None]:
    """The body, decompressed, and why it may not be the one that came. None where it is missing.

    Raises _Unusable for a text that is none.
    """
    if status == 304:
        return None, CACHED
    raw = _text(content, attached)
    # Whatever the body, a redirect or an odd success is judged by its status.
    missing = NO_BODY if status is None or status == _OK or status >= 400 else None
    if not raw:
        # A server that says so itself has sent nothing.
        return (b"", None) if _named(headers, "content-length") == "0" else (None, missing)
    try:
        packed = compression.unpacked(raw, "its body", limit)
        if packed is None and (coding := _named(headers, "content-encoding")):
            packed = compression.undone(raw, coding, limit)
    except UsageError as error:
        raise _Unusable(str(error)) from None
    if packed is not None:
        return packed.data, CUT_BODY if packed.cut else None
    size = content.get("size")
    cut = isinstance(size, int | float) and size > len(raw)
    return raw, CUT_BODY if cut else None


def _text(content: dict[str, Any], attached: Attached | None) -> bytes | None:
    text = content.get("text")
    file = content.get("_file")
    if not text and isinstance(file, str) and file:
        return attached(file) if attached is not None else None
    if text is None:
        return None
    if not isinstance(text, str):
        raise _Unusable(f"the text of its body is {_type(text)}, no string")
    if str(content.get("encoding") or "").strip().lower() == "base64":
        return _from_base64(text)
    if text.startswith("\x1f\x8b\x08") and all(ord(each) < 256 for each in text[:4096]):
        return text.encode("latin-1", "replace")  # compressed bytes, a character each
    if text.startswith("\x1f\ufffd"):
        raise _Unusable("its body is compressed, and was saved as if it were text")
    return text.encode("utf-8", "replace")


def _from_base64(text: str) -> bytes:
    try:
        plain = "".join(text.split()).encode("ascii")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise _Unusable("its body is said to be base64 and is not") from None


def _named(headers: list[list[str]], name: str) -> str:
    return next((value.strip() for key, value in headers if key.lower() == name), "")


def _type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


def _mark_followed(entries: list[ArchiveEntry]) -> None:
    """Mark the redirects whose target was asked with the same method later on."""
    later: set[tuple[str, str | None]] = set()
    for entry in reversed(entries):
        if entry.exchange is not None:
            response = entry.exchange.header["response"]
            if response["status"] in _FOLLOWED:
                location = _named(response["headers"], "location")
                try:
                    url = urljoin(entry.exchange.header["request"]["url"], location)
                    entry.followed = (entry.method, urlsplit(url).path or "/") in later
                except ValueError:
                    entry.followed = False
        later.add((entry.method, entry.path))
