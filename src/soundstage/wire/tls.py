"""TLS over the socket of a channel, decrypted in memory (`ssl.MemoryBIO`).

So the kernel's receive stamps time what comes over TLS just as they time everything else.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from typing import Final

from soundstage.wire.channel import READ_BYTES, Channel, TlsError
from soundstage.wire.end import EndCause
from soundstage.wire.stamps import DONT_WAIT

_SECOND_NS = 1_000_000_000
#: What OpenSSL finds wrong with a certificate (X509_verify_cert_error_string(3)); whatever else it
#: finds is that nobody who is trusted has signed it.
_VERIFIED: Final = {
    9: EndCause.TLS_NOT_YET_VALID,
    10: EndCause.TLS_EXPIRED,
    62: EndCause.TLS_WRONG_NAME,
    64: EndCause.TLS_WRONG_NAME,
}
#: What a server says that wants another certificate of the client, or wants one at all (RFC 8446,
#: section 6.2).
_OF_THE_CLIENT: Final = frozenset(
    {"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA"}
)


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
                raise TlsError(f"TLS handshake failed: {_reason(error)}", _cause(error)) from None
            else:
                self._flush()
                self._look_for_more()
                return

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

    def _look_for_more(self) -> None:
        """Records that came with others, or how the connection ended: see `Channel.more`."""
        self.more = (
            self.clean_close
            or self._failed is not None
            or self._incoming.pending > 0
            or self._tls.pending() > 0
        )

    def _decrypt(self) -> bytes | None:
        """What the records that have come say; see `receive`."""
        try:
            return self._decrypted()
        finally:
            self._look_for_more()

    def _decrypted(self) -> bytes | None:
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
            self._failed = TlsError(f"TLS failed: {_reason(error)}", _cause(error))
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
            raise TlsError(f"TLS failed: {_reason(error)}", _cause(error)) from None
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


def _cause(error: ssl.SSLError | ssl.CertificateError) -> EndCause | None:
    """What exactly it was, where OpenSSL tells."""
    code = getattr(error, "verify_code", None)
    if code is not None:
        return _VERIFIED.get(code, EndCause.TLS_UNTRUSTED)
    reason = str(getattr(error, "reason", ""))
    return EndCause.TLS_CLIENT_CERT if reason in _OF_THE_CLIENT else None


def _reason(error: ssl.SSLError | ssl.CertificateError) -> str:
    """The cause in words, without the file and line of OpenSSL's source."""
    verify_message = getattr(error, "verify_message", None)
    if verify_message:
        return f"certificate not accepted: {verify_message}"
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)
