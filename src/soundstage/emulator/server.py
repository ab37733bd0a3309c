"""Runs the emulator under uvicorn, until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator
from typing import Final

import uvicorn

from soundstage.emulator.app import Emulator
from soundstage.emulator.options import Options
from soundstage.errors import TargetError

#: What the command prints, with the URL after it, when the emulator can be used.
READY: Final = "listening on "

_BACKLOG: Final = 4096


class _Server(uvicorn.Server):
    """A uvicorn that says when it is ready, cuts running streams when it is told to stop, and
    then returns instead of dying of the signal.
    """

    def __init__(
        self, config: uvicorn.Config, emulator: Emulator, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._emulator = emulator
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        # What is here by now stays, and thousands of streams make little rubbish in cycles: left
        # at its defaults the collector takes a fifth of the time of a chunk.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._emulator.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self.handle_exit) for each in handled}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def serve(options: Options, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the base URL once requests are answered.

    Raises UsageError for options that make no sense, TargetError if the address cannot be had.
    """
    emulator = Emulator(options)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    listening = bound(options.host, options.port)
    url = url_of(listening)
    config = uvicorn.Config(
        emulator,
        interface="asgi3",
        loop="auto",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    with listening:
        _Server(config, emulator, lambda: ready(url)).run(sockets=[listening])


def url_of(listening: socket.socket) -> str:
    """The base URL of what listens at this socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at an address. Raises TargetError if the address cannot be had."""
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
            bound.listen(_BACKLOG)
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
