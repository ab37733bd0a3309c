"""Serves an emulator to the program that it runs in: on a free port, in a thread or in a process
of its own.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn

from soundstage.contract import Contract
from soundstage.emulator.http.address import bound, url_of
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator
from soundstage.emulator.service.server import READY, config
from soundstage.errors import TargetError, UsageError
from soundstage.process import lifeline

_START_S: Final = 30.0
_STOP_S: Final = 5.0
#: For tests: no delays, and the same every time.
USUAL: Final = Options(profile="instant", seed=1)


@dataclass(frozen=True, slots=True)
class Running:
    """An emulator that can be reached at `url` (scheme, host and port; no slash at the end)."""

    url: str

    def __str__(self) -> str:
        return self.url


@contextmanager
def running(
    options: Options = USUAL,
    *,
    process: bool = False,
    contracts: Mapping[str, Contract] | None = None,
) -> Iterator[Running]:
    """An emulator on a free port of this machine (or on `options.port`), stopped at the end.

    It runs in a thread of this process, or with `process` in one of its own, where it shares no
    interpreter with what is measured against it. `contracts`, by name, replaces those that are
    installed, in a thread only.

    Raises UsageError for options that make no sense, TargetError if it does not get ready.
    """
    if process:
        if contracts is not None:
            raise UsageError("an emulator in another process serves the installed contracts only")
        with _child(options) as url:
            yield Running(url)
    else:
        with _thread(options, contracts) as url:
            yield Running(url)


class _HostedServer(uvicorn.Server):
    """A uvicorn that leaves signals to the program that it is a part of, and says when it is
    ready.
    """

    def __init__(self, config: uvicorn.Config, emulator: Emulator) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._emulator = emulator

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._emulator.stop()
        await super().shutdown(sockets)


@contextmanager
def _thread(options: Options, contracts: Mapping[str, Contract] | None) -> Iterator[str]:
    emulator = Emulator(options, contracts)
    with bound(options.host, options.port) as listening:
        server = _HostedServer(config(emulator), emulator)

        def serve() -> None:
            try:
                server.run(sockets=[listening])
            finally:
                server.ready.set()

        thread = threading.Thread(target=serve, name="soundstage emulator", daemon=True)
        thread.start()
        try:
            if not server.ready.wait(_START_S) or not server.started:
                raise TargetError("the emulator did not start in its thread: see the log")
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join(_STOP_S)


@contextmanager
def _child(options: Options) -> Iterator[str]:
    # It ends with us, however we end; and imports nothing from the folder that we are in.
    program = [sys.executable, "-P", "-m", "soundstage", "emulate", lifeline.OPTION]
    command = [*program, *options.arguments()]
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
        )
        assert child.stdin is not None
        assert child.stdout is not None
        impatience = threading.Timer(_START_S, child.kill)
        impatience.start()
        try:
            with child.stdout:
                line = child.stdout.readline().decode(errors="replace").strip()
                impatience.cancel()
                if not line.startswith(READY):
                    child.wait()
                    complaints.seek(0)
                    said = complaints.read().decode(errors="replace").split("\n")
                    last = next((each for each in reversed(said) if each.strip()), "no word")
                    raise TargetError(f"the emulator did not start: {last}")
                yield line.removeprefix(READY)
        finally:
            impatience.cancel()
            child.terminate()
            child.stdin.close()
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
