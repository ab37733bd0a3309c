"""Reads the answer to a request as it arrives, with arrival times, until it ends for whatever
reason: sockets, waiting, deadlines. What the bytes say is `answer.py`'s.

The network and the server never raise here: what they do becomes `Response.end`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Literal, Self

from soundstage.wire.answer import Answer
from soundstage.wire.channel import Channel, TlsError
from soundstage.wire.end import End, EndCause, EndKind
from soundstage.wire.http_message import Message
from soundstage.wire.settings import Limits
from soundstage.wire.trace import Read
from soundstage.wire.wakeups import Wakeups, WakeupsOf

#: Takes a piece of body as `Read` has it: data, at_ns, last. True: no more is wanted.
Take = Callable[[bytes, int, bool], bool]
#: Is told that no more comes; of what was raised meanwhile, if anything was.
Over = Callable[[BaseException | None], None]
_SECOND_NS = 1_000_000_000


class Response(Answer):
    """The answer to one request, being read. A context manager; made by `Transport.open` only."""

    __slots__ = (
        "_channel",
        "_deadline_ns",
        "_expired",
        "_idle_left_ns",
        "_message",
        "_over",
        "_pending",
        "_relaxed_s",
        "_release",
        "_stamped",
        "_take",
        "_tight",
        "_total_is_next",
        "_unstamped",
        "_waiting_ns",
        "_wakeups",
        "_wakeups_of",
        "_watched",
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
        super().__init__(start_ns, limits, decode_content=decode_content)
        self._channel: Channel | None = None
        self._message: Message | None = None
        self._release: Callable[[Channel], None] | None = None
        self._pending: Read | None = None
        self._deadline_ns = start_ns + int(limits.total_s * _SECOND_NS)
        # The socket's timeout between pieces of body; None if somebody calls `expire`.
        self._relaxed_s = None if watched else limits.idle_s
        self._watched = watched
        self._wakeups_of = wakeups
        self._wakeups: Wakeups | None = None
        self._take: Take | None = None
        self._over: Over | None = None
        # Since when a read is waited for without a timeout, 0 if none is.
        self._waiting_ns = 0
        self._expired: EndKind | None = None
        # What is left of the idle time after reads that brought nothing.
        self._idle_left_ns = limits.idle_ns
        # The socket's timeout must be set before the next read.
        self._tight = True
        self._total_is_next = False
        self._stamped = 0
        self._unstamped = 0

    @property
    def flows(self) -> bool:
        """Whether an event loop can read the body, so that nobody need wait for it (`flow`)."""
        return self._wakeups_of is not None

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

    def flow(self, take: Take, over: Over) -> None:
        """As `reads`, without waiting: from now on the event loop gives each piece of body to
        `take` as it arrives. It calls `over` when the body is over (`end` says why), `take` has
        said True, or has raised. That may be before this returns.

        Neither may wait for anything. Only where the `Settings` have `wakeups`.
        """
        self._take, self._over = take, over
        pending, self._pending = self._pending, None
        try:
            left = pending is not None and take(*pending)
        except Exception as error:  # noqa: BLE001 - whoever is told of the end raises it
            self._flown(error)
            return
        channel = self._channel
        if left or channel is None or self.end is not None:
            self._flown()
            return
        assert self._wakeups_of is not None
        self._waiting_ns = self._waiting_ns or time.monotonic_ns()
        if self._release is None:
            channel.only_polled()
        self._wakeups = self._wakeups_of(channel.sock.fileno(), self._readable)
        if channel.more:
            self._readable()

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
        self._leave()
        self._flown()

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
        self._idle_left_ns = self._limits.idle_ns

    def send(self, data: bytes) -> None:
        """Send the request. A server that stops reading may still have answered: no end then."""
        channel = self._channel
        if channel is None:  # closed meanwhile, by another thread
            return None
        left = self._deadline_ns - time.monotonic_ns()
        if left <= 0:
            return self._total_timeout()
        channel.set_timeout(min(left, self._limits.idle_ns) / _SECOND_NS)
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
            self._finish(EndKind.TLS, str(error), cause=error.cause)
        self._idle_left_ns = self._limits.idle_ns
        return None

    def read_head(self) -> None:
        """Read until the head is complete, the exchange is over, or both."""
        while self.end is None and self.status is None:
            self._pending = self._next()

    def next_hop(self) -> None:
        """Forget this hop's connection, head and body, for a redirect that is followed."""
        self._leave()
        self._pending = None
        self.forget()

    def refuse_redirect(self, message: str, *, ours: bool) -> None:
        """End the exchange at a redirect; `ours` if a limit of the harness is the reason."""
        self.end = None
        self._pending = None
        self._finish(EndKind.REDIRECT, message, ours=ours)

    def fail(self, kind: EndKind, message: str, cause: EndCause | None = None) -> None:
        """End the exchange before it could begin."""
        self._finish(kind, message, cause=cause)

    def expire(self, now_ns: int) -> None:
        """End a wait that has lasted too long at `now_ns`; called by another thread or greenlet."""
        waiting, channel = self._waiting_ns, self._channel
        if not waiting or channel is None or self._expired is not None:
            return
        if now_ns >= self._deadline_ns:
            self._expired = EndKind.TOTAL_TIMEOUT
        elif now_ns - waiting >= self._limits.idle_ns:
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
        began, heads = 0, self._heads
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
        cancelled = self.end
        if cancelled is not None:  # closed meanwhile
            return None
        body = self.feed(data, message, channel.at_ns) if data else self._nothing(data)
        if self.end is not None:
            self._leave()
        elif not body:
            self._tight = True
            if self._heads != heads:  # a head is worth waiting for, too
                self._idle_left_ns = self._limits.idle_ns
            elif began:
                self._idle_left_ns -= time.monotonic_ns() - began
        else:
            now = time.monotonic_ns()
            relaxed_until = self._deadline_ns - self._limits.idle_ns
            if self._tight or now > relaxed_until:
                # Back to the plain idle timeout, unless the end of all time is near.
                self._idle_left_ns = self._limits.idle_ns
                self._total_is_next = False
                self._tight = now > relaxed_until
                channel.set_timeout(self._relaxed_s)
            if now >= self._deadline_ns:
                self._total_timeout()
        return Read(body, channel.at_ns, message.complete) if body else None

    def _readable(self) -> None:
        """The socket can be read: read it, once, without waiting. Called by the loop."""
        channel, message, take = self._channel, self._message, self._take
        if channel is None or message is None or take is None:
            return
        try:
            while True:
                try:
                    data = channel.poll()
                except (OSError, TlsError) as error:
                    self._lost(error)
                    break
                if data is None:
                    return
                body = self.feed(data, message, channel.at_ns) if data else self._nothing(data)
                if self.end is not None:
                    self._leave()
                if body:
                    # Since when more is waited for, by the clock that `expire` goes by.
                    self._waiting_ns = time.monotonic_ns()
                    if take(body, channel.at_ns, message.complete):
                        break
                if self.end is not None:
                    break
                if not channel.more:
                    return
        except BaseException as error:
            self._flown(error)
            if not isinstance(error, Exception):  # Ctrl-C is not ours, it is the loop's
                raise
        else:
            self._flown()

    def _flown(self, failure: BaseException | None = None) -> None:
        """The loop has no more to do here, and says so, once; `failure`: what was raised."""
        over, self._take, self._over = self._over, None, None
        self._waiting_ns = 0
        self._unwatch()
        if over is not None:
            over(failure)

    def _unwatch(self) -> None:
        wakeups, self._wakeups = self._wakeups, None
        if wakeups is not None:
            wakeups.stop()

    def _nothing(self, data: bytes | None) -> bytes:
        """A read brought nothing: not yet (None), or the connection is at its end."""
        if data is not None and self._expired is not None:
            self._expire_now()
        elif data is not None and self._channel is not None and self._message is not None:
            self.closed(self._message, clean=self._channel.clean_close)
        return b""

    def _lost(self, error: OSError | TlsError) -> None:
        """End the exchange, as a read has failed."""
        if isinstance(error, TlsError):
            self._finish(EndKind.TLS, str(error), cause=error.cause)
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
        self, kind: EndKind, message: str, *, ours: bool = False, cause: EndCause | None = None
    ) -> None:
        """Set the end, once, and let the connection go."""
        self.over(kind, message, ours=ours, cause=cause)
        self._leave()

    def _leave(self) -> None:
        """Let the connection go: back to where others get it, or closed."""
        channel, release, message = self._channel, self._release, self._message
        self._channel = self._release = self._message = None
        self._unwatch()
        if channel is not None:
            self._stamped += channel.stamped
            self._unstamped += channel.unstamped
            if self._reusable and release is not None:
                channel.stamped = channel.unstamped = 0
                release(channel)
            else:
                channel.close()
        if message is not None:
            message.discard()
