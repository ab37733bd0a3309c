"""The request behind a finding as a `curl` line: to be pasted into a shell, and without a secret.

Values in, values out. What was redacted when the run was recorded stays out; the headers that
carry keys are named by variables of the shell even where a transcript came without redaction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from soundstage.output.redact import MARK, Redactor
from soundstage.output.uris import of_url

#: Where a user keeps the key (README), and what stands for any other secret header's value.
KEY = "$SOUNDVERSE_API_KEY"
#: A longer body is left out of the line: nobody pastes it, and the transcript holds it.
BODY_LIMIT = 4_000
HEADER_LIMIT = 30

#: What curl sends or works out by itself.
_OWN = frozenset({"host", "content-length", "connection", "user-agent", "transfer-encoding"})
_SECRET = re.compile(r"auth|key|token|secret|cookie|session|passw", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}")
_METHOD = re.compile(r"[A-Z]{1,20}")


def curl(request: object) -> str | None:
    """The line for `request` of a transcript's header (method, url, headers, body); None where
    that does not hold enough to ask again.

    A private value that was redacted stands in it as `[redacted N chars]`: the question is the
    same, the words are not.
    """
    if not isinstance(request, Mapping):
        return None
    method, url = request.get("method"), request.get("url")
    if not (isinstance(method, str) and _METHOD.fullmatch(method) and isinstance(url, str)):
        return None
    if not url.lower().startswith(("http://", "https://")):
        return None
    # A fresh redactor knows no secret, but takes user, query values and fragment off a URL.
    place = of_url(Redactor().url(url))
    parts = ["curl -N", f"-X {method}", _quoted(place[:2_000])]
    parts += [f"-H {each}" for each in _headers(request.get("headers"))]
    parts += _body(request.get("body"))
    return " ".join(parts)


def _headers(headers: object) -> list[str]:
    found = []
    for each in headers if isinstance(headers, list) else ():
        if not (isinstance(each, list | tuple) and len(each) == 2):
            continue
        name, value = str(each[0]), str(each[1])
        if name.lower() in _OWN or not _NAME.fullmatch(name):
            continue
        if name.lower() == "authorization":
            found.append(f'"{name}: Bearer {KEY}"')
        elif _SECRET.search(name) or MARK in value:
            variable = re.sub("[^A-Z0-9]", "_", name.upper())
            found.append(_quoted(f"{name}: ") + f'"${variable}"')
        elif value.isascii() and value.isprintable() and len(value) <= 500:
            found.append(_quoted(f"{name}: {value}"))
    return found[:HEADER_LIMIT]


def _body(body: Any) -> list[str]:
    if body is None:
        return []
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
    if len(text) > BODY_LIMIT:
        return ["--data-binary @body"]
    if not (text.isascii() and text.isprintable()):
        # In `$'…'` a shell reads escapes: nothing that a terminal acts on is in the line itself.
        raw = text.encode("utf-8", "surrogatepass")
        return ["--data-raw $'" + "".join(map(_escaped, raw)) + "'"]
    return [f"--data-raw {_quoted(text)}"]


def _escaped(byte: int) -> str:
    if byte in b"'\\" or not 0x20 <= byte < 0x7F:
        return f"\\x{byte:02x}"
    return chr(byte)


def _quoted(text: str) -> str:
    """One word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"
