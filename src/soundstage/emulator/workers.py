"""Several processes that serve one emulator: started, watched, started again, stopped.

Each worker listens at a socket of its own with SO_REUSEPORT, so that the kernel spreads
connections over them evenly by the hash of their addresses. With one socket that all inherit, the
worker that wakes first takes all that wait, and since a stream stays where it was accepted, a burst
would stay on one core.

The parent serves nothing. It forks the workers, which costs little as everything is loaded, and
holds neither an event loop nor a database while it does; a worker that dies takes its connections
with it and is started again, and what it held is settled by the others (`ledger.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn, TextIO

from soundstage.contract import Contract
from soundstage.emulator.address import bound, url_of
from soundstage.emulator.app import Emulator
from soundstage.emulator.ledger import Ledger
from soundstage.emulator.options import Options
from soundstage.emulator.server import server
from soundstage.emulator.signals import stopping
from soundstage.emulator.state import State
from soundstage.errors import SoundstageError, TargetError
from soundstage.streams import say

#: So many deaths within so many seconds are too many: something is wrong that a new start does not
#: mend.
_DEATHS: Final = 10
_WITHIN_S: Final = 10.0
_STOP_S: Final = 5.0


@dataclass(slots=True)
class _Worker:
    """A worker process. `number` is its place, which its successor takes over; `ready` is the
    reading end of the pipe on which it says that it answers, None once it has.
    """

    number: int
    pid: int
    ready: int | None


def serve(options: Options, ready: Callable[[str], None], stderr: TextIO | None) -> None:
    """Serve from `options.workers` processes until a signal asks to stop; `ready` gets the base URL
    once all of them answer.

    Raises UsageError for options that make no sense, TargetError if the address cannot be had or
    workers keep dying.
    """
    if not hasattr(socket, "SO_REUSEPORT") or not hasattr(os, "fork"):
        raise TargetError("--workers needs SO_REUSEPORT and fork, which this system does not have")
    with contextlib.ExitStack() as stack:
        path, durable = options.state, True
        if path is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="soundstage-"))
            path, durable = Path(folder) / "state.sqlite", False
        # Made for its complaints, before anything is started, and for its contracts.
        with _fresh(path, durable) as state:
            contracts = Emulator(options, state=state).contracts
        port = _free_port(options)
        stack.callback(_close_books, path, durable)
        place = _Place(replace(options, port=port), path, durable, contracts)
        _Parent(place, stderr).run(ready)


@dataclass(frozen=True, slots=True)
class _Place:
    """What every worker starts from."""

    options: Options
    path: Path
    durable: bool
    contracts: dict[str, Contract]


@contextlib.contextmanager
def _fresh(path: Path, durable: bool) -> Iterator[State]:
    state = State(path, durable=durable)
    try:
        Ledger(state).start()
        yield state
    finally:
        state.close()


def _close_books(path: Path, durable: bool) -> None:
    state = State(path, fresh=False, durable=durable)
    Ledger(state).end(time.monotonic())
    state.close()


def _free_port(options: Options) -> int:
    """The port to listen at. A port that another program uses is found out about here: with
    SO_REUSEPORT its connections would be shared with us.
    """
    with bound(options.host, options.port) as probe:
        return int(probe.getsockname()[1])


class _Parent:
    """Watches over the workers."""

    def __init__(self, place: _Place, stderr: TextIO | None) -> None:
        self._place = place
        self._stderr = stderr
        self._workers: dict[int, _Worker] = {}
        self._deaths: deque[float] = deque(maxlen=_DEATHS)
        self._signals = stopping()
        self._stopping = False
        self._told = False
        self._selector = selectors.DefaultSelector()
        # A signal writes into it, so that one that comes at a bad moment is not missed.
        self._alarm, self._rings = socket.socketpair()
        # The workers read it, and see its end when the parent is gone, however it went.
        self._lifeline, self._life = os.pipe()

    def run(self, ready: Callable[[str], None]) -> None:
        options = self._place.options
        # Holds the port while no worker does; it does not listen, so it gets no connection.
        with bound(options.host, options.port, listen=False, share=True) as held:
            for end in (self._alarm, self._rings):
                end.setblocking(False)
            self._selector.register(self._alarm, selectors.EVENT_READ)
            with self._handling():
                try:
                    for number in range(options.workers):
                        self._start(number, held)
                    self._watch(lambda: ready(url_of(held)), held)
                finally:
                    self._stop()
        self._selector.close()

    @contextlib.contextmanager
    def _handling(self) -> Iterator[None]:
        before = {each: signal.getsignal(each) for each in (*self._signals, signal.SIGCHLD)}
        wakeup = signal.set_wakeup_fd(self._rings.fileno(), warn_on_full_buffer=False)
        for each in self._signals:
            signal.signal(each, self._asked_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for each, handler in before.items():
                signal.signal(each, handler)

    def _asked_to_stop(self, *_: object) -> None:
        self._stopping = True

    def _is_stopping(self) -> bool:
        return self._stopping

    def _start(self, number: int, held: socket.socket) -> None:
        reading, writing = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # a worker must not say it once more
        pid = os.fork()
        if not pid:
            os.close(reading)
            held.close()
            self._be_worker(number, writing)
        os.close(writing)
        self._workers[pid] = _Worker(number, pid, reading)
        self._selector.register(reading, selectors.EVENT_READ, pid)

    def _be_worker(self, number: int, ready: int) -> NoReturn:
        """What the child does, to its end."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in self._signals:
                # Until the server handles them: whoever stops us now must not wait.
                signal.signal(each, lambda *_: os._exit(0))
            os.close(self._life)
            self._selector.close()
            _work(self._place, number, self._lifeline, ready)
            code = 0
        except (SoundstageError, OSError) as error:
            self._say(f"worker {number}: {error}")
        except BaseException:  # noqa: BLE001 - nothing may get out into the parent's frames
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _watch(self, ready: Callable[[], None], held: socket.socket) -> None:
        while not self._is_stopping():
            for key, _ in self._selector.select():
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        self._alarm.recv(4096)
                else:
                    self._heard_of(key.data)
            if self._is_stopping():
                return
            for worker, status in self._dead():
                self._bury(worker, status)
                self._start(worker.number, held)
            if not self._told and all(each.ready is None for each in self._workers.values()):
                self._told = True
                ready()

    def _heard_of(self, pid: int) -> None:
        """A worker said that it answers, or died before it could."""
        worker = self._workers.get(pid)
        if worker is not None and worker.ready is not None:
            answers = os.read(worker.ready, 1) != b""
            self._selector.unregister(worker.ready)
            if answers:
                os.close(worker.ready)
                worker.ready = None

    def _dead(self) -> Iterator[tuple[_Worker, int]]:
        for pid in list(self._workers):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                yield self._workers.pop(pid), status

    def _bury(self, worker: _Worker, status: int) -> None:
        if worker.ready is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(worker.ready)
            os.close(worker.ready)
        code = os.waitstatus_to_exitcode(status)
        how = f"exited with {code}" if code >= 0 else f"was killed by {_name_of(-code)}"
        now = time.monotonic()
        self._deaths.append(now)
        too_many = len(self._deaths) == _DEATHS and now - self._deaths[0] < _WITHIN_S
        if too_many or (not self._told and code == 1):
            raise TargetError(f"worker {worker.number} of the emulator {how}; gave up")
        self._say(f"worker {worker.number} (pid {worker.pid}) {how}; starting it again")

    def _say(self, text: str) -> None:
        if self._stderr is not None:
            with contextlib.suppress(OSError):
                say(f"soundstage emulate: {text}", self._stderr, flush=True)

    def _stop(self) -> None:
        """Ask all workers to stop, and make them if they do not."""
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while self._workers:
            for _ in self._dead():
                pass
            if self._workers and time.monotonic() > deadline:
                for pid in self._workers:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if self._workers:
                time.sleep(0.01)
        for end in (self._lifeline, self._life):
            os.close(end)
        self._alarm.close()
        self._rings.close()


def _work(place: _Place, number: int, lifeline: int, ready: int) -> None:
    """Be one worker until told to stop, or until the parent is gone."""
    options = place.options
    state = State(place.path, fresh=False, worker=number, durable=place.durable)
    emulator = Emulator(options, place.contracts, state)

    def answers() -> None:
        asyncio.get_running_loop().add_reader(lifeline, orphaned)
        os.write(ready, b"+")
        os.close(ready)

    orphan = False

    def orphaned() -> None:
        nonlocal orphan
        orphan = True
        asyncio.get_running_loop().remove_reader(lifeline)
        serving.should_exit = True

    serving = server(emulator, answers)
    with bound(options.host, options.port, share=True) as listening:
        serving.run(sockets=[listening])
    if orphan and options.state is None:
        # Made by the parent, which cannot take it away any more.
        shutil.rmtree(place.path.parent, ignore_errors=True)


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
