"""One HTTP/1.1 response put together from bytes (RFC 9112), by httptools. No I/O, no decoding.

Informational responses are skipped but remembered. What httptools lets pass and the standard does
not, or cannot know (HEAD), is decided here. What it refuses and the standard allows (blanks in
chunk extensions, empty elements and blanks in Transfer-Encoding) is read by `chunked.py`.
"""

from __future__ import annotations

import sys
from functools import partial

import httptools

from soundstage.output.cutting import head
from soundstage.wire.chunked import Chunks, FramingError
from soundstage.wire.settings import Limits

_HEAD_END = b"\r\n\r\n"
_LF = 0x0A


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
        "_by_hand",
        "_chunked",
        "_follower",
        "_head_limit",
        "_method",
        "_odd_coding",
        "_parser",
        "_plain",
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
        "on_body",
        "on_chunk_complete",
        "on_chunk_header",
        "pieces",
        "status",
        "surplus",
        "trailers",
    )

    def __init__(self, method: str, limits: Limits) -> None:
        self._bodiless = False
        # A chunked body that httptools reads, and whose chunks can be told apart.
        self._chunked = False
        # Where a read ended inside a chunk: who knows how far it is.
        self._follower: Chunks | None = None
        # Who reads the body in place of httptools.
        self._by_hand: Chunks | None = None
        self._odd_coding = False
        # Whether what comes is httptools' to read, without a look at it before.
        self._plain = False
        # The last bytes of the head so far.
        self._tail = b""
        self._method = method
        self._head_limit = limits.head_bytes
        self._reason: list[bytes] = []
        self._skip = False
        self._without_body = 0
        self.body_bytes = 0
        self.close_delimited = False
        self.complete = False
        self.content_length: int | None = None
        self.head_complete = False
        self.headers: list[tuple[str, str]] = []
        self.trailers: list[tuple[str, str]] = []
        self.http_version = ""
        self.informational: list[int] = []
        self.keep_alive = False
        self.status: int | None = None
        self.surplus = False
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        # Empty pieces mark where a chunk begins and ends: three pieces are a chunk. What follows
        # the last chunk of a read is the begin of a line, which does not end with LF.
        self.on_chunk_header = self.on_chunk_complete = partial(self.pieces.append, b"")
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def reason(self) -> str:
        """The reason phrase, "" if there is none."""
        return b"".join(self._reason).decode("latin-1")

    def header(self, name: str) -> str | None:
        """The first value of header `name` (lower case), None if absent."""
        return next((value for key, value in self.headers if key == name), None)

    def feed(self, data: bytes) -> bytes:
        """Parse one socket read; return the body bytes in it (b"" if there are none).

        Raises FramingError or HeadTooLargeError; body that came before it stays in `pieces`.
        """
        parser = self._parser
        assert parser is not None
        pieces = self.pieces
        body = data
        try:
            if not self._plain:
                body = self._feed(data, parser)
            if body:
                parser.feed_data(body)
        except httptools.HttpParserUpgrade:
            raise FramingError("the server switched protocols, which nobody asked for") from None
        except httptools.HttpParserError as error:
            if self.complete:
                self.surplus = True
            elif isinstance(error.__context__, FramingError | HeadTooLargeError):
                raise error.__context__ from None
            else:
                self._take_over(body, error)
        if self._bodiless and any(pieces):
            self.surplus = True
            pieces.clear()
        if pieces and not self.surplus:
            if not self._chunked:
                body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            elif self._follower is None and len(pieces) == 3 and body[-1] == _LF:
                body = pieces[1]  # one whole chunk, as most reads are
            else:
                if self._follower is not None or len(pieces) % 3 or body[-1] != _LF:
                    self._follow(body)
                body = b"".join(pieces)
            pieces.clear()
            self.body_bytes += len(body)
            self._without_body = 0
            return body
        if not self.complete:
            if self._chunked and body:
                self._follow(body)
            self._without_body += len(data)
            if self._without_body > self._head_limit:
                raise HeadTooLargeError(
                    f"more than {self._head_limit} bytes without any body"
                    if self.head_complete
                    else f"the response head is larger than {self._head_limit} bytes"
                )
        return self.rest()

    def _feed(self, data: bytes, parser: httptools.HttpResponseParser) -> bytes:
        """Take of a read what is not httptools' to read as body, and return the rest. A head is fed
        apart from what follows, so that it is known where the body begins.
        """
        while data and not self.head_complete:
            seen = self._tail + data
            at = seen.find(_HEAD_END)
            if at < 0:
                self._tail = seen[-3:]
                parser.feed_data(data)
                self._chunked = False
                data = b""
            else:
                many = at + len(_HEAD_END) - len(self._tail)
                self._tail = b""
                parser.feed_data(data[:many])
                data = data[many:]
        if self._by_hand is not None:
            self._read_by_hand(data)
            return b""
        self._plain = self.head_complete
        return data

    def _follow(self, data: bytes) -> None:
        """Note how far the chunks are after `data`, which did not end with one."""
        if self.complete:
            return
        follower = self._follower
        if follower is None:
            follower = self._follower = Chunks(_forget)
        try:
            follower.feed(data)
        except FramingError:
            # httptools lets something pass that we do not know.
            self._chunked, self._follower = False, None
        else:
            if follower.between:
                self._follower = None

    def _take_over(self, data: bytes, error: httptools.HttpParserError) -> None:
        """Read this and all that follows by hand, if that is a body in chunks that the standard
        allows. Raises FramingError with httptools' reason if it is not.
        """
        reason = f"invalid {'body' if self.head_complete else 'response head'}: {error}"
        if not self._chunked:
            raise FramingError(reason) from None
        self._by_hand = self._follower or Chunks(_forget)
        self._by_hand.emit = self.pieces.append
        self._follower, self._chunked, self._plain = None, False, False
        self.pieces.clear()
        try:
            self._read_by_hand(data)
        except FramingError:
            raise FramingError(reason) from None

    def _read_by_hand(self, data: bytes) -> None:
        chunks = self._by_hand
        assert chunks is not None
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

    def on_status(self, status: bytes) -> None:
        self._reason.append(status)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Interned: all responses of a target have the same few names.
        key = sys.intern(name.decode("latin-1").lower())
        field = (key, value.decode("latin-1").strip(" \t"))
        if self.head_complete:
            self.trailers.append(field)
        else:
            self.headers.append(field)
            if key == "transfer-encoding" and value.lower() != b"chunked":
                self._odd_coding = True

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        if 100 <= status < 200:
            self.informational.append(status)
            self._skip = True
            return
        self.status = status
        self.http_version = parser.get_http_version()
        self.head_complete = True
        self._without_body = 0
        if not self.http_version.startswith("1."):
            raise FramingError(f"the response says HTTP/{self.http_version}, not HTTP/1.1")
        size = sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._head_limit:
            raise HeadTooLargeError(f"the response head is larger than {self._head_limit} bytes")
        coding = self.header("transfer-encoding")
        if self._odd_coding:
            self._take_coding()
        else:
            self._chunked = coding is not None
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

    def _take_coding(self) -> None:
        """The transfer coding is not the plain word, and httptools may not know what it is: an
        element of a list may be empty (RFC 9110, section 5.6.1.2), and blanks may surround it.
        """
        listed = ",".join(value for name, value in self.headers if name == "transfer-encoding")
        codings = {each.strip(" \t").lower() for each in listed.split(",")} - {""}
        if codings != {"chunked"}:
            raise FramingError(f"transfer coding {head(listed, 40)!r} was not asked for")
        self._by_hand = Chunks(self.pieces.append)

    def on_message_complete(self) -> None:
        if self._skip:
            self._skip = False
            self._odd_coding = False
            self.headers.clear()
            self._reason.clear()
        else:
            self.complete = True


def _forget(data: bytes) -> None:
    """What a follower does with the data of chunks."""
