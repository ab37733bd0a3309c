"""A terminal, or a pipe, written to by a thread: whoever reads slowly, or not at all, holds up
nobody but that thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol, TextIO

#: A reader that takes nothing for so long is not waited for at the end, in seconds.
_PATIENCE_S = 1.0


def draws_pictures(terminal: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a picture can be drawn there: it is a terminal, and one that moves its cursor."""
    return terminal.isatty() and environ.get("TERM") != "dumb"


class Writing(Protocol):
    """Something that was begun elsewhere (gevent's results are like this)."""

    def ready(self) -> bool: ...

    def wait(self, timeout: float | None) -> object: ...


class _InThread:
    """Work that a thread of its own does."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._done = threading.Event()
        self._work = work
        threading.Thread(target=self._run, name="writing", daemon=True).start()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._done.set()

    def ready(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float | None) -> object:
        return self._done.wait(timeout)


class TerminalWriter:
    """A text stream that keeps what it is given, and hands it over with `flush`, to be written to
    the descriptor of `terminal` as it is now: whoever puts another file in its place later (pytest,
    which captures what checks print) does not get it. `begin` starts work elsewhere; in a process
    that gevent has patched it must be given.
    """

    def __init__(
        self, terminal: TextIO, begin: Callable[[Callable[[], None]], Writing] = _InThread
    ) -> None:
        self.encoding = terminal.encoding or "utf-8"
        self._place = os.dup(terminal.fileno())
        self._begin = begin
        self._parts: list[str] = []
        self._writing: Writing | None = None
        self._lock = threading.Lock()

    @property
    def free(self) -> bool:
        """Whether the terminal has taken all that was handed over."""
        return self._writing is None or self._writing.ready()

    def write(self, text: str) -> int:
        """Keep a text for the next flush."""
        with self._lock:
            self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what was kept, if the terminal has taken what went before."""
        with self._lock:
            if self._parts and self.free:
                text = "".join(self._parts)
                self._parts.clear()
                data = text.encode(self.encoding, "backslashreplace")
                self._writing = self._begin(lambda: self._put(data))

    def close(self) -> None:
        """Wait for what is being written, and for what came meanwhile, but not for ever."""
        for _ in range(2):
            if self._writing is not None:
                self._writing.wait(_PATIENCE_S)
            self.flush()
        if self._writing is not None:
            self._writing.wait(_PATIENCE_S)
        if self.free:
            os.close(self._place)  # or the thread that is stuck might write into another file

    def _put(self, data: bytes) -> None:
        # Past the lock of the text stream: a thread that is stuck here must not keep others out.
        rest = memoryview(data)
        with suppress(OSError):  # the terminal is gone; the work is not
            while rest:
                rest = rest[os.write(self._place, rest) :]
