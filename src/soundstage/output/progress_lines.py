"""Progress as lines, for whoever reads no picture: a pipe, a log, continuous integration.

A command that works is never silent for long, and its log is not flooded: lines come often at
first, when somebody waits for them, and rarely later.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from soundstage.output.streams import say

#: (from this second on, seconds between two lines)
_PERIODS = ((0.0, 2.0), (30.0, 5.0), (300.0, 15.0), (1800.0, 60.0))
#: A line that would come sooner than this part of a period after the one before waits for the next.
_TOO_SOON = 0.2
#: A thread that is stuck in its work is not waited for longer than this, in seconds.
_PATIENCE_S = 1.0


def pause_after(elapsed_s: float) -> float:
    """How long to wait for the next line, in seconds, when so many seconds have passed since the
    work began, with a line of its own.
    """
    period = next(period for begin, period in reversed(_PERIODS) if elapsed_s >= begin)
    pause = period - elapsed_s % period
    return pause if pause > _TOO_SOON * period else pause + period


def say_at_once(text: str, stream: TextIO) -> None:
    """Print a line before the work begins, unless the reader takes nothing just now (a terminal
    after Ctrl-S): the work does not wait for it.
    """
    with suppress(OSError, ValueError):
        if not select.select([], [stream], [], 0)[1]:
            return
    say(text, stream, flush=True)


@contextmanager
def repeated(pause: Callable[[], float], work: Callable[[], object]) -> Iterator[None]:
    """Do some work in a thread, after each `pause()` seconds, while the block runs. What is wrong
    with a place that is written to does not concern the block.
    """
    ended = threading.Event()

    def loop() -> None:
        with suppress(OSError, ValueError):
            while not ended.wait(pause()):
                work()

    thread = threading.Thread(target=loop, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_PATIENCE_S)
