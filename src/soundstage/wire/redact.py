"""What must not be kept or shown: secrets, private values, and text that drives a terminal.

Pure functions of their input. A `Redactor` knows the secrets of its run and never shows them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

MARK = "[redacted]"
#: Fields of bodies whose values are people's own words or ids.
PRIVATE_FIELDS = ("prompt", "lyrics", "userId", "user_id", "projectId")

_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "api-key",
        "x-auth-token",
    }
)
_URL_HEADERS = frozenset({"location", "content-location", "referer"})
_URL = re.compile(r"""https?://[^\s"'<>\\]+""", re.IGNORECASE)
# Shorter ones would match by chance all over base64 text.
_ENCODED_MINIMUM = 6
_DEPTH = 200

# Control characters (C0, DEL, C1), line and paragraph separator, bidirectional controls, invisible
# format characters and tags, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    short = _SHORT_ESCAPES.get(character)
    if short is not None:
        return short
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def terminal_safe(text: str) -> str:
    """`text` with all that could drive or deceive a terminal written as an escape (`\\x1b`).

    The result is one line that any UTF-8 stream takes. A backslash stays as it is, so the result
    is for reading, not for turning back.
    """
    return _UNSAFE.sub(_escape, text)


def _base64_cores(secret: bytes) -> Iterable[str]:
    """The base64 characters that depend on `secret` alone, for its three alignments."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret).decode()
        first = -(-offset * 8 // 6)
        whole = (offset + len(secret)) * 8 // 6
        core = encoded[first:whole]
        yield core
        yield core.replace("+", "-").replace("/", "_")


def _forms(secret: str) -> set[str]:
    """The ways in which `secret` may be written: plain, in a URL, in JSON, in base64."""
    forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for encoded in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        forms.add(encoded)
        forms.add(re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), encoded))
    raw = secret.encode("utf-8", "surrogatepass")
    if len(raw) >= _ENCODED_MINIMUM:
        forms.update(_base64_cores(raw))
    return forms


class Redactor:
    """Takes the secrets of a run, and unless `keep_private` its private values, out of things.

    `secrets`: API keys and the like; blank ones are ignored. `headers`: further header names whose
    values are never kept.
    """

    __slots__ = ("_data", "_headers", "_text", "keep_private")

    def __init__(
        self,
        secrets: Iterable[str] = (),
        *,
        keep_private: bool = False,
        headers: Iterable[str] = (),
    ) -> None:
        self.keep_private = keep_private
        self._headers = _SECRET_HEADERS | {name.lower() for name in headers}
        forms: set[str] = set()
        for secret in secrets:
            for candidate in (secret, secret.strip()):
                if candidate.strip():
                    forms |= _forms(candidate)
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._text = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        self._data = (
            re.compile(
                b"|".join(
                    re.escape(form.encode("utf-8", "surrogatepass")) for form in longest_first
                )
            )
            if forms
            else None
        )

    def __repr__(self) -> str:
        return f"Redactor(keep_private={self.keep_private})"

    def text(self, text: str) -> str:
        """`text` with every known secret, however encoded, replaced by the mark."""
        return text if self._text is None else self._text.sub(MARK, text)

    def data(self, data: bytes) -> bytes:
        """The same for bytes (taken as UTF-8)."""
        return data if self._data is None else self._data.sub(MARK.encode(), data)

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Header fields (name, value) with secret values replaced, and URLs stripped by `url`."""
        kept = []
        for name, value in headers:
            lower = name.lower()
            if lower in self._headers:
                value = MARK
            elif lower in _URL_HEADERS:
                value = self.url(value)
            kept.append((name, self.text(value)))
        return kept

    def url(self, url: str) -> str:
        """A URL without user information, fragment, and the values of its query.

        The names of the query's parameters stay: `?X-Signature=[redacted]`. With `keep_private` the
        query and fragment stay. Known secrets go in any case.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            return MARK
        authority = parts.netloc.rpartition("@")[2]
        query, fragment = parts.query, parts.fragment
        if not self.keep_private:
            query = "&".join(_without_value(pair) for pair in query.split("&")) if query else ""
            fragment = MARK if fragment else ""
        scheme = f"{parts.scheme}:" if parts.scheme else ""
        slashes = f"//{authority}" if parts.netloc else ""
        whole = scheme + slashes + parts.path
        if query:
            whole += "?" + query
        if fragment:
            whole += "#" + fragment
        return self.text(whole)

    def urls_in(self, text: str) -> str:
        """`text` with every http(s) URL in it put through `url`, and known secrets replaced."""
        return self.text(_URL.sub(lambda match: self.url(match.group()), text))

    def body(self, value: Any, private: Iterable[str] = PRIVATE_FIELDS) -> Any:
        """A JSON value with private fields replaced by `[redacted N chars]` at any depth.

        A private field that holds an array or object has every string and number in it replaced.
        Other strings go through `urls_in`, keys through `text`. With `keep_private` only known
        secrets go. The value given is not changed; below depth 200 everything is dropped.
        """
        return self._body(value, frozenset(private), False, 0)

    def _body(self, value: Any, private: frozenset[str], hide: bool, depth: int) -> Any:
        if depth > _DEPTH:
            return MARK
        if isinstance(value, str):
            return f"[redacted {len(value)} chars]" if hide else self.urls_in(value)
        if isinstance(value, dict):
            return {
                self.text(str(key)): self._body(
                    item, private, hide or (key in private and not self.keep_private), depth + 1
                )
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._body(item, private, hide, depth + 1) for item in value]
        if hide and value is not None and not isinstance(value, bool):
            return MARK
        return value


def _without_value(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MARK}" if equals else MARK
