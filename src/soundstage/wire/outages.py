"""Tells the answers of gateways, proxies and bot walls from the API's own.

A gateway that cannot reach the API says nothing about the API's contract: such an answer is an
outage, and what it hides stays open. Values in, values out.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from soundstage.wire.media_type import media_type

#: Statuses that gateways give on their own behalf, with their names: RFC 9110 and 6585 (407, 408,
#: 502 to 504, 511), RFC 8470 (425), and those that no RFC knows but whose makers document them.
_NAMES: Final = {
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    425: "Too Early",
    444: "connection closed without an answer (nginx)",
    460: "client closed the connection (load balancer)",
    463: "too many X-Forwarded-For addresses (load balancer)",
    464: "protocol versions do not fit (load balancer)",
    494: "request header too large (nginx)",
    495: "client certificate refused (nginx)",
    496: "no client certificate (nginx)",
    497: "plain HTTP sent to an HTTPS port (nginx)",
    499: "client closed the request (nginx)",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    509: "bandwidth limit exceeded",
    511: "Network Authentication Required",
    520: "unknown error of the origin (content network)",
    521: "the origin is down (content network)",
    522: "connection to the origin timed out (content network)",
    523: "the origin is unreachable (content network)",
    524: "the origin took too long (content network)",
    525: "TLS handshake with the origin failed (content network)",
    526: "the origin's certificate is invalid (content network)",
    527: "the tunnel to the origin failed (content network)",
    529: "overloaded",
    530: "the origin cannot be found (content network)",
    561: "the identity provider failed (load balancer)",
    598: "network read timeout (proxy)",
    599: "network connect timeout (proxy)",
}
#: Whole families that only gateways use: content networks (52x, 53x) and proxies (59x).
_FAMILIES: Final = (range(520, 540), range(590, 600))
#: An HTML page under these is a challenge or a block page, not the word of an API that speaks JSON.
_WALLED: Final = frozenset({401, 403})
#: How many bytes tell whether a body is HTML.
_SNIFFED: Final = 512
_HTML: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--", b"<title")


def is_outage(status: int, content_type: str | None = None, body: bytes = b"") -> bool:
    """Whether an answer is a gateway's own: by its status, or as an HTML page where only a wall
    before the API would send one (401 and 403). A 429 is a rate limit, a 500 the API's own failure;
    both are no outages.
    """
    if status in _NAMES or any(status in family for family in _FAMILIES):
        return True
    return status in _WALLED and is_html(content_type, body)


def is_html(content_type: str | None, body: bytes) -> bool:
    """Whether a body is a page for people: by its media type, or by how it begins."""
    media = media_type(content_type)
    if media in ("text/html", "application/xhtml+xml"):
        return True
    return body[:_SNIFFED].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML)


def status_name(status: int) -> str:
    """What a status is called: by the gateways' documentation, else by RFC 9110; "" if by none."""
    if status in _NAMES:
        return _NAMES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error of a gateway" if any(status in each for each in _FAMILIES) else ""


def http_reason(status: int) -> str:
    """The reason for which an answer with this status leaves the contract unjudged, as a code:
    `http.502`. Such reasons are the environment's (exit code 6).
    """
    return f"http.{status}"


def reason_in_words(reason: str) -> str:
    """A reason as people read it: `http.502: Bad Gateway`; any other stays as it is."""
    area, _, number = reason.partition(".")
    if area == "http" and number.isascii() and number.isdigit():
        name = status_name(int(number))
        return f"{reason}: {name}" if name else reason
    return reason
