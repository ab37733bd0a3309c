"""The address that an emulator listens at: its socket and its base URL."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from soundstage.errors import TargetError

#: How many connections may wait to be accepted.
BACKLOG: Final = 4096


def url_of(listening: socket.socket) -> str:
    """The base URL of what listens at this socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises TargetError if the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            # Listening right away finds out about a port in use; uvicorn listens again.
            bound.listen(BACKLOG)
        except BaseException:
            bound.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "; choose another --port, or 0 for a free one"
        in_use = getattr(error, "errno", None) == errno.EADDRINUSE
        where = f"{host} port {port}"
        raise TargetError(f"cannot listen on {where}: {reason}{hint if in_use else ''}") from error
    return bound
