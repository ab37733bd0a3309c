"""The kernel's receive timestamps: switching them on, asking for them, reading them.

Linux stamps packets only while some socket on the machine wants stamps (SO_TIMESTAMPNS, socket(7)),
and begins a moment after the first one asks: without care, the first reads of a run have none.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

# asm-generic/socket.h; the option and the control message that it yields share the number.
SO_TIMESTAMPNS = 35
#: struct timespec: seconds, nanoseconds.
TIMESPEC = struct.Struct("@ll")
SUPPORTED = sys.platform == "linux" and hasattr(socket.socket, "recvmsg")
#: Room for the control message in `recvmsg`.
ANCILLARY_BYTES = socket.CMSG_SPACE(TIMESPEC.size) if SUPPORTED else 0
#: Makes one read or write return at once, whatever timeout its socket has (0: no such flag).
DONT_WAIT: int = getattr(socket, "MSG_DONTWAIT", 0)

_ATTEMPTS = 50
_PAUSE_S = 0.001
# What `switch_on` found out, once per process.
_found: list[bool] = []


def ask(sock: socket.socket) -> None:
    """Ask for stamps on `sock`; to be done before connecting. Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def switch_on() -> bool:
    """Make the kernel stamp packets for as long as this process lives; True once it does.

    Takes a few milliseconds the first time: bytes are sent over loopback until one has a stamp.
    False where there are none; reads are then timed in userspace and say so.
    """
    if not _found:
        try:
            _found.append(SUPPORTED and _until_stamped())
        except OSError:
            _found.append(False)
    return _found[0]


def _until_stamped() -> bool:
    keeper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ask(keeper)
    # Left open on purpose, never read: while it exists, the kernel goes on stamping.
    keeper.detach()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as reader:
        ask(reader)
        reader.settimeout(1)
        reader.connect(listener.getsockname())
        listener.settimeout(1)
        writer, _ = listener.accept()
        with writer:
            for _ in range(_ATTEMPTS):
                writer.sendall(b"?")
                if reader.recvmsg(1, ANCILLARY_BYTES)[1]:
                    return True
                time.sleep(_PAUSE_S)
    return False
