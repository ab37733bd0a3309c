"""A place for the lines of a log: a file that they are added to, or a stream of this program.

A reader that stops reading (`| less`) keeps nobody waiting who does not want to: as long as nothing
can be written, `write` asks whether it is to go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from soundstage.errors import not_written
from soundstage.output import outgoing, visible

try:
    from select import POLLOUT, poll
except ImportError:  # not on every platform
    poll = None  # type: ignore[assignment,misc]

_LOOK_MS = 100
#: What a pipe takes at once when it says that it can be written to (POSIX, `PIPE_BUF`).
_PIECE = 4096
_ADDED = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class LineOutlet:
    """Lines of text, without secrets and harmless to terminals. `failure`: why nothing more is
    taken; None as long as it is, or where the reader has only gone.
    """

    def __init__(self, descriptor: int | None, stream: TextIO | None = None) -> None:
        self._descriptor, self._stream = descriptor, stream
        self._dead = False
        self.failure: OSError | None = None

    @classmethod
    def added_to(cls, path: Path) -> LineOutlet:
        """A file that the user named; what stands in it stays. Raises UsageError if it can be none,
        TargetError if the system refuses.
        """
        try:
            return cls(os.open(path, _ADDED, 0o666))
        except OSError as error:
            raise not_written(path, error) from error

    @classmethod
    def of_stream(cls, stream: TextIO) -> LineOutlet:
        """A stream of this program."""
        try:
            stream.flush()
            return cls(stream.fileno())
        except (OSError, ValueError, AttributeError):
            return cls(None, stream)

    def write(self, text: str, goes_on: Callable[[], bool]) -> None:
        """Write whole lines. Where nothing can be written, `goes_on` says whether to wait."""
        shown = outgoing.text(visible.text(text))
        if self._stream is not None:
            self._stream.write(shown)
            return
        rest = shown.encode("utf-8", "backslashreplace")
        assert self._descriptor is not None
        while rest and not self._dead:
            try:
                if self._can_be_written():
                    rest = rest[os.write(self._descriptor, rest[:_PIECE]) :]
                elif not goes_on():
                    return
            except BlockingIOError:
                if not goes_on():
                    return
            except BrokenPipeError:
                self._dead = True
            except OSError as error:
                self._dead, self.failure = True, error

    def _can_be_written(self) -> bool:
        if poll is None or self._descriptor is None:
            return True
        waiting = poll()
        waiting.register(self._descriptor, POLLOUT)
        return bool(waiting.poll(_LOOK_MS))
