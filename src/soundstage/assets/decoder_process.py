"""Has files of others decoded by another process (`decoder.py`), and outlives what happens to it.

One such process serves a whole run. It is started with the first file and started again after it
came to harm. Its answers are taken for what a stranger might have written, too: bounded, and only
in the forms that are agreed upon.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from soundstage.assets import decoder as program

#: Bytes of address space. The largest picture that is decoded at all takes 0.75 GiB, the largest
#: file another 0.13.
_MEMORY: Final = 2**30
#: Seconds of the processor and of the clock for a file; an hour of music takes 3.
_CPU_S: Final = 20.0
_CLOCK_S: Final = 60.0
#: So many files may take longer; then no more is decoded, or a run would never end.
_MOST_LATE: Final = 3
_START_S: Final = 60.0
_STOP_S: Final = 5.0
_MOST_PIXELS: Final = max(program.MOST_PIXELS.values())
#: What the process gets of our environment: where its libraries are. No key, no proxy.
_KEPT: Final = (
    "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
    "SYSTEMROOT", "__PYVENV_LAUNCHER__",
)  # fmt: skip
#: Signals by which a process is ended from outside; all others are its own doing.
_FROM_OUTSIDE: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})


class Crashed(Exception):
    """The decoder came to harm by the file; the message says how."""


class OverLimit(Exception):
    """The decoder was not given what it asked for; the message says what that was."""


class NoDecoder(Exception):
    """There is no decoder; the message says why. Nothing is known about the file."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the process may take: bytes of memory, and for each file seconds of the processor and of
    the clock.
    """

    memory: int = _MEMORY
    cpu_s: float = _CPU_S
    clock_s: float = _CLOCK_S


@dataclass(frozen=True, slots=True)
class DecodedFile:
    """What became of a file: a word of `decoder.py`. With "audio" come `seconds` and `loud`, with
    "image" `width` and `height`.
    """

    word: str
    seconds: float = 0.0
    loud: bool = False
    width: int = 0
    height: int = 0


class FileDecoder:
    """A process that decodes. Safe to use from several threads; a file at a time."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:
        self._bounds = bounds
        self._child: _Child | None = None
        self._late = 0
        self._closing = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process; None if there is none now."""
        return None if self._child is None else self._child.pid

    @property
    def busy(self) -> bool:
        """Whether the process has a file that it has not answered yet."""
        return self._child is not None and self._child.busy

    def start(self) -> None:
        """Have the process started, if it is not yet, so that it is ready when a file comes."""
        if self._lock.acquire(blocking=False):
            try:
                with suppress(NoDecoder):
                    self._running()
            finally:
                self._lock.release()

    def ask(self, name: str, data: bytes, *, most_seconds: float = math.inf) -> DecodedFile:
        """Have a file of a format (`formats.DECODED`) decoded.

        Raises Crashed, OverLimit, NoDecoder.
        """
        with self._lock:
            if self._closing:
                raise OverLimit("time that is over")
            if self._late >= _MOST_LATE:
                raise OverLimit(f"time that is used up: {self._late} files before it took too long")
            child = self._running()
            # What came before may do harm to what comes now: only a new process is a witness.
            if child.used:
                try:
                    return self._asked(child, name, data, most_seconds)
                except _Late:
                    raise
                except (Crashed, OverLimit):
                    if self._closing:
                        raise
                    child = self._running()
            return self._asked(child, name, data, most_seconds)

    def _asked(self, child: _Child, name: str, data: bytes, most_seconds: float) -> DecodedFile:
        try:
            return child.ask(name, data, most_seconds)
        except BaseException as error:
            self._end()
            self._late += isinstance(error, _Late)
            raise

    def close(self) -> None:
        """End the process, and what it is at. The next file starts another one."""
        self._closing = True
        if (child := self._child) is not None:
            child.kill()
        with self._lock:
            self._end()
            self._closing = False

    def _running(self) -> _Child:
        # After a fork the process belongs to the other of the two.
        if self._child is None or self._child.owner != os.getpid() or self._child.ended:
            self._end()
            self._child = _Child(self._bounds)
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None and child.owner == os.getpid():
            child.end()


class _Late(OverLimit):
    """It took too long."""


class _Child:
    """One process, from its start to its end. `used`: it has had a file; `busy`: it has one now."""

    def __init__(self, bounds: Bounds) -> None:
        self.owner = os.getpid()
        self.used = False
        self.busy = False
        self._clock_s = bounds.clock_s
        self._ready = False
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", program.__name__]
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*command, str(bounds.memory), str(bounds.cpu_s)],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    env=_environment(os.environ),
                    cwd="/",
                    # Ctrl-C is for us: what has come is still looked at.
                    process_group=0,
                )
        except OSError as error:
            ours.close()
            raise NoDecoder(f"it could not be started: {error}") from error
        self._socket = ours

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself, while nothing was asked of it."""
        return self._process.poll() is not None

    def ask(self, name: str, data: bytes, most_seconds: float) -> DecodedFile:
        """One file. After any error the process is of no use any more."""
        if not self._ready:
            self._await_start()
        self.used = self.busy = True
        deadline = time.monotonic() + self._clock_s
        try:
            head = program.REQUEST.pack(name.encode(), most_seconds, len(data))
            self._socket.settimeout(self._clock_s)
            self._socket.sendall(head)
            self._socket.sendall(data)
            raw = self._answer(deadline)
        except TimeoutError as error:
            raise _Late(f"more than {self._clock_s:g} s") from error
        except OSError:
            raw = b""
        answer = understood(raw, audio=name == "MP3")
        if answer is None:
            raise self._reason(answered=bool(raw))
        self.busy = False
        if answer.word == program.MEMORY:
            raise OverLimit("more than the memory that it is given")
        return answer

    def _await_start(self) -> None:
        try:
            raw = self._answer(time.monotonic() + _START_S)
        except OSError as error:
            raise NoDecoder(f"it did not start within {_START_S:g} s") from error
        if raw != json.dumps({"word": "ready"}).encode():
            raise NoDecoder("it did not start; are miniaudio and Pillow there?")
        self._ready = True

    def _answer(self, deadline: float) -> bytes:
        """The bytes of one answer; none if the process ended, or said too much."""
        head = self._exactly(program.ANSWER.size, deadline)
        size = program.ANSWER.unpack(head)[0] if head else 0
        if not size:
            return b""
        return self._exactly(size, deadline) if size <= program.MOST_ANSWER else b"?"

    def _exactly(self, size: int, deadline: float) -> bytes:
        data = b""
        while len(data) < size:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            got = self._socket.recv(size - len(data))
            if not got:
                return b""
            data += got
        return data

    def _reason(self, *, answered: bool) -> Crashed | OverLimit:
        """Why there is no answer, or none that could be understood."""
        if answered:
            return Crashed("it answered with rubbish")
        try:
            code = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            return Crashed("it closed its connection")
        if code == program.NO_MEMORY:
            return OverLimit("more than the memory that it is given")
        if code >= 0:
            return Crashed(f"it ended with {code}")
        if -code == signal.SIGXCPU:
            return _Late("more than the time of the processor that it is given")
        if -code in _FROM_OUTSIDE:
            return OverLimit(f"more than this machine gave it: it was ended by {_name(-code)}")
        return Crashed(_name(-code))

    def kill(self) -> None:
        """End it, whatever it is doing. May be called while another thread waits for its answer."""
        if self.owner == os.getpid():
            with suppress(ProcessLookupError):
                self._process.kill()

    def end(self) -> None:
        """End it, and give back what it had of ours."""
        self._socket.close()
        self.kill()
        self._process.wait()


def understood(raw: bytes, *, audio: bool) -> DecodedFile | None:
    """An answer, if it is one that may come of a file of sound, or of a picture; else None."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    match found:
        case {"word": "audio", "seconds": float(seconds), "loud": bool(loud), **rest}:
            fits = audio and not rest and math.isfinite(seconds) and seconds > 0
            return DecodedFile("audio", seconds=seconds, loud=loud) if fits else None
        case {"word": "image", "width": int(width), "height": int(height), **rest}:
            sides = _is_side(width) and _is_side(height)
            fits = not audio and not rest and sides and width * height <= _MOST_PIXELS
            return DecodedFile("image", width=width, height=height) if fits else None
        case {"word": str(word), **rest}:
            known = {program.BROKEN, program.MEMORY}
            known |= {program.EMPTY, program.LONG} if audio else {program.LARGE}
            return DecodedFile(word) if word in known and not rest else None
    return None


def _is_side(number: int) -> bool:
    return not isinstance(number, bool) and number > 0


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    kept = {name: ours[name] for name in _KEPT if name in ours}
    # It runs in another folder than we do.
    if path := ours.get("PYTHONPATH"):
        kept["PYTHONPATH"] = os.pathsep.join(
            os.path.abspath(each) for each in path.split(os.pathsep) if each
        )
    # A thread of glibc reserves 64 MiB else, of which it uses a few.
    return {**kept, "MALLOC_ARENA_MAX": "1"}


#: The process of this run.
SHARED: Final = FileDecoder()
atexit.register(SHARED.close)
