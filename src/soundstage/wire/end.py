"""How an exchange ended, and whose doing that was. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Fault = Literal["api", "harness", "environment"]


class EndKind(StrEnum):
    """Why no more bytes come."""

    COMPLETE = "complete"
    """The message met its Content-Length, its last chunk came, or it has no body."""
    CLOSED = "closed"
    """A body without a length ended with an orderly close of the connection."""
    TRUNCATED = "truncated"
    """The connection was closed in an orderly way before the message was complete."""
    RESET = "reset"
    """The connection was reset or lost."""
    FRAMING = "framing"
    """Not valid HTTP/1.1: head, chunk, length, or bytes after the end of the message."""
    CONTENT_ENCODING = "content_encoding"
    """The compressed body is corrupt, cut, or in an encoding that was not asked for."""
    TLS = "tls"
    """The TLS handshake failed, or the protocol broke later."""
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    """No address, no route, no socket, or a proxy that will not connect."""
    CONNECT_TIMEOUT = "connect_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    CAP = "cap"
    """More bytes of head or body than the limits allow."""
    REDIRECT = "redirect"
    """A redirect that was not followed."""
    CANCELLED = "cancelled"
    """Closed by the caller before the end."""


class EndCause(StrEnum):
    """What exactly it was, where the kind says too little to tell somebody what to do."""

    NO_NAME = "no_name"
    """The name of the target resolves to no address."""
    PROXY_AWAY = "proxy_away"
    """The proxy itself cannot be reached."""
    PROXY_LOGIN = "proxy_login"
    """The proxy wants to know who asks (407)."""
    PROXY_REFUSES = "proxy_refuses"
    """The proxy is there, and will not connect."""
    PROXY_FAILS = "proxy_fails"
    """The proxy says that it cannot reach the target (502, 503, 504)."""
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_WRONG_NAME = "tls_wrong_name"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_CLIENT_CERT = "tls_client_cert"
    """The server wants a certificate of the client, or another one."""


#: Whose doing an end is; what is not listed is nobody's fault.
FAULT_OF: dict[EndKind, Fault] = {
    EndKind.TRUNCATED: "api",
    EndKind.RESET: "api",
    EndKind.FRAMING: "api",
    EndKind.CONTENT_ENCODING: "api",
    EndKind.REDIRECT: "api",
    EndKind.TLS: "environment",
    EndKind.REFUSED: "environment",
    EndKind.UNREACHABLE: "environment",
    EndKind.CONNECT_TIMEOUT: "environment",
    EndKind.IDLE_TIMEOUT: "harness",
    EndKind.TOTAL_TIMEOUT: "harness",
    EndKind.CAP: "harness",
    EndKind.CANCELLED: "harness",
}


@dataclass(frozen=True, slots=True)
class End:
    """The end of an exchange: `at_ns` is monotonic ns; `message` is one line without secrets.

    `fault_of`: "api" (it broke a rule of HTTP), "harness" (we stopped: nothing is known about the
    rest), "environment" (it never worked, or the network broke), None (an orderly end). `cause`:
    what exactly it was, where that is known.
    """

    kind: EndKind
    message: str
    at_ns: int
    fault_of: Fault | None
    cause: EndCause | None = None

    @classmethod
    def of(
        cls,
        kind: EndKind,
        message: str,
        at_ns: int,
        *,
        answered: bool,
        ours: bool = False,
        cause: EndCause | None = None,
    ) -> End:
        """Make an end whose fault follows from `FAULT_OF`.

        `answered`: a response head had come; a reset before that is the environment's. `ours`: a
        limit of the harness is the reason (a redirect that it may not follow).
        """
        fault = FAULT_OF.get(kind)
        if ours:
            fault = "harness"
        elif kind is EndKind.RESET and not answered:
            fault = "environment"
        return cls(kind, message, at_ns, fault, cause)
