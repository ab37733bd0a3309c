"""One HTTP/1.1 response put together from bytes (RFC 9112). No I/O, no decoding.

Heads are httptools' to read, and bodies but those in chunks (`chunked.py`), which need no parser.
Informational responses are skipped but remembered. What httptools lets pass and the standard does
not, what it refuses and the standard allows (empty elements and blanks in Transfer-Encoding), and
what it cannot know (HEAD), is decided here.
"""

from __future__ import annotations

import sys

import httptools

from soundstage.output.cutting import head
from soundstage.wire.chunked import Chunks, FramingError
from soundstage.wire.settings import Limits

_HEAD_END = b"\r\n\r\n"
#: The fields of the last head. Most of a run are the same, and kept once; nobody changes them.
_LAST: list[list[tuple[str, str]]] = [[]]


class HeadTooLargeError(Exception):
    """The head, or a run of bytes without body, is larger than the limit."""


class Message:
    """Feed it socket reads; take the body pieces from `pieces` after each.

    `head_complete`: status, reason, version and headers (lower-case names, latin-1 values) are
    final. `complete`: the message is over. `close_delimited`: only the end of the connection ends
    it. `content_length`: as announced, or None. `body_bytes`: body so far, before content decoding.
    `keep_alive`: the connection may serve another request. `surplus`: bytes followed the end.
    """

    __slots__ = (
        "_bodiless",
        "_chunks",
        "_head_limit",
        "_method",
        "_odd_coding",
        "_parser",
        "_reason",
        "_skip",
        "_tail",
        "_without_body",
        "body_bytes",
        "close_delimited",
        "complete",
        "content_length",
        "head_complete",
        "headers",
        "http_version",
        "informational",
        "keep_alive",
        "pieces",
        "status",
        "surplus",
        "trailers",
    )

    def __init__(self, method: str, limits: Limits) -> None:
        self._bodiless = False
        # Who reads a body in chunks.
        self._chunks: Chunks | None = None
        self._odd_coding = False
        # The last bytes of the head so far.
        self._tail = b""
        self._method = method
        self._head_limit = limits.head_bytes
        self._reason = b""
        self._skip = False
        self._without_body = 0
        self.body_bytes = 0
        self.close_delimited = False
        self.complete = False
        self.content_length: int | None = None
        self.head_complete = False
        self.headers: list[tuple[str, str]] = []
        self.trailers: tuple[tuple[str, str], ...] = ()
        self.http_version = ""
        self.informational: tuple[int, ...] = ()
        self.keep_alive = False
        self.status: int | None = None
        self.surplus = False
        self.pieces: list[bytes] = []
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def reason(self) -> str:
        """The reason phrase, "" if there is none."""
        return self._reason.decode("latin-1")

    def header(self, name: str) -> str | None:
        """The first value of header `name` (lower case), None if absent."""
        return next((value for key, value in self.headers if key == name), None)

    def feed(self, data: bytes) -> bytes:
        """Parse one socket read; return the body bytes in it (b"" if there are none).

        Raises FramingError or HeadTooLargeError; body that came before it stays in `pieces`.
        """
        if self._chunks is not None and (body := self._chunks.one(data)):
            self.body_bytes += len(body)
            self._without_body = 0
            return body
        further = data if self.head_complete else self._feed_head(data)
        if further and self._chunks is not None:
            self._feed_chunks(further, self._chunks)
        elif further:
            self._parse(further)
        body = self.rest()
        if body:
            self._without_body = 0
        elif not self.complete:
            self._without_body += len(data)
            if self._without_body > self._head_limit:
                raise HeadTooLargeError(
                    f"more than {self._head_limit} bytes without any body"
                    if self.head_complete
                    else f"the response head is larger than {self._head_limit} bytes"
                )
        return body

    def _feed_head(self, data: bytes) -> bytes:
        """Take the heads in a read, and return what follows. A head is fed apart from that, so that
        it is known where the body begins.
        """
        while data and not self.head_complete:
            seen = self._tail + data
            at = seen.find(_HEAD_END)
            if at < 0:
                self._tail = seen[-3:]
                self._parse(data)
                return b""
            many = at + len(_HEAD_END) - len(self._tail)
            self._tail = b""
            self._parse(data[:many])
            data = data[many:]
        if self._chunks is not None:
            self._parser = None  # it has done its part
        return data

    def _parse(self, data: bytes) -> None:
        """Let httptools read on. Raises FramingError, HeadTooLargeError."""
        parser = self._parser
        assert parser is not None
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise FramingError("the server switched protocols, which nobody asked for") from None
        except httptools.HttpParserError as error:
            if self.complete:
                self.surplus = True
            elif isinstance(error.__context__, FramingError | HeadTooLargeError):
                raise error.__context__ from None
            else:
                what = "body" if self.head_complete else "response head"
                raise FramingError(f"invalid {what}: {error}") from None
        if self._bodiless and self.pieces:
            self.surplus = True
            self.pieces.clear()

    def _feed_chunks(self, data: bytes, chunks: Chunks) -> None:
        chunks.feed(data)
        if chunks.complete and not self.complete:
            self.complete = True
            self.trailers += chunks.trailers
        self.surplus = chunks.surplus

    def rest(self) -> bytes:
        """Take the pieces that are still there: those before an error, or before surplus bytes."""
        body = b"".join(self.pieces)
        self.pieces.clear()
        self.body_bytes += len(body)
        return body

    def discard(self) -> None:
        """Let go of the parser, which holds this object."""
        self._parser = None
        self.pieces.clear()

    # What httptools calls. An exception in here comes back as the context of its own.

    def on_message_begin(self) -> None:
        if self.complete:
            raise FramingError("bytes follow the end of the message")

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_status(self, status: bytes) -> None:
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        # Interned: all responses of a target have the same few names, and most values.
        key = sys.intern(name.decode("latin-1").lower())
        field = (key, sys.intern(value.decode("latin-1").strip(" \t")))
        if self.head_complete:
            self.trailers += (field,)
        else:
            self.headers.append(field)
            if key == "transfer-encoding" and value.lower() != b"chunked":
                self._odd_coding = True

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        if 100 <= status < 200:
            self.informational += (status,)
            self._skip = True
            return
        self.status = status
        self.http_version = parser.get_http_version()
        self.head_complete = True
        self._without_body = 0
        if not self.http_version.startswith("1."):
            raise FramingError(f"the response says HTTP/{self.http_version}, not HTTP/1.1")
        if self.headers == _LAST[0]:
            self.headers = _LAST[0]
        _LAST[0] = self.headers
        size = sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._head_limit:
            raise HeadTooLargeError(f"the response head is larger than {self._head_limit} bytes")
        coding = self.header("transfer-encoding")
        if self._odd_coding:
            self._check_coding()
        length = self.header("content-length")
        self.content_length = int(length) if length else None
        self.keep_alive = parser.should_keep_alive()
        if (
            self._method == "HEAD"
            or (self._method == "CONNECT" and 200 <= status < 300)
            or (status == 205 and coding is None and length is None)
        ):
            self.complete = self._bodiless = True
        elif status not in (204, 304):
            self.close_delimited = coding is None and length is None
            if coding is not None:
                self._chunks = Chunks(self.pieces)

    def _check_coding(self) -> None:
        """The transfer coding is not the plain word, and httptools may not know what it is: an
        element of a list may be empty (RFC 9110, section 5.6.1.2), and blanks may surround it.
        """
        listed = ",".join(value for name, value in self.headers if name == "transfer-encoding")
        codings = {each.strip(" \t").lower() for each in listed.split(",")} - {""}
        if codings != {"chunked"}:
            raise FramingError(f"transfer coding {head(listed, 40)!r} was not asked for")

    def on_message_complete(self) -> None:
        if self._skip:
            self._skip = False
            self._odd_coding = False
            self.headers.clear()
            self._reason = b""
        else:
            self.complete = True
