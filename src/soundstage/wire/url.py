"""Where a request goes and what its head looks like: URLs, origins, header fields. No I/O.

Refuses whatever could smuggle a second header or request (RFC 9112 section 11.1). Messages name a
header at most, never a value, a query or a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from soundstage.errors import UsageError
from soundstage.output.cutting import head

if TYPE_CHECKING:
    from soundstage.wire.settings import Request

DEFAULT_PORTS = {"http": 80, "https": 443}
#: Fields that say how a message is framed: the transport's own business.
FRAMING_FIELDS = frozenset({"content-length", "transfer-encoding", "connection"})

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Everything that RFC 3986 lets stand in a path or query; the rest is percent-encoded.
_SAFE = "%/:?@!$&'()*+,;=-._~[]"
_WITH_CONTENT_LENGTH = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Url:
    """A URL taken apart: `host` without brackets, `path` with its query, percent-encoded."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """`host:port`, always with the port, IPv6 in brackets: the key of allowed hosts."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def host_header(self) -> str:
        """The Host field: without the scheme's default port (RFC 9110 section 7.2)."""
        if self.port == DEFAULT_PORTS[self.scheme]:
            return bracketed(self.host)
        return self.authority

    @property
    def url(self) -> str:
        """The absolute URL, normalised as far as scheme, host and port go."""
        return f"{self.scheme}://{self.host_header}{self.path}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host, port (RFC 6454)."""
        return (self.scheme, self.host, self.port)


def origin_of(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host, port (RFC 6454, section 4) of what may be an absolute URL that somebody saved;
    None if it is none. Nothing is asked there.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts.scheme, parts.hostname or "", port or DEFAULT_PORTS.get(parts.scheme)


def bracketed(host: str) -> str:
    """`host` as it stands in a URL: an IPv6 address gets its brackets."""
    return f"[{host}]" if ":" in host else host


def parse_target(url: str) -> Url:
    """Take an absolute http or https URL apart; a fragment is dropped.

    Raises UsageError for another scheme, no host, a bad port, control characters or user
    information.
    """
    # urlsplit silently removes CR, LF and TAB, so they are looked for before.
    if _CONTROL.search(url):
        raise UsageError("the URL contains control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("the URL has a malformed host or port") from None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise UsageError(f"the URL must start with http:// or https://, not {head(scheme, 20)!r}")
    if "@" in parts.netloc:
        raise UsageError("the URL contains a user name or password: give credentials as a header")
    host = parts.hostname or ""
    if not host or " " in host:
        raise UsageError("the URL names no host")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise UsageError("the host name of the URL is not valid") from None
    path = quote(parts.path, safe=_SAFE) or "/"
    if parts.query:
        path += "?" + quote(parts.query, safe=_SAFE)
    return Url(scheme, host, DEFAULT_PORTS[scheme] if port is None else port, path)


def redirected(target: Url, location: str) -> Url:
    """Where `location` leads from `target` (RFC 9110 section 10.2.2: it may be relative).

    Raises UsageError as `parse_target` does.
    """
    if _CONTROL.search(location):
        raise UsageError("it contains control characters")
    try:
        joined = urljoin(target.url, location)
    except ValueError:
        raise UsageError("it is malformed") from None
    return parse_target(joined)


def check_request(request: Request) -> None:
    """Raise UsageError for a method or header field that cannot be sent as it is."""
    if not _TOKEN.fullmatch(request.method):
        raise UsageError("the request method is not a token")
    for number, (name, value) in enumerate(request.headers, 1):
        if not _TOKEN.fullmatch(name):
            raise UsageError(f"request header number {number} has an invalid name")
        if name.lower() in FRAMING_FIELDS:
            raise UsageError(f"request header {name} is set by the transport")
        if _CONTROL_IN_VALUE.search(value):
            raise UsageError(f"the value of request header {name} contains control characters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"the value of request header {name} is not valid text") from None


def serialise(
    method: str,
    target: Url,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    *,
    keep_alive: bool,
) -> bytes:
    """The bytes of a request (RFC 9112 sections 3 and 6), head and body.

    `headers` have passed `check_request`. Values go out as UTF-8.
    """
    given = {name.lower() for name, _ in headers}
    lines = [f"{method} {target.path} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"Host: {target.host_header}")
    lines.extend(f"{name}: {value.strip()}" for name, value in headers)
    if "user-agent" not in given:
        lines.append("User-Agent: soundstage")
    if "accept-encoding" not in given:
        lines.append("Accept-Encoding: identity")
    if body or method in _WITH_CONTENT_LENGTH:
        lines.append(f"Content-Length: {len(body)}")
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body
