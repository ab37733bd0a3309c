"""What comes in on a connection, request by request (RFC 9112), by httptools. No I/O.

A head is passed on whole and is bounded. An offer to upgrade (`h2c`, `websocket`, `TLS/1.0`) is not
taken, which a server may always do (RFC 9110, section 7.8): the request is read as if the offer
were not there. httptools stops at one, and takes the body for a request of its own.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Final, Protocol

import httptools

#: The largest head of a request, and the trailers after a body, in bytes.
HEAD_LIMIT: Final = 65_536
#: How long a head may take to come, in seconds.
HEAD_S: Final = 10.0
#: How long a client that was refused may go on sending, so that it gets to see the answer.
LINGER_S: Final = 1.0

#: The scheme and the authority of a target in absolute form, as clients of proxies send it.
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#]*)")


class RefusedRequest(Exception):
    """A request that gets this answer, after which nothing more is read from its connection."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def to_bytes(self) -> bytes:
        """The whole response, in the form of the contracts' other errors."""
        body = json.dumps({"detail": self.detail}).encode()
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        return head.encode() + body


def too_slow() -> RefusedRequest:
    """The answer to a head that does not come to its end."""
    return RefusedRequest(408, "The head of the request did not come in time")


class Calls(Protocol):
    """Who gets what came: httptools' callbacks, those of a head all at once when it is whole."""

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class Incoming:
    """The requests of one connection. It has what httptools' own parser has, so that it can stand
    in its place. `waiting`: a head has begun and is not there yet. `other_host`: what the Host
    field of the last head named, where its target named another.
    """

    # There is one for each of thousands of connections.
    __slots__ = (
        "_calls",
        "_headers",
        "_heads",
        "_in_body",
        "_in_head",
        "_limit",
        "_offered",
        "_parser",
        "_size",
        "_unread",
        "_url",
        "on_body",
        "other_host",
        "waiting",
    )

    def __init__(self, calls: Calls, head_limit: int = HEAD_LIMIT) -> None:
        self._calls = calls
        self._limit = head_limit
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._offered: list[tuple[bytes, bytes]] | None = None
        self._in_head = self._in_body = False
        # Bytes that were read since the last head was whole, and those of fields in a message.
        self._unread = self._size = 0
        self._heads = 0
        self.waiting = False
        self.other_host: bytes | None = None
        self.on_body = calls.on_body
        self._parser = self._fresh()

    def _fresh(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # A request that says `Connection: close` may be followed by others, which are not read.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def get_method(self) -> bytes:
        return self._parser.get_method()

    def get_http_version(self) -> str:
        return self._parser.get_http_version()

    def should_keep_alive(self) -> bool:
        return self._parser.should_keep_alive()

    def should_upgrade(self) -> bool:
        """Never: no offer is taken."""
        return False

    def feed_data(self, data: bytes) -> None:
        """Read on. Raises RefusedRequest, after which there is nothing more to read."""
        heads, in_body = self._heads, self._in_body
        if not in_body:
            self._unread += len(data)
        try:
            while True:
                try:
                    self._parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as offer:
                    data = data[offer.args[0] :]
                    self._decline()
        except httptools.HttpParserError as error:
            raise _refusal(error) from None
        if self._in_head and self._unread > self._limit:
            raise self._too_large()
        # Line ends before a request line begin no message, and are no sign of life either.
        self.waiting = self._in_head or not (in_body or self._in_body or self._heads > heads)

    def close(self) -> None:
        """Let go of the parser, which holds this object."""
        self._parser = None  # type: ignore[assignment]

    def _decline(self) -> None:
        """Read the head once more, by a new parser, without the offer that was in it."""
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self._url, version)]
        for name, value in self._headers:
            if name.lower() != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        self._offered = self._headers
        self._parser = self._fresh()
        self._parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def _too_large(self) -> RefusedRequest:
        return RefusedRequest(431, f"The head of the request is larger than {self._limit} bytes")

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._in_head = True
        self._url, self._headers = b"", []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._limit:
            raise RefusedRequest(
                414, f"The target of the request is longer than {self._limit} bytes"
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + 4
        if self._size + len(self._url) > self._limit:
            raise self._too_large()
        if self._in_head:  # nobody reads trailers
            self._headers.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._parser.get_method() == b"CONNECT":
            raise RefusedRequest(501, "This is no proxy: it does not know CONNECT")
        if self._parser.should_upgrade():
            return
        self._in_head, self._in_body = False, True
        self._heads += 1
        self._unread = self._size = 0
        headers = self._headers if self._offered is None else self._offered
        self._offered, self._headers = None, []
        self._check(headers)
        url = self._url
        self.other_host = None
        if absolute := _ABSOLUTE.match(url):
            # RFC 9112, section 3.2.2: the host that it names counts, not that of the field.
            rest, host = url[absolute.end() :], absolute[1]
            url = rest if rest.startswith(b"/") else b"/" + rest
            for name, value in headers:
                if name.lower() == b"host" and value.lower() != host.lower():
                    self.other_host = value
            headers = [
                (name, host if name.lower() == b"host" else value) for name, value in headers
            ]
        calls = self._calls
        calls.on_message_begin()
        calls.on_url(url)
        for name, value in headers:
            calls.on_header(name, value)
        calls.on_headers_complete()

    def _check(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Raise RefusedRequest for a head that asks for what is not spoken here."""
        version = self._parser.get_http_version()
        if not version.startswith("1."):
            raise _version()
        names = [name.lower() for name, _ in headers]
        if version == "1.1" and names.count(b"host") != 1:  # RFC 9112, section 3.2
            raise RefusedRequest(400, "A request has one Host header")
        if b"transfer-encoding" in names:
            codings = [value.lower() for name, value in headers if name.lower() == _CODING]
            if codings != [b"chunked"]:  # RFC 9112, section 6.1
                raise RefusedRequest(501, "No transfer coding but chunked is known here")

    def on_message_complete(self) -> None:
        if self._in_body:  # else it is an offer that httptools stops at
            self._in_body = False
            self._calls.on_message_complete()


_CODING: Final = b"transfer-encoding"


def _refusal(error: httptools.HttpParserError) -> RefusedRequest:
    """What to answer to bytes that the parser refuses, or to what a callback refused."""
    said = error.__context__
    if isinstance(error, httptools.HttpParserCallbackError):
        return (
            said
            if isinstance(said, RefusedRequest)
            else RefusedRequest(400, "The request cannot be read")
        )
    reason = str(error)
    if "PRI" in reason or "HTTP/2" in reason or "HTTP version" in reason:
        return _version()
    return RefusedRequest(400, f"The request cannot be read: {reason}")


def _version() -> RefusedRequest:
    return RefusedRequest(505, "HTTP/1.1 and HTTP/1.0 are spoken here")
