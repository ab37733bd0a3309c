"""What is asked for, and within which bounds: requests, limits and settings. Values only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from soundstage.wire.wakeups import WakeupsOf

#: Headers that are not sent on to another origin.
SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key")


@dataclass(frozen=True, slots=True)
class Request:
    """One request: an absolute http(s) URL; `headers` as (name, value) in the order to send.

    Host, Content-Length, Connection, User-Agent and Accept-Encoding (identity, so that compression
    does not disturb the times) are added by the transport. A host, user-agent or accept-encoding
    given here takes precedence; content-length, transfer-encoding and connection are refused.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines in seconds and caps in bytes.

    `connect_s`: name, TCP, proxy and TLS together (a blocking name lookup itself cannot be
    interrupted). `idle_s`: from the sent request to the complete head, and between two pieces of
    body; bytes that add nothing to head or body do not extend it. `total_s`: the whole exchange,
    redirects included. `body_bytes`: after decoding. `head_bytes`: the head, and any run of bytes
    without body (chunk extensions, trailers). `redirects`: how many are followed.
    """

    connect_s: float = 10.0
    idle_s: float = 60.0
    total_s: float = 600.0
    body_bytes: int = 64 * 2**20
    head_bytes: int = 64 * 2**10
    redirects: int = 3

    #: `idle_s` in nanoseconds, once for all exchanges.
    idle_ns: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "idle_ns", int(self.idle_s * 1_000_000_000))


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How a run speaks to its target.

    `allowed_hosts`: "host:port" (IPv6 in brackets, lower case) that redirects may lead to beside
    the request's own; None: only its own. `ca_file`: PEM file of the trusted authorities, None for
    the system's. `client_cert`: PEM files (certificate chain, key). `proxy`: http URL of a proxy
    that https targets are reached through by CONNECT (plain http is never proxied); `no_proxy`:
    hosts that bypass it ("*", "host", ".domain", "host:port"). `keep_alive`: reuse connections.
    `decode_content`: undo gzip and deflate. `secret_headers`: lower-case names that do not follow a
    redirect to another origin. `kernel_timestamps`: False forces the userspace clock. `watched`:
    somebody calls `Transport.expire` regularly, so that reads of a body need no timer of their own
    (gevent's costs 5 to 10 us a read). `wakeups`: where `watched`, how `Response.flow` is told that
    there is something to read; None: bodies are waited for.
    """

    allowed_hosts: frozenset[str] | None = None
    ca_file: Path | str | None = None
    client_cert: tuple[Path | str, Path | str] | None = None
    verify: bool = True
    proxy: str | None = field(default=None, repr=False)
    no_proxy: tuple[str, ...] = ()
    limits: Limits = Limits()
    keep_alive: bool = False
    decode_content: bool = True
    secret_headers: tuple[str, ...] = SECRET_HEADERS
    kernel_timestamps: bool = True
    watched: bool = False
    wakeups: WakeupsOf | None = None

    def with_proxy_from(self, environ: Mapping[str, str]) -> TransportSettings:
        """These settings with HTTPS_PROXY and NO_PROXY (or lower case) of `environ` applied.

        An explicit `proxy` stays.
        """
        if self.proxy is not None:
            return self
        proxy = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
        listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        bypassed = tuple(entry.strip() for entry in listed.split(",") if entry.strip())
        return dataclasses.replace(self, proxy=proxy or None, no_proxy=(*self.no_proxy, *bypassed))
