"""HTTP archives (HAR 1.2), as browsers and proxies save them: each answer becomes a transcript.

An archive has no times inside a body, so the whole of it counts as having come at once, and no
bytes that are not text, so broken UTF-8 does not survive. http://www.softwareishard.com/blog/har-12-spec/
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from soundstage.errors import UsageError
from soundstage.wire.ending import FAULT_OF, EndKind
from soundstage.wire.transcript import Transcript

_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?[ \t\r\n]*\{[ \t\r\n]*"log"[ \t\r\n]*:')
_MEDIA = re.compile(r"(?:text/event-stream|application/(?:[a-z0-9.+-]*json[a-z-]*))\b", re.ASCII)
#: What Chromium writes as `_error` where a body did not come whole.
_ERRORS = {
    "net::ERR_CONNECTION_RESET": EndKind.RESET,
    "net::ERR_CONTENT_LENGTH_MISMATCH": EndKind.TRUNCATED,
    "net::ERR_INCOMPLETE_CHUNKED_ENCODING": EndKind.TRUNCATED,
    "net::ERR_INVALID_CHUNKED_ENCODING": EndKind.FRAMING,
    "net::ERR_CONTENT_DECODING_FAILED": EndKind.CONTENT_ENCODING,
}


def looks_like_har(head: bytes) -> bool:
    """Whether a file that begins with `head` is an HTTP archive."""
    return _HEAD.match(head) is not None


def read(raw: bytes, name: str) -> list[tuple[int, Transcript]]:
    """The entries of an archive whose answer is an event stream or JSON, with their zero-based
    numbers. `name` stands in errors. Request headers are left out: they hold cookies and keys.

    An entry without its body (browsers drop those that are too large, and streams) has no end.
    Raises UsageError if the file is no archive.
    """
    try:
        archive = json.loads(raw.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not a HAR file: {error}") from error
    log = archive.get("log") if isinstance(archive, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"{name}: not a HAR file: it has no log.entries")
    found = []
    for number, entry in enumerate(entries):
        try:
            transcript = _transcript(entry)
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise UsageError(f"{name}: log.entries[{number}]: not an entry: {error!r}") from error
        if transcript is not None:
            found.append((number, transcript))
    return found


def _transcript(entry: dict[str, Any]) -> Transcript | None:
    request, response = entry["request"], entry["response"]
    content = response.get("content") or {}
    media = str(content.get("mimeType") or _header(response, "content-type"))
    if not _MEDIA.match(media.strip().lower()):
        return None
    headers = [[str(each["name"]), str(each["value"])] for each in response.get("headers", ())]
    if not _header(response, "content-type"):
        headers.append(["content-type", media])
    seconds = max(0.0, float((entry.get("timings") or {}).get("wait") or 0)) / 1000
    header = {
        "request": {"method": str(request["method"]).upper(), "url": str(request["url"])},
        "response": {
            "status": int(response["status"]) or None,
            "reason": str(response.get("statusText") or ""),
            "headers": [pair for pair in headers if not pair[0].startswith(":")],
            "t": seconds,
        },
        "timing": "har",
    }
    text = content.get("text")
    if text is None and content.get("size") != 0:
        return Transcript(header)
    text = str(text or "")
    coded = content.get("encoding") == "base64"
    body = base64.b64decode(text) if coded else text.encode("utf-8", "surrogatepass")
    kind = _ERRORS.get(str(response.get("_error")), EndKind.COMPLETE)
    end = {
        "kind": kind.value,
        "fault_of": FAULT_OF.get(kind),
        "message": str(response.get("_error") or ""),
        "cut": None,
        "t": seconds,
    }
    return Transcript(header, [(seconds, body, False)] if body else [], end)


def _header(response: dict[str, Any], name: str) -> str:
    headers = response.get("headers") or ()
    return next((str(each["value"]) for each in headers if each["name"].lower() == name), "")
