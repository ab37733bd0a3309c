"""What has come of the answer to one request: its head, its body so far, and how it ended.

Bytes in, body out; no I/O. What the server does wrong never raises here: it becomes `Answer.end`.
"""

from __future__ import annotations

import time

from soundstage.wire.chunked import FramingError
from soundstage.wire.content_coding import ContentDecoder, DecodingError, decoder_for
from soundstage.wire.end import End, EndCause, EndKind
from soundstage.wire.http_message import HeadTooLargeError, Message
from soundstage.wire.settings import Limits
from soundstage.wire.trace import Hop, Timestamps

# A body of one-byte chunks takes six bytes each; what needs more than this is an attack.
_WIRE_PER_BODY = 8
_Trouble = tuple[EndKind, str]


class Answer:
    """`status` is None when no head came. `reason`, `http_version` ("1.1"), `headers` ((lower-case
    name, value), in order), `trailers`: of the last hop. `hops`: redirects, followed or not.
    `informational`: statuses of skipped 1xx responses. `reused`: on a kept-alive connection.
    `wire_bytes`: bytes received over all hops, heads and framing included, after TLS.
    `body_bytes`: body so far, decoded. `end`: set when the exchange is over.
    """

    __slots__ = (
        "_decode",
        "_decoder",
        "_heads",
        "_limits",
        "_reusable",
        "_wire_limit",
        "body_bytes",
        "end",
        "headers",
        "hops",
        "http_version",
        "informational",
        "reason",
        "reused",
        "status",
        "times",
        "trailers",
        "wire_bytes",
    )

    def __init__(self, start_ns: int, limits: Limits, *, decode_content: bool) -> None:
        self._limits = limits
        self._decode = decode_content
        self._decoder: ContentDecoder | None = None
        # How many heads have come, informational ones included.
        self._heads = 0
        # Whether the connection can serve another request once this one is over.
        self._reusable = False
        self._wire_limit = limits.head_bytes + _WIRE_PER_BODY * limits.body_bytes
        self.times = Timestamps(start_ns)
        self.status: int | None = None
        self.reason = ""
        self.http_version = ""
        self.headers: list[tuple[str, str]] = []
        self.trailers: tuple[tuple[str, str], ...] = ()
        self.hops: tuple[Hop, ...] = ()
        self.informational: list[int] = []
        self.reused = False
        self.wire_bytes = 0
        self.body_bytes = 0
        self.end: End | None = None

    def header(self, name: str) -> str | None:
        """The first value of a response header, by its name in any case; None if absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    # The rest is for Response.

    def feed(self, data: bytes, message: Message, at_ns: int) -> bytes:
        """What a socket read adds to the body, b"" if nothing; may set `end`."""
        self.wire_bytes += len(data)
        trouble: _Trouble | None = None
        try:
            body = message.feed(data)
        except FramingError as error:
            trouble = (EndKind.FRAMING, str(error))
            body = message.rest()
        except HeadTooLargeError as error:
            trouble = (EndKind.CAP, str(error))
            body = b""
        if self.status is None:
            trouble = self._take_head(message, at_ns) or trouble
        if body:
            size = self.body_bytes + len(body)
            if (
                self._decoder is None
                and size <= self._limits.body_bytes
                and self.wire_bytes <= self._wire_limit
            ):
                self.body_bytes = size
            else:
                body, over = self._accept(body)
                trouble = over or trouble
        if message.complete or trouble is not None:
            self._conclude(message, trouble, at_ns)
        return body

    def closed(self, message: Message, *, clean: bool) -> None:
        """The peer ended the connection (`clean`: and said so, over TLS): is that an end of the
        message?
        """
        if not message.head_complete:
            if self.reused and self.times.first_byte_ns is None:
                # Both ends gave the idle connection up at once: nobody broke a rule.
                self.over(EndKind.RESET, "the kept-alive connection had just been closed")
                return
            what = "without a response" if self.times.first_byte_ns is None else "in the head"
            self.over(EndKind.TRUNCATED, f"the server closed the connection {what}")
        elif not message.close_delimited:
            if message.content_length is None:
                cut = "before the last chunk"
            else:
                cut = f"after {message.body_bytes} of {message.content_length} bytes of body"
            self.over(EndKind.TRUNCATED, f"the server closed the connection {cut}")
        elif not clean:
            # RFC 9112 section 9.8: without close_notify such a body may have been cut.
            self.over(
                EndKind.TRUNCATED, "the connection ended without TLS close_notify, body incomplete"
            )
        else:
            self._conclude(message, None, time.monotonic_ns(), EndKind.CLOSED)

    def _take_head(self, message: Message, at_ns: int) -> _Trouble | None:
        """Note what the first reads of a response tell; return the trouble with it, if any."""
        if self.times.first_byte_ns is None:
            self.times.first_byte_ns = at_ns
        if message.informational:
            self.informational += message.informational
            self._heads += len(message.informational)
            message.informational = ()
        if not message.head_complete:
            return None
        self._heads += 1
        self.times.head_ns = at_ns
        self.status = message.status
        self.reason = message.reason
        self.http_version = message.http_version
        self.headers = message.headers
        if self._decode:
            codings = ",".join(v for k, v in message.headers if k == "content-encoding")
            try:
                self._decoder = decoder_for(codings)
            except DecodingError as error:
                return (EndKind.CONTENT_ENCODING, str(error))
        return None

    def _accept(self, body: bytes) -> tuple[bytes, _Trouble | None]:
        """Decode and count a piece of body; return it, cut at the cap, and the trouble with it."""
        limit = self._limits.body_bytes
        room = limit - self.body_bytes
        trouble: _Trouble | None = None
        if self._decoder is not None:
            body = self._decoder.feed(body, room + 1)
            if self._decoder.error is not None:
                trouble = (EndKind.CONTENT_ENCODING, str(self._decoder.error))
        if len(body) > room:
            body = body[:room]
            trouble = (EndKind.CAP, f"the body is larger than {limit} bytes")
        elif self.wire_bytes > self._wire_limit:
            trouble = (EndKind.CAP, f"more than {self._wire_limit} bytes for a capped body")
        self.body_bytes += len(body)
        return body, trouble

    def _conclude(
        self,
        message: Message,
        trouble: _Trouble | None,
        at_ns: int,
        good: EndKind = EndKind.COMPLETE,
    ) -> None:
        """The message is over, or in trouble: decide which end that is."""
        self.trailers = message.trailers
        if trouble is None and self._decoder is not None and message.body_bytes:
            try:
                self._decoder.finish()
            except DecodingError as error:
                trouble = (EndKind.CONTENT_ENCODING, str(error))
        if trouble is None and message.surplus:
            trouble = (EndKind.FRAMING, "bytes follow the end of the message")
        if trouble is not None:
            self.over(trouble[0], trouble[1], at_ns)
        else:
            self._reusable = good is EndKind.COMPLETE and message.keep_alive
            self.over(good, "", at_ns)

    def over(
        self,
        kind: EndKind,
        message: str,
        at_ns: int | None = None,
        *,
        ours: bool = False,
        cause: EndCause | None = None,
    ) -> None:
        """Set the end, once. `ours`: a limit of the harness is the reason."""
        if self.end is None:
            at_ns = time.monotonic_ns() if at_ns is None else at_ns
            answered = self.status is not None
            self.end = End.of(kind, message, at_ns, answered=answered, ours=ours, cause=cause)

    def forget(self) -> None:
        """Forget head, body and end of this hop, for a redirect that is followed."""
        self._decoder = None
        self._reusable = False
        self.status = None
        self.reason = self.http_version = ""
        self.headers, self.trailers = [], ()
        self.body_bytes = 0
        self.end = None
        self.times = Timestamps(self.times.start_ns)
