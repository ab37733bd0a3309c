"""Reaching an https target through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6)."""

from __future__ import annotations

import base64
import time
from typing import Final
from urllib.parse import unquote, urlsplit

from soundstage.errors import UsageError
from soundstage.wire.channel import Channel
from soundstage.wire.chunked import FramingError
from soundstage.wire.end import EndCause
from soundstage.wire.http_message import HeadTooLargeError, Message
from soundstage.wire.settings import Limits
from soundstage.wire.url import Url, bracketed

#: What a proxy means by its answer to CONNECT (RFC 9110, sections 15.5.8 and 15.6); by any other
#: that it will not.
_CAUSES: Final[dict[int | None, EndCause]] = {
    407: EndCause.PROXY_LOGIN,
    502: EndCause.PROXY_FAILS,
    503: EndCause.PROXY_FAILS,
    504: EndCause.PROXY_FAILS,
}


class ProxyError(Exception):
    """The proxy will not connect; its text is one clear line. `cause` says why."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.cause = _CAUSES.get(status, EndCause.PROXY_REFUSES)


class Proxy:
    """An HTTP proxy, spoken to in the clear. Never shows its credentials."""

    __slots__ = ("_authorization", "_bypassed", "host", "port")

    def __init__(self, url: str, no_proxy: tuple[str, ...]) -> None:
        """`url`: `http://[user:password@]host[:port]`, port 80 unless given. Raises UsageError."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise UsageError("the proxy URL has a malformed host or port") from None
        if parts.scheme != "http" or not parts.hostname:
            raise UsageError("the proxy must be given as http://host:port")
        self.host = parts.hostname
        self.port = 80 if port is None else port
        self._bypassed = tuple(entry.lower() for entry in no_proxy)
        self._authorization: str | None = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._authorization = "Basic " + base64.b64encode(pair.encode()).decode()

    def serves(self, target: Url) -> bool:
        """Whether `target` is reached through this proxy: https, and not listed in no_proxy."""
        if target.scheme != "https":
            return False
        for entry in self._bypassed:
            if entry == "*" or entry in (target.authority, target.host, bracketed(target.host)):
                return False
            name, _, port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
            if port and port != str(target.port):
                continue
            name = name.removeprefix("*").lstrip(".")
            if name and (target.host == name or target.host.endswith("." + name)):
                return False
        return True

    def tunnel(self, channel: Channel, target: Url, deadline_ns: int, limits: Limits) -> None:
        """Ask for a tunnel on a channel to the proxy, before `deadline_ns` (monotonic).

        Raises ProxyError, TimeoutError, OSError.
        """
        lines = [f"CONNECT {target.authority} HTTP/1.1", f"Host: {target.authority}"]
        if self._authorization is not None:
            lines.append(f"Proxy-Authorization: {self._authorization}")
        self._wait(channel, deadline_ns)
        channel.send("\r\n".join([*lines, "", ""]).encode())
        message = Message("CONNECT", limits)
        try:
            while not message.head_complete:
                self._wait(channel, deadline_ns)
                data = channel.receive()
                if not data:
                    raise ProxyError("the proxy closed the connection instead of connecting")
                message.feed(data)
        except (FramingError, HeadTooLargeError) as error:
            raise ProxyError(f"the proxy's answer to CONNECT is not usable: {error}") from None
        finally:
            message.discard()
        if message.status is None or not 200 <= message.status < 300:
            said = f"the proxy answered {message.status} to CONNECT"
            raise ProxyError(said, message.status)
        if message.surplus:
            raise ProxyError("the proxy sent bytes before the tunnel was used")

    def _wait(self, channel: Channel, deadline_ns: int) -> None:
        left = deadline_ns - time.monotonic_ns()
        if left <= 0:
            raise TimeoutError("timed out")
        channel.set_timeout(left / 1_000_000_000)
