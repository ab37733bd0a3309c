"""uvicorn as the emulator needs it: one application in one process."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn

from soundstage.emulator.address import BACKLOG
from soundstage.emulator.app import Emulator
from soundstage.emulator.connection import OpenProtocol
from soundstage.emulator.signals import stopping


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
        before = {each: signal.signal(each, self.handle_exit) for each in stopping()}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def run(emulator: Emulator, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve one application in this process, until a signal asks to stop."""
    server(emulator, ready).run(sockets=[listening])


def server(emulator: Emulator, ready: Callable[[], None]) -> uvicorn.Server:
    """uvicorn as the emulator needs it; `ready` is called when it answers."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return _Server(config(emulator), emulator, ready)


def config(emulator: Emulator) -> uvicorn.Config:
    """How uvicorn serves an emulator, whoever runs it."""
    return uvicorn.Config(
        emulator,
        interface="asgi3",
        loop="auto",
        http=OpenProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
