"""The server's end of an HTTP connection, laid open to the application: what ASGI has no word for
(octets as they are, a reset) is done on it. Only uvicorn's parser and framing are used.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Sized
from typing import Any, Final

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION: Final = "soundstage.connection"
#: No lingering: what is unsent is thrown away, and the far end is told so by a reset (RFC 9293,
#: section 3.10.7; `SO_LINGER` of socket(7)).
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_SILENT: Final = logging.getLogger("soundstage.emulator.http")
_SILENT.setLevel(logging.CRITICAL)


class Connection:
    """One connection that a response is being sent on."""

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Send octets as they are, after all that was sent before."""
        self._transport.write(data)

    def close(self) -> None:
        """Send what is still to be sent, then close in an orderly way."""
        self._transport.close()

    def reset(self) -> None:
        """Reset the connection."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()


class _Flow(FlowControl):
    """Reads no further request while others wait for their turn on the same connection: uvicorn
    goes on after each answer, and so keeps whatever a client sends that does not read.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class OpenProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with its transport among the extensions of each request's scope.

    It keeps to itself what it would log: an answer that is cut is meant to be, and failures of the
    application are logged where they happen.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.logger = _SILENT

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {_EXTENSION: self.transport}


def connection_of(scope: Scope) -> Connection | None:
    """The connection that a request came on; None where the application is not served by us (in
    process, or by another server).
    """
    transport = (scope.get("extensions") or {}).get(_EXTENSION)
    return None if transport is None else Connection(transport)
