"""A connection that says when its bytes arrived: TCP, or TLS over the same socket.

Reads go through `recvmsg`, so that the kernel's receive stamp (SO_TIMESTAMPNS, socket(7)) comes
with the bytes; TLS is decrypted in memory and therefore timed by the same stamps. Plain blocking
sockets of the standard library: gevent's patch makes the same code cooperative. No HTTP in here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

from soundstage.wire.clock import Clock
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
    """The TLS handshake failed or the protocol broke; its text is one clear line."""


class Channel:
    """A TCP connection.

    After `receive`, `at_ns` is when the newest segment of that read arrived (monotonic ns), from
    the kernel if it gave a stamp. `stamped` and `unstamped` count the reads that had one and had
    none. `clean_close`: the end of the stream was announced by the layer that is on top.
    """

    __slots__ = (
        "_offset_ns",
        "_recvmsg",
        "_recvmsg_now",
        "at_ns",
        "clean_close",
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
        self._offset_ns = offset_ns
        self._recvmsg = sock.recvmsg if kernel_timestamps and SUPPORTED else None
        # gevent's sockets wrap one that never waits.
        bare: socket.socket = getattr(sock, "_sock", sock)
        if CAN_POLL:
            self._recvmsg_now = bare.recvmsg

    @property
    def more(self) -> bool:
        """Whether `receive` or `poll` has something to give without a look at the socket."""
        return False

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

    def send(self, data: bytes) -> None:
        """Send all of `data` within the timeout. Raises TimeoutError, OSError, TlsError."""
        self.sock.sendall(data)

    def set_timeout(self, seconds: float | None) -> None:
        """How long each operation may block; None: for ever."""
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


class TlsChannel(Channel):
    """TLS in memory (`ssl.MemoryBIO`) over the socket of a channel."""

    __slots__ = ("_failed", "_incoming", "_outgoing", "_tls", "_unsent")

    def __init__(self, below: Channel, context: ssl.SSLContext, host: str) -> None:
        """Take over the socket of `below`; `host` is the name (or address) that is verified."""
        super().__init__(below.sock, below._offset_ns, kernel_timestamps=below._recvmsg is not None)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._failed: TlsError | None = None
        # What `poll` could not send without waiting; nearly always nothing.
        self._unsent = b""
        self.clean_close = False

    def handshake(self, deadline_ns: int) -> None:
        """Shake hands before `deadline_ns` (monotonic). Raises TimeoutError, OSError, TlsError."""
        while True:
            left = deadline_ns - time.monotonic_ns()
            if left <= 0:
                raise TimeoutError("timed out")
            self.set_timeout(left / _SECOND_NS)
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._receive()
                if not data:
                    raise TlsError("the peer closed the connection in the TLS handshake") from None
                self._incoming.write(data)
            except (ssl.SSLError, ssl.CertificateError) as error:
                self._say_why()
                raise TlsError(f"TLS handshake failed: {_reason(error)}") from None
            else:
                self._flush()
                return

    @property
    def more(self) -> bool:
        """See `Channel.more`: records that came with the handshake, or how the connection ended."""
        return (
            self.clean_close
            or self._failed is not None
            or self._incoming.pending > 0
            or self._tls.pending() > 0
        )

    def receive(self) -> bytes | None:
        """One socket read, decrypted; None while a record is incomplete. See `Channel.receive`."""
        if not self.more:
            data = self._receive()
            if not data:
                return b""
            self._incoming.write(data)
        found = self._decrypt()
        if self._outgoing.pending or self._unsent:
            self._flush()
        return found

    def poll(self) -> bytes | None:
        """See `Channel.poll`."""
        if not self.more:
            data = super().poll()
            if not data:
                return data
            self._incoming.write(data)
        found = self._decrypt()
        if self._outgoing.pending or self._unsent:
            self._flush_now()
        return found

    def _decrypt(self) -> bytes | None:
        """What the records that have come say; see `receive`."""
        if self._failed is not None:
            raise self._failed
        if self.clean_close:
            return b""
        pieces: list[bytes] = []
        try:
            while True:
                piece = self._tls.read(READ_BYTES)
                if not piece:  # close_notify: `ssl` either says so like this or raises
                    self.clean_close = True
                    break
                pieces.append(piece)
                if not (self._incoming.pending or self._tls.pending()):
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.clean_close = True
        except ssl.SSLError as error:
            self._failed = TlsError(f"TLS failed: {_reason(error)}")
        if pieces:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.clean_close:
            return b""
        if self._failed is not None:
            self._say_why()
            raise self._failed
        return None

    def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise TlsError(f"TLS failed: {_reason(error)}") from None
        self._flush()

    def is_quiet(self) -> bool:
        """See `Channel.is_quiet`."""
        unread = self.clean_close or self._incoming.pending or self._tls.pending()
        return not unread and super().is_quiet()

    def close(self) -> None:
        """Say goodbye if that needs no waiting (RFC 8446 section 6.1), then close."""
        self._say_why(farewell=True)
        super().close()

    def _flush(self) -> None:
        data = self._unsent + self._outgoing.read()
        if data:
            self._unsent = b""
            self.sock.sendall(data)

    def _flush_now(self) -> None:
        """Send what the socket takes at once; the rest goes with the next piece."""
        data = self._unsent + self._outgoing.read()
        sent = 0
        with contextlib.suppress(BlockingIOError, InterruptedError):
            sent = getattr(self.sock, "_sock", self.sock).send(data, DONT_WAIT)
        self._unsent = data[sent:]

    def _say_why(self, *, farewell: bool = False) -> None:
        """Send a pending alert or close_notify, if the socket takes it at once."""
        try:
            if farewell:
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()
            data = self._outgoing.read()
            if data:
                self.sock.settimeout(0)
                self.sock.send(data)
        except (OSError, ValueError):
            pass


def _reason(error: ssl.SSLError | ssl.CertificateError) -> str:
    """The cause in words, without the file and line of OpenSSL's source."""
    verify_message = getattr(error, "verify_message", None)
    if verify_message:
        return f"certificate not accepted: {verify_message}"
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)


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


def tls_context(
    *, verify: bool, ca_file: str | None, client_cert: tuple[str, str] | None
) -> ssl.SSLContext:
    """A client context: TLS 1.2 or newer, HTTP/1.1 by ALPN, host names verified.

    Raises OSError (ssl.SSLError is one) for a file that cannot be used.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert is not None:
        # A key with a passphrase must not make OpenSSL ask on the terminal.
        context.load_cert_chain(*client_cert, password="")
    return context
