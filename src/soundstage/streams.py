"""Standard input, output and error that hold whatever they are connected to.

A reader that goes away (`| head`, a closed terminal) does not end a command: it finishes its work,
nobody sees the rest, and its verdict counts. A place that takes nothing more (a full disk) does not
end it either, but is remembered for the exit code. What the encoding cannot show is written as an
escape.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

try:
    # As they are now: Locust puts others in their place, and while one of those waited here
    # another greenlet could write.
    from select import POLLOUT, poll
except ImportError:  # not on every platform
    poll = None  # type: ignore[assignment,misc]

#: The reader is gone, and nothing is wrong with the place.
_GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN, errno.ENXIO})
_POLL_MS = 1000


class _Outlet(io.RawIOBase):
    """What is written goes to `inner` as long as that takes it. `failure`: why it does not any
    more, where that is not just a reader that is gone. `owner` would close `inner` with itself.
    """

    def __init__(self, inner: Any, name: str, owner: object) -> None:
        self._inner = inner
        self._owner = owner
        self._dead = False
        self.name = name
        self.failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        while rest and not self._dead:
            try:
                written = self._inner.write(rest)
            except OSError as error:
                self._dead = True
                # A terminal that was closed says EIO.
                gone = error.errno in _GONE or (error.errno == errno.EIO and self.isatty())
                self.failure = None if gone else error
                break
            except ValueError:  # somebody has closed it
                self._dead = True
                break
            if written is None:
                # Somebody who shares it has made it non-blocking.
                self._wait()
            else:
                rest = rest[written:]
        return len(data)

    def _wait(self) -> None:
        if poll is not None:
            with suppress(OSError, ValueError):
                waiting = poll()
                waiting.register(self._inner, POLLOUT)
                waiting.poll(_POLL_MS)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._inner.seekable())

    def seek(self, *place: int) -> int:
        return int(self._inner.seek(*place))

    def tell(self) -> int:
        return int(self._inner.tell())

    def fileno(self) -> int:
        return int(self._inner.fileno())

    def isatty(self) -> bool:
        try:
            return bool(self._inner.isatty())
        except (OSError, ValueError):
            return False


class Standard:
    """The standard streams of this program once they hold; `guard` makes it."""

    def __init__(self) -> None:
        self._outlets: dict[str, _Outlet] = {}
        _fill()
        if sys.stdin is None:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the program lives
        for name, number in (("stdout", 1), ("stderr", 2)):
            stream = getattr(sys, name)
            if stream is None:
                stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, self._held(name, stream))

    def _held(self, name: str, stream: TextIO) -> TextIO:
        raw = getattr(getattr(stream, "buffer", None), "raw", getattr(stream, "buffer", None))
        if not (isinstance(stream, io.TextIOWrapper) and isinstance(raw, io.RawIOBase)):
            return stream  # somebody else has put it there, and looks after it
        with suppress(OSError, ValueError):
            stream.flush()
        self._outlets[name] = outlet = _Outlet(raw, f"<{name}>", stream)
        unbuffered = raw is stream.buffer
        held = io.TextIOWrapper(
            outlet if unbuffered else io.BufferedWriter(outlet),
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=unbuffered or stream.write_through,
        )
        held.mode = "w"  # type: ignore[misc]
        return held

    def finish(self) -> str | None:
        """Let everything out. Why standard output did not take all of it, if so."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        outlet = self._outlets.get("stdout")
        if outlet is None or outlet.failure is None:
            return None
        return outlet.failure.strerror or str(outlet.failure)


def guard() -> Standard:
    """Make the standard streams of this program hold, to its end."""
    return Standard()


def forgive(stream: TextIO) -> None:
    """Write what the encoding cannot show as an escape, where Python would stop with an error."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
        stream.reconfigure(errors="backslashreplace")


def _fill() -> None:
    """Connect descriptors that are closed (`>&-`) to nothing: the next file that is opened would
    get their numbers, and with it what others print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened == number:
                    os.set_inheritable(opened, True)
