"""One timer of the event loop for the chunks of all streams: a timer of its own for each would take
as long as half of what else there is to a chunk.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

#: Called with the moment that it was asked for.
Callback = Callable[[float], None]


class Appointment:
    """A call that somebody waits for. Nobody is called once it is dropped."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def drop(self) -> None:
        self.callback = None


class SharedTimer:
    """Calls back at moments of its loop's clock, in their order; those of the same moment in the
    order in which they were asked for. Its loop is that in which it is first asked. The loop's
    clock counts in milliseconds: a moment may be met one too early.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[tuple[float, int, Appointment]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        #: When the timer rings: never before the first moment that somebody waits for.
        self._rings_at = math.inf

    def call_at(self, due: float, callback: Callback) -> Appointment:
        """Have `callback` called at `due`; not before this returns, even if that is over."""
        asked = Appointment(callback)
        heappush(self._waiting, (due, next(self._numbers), asked))
        if due < self._rings_at:
            self._ring_at(due)
        return asked

    def _ring_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._rings_at = due
        self._timer = self._loop.call_at(due, self._ring, self._loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = self._waiting
        now = max(loop.time(), self._rings_at)
        # Who is called asks for the next moment: the timer is set once, after all of them.
        self._timer, self._rings_at = None, -math.inf
        try:
            while waiting and waiting[0][0] <= now:
                due, _, asked = heappop(waiting)
                if asked.callback is not None:
                    asked.callback(due)
        finally:
            self._rings_at = math.inf
            if waiting:
                self._ring_at(waiting[0][0])
