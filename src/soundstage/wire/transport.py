"""Requests over HTTP/1.1 and what becomes of them: connections, redirects, limits.

`Transport.open` never raises for what the network or the server does; only misuse raises. Nothing
is retried. No threads in here: one transport may be used from many threads or greenlets at once.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import defaultdict, deque
from functools import partial

from soundstage.errors import UsageError
from soundstage.wire.channel import (
    CAN_POLL,
    Address,
    Channel,
    TlsError,
    connect,
    resolve,
    why_unreachable,
)
from soundstage.wire.clock import Clock
from soundstage.wire.end import End, EndCause, EndKind
from soundstage.wire.proxy import Proxy, ProxyError
from soundstage.wire.response import Response
from soundstage.wire.settings import Limits, Request, TransportSettings
from soundstage.wire.stamps import switch_on
from soundstage.wire.tls import TlsChannel, tls_context
from soundstage.wire.trace import Hop, Read, Timestamps
from soundstage.wire.url import Url, check_request, parse_target, redirected, serialise

__all__ = [
    "End",
    "EndKind",
    "Hop",
    "Limits",
    "Read",
    "Request",
    "Response",
    "Timestamps",
    "Transport",
    "TransportSettings",
]

_SECOND_NS = 1_000_000_000
#: How long a looked-up name is used, in ns: a load test must not become a DNS test.
_NAME_KEPT_NS = 30 * _SECOND_NS
#: Where nobody looks after deadlines, so many responses that are over may be remembered.
_REMEMBERED = 64
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Those that keep method and body (RFC 9110 sections 15.4.8 and 15.4.9).
_FOLLOWED = frozenset({307, 308})


class Transport:
    """Opens exchanges for one run. `clock` is the offset measured when it was made."""

    def __init__(self, settings: TransportSettings = TransportSettings()) -> None:  # noqa: B008 - frozen
        """Raises UsageError for a certificate, key, CA file or proxy URL that cannot be used."""
        self.settings = settings
        if settings.kernel_timestamps:
            switch_on()
        self.clock = Clock()
        self._proxy = Proxy(settings.proxy, settings.no_proxy) if settings.proxy else None
        given = settings.ca_file is not None or settings.client_cert is not None
        # Loading the system's authorities takes a while: only once https is spoken.
        self._tls: ssl.SSLContext | None = self._context() if given else None
        self._names: dict[tuple[str, int], tuple[int, list[Address]]] = {}
        self._idle: defaultdict[tuple[str, str, int], deque[Channel]] = defaultdict(deque)
        self._closed = self._halted = False
        self._open: set[Response] = set()

    def open(self, request: Request) -> Response:
        """Send `request`, follow its redirects, and return when the head of the answer is there.

        What goes wrong on the way is in `Response.end`. Raises UsageError for a request that cannot
        be sent: a URL, method or header that is malformed or would smuggle another.
        """
        check_request(request)
        target = parse_target(request.url)
        headers = request.headers
        limits = self.settings.limits
        response = Response(
            time.monotonic_ns(),
            limits,
            decode_content=self.settings.decode_content,
            watched=self.settings.watched,
            wakeups=self.settings.wakeups if self.settings.watched and CAN_POLL else None,
        )
        self._open.add(response)
        if self._halted:
            response.close()
        if not self.settings.watched and len(self._open) > _REMEMBERED:
            for each in list(self._open):
                if each.end is not None:
                    self._open.discard(each)
        try:
            allowed = {target.authority, *(self.settings.allowed_hosts or ())}
            seen = {target.url}
            while True:
                self._attempt(response, request, target, headers)
                if response.status not in _REDIRECTS:
                    return response
                if response.end is not None and response.end.kind is not EndKind.COMPLETE:
                    return response
                following = self._redirect(response, target, allowed, seen)
                if following is None:
                    return response
                response.next_hop()
                if following.origin != target.origin:
                    dropped = {*self.settings.secret_headers, "host"}
                    headers = tuple(pair for pair in headers if pair[0].lower() not in dropped)
                target = following
                seen.add(target.url)
        except BaseException:
            response.close()
            raise

    def proxy_of(self, target: Url) -> Proxy | None:
        """The proxy that a target is reached through; None for none."""
        return self._proxy if self._proxy is not None and self._proxy.serves(target) else None

    def expire(self) -> None:
        """End the exchanges whose deadline is over, if the settings say `watched`.

        To be called every second or so from another thread or greenlet: deadlines between pieces of
        body are then late by up to that. Those before the body are kept by the socket itself.
        """
        now = time.monotonic_ns()
        for response in list(self._open):
            if response.end is not None:
                self._open.discard(response)
            else:
                response.expire(now)

    def cut(self) -> None:
        """End what is in flight; each ends as `cancelled`. From any thread or greenlet."""
        for response in list(self._open):
            response.close()

    def halt(self) -> None:
        """As `cut`, and for good: what is opened from now on ends so, too, and sends nothing."""
        self._halted = True
        self.cut()

    def clock_stepped(self) -> bool:
        """Whether the system's clock was set since this transport was made (see `Clock`)."""
        return self.clock.step_detected()

    def close(self) -> None:
        """Close the idle connections; exchanges that are open keep theirs until they end."""
        self._closed = True
        for idle in list(self._idle.values()):
            while idle:
                idle.pop().close()

    def _attempt(
        self,
        response: Response,
        request: Request,
        target: Url,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        """One request on one connection, as far as the head of its response."""
        if response.past_deadline():
            return
        channel = self._reusable(target)
        response.reused = channel is not None
        if channel is None:
            channel = self._connect(response, target)
        if channel is None:
            return
        keep_alive = self.settings.keep_alive
        release = partial(self._release, target.origin) if keep_alive else None
        response.begin(channel, request.method, release)
        if response.end is not None:
            # Closed by somebody else meanwhile: nothing may be sent any more.
            response.close()
            return
        response.send(
            serialise(request.method, target, headers, request.body, keep_alive=keep_alive)
        )
        response.read_head()

    def _release(self, origin: tuple[str, str, int], channel: Channel) -> None:
        if self._closed:
            channel.close()
        else:
            self._idle[origin].append(channel)

    def _reusable(self, target: Url) -> Channel | None:
        idle = self._idle.get(target.origin)
        while idle:
            channel = idle.pop()
            if channel.is_quiet():
                return channel
            channel.close()
        return None

    def _connect(self, response: Response, target: Url) -> Channel | None:
        """A fresh connection, through proxy and TLS as needed; None after a failure."""
        limits = self.settings.limits
        times = response.times
        began = time.monotonic_ns()
        deadline = min(
            began + int(limits.connect_s * _SECOND_NS),
            times.start_ns + int(limits.total_s * _SECOND_NS),
        )
        proxy = self.proxy_of(target)
        host, port = (proxy.host, proxy.port) if proxy else (target.host, target.port)
        peer = f"the proxy {host}:{port}" if proxy else target.authority
        away = EndCause.PROXY_AWAY if proxy else None
        channel: Channel | None = None
        try:
            addresses = self._resolve(host, port)
            channel = connect(
                addresses,
                deadline,
                self.clock,
                kernel_timestamps=self.settings.kernel_timestamps,
            )
            if proxy is not None:
                proxy.tunnel(channel, target, deadline, limits)
            times.connected_ns = time.monotonic_ns()
            if target.scheme == "https":
                if self._tls is None:
                    self._tls = self._context()
                secured = TlsChannel(channel, self._tls, target.host)
                channel = secured
                secured.handshake(deadline)
                times.tls_ns = time.monotonic_ns()
            return channel
        except TimeoutError:
            if not response.past_deadline():
                response.fail(
                    EndKind.CONNECT_TIMEOUT,
                    f"no connection to {peer} within {limits.connect_s:g} s",
                    away if times.connected_ns is None else None,
                )
        except TlsError as error:
            response.fail(EndKind.TLS, f"{target.authority}: {error}", error.cause)
        except ProxyError as error:
            response.fail(EndKind.UNREACHABLE, f"{peer}: {error}", error.cause)
        except ConnectionRefusedError:
            response.fail(EndKind.REFUSED, f"{peer} refused the connection", away)
        except (OSError, UnicodeError) as error:
            if channel is not None and times.connected_ns is not None:
                response.fail(EndKind.TLS, f"{peer}: connection lost in the TLS handshake")
            else:
                why = why_unreachable(error)
                nameless = isinstance(error, socket.gaierror | UnicodeError)
                cause = away or (EndCause.NO_NAME if nameless else None)
                response.fail(EndKind.UNREACHABLE, f"cannot reach {peer}: {why}", cause)
        except BaseException:
            if channel is not None:
                channel.close()
            raise
        if channel is not None:
            channel.close()
        return None

    def _resolve(self, host: str, port: int) -> list[Address]:
        now = time.monotonic_ns()
        known = self._names.get((host, port))
        if known is not None and now - known[0] < _NAME_KEPT_NS:
            return known[1]
        addresses = resolve(host, port)
        self._names[host, port] = (now, addresses)
        return addresses

    def _redirect(
        self, response: Response, target: Url, allowed: set[str], seen: set[str]
    ) -> Url | None:
        """Decide on a redirect and record it: where to go on, or None after ending the exchange."""
        status = response.status
        assert status is not None
        location = response.header("location")
        following: Url | None = None
        refusal, ours = "", False
        if not location:
            refusal = f"redirect {status} with {'no' if location is None else 'an empty'} Location"
        elif status not in _FOLLOWED:
            refusal = f"redirect {status} is not followed: only 307 and 308 keep method and body"
        else:
            try:
                following = redirected(target, location)
            except UsageError as error:
                refusal = f"redirect {status} to an unusable Location: {error}"
        if following is not None:
            if following.authority not in allowed:
                refusal = f"redirect {status} to {following.authority}, a host that is not allowed"
                ours = True
            elif following.url in seen:
                refusal = f"redirect {status} loops"
            elif len(response.hops) >= self.settings.limits.redirects:
                refusal = f"more than {self.settings.limits.redirects} redirects"
                ours = True
        if refusal:
            response.hops += (Hop(status, location, False, refusal),)
            response.refuse_redirect(refusal, ours=ours)
            return None
        response.hops += (Hop(status, location, True, f"{status} to an allowed host"),)
        return following

    def _context(self) -> ssl.SSLContext:
        settings = self.settings
        certificate = settings.client_cert
        try:
            return tls_context(
                verify=settings.verify,
                ca_file=None if settings.ca_file is None else str(settings.ca_file),
                client_cert=None
                if certificate is None
                else (str(certificate[0]), str(certificate[1])),
            )
        except OSError as error:
            why = error.strerror or str(error)
            raise UsageError(
                f"the CA file, client certificate or its key cannot be used: {why}"
            ) from None
