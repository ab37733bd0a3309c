"""The body of a response as it arrives, with arrival times, until it ends for whatever reason.

The network and the server never raise here: what they do becomes `Response.end`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Literal, Self

from soundstage.wire.channel import Channel, TlsError
from soundstage.wire.decoding import Decoder, DecodingError, decoder_for
from soundstage.wire.ending import End, EndKind
from soundstage.wire.message import FramingError, HeadTooLargeError, Message
from soundstage.wire.observed import Hop, Read, Times
from soundstage.wire.settings import Limits
from soundstage.wire.wakeups import Wakeups, WakeupsOf

#: Takes a piece of body as `Read` has it: data, at_ns, last. True: no more is wanted.
Take = Callable[[bytes, int, bool], bool]
_SECOND_NS = 1_000_000_000
# A body of one-byte chunks takes six bytes each; what needs more than this is an attack.
_WIRE_PER_BODY = 8


class Response:
    """The answer to one request. A context manager; made by `Transport.open` only.

    `status` is None when no head came. `reason`, `http_version` ("1.1"), `headers` ((lower-case
    name, value), in order), `trailers`: of the last hop. `hops`: redirects, followed or not.
    `informational`: statuses of skipped 1xx responses. `reused`: on a kept-alive connection.
    `wire_bytes`: bytes received over all hops, heads and framing included, after TLS.
    `body_bytes`: body so far, decoded. `end`: set when the exchange is over.
    """

    __slots__ = (
        "_channel",
        "_deadline_ns",
        "_decode",
        "_decoder",
        "_expired",
        "_idle_left_ns",
        "_idle_ns",
        "_limits",
        "_message",
        "_pending",
        "_relaxed_s",
        "_relaxed_until_ns",
        "_release",
        "_stamped",
        "_tight",
        "_total_is_next",
        "_unstamped",
        "_waiting_ns",
        "_wakeups",
        "_wakeups_of",
        "_watched",
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

    def __init__(
        self,
        start_ns: int,
        limits: Limits,
        *,
        decode_content: bool,
        watched: bool = False,
        wakeups: WakeupsOf | None = None,
    ) -> None:
        self._channel: Channel | None = None
        self._message: Message | None = None
        self._release: Callable[[Channel], None] | None = None
        self._limits = limits
        self._decode = decode_content
        self._decoder: Decoder | None = None
        self._pending: Read | None = None
        self._idle_ns = int(limits.idle_s * _SECOND_NS)
        self._deadline_ns = start_ns + int(limits.total_s * _SECOND_NS)
        self._relaxed_until_ns = self._deadline_ns - self._idle_ns
        # The socket's timeout between pieces of body; None if somebody calls `expire`.
        self._relaxed_s = None if watched else limits.idle_s
        self._watched = watched
        self._wakeups_of = wakeups
        self._wakeups: Wakeups | None = None
        # Since when a read is waited for without a timeout, 0 if none is.
        self._waiting_ns = 0
        self._expired: EndKind | None = None
        # What is left of the idle time after reads that brought nothing.
        self._idle_left_ns = self._idle_ns
        # The socket's timeout must be set before the next read.
        self._tight = True
        self._total_is_next = False
        self._stamped = 0
        self._unstamped = 0
        self._wire_limit = limits.head_bytes + _WIRE_PER_BODY * limits.body_bytes
        self.times = Times(start_ns)
        self.status: int | None = None
        self.reason = ""
        self.http_version = ""
        self.headers: list[tuple[str, str]] = []
        self.trailers: list[tuple[str, str]] = []
        self.hops: list[Hop] = []
        self.informational: list[int] = []
        self.reused = False
        self.wire_bytes = 0
        self.body_bytes = 0
        self.end: End | None = None

    def header(self, name: str) -> str | None:
        """The first value of a response header, by its name in any case; None if absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)

    @property
    def stamped_reads(self) -> int:
        """Socket reads whose arrival the kernel stamped."""
        return self._stamped + (self._channel.stamped if self._channel else 0)

    @property
    def unstamped_reads(self) -> int:
        """Socket reads timed by the clock after the read."""
        return self._unstamped + (self._channel.unstamped if self._channel else 0)

    @property
    def timing_source(self) -> Literal["kernel", "userspace"]:
        """ "userspace" as soon as one read had no stamp from the kernel."""
        return "userspace" if self.unstamped_reads else "kernel"

    def reads(self) -> Iterator[Read]:
        """Body pieces as they arrive; stops when the body is over, and `end` says why.

        Blocks between pieces for at most `Limits.idle_s`. May be left and called again.
        """
        pending = self._pending
        if pending is not None:
            self._pending = None
            yield pending
        while self.end is None:
            read = self._next()
            if read is not None:
                yield read

    def pump(self, take: Take) -> None:
        """Give each piece of body to `take` as it arrives, until the body is over (`end` says why)
        or `take` says True.

        As `reads`, but with `Settings.wakeups` it is the event loop that calls `take`, which then
        must not wait for anything. What `take` raises is raised here.
        """
        pending, self._pending = self._pending, None
        if pending is not None and take(*pending):
            return
        channel = self._channel
        if self._wakeups_of is None or channel is None or self.end is not None:
            for read in self.reads():
                if take(*read):
                    return
            return
        self._waiting_ns = self._waiting_ns or time.monotonic_ns()
        if channel.more and self._ready(take):
            return
        wakeups = self._wakeups = self._wakeups_of(channel.sock.fileno())
        try:
            wakeups.run(partial(self._ready, take))
        finally:
            self._wakeups = None
            self._waiting_ns = 0

    def close(self) -> None:
        """Give the connection up. If the body was not over, the end is `cancelled`.

        May be called while another thread or greenlet waits in `reads`, which then stops.
        """
        channel = self._channel
        if self.end is None:
            # Set before the reader wakes, which must not take this for an end of the stream.
            self.end = End.of(
                EndKind.CANCELLED,
                "closed by the caller before the end",
                time.monotonic_ns(),
                answered=self.status is not None,
            )
            if channel is not None:
                channel.interrupt()
        self._leave(reusable=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # The rest is between this class and Transport.

    def begin(
        self, channel: Channel, method: str, release: Callable[[Channel], None] | None
    ) -> None:
        """Read from `channel` next; `release` takes it back when it can serve another request."""
        self._channel = channel
        self._release = release
        self._message = Message(method, self._limits)
        self._tight = True
        self._idle_left_ns = self._idle_ns

    def send(self, data: bytes) -> None:
        """Send the request. A server that stops reading may still have answered: no end then."""
        channel = self._channel
        assert channel is not None
        left = self._deadline_ns - time.monotonic_ns()
        if left <= 0:
            return self._total_timeout()
        channel.set_timeout(min(left, self._idle_ns) / _SECOND_NS)
        try:
            channel.send(data)
            self.times.sent_ns = time.monotonic_ns()
        except TimeoutError:
            if time.monotonic_ns() >= self._deadline_ns:
                return self._total_timeout()
            self._finish(
                EndKind.IDLE_TIMEOUT, f"the request was not taken within {self._limits.idle_s:g} s"
            )
        except OSError:
            pass
        except TlsError as error:
            self._finish(EndKind.TLS, str(error))
        self._idle_left_ns = self._idle_ns
        return None

    def read_head(self) -> None:
        """Read until the head is complete, the exchange is over, or both."""
        while self.end is None and self.status is None:
            self._pending = self._next()

    def next_hop(self) -> None:
        """Forget this hop's connection, head and body, for a redirect that is followed."""
        self._leave(reusable=False)
        self._pending = None
        self._decoder = None
        self.status = None
        self.reason = self.http_version = ""
        self.headers, self.trailers = [], []
        self.body_bytes = 0
        self.end = None
        self.times = Times(self.times.start_ns)

    def refuse_redirect(self, message: str, *, ours: bool) -> None:
        """End the exchange at a redirect; `ours` if a limit of the harness is the reason."""
        self.end = None
        self._pending = None
        self._finish(EndKind.REDIRECT, message, ours=ours)

    def fail(self, kind: EndKind, message: str) -> None:
        """End the exchange before it could begin."""
        self._finish(kind, message)

    def expire(self, now_ns: int) -> None:
        """End a wait that has lasted too long at `now_ns`; called by another thread or greenlet."""
        waiting, channel = self._waiting_ns, self._channel
        if not waiting or channel is None or self._expired is not None:
            return
        if now_ns >= self._deadline_ns:
            self._expired = EndKind.TOTAL_TIMEOUT
        elif now_ns - waiting >= self._idle_ns:
            self._expired = EndKind.IDLE_TIMEOUT
        else:
            return
        channel.interrupt()

    def past_deadline(self) -> bool:
        """End the exchange, and return True, if its time is over."""
        if self.end is None and time.monotonic_ns() >= self._deadline_ns:
            self._total_timeout()
        return self.end is not None

    def _next(self) -> Read | None:
        """One socket read: what it adds to the body, or None; may set `end`."""
        channel, message = self._channel, self._message
        if channel is None or message is None:
            return None
        began = 0
        if self._tight:
            began = time.monotonic_ns()
            if not self._arm(channel, began):
                return None
        elif self._watched:
            self._waiting_ns = time.monotonic_ns()
        try:
            data = channel.receive()
        except (OSError, TlsError) as error:
            self._lost(error)
            return None
        self._waiting_ns = 0
        if self.end is not None:  # closed meanwhile
            return None
        body = self._digest(data, channel, message)
        if self._channel is None:  # that was the end
            pass
        elif not body:
            self._fruitless(began)
        else:
            now = time.monotonic_ns()
            if self._tight or now > self._relaxed_until_ns:
                # Back to the plain idle timeout, unless the end of all time is near.
                self._idle_left_ns = self._idle_ns
                self._total_is_next = False
                self._tight = now > self._relaxed_until_ns
                channel.set_timeout(self._relaxed_s)
            if now >= self._deadline_ns:
                self._total_timeout()
        return Read(body, channel.at_ns, message.complete) if body else None

    def _ready(self, take: Take) -> bool:
        """The socket can be read: read it, once, without waiting. Whether `pump` is done."""
        while True:
            channel, message = self._channel, self._message
            if channel is None or message is None:
                return True
            try:
                data = channel.poll()
            except (OSError, TlsError) as error:
                self._lost(error)
                return True
            if data is None:
                return False
            body = self._digest(data, channel, message)
            if body:
                # Since when more is waited for, by the clock that `expire` goes by.
                self._waiting_ns = time.monotonic_ns()
                if take(body, channel.at_ns, message.complete):
                    return True
            if self.end is not None:
                return True
            if not channel.more:
                return False

    def _lost(self, error: OSError | TlsError) -> None:
        """End the exchange, as a read has failed."""
        if isinstance(error, TlsError):
            self._finish(EndKind.TLS, str(error))
        elif self._expired is not None:
            self._expire_now()
        elif isinstance(error, TimeoutError) and error.errno is None:
            if self._total_is_next:
                self._total_timeout()
            else:
                self._idle_timeout()
        elif isinstance(error, TimeoutError):  # the kernel gave up resending: ETIMEDOUT
            self._finish(EndKind.RESET, "the connection was lost")
        else:
            lost = "reset by the peer" if isinstance(error, ConnectionError) else "lost"
            where = "" if self.status is not None else " before the response head"
            self._finish(EndKind.RESET, f"the connection was {lost}{where}")

    def _digest(self, data: bytes | None, channel: Channel, message: Message) -> bytes:
        """What a socket read adds to the body, b"" if nothing; may set `end`."""
        if not data:
            if data is None:
                pass
            elif self._expired is not None:
                self._expire_now()
            else:
                self._closed(channel, message)
            return b""
        self.wire_bytes += len(data)
        trouble: tuple[EndKind, str] | None = None
        try:
            body = message.feed(data)
        except FramingError as error:
            trouble = (EndKind.FRAMING, str(error))
            body = message.rest()
        except HeadTooLargeError as error:
            trouble = (EndKind.CAP, str(error))
            body = b""
        if self.status is None:
            trouble = self._take_head(message, channel.at_ns) or trouble
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
            self._conclude(message, trouble, channel.at_ns)
        return body

    def _arm(self, channel: Channel, now: int) -> bool:
        """Set the socket's timeout to what is left; end the exchange if that is nothing."""
        left = self._deadline_ns - now
        idle = self._idle_left_ns
        if left <= 0:
            self._total_timeout()
        elif idle <= 0:
            self._idle_timeout()
        else:
            self._total_is_next = left < idle
            channel.set_timeout(min(idle, left) / _SECOND_NS)
            return True
        return False

    def _fruitless(self, began_ns: int) -> None:
        """A read, waited for since `began_ns` (0: not known), brought no head and no body."""
        self._tight = True
        if began_ns:
            self._idle_left_ns -= time.monotonic_ns() - began_ns

    def _take_head(self, message: Message, at_ns: int) -> tuple[EndKind, str] | None:
        """Note what the first reads of a response tell; return the trouble with it, if any."""
        if self.times.first_byte_ns is None:
            self.times.first_byte_ns = at_ns
        if message.informational:
            self.informational += message.informational
            message.informational.clear()
            self._idle_left_ns = self._idle_ns
        if not message.head_complete:
            return None
        self.times.head_ns = at_ns
        self.status = message.status
        self.reason = message.reason
        self.http_version = message.http_version
        self.headers = message.headers
        self.trailers = message.trailers
        self._idle_left_ns = self._idle_ns
        if self._decode:
            codings = ",".join(v for k, v in message.headers if k == "content-encoding")
            try:
                self._decoder = decoder_for(codings)
            except DecodingError as error:
                return (EndKind.CONTENT_ENCODING, str(error))
        return None

    def _accept(self, body: bytes) -> tuple[bytes, tuple[EndKind, str] | None]:
        """Decode and count a piece of body; return it, cut at the cap, and the trouble with it."""
        limit = self._limits.body_bytes
        room = limit - self.body_bytes
        trouble: tuple[EndKind, str] | None = None
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

    def _closed(self, channel: Channel, message: Message) -> None:
        """The peer ended the connection: is that an end of the message?"""
        if not message.head_complete:
            if self.reused and self.times.first_byte_ns is None:
                # Both ends gave the idle connection up at once: nobody broke a rule.
                self._finish(EndKind.RESET, "the kept-alive connection had just been closed")
                return
            what = "without a response" if self.times.first_byte_ns is None else "in the head"
            self._finish(EndKind.TRUNCATED, f"the server closed the connection {what}")
        elif not message.close_delimited:
            if message.content_length is None:
                cut = "before the last chunk"
            else:
                cut = f"after {message.body_bytes} of {message.content_length} bytes of body"
            self._finish(EndKind.TRUNCATED, f"the server closed the connection {cut}")
        elif not channel.clean_close:
            # RFC 9112 section 9.8: without close_notify such a body may have been cut.
            self._finish(
                EndKind.TRUNCATED, "the connection ended without TLS close_notify, body incomplete"
            )
        else:
            self._conclude(message, None, time.monotonic_ns(), EndKind.CLOSED)

    def _conclude(
        self,
        message: Message,
        trouble: tuple[EndKind, str] | None,
        at_ns: int,
        good: EndKind = EndKind.COMPLETE,
    ) -> None:
        """The message is over, or in trouble: decide which end that is."""
        if trouble is None and self._decoder is not None and message.body_bytes:
            try:
                self._decoder.finish()
            except DecodingError as error:
                trouble = (EndKind.CONTENT_ENCODING, str(error))
        if trouble is None and message.surplus:
            trouble = (EndKind.FRAMING, "bytes follow the end of the message")
        if trouble is not None:
            self._finish(trouble[0], trouble[1], at_ns)
        else:
            reusable = good is EndKind.COMPLETE and message.keep_alive
            self._finish(good, "", at_ns, reusable=reusable)

    def _expire_now(self) -> None:
        if self._expired is EndKind.TOTAL_TIMEOUT:
            self._total_timeout()
        else:
            self._idle_timeout()

    def _idle_timeout(self) -> None:
        awaited = "the response head" if self.status is None else "more of the body"
        self._finish(
            EndKind.IDLE_TIMEOUT, f"{awaited} did not come within {self._limits.idle_s:g} s"
        )

    def _total_timeout(self) -> None:
        self._finish(
            EndKind.TOTAL_TIMEOUT, f"the exchange was not over after {self._limits.total_s:g} s"
        )

    def _finish(
        self,
        kind: EndKind,
        message: str,
        at_ns: int | None = None,
        *,
        ours: bool = False,
        reusable: bool = False,
    ) -> None:
        """Set the end, once, and let the connection go."""
        if self.end is None:
            at_ns = time.monotonic_ns() if at_ns is None else at_ns
            self.end = End.of(kind, message, at_ns, answered=self.status is not None, ours=ours)
        self._leave(reusable=reusable)

    def _leave(self, *, reusable: bool) -> None:
        channel, release, message = self._channel, self._release, self._message
        self._channel = self._release = self._message = None
        if self._wakeups is not None:
            self._wakeups.stop()
        if channel is not None:
            self._stamped += channel.stamped
            self._unstamped += channel.unstamped
            if reusable and release is not None:
                channel.stamped = channel.unstamped = 0
                release(channel)
            else:
                channel.close()
        if message is not None:
            message.discard()
