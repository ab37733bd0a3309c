"""A TCP connection that says when its bytes arrived.

Reads go through `recvmsg`, so that the kernel's receive stamp (SO_TIMESTAMPNS, socket(7)) comes
with the bytes. Plain blocking sockets of the standard library: gevent's patch makes the same code
cooperative. TLS over it is `tls.py`'s; no HTTP in here.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import socket
import time
from typing import Final, cast

from soundstage.wire.clock import Clock
from soundstage.wire.end import EndCause
from soundstage.wire.stamps import (
    ANCILLARY_BYTES,
    DONT_WAIT,
    SO_TIMESTAMPNS,
    SUPPORTED,
    TIMESPEC,
    ask,
)

#: Bytes asked for in one socket read.
READ_BYTES = 16_384
#: Whether `Channel.poll` works here (not on Windows).
CAN_POLL = hasattr(socket.socket, "recvmsg") and bool(DONT_WAIT)
_timespec = TIMESPEC.unpack
_SECOND_NS = 1_000_000_000


class TlsError(Exception):
    """The TLS handshake failed or the protocol broke; its text is one clear line. `cause`: what
    exactly it was, where that is known.
    """

    def __init__(self, message: str, cause: EndCause | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class Channel:
    """A TCP connection.

    After `receive`, `at_ns` is when the newest segment of that read arrived (monotonic ns), from
    the kernel if it gave a stamp. `stamped` and `unstamped` count the reads that had one and had
    none. `clean_close`: the end of the stream was announced by the layer that is on top. `more`:
    whether `receive` or `poll` has something to give without a look at the socket.
    """

    __slots__ = (
        "_offset_ns",
        "_recvmsg",
        "_recvmsg_now",
        "at_ns",
        "clean_close",
        "more",
        "sock",
        "stamped",
        "unstamped",
    )

    def __init__(self, sock: socket.socket, offset_ns: int, *, kernel_timestamps: bool) -> None:
        self.sock = sock
        self.at_ns = 0
        self.stamped = 0
        self.unstamped = 0
        self.clean_close = True
        self.more = False
        self._offset_ns = offset_ns
        self._recvmsg = sock.recvmsg if kernel_timestamps and SUPPORTED else None
        # gevent's sockets wrap one that never waits.
        bare: socket.socket = getattr(sock, "_sock", sock)
        if CAN_POLL:
            self._recvmsg_now = bare.recvmsg

    def _receive(self) -> bytes:
        """One socket read: b"" at the end of the stream. Raises TimeoutError, OSError."""
        if self._recvmsg is None:
            data = self.sock.recv(READ_BYTES)
            self.at_ns = time.monotonic_ns()
            if data:
                self.unstamped += 1
            return data
        data, ancillary, _, _ = self._recvmsg(READ_BYTES, ANCILLARY_BYTES)
        if ancillary and ancillary[0][1] == SO_TIMESTAMPNS:
            seconds, nanoseconds = _timespec(ancillary[0][2])
            self.at_ns = seconds * _SECOND_NS + nanoseconds + self._offset_ns
            self.stamped += 1
        else:
            self.at_ns = time.monotonic_ns()
            if data:
                self.unstamped += 1
        return data

    def receive(self) -> bytes | None:
        """One read: bytes, b"" at the end of the stream, None if nothing can be had from it yet.

        Blocks for at most the time given to `set_timeout`. Raises TimeoutError, OSError, TlsError.
        """
        return self._receive()

    def poll(self) -> bytes | None:
        """As `receive`, but never waits, whatever was given to `set_timeout`: None at once."""
        try:
            data, ancillary, _, _ = self._recvmsg_now(READ_BYTES, ANCILLARY_BYTES, DONT_WAIT)
        except (BlockingIOError, InterruptedError):
            return None
        if ancillary and ancillary[0][1] == SO_TIMESTAMPNS:
            seconds, nanoseconds = _timespec(ancillary[0][2])
            self.at_ns = seconds * _SECOND_NS + nanoseconds + self._offset_ns
            self.stamped += 1
        else:
            self.at_ns = time.monotonic_ns()
            if data:
                self.unstamped += 1
        return data

    def only_polled(self) -> None:
        """Nobody waits for this connection any more: of gevent's socket, only the one that it wraps
        is kept. Not for one that others shall use again.
        """
        if getattr(self.sock, "_sock", None) is not None:
            family, kind, proto = self.sock.family, self.sock.type, self.sock.proto
            bare = _socket.socket(family, kind, proto, fileno=self.sock.detach())
            self.sock = cast(socket.socket, bare)
            self._recvmsg_now = receive = bare.recvmsg
            self._recvmsg = None if self._recvmsg is None else receive

    def send(self, data: bytes) -> None:
        """Send all of `data` within the timeout. Raises TimeoutError, OSError, TlsError."""
        self.sock.sendall(data)

    def set_timeout(self, seconds: float | None) -> None:
        """How long each operation may block; None: for ever. Of one that somebody has closed
        meanwhile the next operation tells.
        """
        with contextlib.suppress(OSError):
            self.sock.settimeout(seconds)

    def interrupt(self) -> None:
        """Wake a `receive` that blocks elsewhere: it sees an end of stream or an OSError."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def is_quiet(self) -> bool:
        """True when the peer has neither sent anything nor closed: an idle connection to reuse."""
        self.sock.settimeout(0)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close at once; never raises, never waits."""
        with contextlib.suppress(OSError):
            self.sock.close()


#: What this machine may run out of, in words: what, and how to get more of it.
_LACKING: Final = {
    errno.EMFILE: "this process may open no more files: raise its limit (`ulimit -n`), or have "
    "fewer connections at once",
    errno.ENFILE: "the system may open no more files: raise its limit (sysctl fs.file-max)",
    errno.EADDRNOTAVAIL: "no local port, or address, is left for it: widen the range (sysctl "
    "net.ipv4.ip_local_port_range), or have fewer connections at once",
    errno.ENOBUFS: "the system has no more memory for sockets (sysctl net.ipv4.tcp_mem)",
}


def why_unreachable(error: OSError | UnicodeError) -> str:
    """Why a connection could not be had, in a line."""
    if not isinstance(error, OSError):
        return str(error)
    return _LACKING.get(error.errno or 0) or error.strerror or str(error)


Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of `host` in the order to try. Raises OSError (socket.gaierror)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]


def connect(
    addresses: list[Address], deadline_ns: int, clock: Clock, *, kernel_timestamps: bool
) -> Channel:
    """Connect to the first address that answers before `deadline_ns` (monotonic).

    One that does not answer gets only its share of the time, so that the next is still tried.
    Raises the last address' TimeoutError or OSError.
    """
    failure: OSError = OSError("no address")
    for number, (family, address) in enumerate(addresses):
        left = deadline_ns - time.monotonic_ns()
        if left <= 0:
            raise TimeoutError("timed out")
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            if kernel_timestamps and SUPPORTED:
                # Before connecting: the first segment must have its stamp too.
                ask(sock)
            sock.settimeout(left / _SECOND_NS / (len(addresses) - number))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return Channel(sock, clock.offset_ns, kernel_timestamps=kernel_timestamps)
    raise failure
