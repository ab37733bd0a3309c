"""Serves an application of ours by uvicorn: until a signal asks to stop, or for the program that it
runs in, in a thread or in a process of its own. One application, one process, one event loop.

Never here: what is answered (`app.py`), and how a connection is read (`http/connection.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import uvicorn
from starlette.types import Receive, Scope, Send

from soundstage.contract import Contract
from soundstage.emulator.http.connection import OpenProtocol
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator
from soundstage.errors import TargetError, UsageError
from soundstage.process import lifeline, rubbish
from soundstage.process.open_files import raise_limit
from soundstage.process.signals import signals

#: What the command prints, with the URL after it, when the emulator can be used.
READY: Final = "listening on "
#: For tests: no delays, and the same every time.
USUAL: Final = Options(profile="instant", seed=1)
#: How many connections may wait to be accepted.
_BACKLOG: Final = 4096
_START_S: Final = 30.0
_STOP_S: Final = 5.0


class Stoppable(Protocol):
    """An ASGI application that can be told to cut its answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def stop(self) -> None: ...


class ApplicationServer(uvicorn.Server):
    """A uvicorn that says when it is `ready`, cuts running answers when it is told to stop, and
    returns then instead of dying of the signal. `alone`: signals and the garbage collector of its
    process are its own.
    """

    def __init__(
        self, config: uvicorn.Config, app: Stoppable, ready: Callable[[], None], *, alone: bool
    ) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready
        self._alone = alone
        self._quiet = ExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._alone:
            self._quiet.enter_context(rubbish.seldom())
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        self._quiet.close()
        await super().shutdown(sockets)
        # Whoever has not taken what was sent by now may never, and the loop would wait for them.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Also those that a shell had its background jobs ignore, but for the end of a terminal.
        caught = {signal.SIGINT, signal.SIGTERM, *signals()} if self._alone else ()
        before = {each: signal.signal(each, self.handle_exit) for each in caught}
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
        "backlog": _BACKLOG,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 1,
    }
    return uvicorn.Config(app, **{**usual, **settings})


def serve(
    app: Stoppable, host: str, port: int, ready: Callable[[str], None], **settings: Any
) -> None:
    """Serve until a signal asks to stop; `ready` gets the base URL once requests are answered.
    `settings` are those of `config`. Raises TargetError if the address cannot be had.
    """
    raise_limit()  # each stream takes a socket
    with _listening(host, port) as listening:
        url = _url_of(listening)
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server = ApplicationServer(config(app, **settings), app, lambda: ready(url), alone=True)
        server.run(sockets=[listening])


@dataclass(frozen=True, slots=True)
class Running:
    """An emulator that can be reached at `url` (scheme, host and port; no slash at the end)."""

    url: str

    def __str__(self) -> str:
        return self.url

    def asked(self, **filters: object) -> list[dict[str, Any]]:
        """What it was asked so far, the oldest first: the entries of its journal, each with
        `method`, `path`, `body`, `status`, `endpoint`, `chunks`; of a refusal also `reason`, `why`
        and `problems`. `filters` are those of the journal: `asked(failed=True, path="/v6/*")`; at
        most 1,000 entries unless a `limit` says less.

        Raises UsageError where the journal cannot be read so: for a filter that there is not, or
        where the admin API wants a token.
        """
        words = {"limit": 1000, **filters}
        named = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in words.items()
        }
        # An opener of its own: proxies of the environment are for other hosts.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = f"{self.url}/_emulator/journal?{urllib.parse.urlencode(named)}"
        try:
            with opener.open(url, timeout=_START_S) as answer:
                entries = json.load(answer)["entries"]
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(1000).decode(errors="replace")
            raise UsageError(f"the journal of the emulator cannot be read: {said}") from error
        assert isinstance(entries, list)
        return entries


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
    if process and contracts is not None:
        raise UsageError("an emulator in another process serves the installed contracts only")
    with _child(options) if process else in_thread(Emulator(options, contracts)) as url:
        yield Running(url)


@contextmanager
def in_thread(emulator: Emulator) -> Iterator[str]:
    """Serve an emulator in a thread of this process; its base URL. Raises TargetError if it does
    not get ready.
    """
    options, ready = emulator.options, threading.Event()
    with _listening(options.host, options.port) as listening:
        server = ApplicationServer(config(emulator), emulator, ready.set, alone=False)

        def serve() -> None:
            try:
                server.run(sockets=[listening])
            finally:
                ready.set()

        thread = threading.Thread(target=serve, name="soundstage emulator", daemon=True)
        thread.start()
        try:
            if not ready.wait(_START_S) or not server.started:
                raise TargetError("the emulator did not start in its thread: see the log")
            yield _url_of(listening)
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


def _url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address. Raises TargetError if the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as unless_it_listens:
            made = unless_it_listens.enter_context(socket.socket(family, kind, protocol))
            if os.name == "posix":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            # Listening right away finds out about a port in use; uvicorn listens again.
            made.listen(_BACKLOG)
            unless_it_listens.pop_all()
            return made
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "; choose another --port, or 0 for a free one"
        in_use = getattr(error, "errno", None) == errno.EADDRINUSE
        where = f"{host} port {port}"
        raise TargetError(f"cannot listen on {where}: {reason}{hint if in_use else ''}") from error
