"""The request behind a finding as a `curl` line: to be pasted into a shell, and without a secret.

Values in, values out. What was redacted when the run was recorded stays out; the headers that
carry keys are named by variables of the shell even where a transcript came without redaction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from soundstage.output.cutting import head
from soundstage.output.redact import MARK, Redactor
from soundstage.output.uris import of_url

#: Where a user keeps the key (README). On this machine an emulator takes any key.
KEY = "$SOUNDVERSE_API_KEY"
ANY_KEY = "${SOUNDVERSE_API_KEY:-any-key}"
#: A longer body is left out of the line: nobody pastes it, and the transcript holds it.
BODY_LIMIT = 4_000
HEADER_LIMIT = 30

#: What curl sends or works out by itself.
_OWN = frozenset({"host", "content-length", "connection", "user-agent", "transfer-encoding"})
_SECRET = re.compile(r"auth|key|token|secret|cookie|session|passw", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}")
_METHOD = re.compile(r"[A-Z]{1,20}")


def curl(
    request: object,
    *,
    stored: str | None = None,
    key: str = KEY,
    headers: Sequence[tuple[str, str]] = (),
) -> str | None:
    """The line for `request` of a transcript's header (method, url, headers, body); None where
    that does not hold enough to ask again. `stored` is a command that prints a body which is too
    long for a line, `key` what the shell takes for the key, `headers` are further ones.

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
    parts = ["curl -N", f"-X {method}", quoted(head(place, 2_000, end=""))]
    parts += [f"-H {each}" for each in _headers(request.get("headers"), key)]
    parts += [f"-H {quoted(f'{name}: {value}')}" for name, value in headers]
    body = request.get("body")
    if body is None:
        return " ".join(parts)
    text = body if isinstance(body, str) else json_text(body)
    if len(text) <= BODY_LIMIT:
        return " ".join([*parts, f"--data-raw {quoted(text)}"])
    return f"{stored} | {' '.join(parts)} --data-binary @-" if stored is not None else None


def json_text(value: Any) -> str:
    """JSON on one line, in ASCII."""
    return json.dumps(value, separators=(",", ":"))


def _headers(headers: object, key: str) -> list[str]:
    found = []
    for each in headers if isinstance(headers, list) else ():
        if not (isinstance(each, list | tuple) and len(each) == 2):
            continue
        name, value = str(each[0]), str(each[1])
        if name.lower() in _OWN or not _NAME.fullmatch(name):
            continue
        if name.lower() == "authorization":
            found.append(f'"{name}: Bearer {key}"')
        elif _SECRET.search(name) or MARK in value:
            variable = re.sub("[^A-Z0-9]", "_", name.upper())
            found.append(quoted(f"{name}: ") + f'"${variable}"')
        elif value.isascii() and value.isprintable() and len(value) <= 500:
            found.append(quoted(f"{name}: {value}"))
    return found[:HEADER_LIMIT]


def _escaped(byte: int) -> str:
    if byte in b"'\\" or not 0x20 <= byte < 0x7F:
        return f"\\x{byte:02x}"
    return chr(byte)


def quoted(text: str) -> str:
    """One word of a shell: of bash and zsh where it holds what is not printable ASCII, else of any
    POSIX shell.
    """
    if not (text.isascii() and text.isprintable()):
        # In `$'…'` a shell reads escapes: nothing that a terminal acts on is in the line itself.
        raw = text.encode("utf-8", "surrogatepass")
        return "$'" + "".join(map(_escaped, raw)) + "'"
    return "'" + text.replace("'", "'\\''") + "'"
