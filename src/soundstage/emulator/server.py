"""Runs the emulator under uvicorn, until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

import uvicorn

from soundstage.emulator.app import Emulator
from soundstage.emulator.connection import OpenProtocol
from soundstage.emulator.options import Options
from soundstage.errors import TargetError, UsageError

try:
    import fcntl
except ImportError:  # not on every platform
    fcntl = None  # type: ignore[assignment]

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


def serve(options: Options, ready: Callable[[str], None], stderr: TextIO | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the base URL once requests are answered. What
    becomes of workers is told on `stderr`.

    Raises UsageError for options that make no sense, TargetError if the address cannot be had.
    """
    # Workers must agree on the seed; one that is drawn is drawn here.
    if options.seed is None:
        options = replace(options, seed=secrets.randbits(32))
    with claimed(options.state):
        if options.workers > 1:
            from soundstage.emulator import workers

            workers.serve(options, ready, stderr)
            return
        emulator = Emulator(options)
        with bound(options.host, options.port) as listening:
            url = url_of(listening)
            run(emulator, listening, lambda: ready(url))


def run(emulator: Emulator, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve one application in this process, until SIGTERM or SIGINT."""
    server(emulator, ready).run(sockets=[listening])


def server(emulator: Emulator, ready: Callable[[], None]) -> uvicorn.Server:
    """uvicorn as the emulator needs it; `ready` is called when it answers."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
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
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    return _Server(config, emulator, ready)


@contextlib.contextmanager
def claimed(path: Path | None) -> Iterator[None]:
    """Keep a state file to this emulator: another would give back what this one holds. Raises
    UsageError if it is in use. The claim ends with the process, however that ends.
    """
    if path is None or fcntl is None:
        yield
        return
    try:
        claim = open(f"{path}.lock", "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"the state file {path} cannot be used: {error.strerror}") from error
    with claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"the state file {path} is in use by another emulator") from error
        yield


def url_of(listening: socket.socket) -> str:
    """The base URL of what listens at this socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bound(host: str, port: int, *, listen: bool = True, share: bool = False) -> socket.socket:
    """A socket that listens at an address; with `share`, beside others of this user that share it.
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
            if share:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
            if listen:
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
