"""Runs the emulator: under uvicorn in this process (`serve`), or as a child (`running`)."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import IO, Final

import uvicorn

from soundstage.emulator.app import Emulator
from soundstage.emulator.options import Options
from soundstage.errors import TargetError

#: What the command prints, with the URL after it, when the emulator can be used.
READY: Final = "listening on "

_BACKLOG: Final = 4096
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0
_TAIL_BYTES: Final = 2000


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
    listening = _bound(options.host, options.port)
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
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


def _bound(host: str, port: int) -> socket.socket:
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


@contextmanager
def running(options: Options) -> Iterator[str]:
    """An emulator in a process of its own, on a free port unless `options` name one; yields its
    base URL and stops it at the end.

    Raises TargetError, with what the child said, if it does not get ready.
    """
    command = [sys.executable, "-m", "soundstage", "emulate", *options.arguments()]
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints
        )
        assert child.stdout is not None
        try:
            with child.stdout:
                url = _announced(child.stdout)
                if url is None:
                    child.kill()
                    child.wait()
                    complaints.seek(0)
                    said = complaints.read()[-_TAIL_BYTES:].decode(errors="replace").strip()
                    raise TargetError(f"the emulator did not start: {said or 'it said nothing'}")
                yield url
        finally:
            _stop(child)


def _announced(stdout: IO[bytes]) -> str | None:
    """The URL that a child prints when it is ready; None if it ends or takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while not said.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            part = os.read(stdout.fileno(), 4096)
            if not part:
                return None
            said += part
    line = said.decode(errors="replace").splitlines()[0]
    return line.removeprefix(READY) if line.startswith(READY) else None


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
