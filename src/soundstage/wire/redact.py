"""What must not be kept or shown: secrets and private values.

Pure functions of their input. A `Redactor` knows the secrets of its run and never shows them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

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
#: Fields that say how a message is put together: no secret can be in them.
_FRAMING_HEADERS = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}
)
#: Names of header fields that this harness reads, in a response or in a transcript of it.
_READ_HEADERS = _SECRET_HEADERS | _URL_HEADERS | _FRAMING_HEADERS | {"content-type", "retry-after"}
#: What the wire itself knows: media types that the framings and pages have, and the type that an
#: event has by default.
WIRE_WORDS = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/x-ndjson",
        "data",
        "event",
        "id",
        "message",
        "redacted",
        "retry",
        "text/event-stream",
        "text/html",
        "text/plain",
    }
)
_URL = re.compile(r"""https?://[^\s"'<>\\]+""", re.IGNORECASE)
_PARTS = re.compile(r"(https?://)([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|.*?)(:[0-9]*)?", re.DOTALL)
_PATH = re.compile(r"([^?#]*)(.*)", re.DOTALL)
#: What was taken out before: it stays as it is.
_MARKS = r"(\[redacted(?: [0-9]+ chars)?\])"
#: What may be written with percent signs, as far as nothing else ends it.
_QUOTED = re.compile(r"[^\s/?&=#;,\"'<>]*%[0-9A-Fa-f]{2}[^\s/?&=#;,\"'<>]*")
# Shorter ones would match by chance all over base64 text.
_ENCODED_MINIMUM = 6
_DEPTH = 200


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
    values are never kept. `words`: names and values that are known (those of the contracts), which
    stay as they are even where a secret stands in them.
    """

    __slots__ = ("_data", "_headers", "_text", "_words", "keep_private")

    def __init__(
        self,
        secrets: Iterable[str] = (),
        *,
        keep_private: bool = False,
        headers: Iterable[str] = (),
        words: Iterable[str] = (),
    ) -> None:
        self.keep_private = keep_private
        self._headers = _SECRET_HEADERS | {name.lower() for name in headers}
        self._words = WIRE_WORDS.union(words)
        forms: set[str] = set()
        for secret in secrets:
            for candidate in (secret, secret.strip()):
                if candidate.strip():
                    forms |= _forms(candidate)
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        either = "|".join([_MARKS, *map(re.escape, longest_first)])
        self._text = re.compile(either) if forms else None
        self._data = re.compile(either.encode("utf-8", "surrogatepass")) if forms else None

    def __repr__(self) -> str:
        return f"Redactor(keep_private={self.keep_private})"

    def may_hold(self, data: bytes) -> bool:
        """Whether a secret may stand in bytes, plainly or by escapes."""
        found = self._data
        return found is not None and (b"\\" in data or b"%" in data or bool(found.search(data)))

    def text(self, text: str) -> str:
        """`text` with every known secret, however encoded, replaced by the mark."""
        found = self._text
        if found is None:
            return text
        if "%" in text:
            text = _QUOTED.sub(self._quoted, text)
        return found.sub(_mark, text)

    def _quoted(self, quoted: re.Match[str]) -> str:
        """What is written with percent signs, or the mark if that says a secret."""
        said = unquote_plus(quoted[0], errors="surrogateescape")
        found = self._text.finditer(said) if self._text is not None else ()
        return MARK if any(each[1] is None for each in found) else quoted[0]

    def data(self, data: bytes) -> bytes:
        """The same for bytes (taken as UTF-8)."""
        if self._data is None:
            return data
        return self._data.sub(lambda each: each[1] or MARK.encode(), data)

    def name(self, name: str) -> str:
        """The name of a member without secrets; one that is known stays."""
        return name if name in self._words else self.text(name)

    def value(self, value: str) -> str:
        """A text value without secrets; one that is known stays, and of a URL its scheme."""
        if self._text is None or value in self._words:
            return value
        url = _PARTS.fullmatch(value)
        return self.text(value) if url is None else self._masked(*url.groups())

    def number(self, number: str, name: str | None) -> str:
        """A number as JSON: one that holds a secret becomes the mark, unless the member of this
        name is known: then it is what the contract says.
        """
        known = name in self._words or self.text(number) == number
        return number if known else f'"{MARK}"'

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Header fields (name, value) with secret values replaced, and URLs stripped by `url`."""
        kept = []
        for name, value in headers:
            lower = name.lower()
            if lower in self._headers:
                value = MARK
            elif lower in _URL_HEADERS:
                value = self.url(value)
            elif lower == "content-type":
                value = re.sub("[^,; \t]+", lambda part: self.name(part[0]), value)
            elif lower not in _FRAMING_HEADERS:
                value = self.text(value)
            if lower not in _READ_HEADERS:
                name = self.name(name)
            kept.append((name, value))
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
        if parts.scheme not in ("http", "https"):
            scheme = self.text(scheme)
        rest = parts.path
        if query:
            rest += "?" + query
        if fragment:
            rest += "#" + fragment
        return self._masked(f"{scheme}//" if parts.netloc else scheme, authority, rest)

    def _masked(self, scheme: str, authority: str, rest: str) -> str:
        """A URL without secrets, but still one: its scheme, addresses, ports, and what is known of
        hosts and paths stay.
        """
        found = self._text
        if found is None:
            return scheme + authority + rest
        (host, port), (path, query) = _parts(_AUTHORITY, authority), _parts(_PATH, rest)
        if not (host in self._words or _is_address(host)):
            host = self.text(host).replace(MARK, MARK.strip("[]"))  # brackets are IPv6's

        def kept(secret: re.Match[str]) -> str:
            start, end = path.rfind("/", 0, secret.start()) + 1, path.find("/", secret.end())
            segment = path[start:] if end < 0 else path[start:end]
            return secret[0] if segment in self._words else _mark(secret)

        path = _QUOTED.sub(self._quoted, path)
        path = found.sub(kept, path)
        if authority and path[:1] not in ("", "/"):
            path = "/" + path
        return scheme + host + port + path + self.text(query)

    def links(self, text: str) -> str:
        """`text` with every http(s) URL in it put through `url`."""
        return _URL.sub(lambda match: self.url(match.group()), text)

    def urls_in(self, text: str) -> str:
        """`text` with every http(s) URL in it put through `url`, and known secrets replaced: see
        `value`.
        """
        return self.value(self.links(text))

    def body(self, value: Any, private: Iterable[str] = PRIVATE_FIELDS) -> Any:
        """A JSON value with private fields replaced by `[redacted N chars]` at any depth.

        A private field that holds an array or object has every string and number in it replaced.
        Other strings go through `urls_in`, names through `name`, numbers through `number`. With
        `keep_private` only known secrets go. The value given is not changed; below depth 200
        everything is dropped.
        """
        return self._body(value, frozenset(private), None, False, 0)

    def _body(
        self, value: Any, private: frozenset[str], name: str | None, hide: bool, depth: int
    ) -> Any:
        if depth > _DEPTH:
            return MARK
        if isinstance(value, str):
            return f"[redacted {len(value)} chars]" if hide else self.urls_in(value)
        if isinstance(value, dict):
            return {
                self.name(str(key)): self._body(
                    item,
                    private,
                    str(key),
                    hide or (key in private and not self.keep_private),
                    depth + 1,
                )
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._body(item, private, name, hide, depth + 1) for item in value]
        if isinstance(value, bool) or value is None:
            return value
        number = json.dumps(value)
        return MARK if hide or self.number(number, name) != number else value


def _mark(secret: re.Match[str]) -> str:
    return secret[1] or MARK


def _parts(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    """The two groups of a pattern that matches every text."""
    found = pattern.fullmatch(text)
    assert found is not None
    return found[1] or "", found[2] or ""


def _is_address(host: str) -> bool:
    """Whether a host is an IP address or this machine: no secret is one."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True


def _without_value(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MARK}" if equals else MARK
