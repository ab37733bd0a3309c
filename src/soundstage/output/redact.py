"""What must not be kept or shown: secrets and private values.

Pure functions of their input. A `Redactor` knows the secrets of its run and never shows them.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from soundstage.output.echoes import SHORTEST, Echoes
from soundstage.output.needles import Needles, Span

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
#: A header with one of these in its name carries a secret, whoever sends it.
_TELLTALES = ("authorization", "cookie", "token", "secret", "password", "api-key", "apikey")
_URL_HEADERS = frozenset({"location", "content-location", "referer"})
#: Fields that say how a message is put together, and the words and numbers that do so.
_FRAMING_HEADERS = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}
)
_MEDIA_PART = re.compile(rb"[^,; \t]+")
_FRAMING_PART = re.compile(rb"[^,;= \t]+")
#: What stands between such parts.
_SEPARATORS = b",;= \t"
_SEGMENT = re.compile(rb"[^/]+")
_FRAMING_WORD = re.compile(
    r"[0-9]+|br|chunked|close|compress|deflate|gzip|identity|keep-alive|max|te|timeout|trailers"
    r"|upgrade|x-gzip|zstd",
    re.IGNORECASE,
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
#: A URL that is written with percent signs, from its query on.
_CODED_QUERY = re.compile(
    r"""(https?(?:%(?:25)*3A)(?:%(?:25)*2F){2}(?:(?!%(?:25)*3F)[^\s"'<>&])*%(?:25)*3F)"""
    r"""[^\s"'<>&]+""",
    re.IGNORECASE,
)
#: The query of a URL that has no scheme, and what is left of one that was cut.
_BARE_QUERY = re.compile(r"""(?<=[\w/.-])\?([\w.~%\[\]-]+=[^\s"'<>#]*)""")
_PARTS = re.compile(r"(https?://)([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|.*?)(:[0-9]*)?", re.DOTALL)
_PATH = re.compile(r"([^?#]*)(.*)", re.DOTALL)
#: What was taken out before: it stays as it is.
_MARKS = re.compile(rb"\[redacted(?: [0-9]+ chars)?\]")
_MARK = MARK.encode()
_DEPTH = 200


class Redactor:
    """Takes the secrets of a run, and unless `keep_private` its private values, out of things.

    `secrets`: API keys and the like; blank ones are ignored. `headers`: further header names whose
    values are never kept. `words`: names and values that are known (those of the contracts), which
    stay as they are even where a secret stands in them.
    """

    __slots__ = ("_headers", "_needles", "_words", "keep_private")

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
        self._needles = Needles(secrets)

    def __repr__(self) -> str:
        return f"Redactor(keep_private={self.keep_private})"

    def hiding(self, texts: Iterable[str]) -> Redactor:
        """This one, which also takes out `texts`, people's own words that were sent: whole where
        they have eight characters or more, and longer pieces of them. With `keep_private`, itself.
        """
        if self.keep_private:
            return self
        own = [text for text in texts if len(text) >= SHORTEST and text not in self._words]
        if not own:
            return self
        other = copy.copy(self)
        other._needles = self._needles.beside(Echoes(own).spans)
        return other

    def knowing(self, words: Iterable[str]) -> Redactor:
        """This one, for which `words` are known, too."""
        other = copy.copy(self)
        other._words = self._words.union(words)
        return other

    def may_hold(self, data: bytes) -> bool:
        """Whether something that is to go stands in bytes, however it is written."""
        return self._needles.stand_in(data)

    def text(self, text: str) -> str:
        """`text` with every known secret, however encoded, replaced by the mark."""
        if not self._needles:
            return text
        data = text.encode("utf-8", "surrogatepass")
        kept = self.data(data)
        return text if kept is data else kept.decode("utf-8", "surrogatepass")

    def data(self, data: bytes) -> bytes:
        """The same for bytes (taken as UTF-8); the same object if nothing is to go."""
        return _without(data, self._found(data)) if self._needles else data

    def part(self, text: str, start: int, end: int) -> str:
        """What stands in `text` from `start` to `end`, without secrets: one that begins before or
        ends behind it goes as well. At most `end - start` characters.
        """
        reach = self._needles.reach
        first = max(0, start - reach)
        window = text[first : end + reach]
        before, here = window[: start - first], window[start - first : end - first]
        data = window.encode("utf-8", "surrogatepass")
        at = len(before.encode("utf-8", "surrogatepass"))
        many = len(here.encode("utf-8", "surrogatepass"))
        kept = _between(data, self._found(data, cut=True), at, at + many)
        return kept.decode("utf-8", "surrogatepass")[: end - start]

    def beginning(self, data: bytes, most: int) -> bytes:
        """The first `most` bytes, without secrets, also such as end behind them."""
        window = data[: most + self._needles.reach]
        return _between(window, self._found(window, cut=True), 0, most)[:most]

    def message(self, text: str) -> str:
        """What is said about an answer, without secrets, even such as were cut when they were
        quoted, and unless `keep_private` without the values of queries of URLs.
        """
        if not self.keep_private:
            text = self.links(text)
            if "?" in text:
                text = _BARE_QUERY.sub(lambda query: "?" + _without_values(query[1]), text)
        if not self._needles:
            return text
        data = text.encode("utf-8", "surrogatepass")
        spans = self._found(data, cut=True)
        return _without(data, spans).decode("utf-8", "surrogatepass") if spans else text

    def _found(self, data: bytes, *, cut: bool = False) -> list[Span]:
        """What is to go from bytes: not what was taken out before, nor, of what was cut, a word."""
        spans = self._needles.spans(data, cut=cut)
        if spans and _MARK[:9] in data:
            marks = [mark.span() for mark in _MARKS.finditer(data)]
            spans = [
                (start, end)
                for start, end in spans
                if not any(start < last and first < end for first, last in marks)
            ]
        if cut:
            words = self._words
            spans = [
                each for each in spans if data[slice(*each)].decode(errors="replace") not in words
            ]
        return spans

    def name(self, name: str) -> str:
        """The name of a member without secrets; one that is known stays."""
        return name if name in self._words else self.text(name)

    def value(self, value: str) -> str:
        """A text value without secrets; one that is known stays, and of a URL its scheme."""
        if not self._needles or value in self._words:
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
            if lower in self._headers or any(each in lower for each in _TELLTALES):
                value = MARK
            elif lower in _URL_HEADERS:
                value = self.url(value)
            elif lower == "content-type":
                value = self._but(value, _MEDIA_PART, self._words.__contains__)
            elif lower in _FRAMING_HEADERS:
                value = self._but(value, _FRAMING_PART, _is_framing)
            else:
                value = self.text(value if self.keep_private else self.links(value))
            if lower not in _READ_HEADERS:
                name = self.name(name)
            kept.append((name, value))
        return kept

    def _but(self, value: str, part: re.Pattern[bytes], known: Callable[[str], bool]) -> str:
        """A value without secrets, but for what of them stands in a part of it that is known, or is
        nothing but what parts such parts from each other.
        """
        data = value.encode("utf-8", "surrogatepass")
        spans = self._found(data)
        for start, end in (each.span() for each in part.finditer(data)) if spans else ():
            if known(data[start:end].decode("utf-8", "replace")):
                pieces = (((a, min(b, start)), (max(a, end), b)) for a, b in spans)
                spans = [(a, b) for both in pieces for a, b in both if a < b]
        spans = [(a, b) for a, b in spans if data[a:b].strip(_SEPARATORS)]
        return _without(data, spans).decode("utf-8", "surrogatepass") if spans else value

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
            query = _without_values(query) if query else ""
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
        whole = f"{scheme}{authority}{rest}"
        data = whole.encode("utf-8", "surrogatepass")
        spans = self._found(data) if self._needles else []
        if not spans:
            return whole
        (host, port), (path, _) = _parts(_AUTHORITY, authority), _parts(_PATH, rest)
        lengths = [
            len(each.encode("utf-8", "surrogatepass")) for each in (scheme, host, port, path)
        ]
        begin, end_of_host, end, end_of_path = itertools.accumulate(lengths)
        known = host in self._words or _is_address(host)
        # What is never taken out: scheme, port, and addresses and hosts that are known.
        fixed = [(0, end_of_host if known else begin), (end_of_host, end)]
        segments = [each.span() for each in _SEGMENT.finditer(data, end, end_of_path)]
        fixed_segments = [
            (a, b) for a, b in segments if data[a:b].decode("utf-8", "replace") in self._words
        ]
        kept, done = [], 0
        for start, after in _outside(spans, fixed):
            if any(a <= start and after <= b for a, b in fixed_segments):
                continue
            kept.append(data[done:start])
            if start < end:  # brackets are IPv6's
                kept.append(_MARK.strip(b"[]"))
                if after > end and data[after : after + 1] not in (b"", b"/", b"?", b"#"):
                    kept.append(b"/")
            else:
                kept.append(b"/" + _MARK if start == end and begin < end else _MARK)
            done = after
        return b"".join([*kept, data[done:]]).decode("utf-8", "surrogatepass")

    def links(self, text: str) -> str:
        """`text` with every http(s) URL in it put through `url`; one that is written with percent
        signs loses its query.
        """
        if "%" in text and not self.keep_private:
            text = _CODED_QUERY.sub(lambda found: found[1] + MARK, text)
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

    def document(self, value: Any) -> Any:
        """A JSON value without secrets: texts go through `value`, names through `name`; numbers
        stay. Below depth 200 everything is dropped.
        """
        return self._document(value, 0)

    def _document(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.value(value)
        if depth > _DEPTH:
            return MARK
        if isinstance(value, Mapping):
            inner = ((str(key), item) for key, item in value.items())
            return {self.name(key): self._document(item, depth + 1) for key, item in inner}
        if isinstance(value, list | tuple):
            return [self._document(item, depth + 1) for item in value]
        return value

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


def _without(data: bytes, spans: list[Span]) -> bytes:
    """Bytes with the mark in place of each span; the same object if there is none."""
    if not spans:
        return data
    kept, done = [], 0
    for start, end in spans:
        kept += [data[done:start], _MARK]
        done = end
    return b"".join([*kept, data[done:]])


def _between(data: bytes, spans: list[Span], first: int, last: int) -> bytes:
    """What of bytes stands from `first` to `last`, the mark in place of each span."""
    kept, done = [], first
    for start, end in spans:
        if end > first and start < last:
            kept += [data[done : max(done, start)], _MARK]
            done = end
    return b"".join([*kept, data[done:last]])


def _outside(spans: list[Span], fixed: list[Span]) -> list[Span]:
    """What of each span lies outside of all that is fixed (which is in order)."""
    left = []
    for start, end in spans:
        for first, after in fixed:
            if first < after and first < end and start < after:
                if start < first:
                    left.append((start, first))
                start = after
        if start < end:
            left.append((start, end))
    return left


def _is_framing(part: str) -> bool:
    return _FRAMING_WORD.fullmatch(part) is not None


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


def _without_values(query: str) -> str:
    return "&".join(map(_without_value, query.split("&")))


def _without_value(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MARK}" if equals else MARK
