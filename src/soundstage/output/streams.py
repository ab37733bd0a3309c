"""Standard input, output and error that hold whatever they are connected to.

A reader that goes away (`| head`, a closed terminal) does not end a command: it finishes its work,
nobody sees the rest, and its verdict counts. A place that takes nothing more (a full disk) does not
end it either, but is remembered for the exit code. What the encoding cannot show is written as an
escape.

They are the one way out for what this program prints: a `Screen` lets no secret through, and of
what others wrote nothing that drives a terminal or a service of continuous integration
(`output/visible.py`). Commands print a line by `say`, in which foreign line ends are none.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO, cast

from soundstage.output import outgoing, visible

try:
    # As they are now: Locust puts others in their place, and while one of those waited here
    # another greenlet could write.
    from select import POLLOUT, poll
except ImportError:  # not on every platform
    poll = None  # type: ignore[assignment,misc]

#: The reader is gone, and nothing is wrong with the place.
_GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN, errno.ENXIO})
_POLL_MS = 1000


class _GuardedStream(io.RawIOBase):
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
        self._outlets: dict[str, _GuardedStream] = {}
        _fill()
        if sys.stdin is None:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the program lives
        for name, number in (("stdout", 1), ("stderr", 2)):
            stream = getattr(sys, name)
            if stream is None:
                stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, screen(self._held(name, stream)))

    def _held(self, name: str, stream: TextIO) -> TextIO:
        raw = getattr(getattr(stream, "buffer", None), "raw", getattr(stream, "buffer", None))
        if not (isinstance(stream, io.TextIOWrapper) and isinstance(raw, io.RawIOBase)):
            return stream  # somebody else has put it there, and looks after it
        with suppress(OSError, ValueError):
            stream.flush()
        self._outlets[name] = outlet = _GuardedStream(raw, f"<{name}>", stream)
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


class Screen:
    """A text stream for what people, and services of continuous integration, read: `stream` gets
    what is written, made harmless. It is used as any stream is; there is no way around it but its
    file descriptor.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._flow = visible.Flow()

    def write(self, text: str) -> int:
        """Print text of which nobody knows who wrote it."""
        self._stream.write(self._flow.shown(outgoing.text(text)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def document(self, text: str, *, orders: bool = False) -> None:
        """Print a document for programs, in UTF-8 whatever the locale, as it says of itself. With
        `orders` it is made of orders to a service of continuous integration, which pass.
        """
        shown = self._flow.shown(outgoing.text(text), orders=orders)
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.flush()
            self._stream.buffer.write(shown.encode("utf-8", "backslashreplace"))
            self._stream.buffer.flush()
        else:
            self._stream.write(shown)

    @property
    def buffer(self) -> _Bytes:
        """For who writes bytes: they are taken for UTF-8."""
        return _Bytes(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


class _Bytes:
    """The bytes of a screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def write(self, data: Any, /) -> int:
        whole = bytes(data)
        self._screen.document(whole.decode("utf-8", "backslashreplace"))
        return len(whole)

    def flush(self) -> None:
        self._screen.flush()


def screen(stream: TextIO) -> TextIO:
    """The stream as a screen; one that is a screen already is given back. What its encoding cannot
    show is written as an escape, where Python would stop with an error.
    """
    given: Any = stream
    if isinstance(given, Screen):
        return stream
    if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
        stream.reconfigure(errors="backslashreplace")
    return cast(TextIO, Screen(stream))


def show() -> None:
    """Make screens of the standard streams of a program that is not ours alone."""
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is not None:
            setattr(sys, name, screen(stream))


def say(text: object, stream: TextIO, *, flush: bool = False) -> None:
    """Print one line, whatever stands in it."""
    stream.write(visible.line(text) + "\n")
    if flush:
        stream.flush()


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


def json_line(value: Any, stream: TextIO) -> str:
    """A JSON text on one line, in ASCII where the stream is not Unicode; nothing in it drives a
    terminal.
    """
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    return visible.in_json(json.dumps(value, ensure_ascii=not encoding.startswith("utf")))
