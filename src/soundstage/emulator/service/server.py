"""uvicorn as the emulator needs it: one application in one process, until it is told to stop."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any, Final, Protocol

import uvicorn
from starlette.types import Receive, Scope, Send

from soundstage.emulator.http.address import BACKLOG, bound, url_of
from soundstage.emulator.http.connection import OpenProtocol
from soundstage.emulator.http.end_signals import stopping
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator

#: What the command prints, with the URL after it, when the emulator can be used.
READY: Final = "listening on "


def serve(options: Options, ready: Callable[[str], None]) -> None:
    """Serve until a signal asks to stop; `ready` gets the base URL once requests are answered.

    Raises UsageError for options that make no sense, TargetError if the address cannot be had.
    """
    listen(Emulator(options), options.host, options.port, ready)


class Stoppable(Protocol):
    """An ASGI application that can be told to cut its answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def stop(self) -> None: ...


def listen(
    app: Stoppable, host: str, port: int, ready: Callable[[str], None], **settings: Any
) -> None:
    """Serve an application of ours until a signal asks to stop; see `serve`. `settings` are those
    of `config`. Raises TargetError.
    """
    with bound(host, port) as listening:
        url = url_of(listening)
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        _StandaloneServer(config(app, **settings), app, lambda: ready(url)).run(sockets=[listening])


class _StandaloneServer(uvicorn.Server):
    """A uvicorn that says when it is ready, cuts running streams when it is told to stop, and
    then returns instead of dying of the signal.
    """

    def __init__(self, config: uvicorn.Config, app: Stoppable, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
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
        self._app.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        before = {each: signal.signal(each, self.handle_exit) for each in stopping()}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def config(app: Stoppable, **settings: Any) -> uvicorn.Config:
    """How uvicorn serves an application of ours, whoever runs it; `settings` are uvicorn's, where
    an application needs others than the emulator.
    """
    usual = {
        "interface": "asgi3",
        "loop": "auto",
        "http": OpenProtocol,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "backlog": BACKLOG,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 1,
    }
    return uvicorn.Config(app, **{**usual, **settings})
