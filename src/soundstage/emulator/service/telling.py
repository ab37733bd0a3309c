"""Tells the chunks of a generation by timers alone, each when it is due. The coroutine of the
answer sleeps meanwhile: to wake it for a chunk costs half as much as to send one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.http.asgi import FarEnd


class Telling:
    """The telling of one generation, from the chunk on that was not sent yet. `push` sends a piece
    of the body at once, and says no where that cannot be; `stamp`: each chunk is sent with the
    moment at which it is sent.
    """

    __slots__ = ("_chunks", "_generation", "_listener", "_loop", "_push", "_stamp", "_timer")

    def __init__(
        self,
        generation: Generation,
        listener: FarEnd,
        push: Callable[[bytes], bool],
        *,
        stamp: bool,
    ) -> None:
        self._generation = generation
        self._chunks = generation.chunks
        self._listener = listener
        self._push = push
        self._stamp = stamp
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def go_on(self) -> None:
        """Send chunks until the last, until nobody listens, or until one cannot be pushed: it is
        due then, and not sent.
        """
        listener = self._listener
        listener.waiter = self._loop.create_future()
        try:
            self._tell(self._loop.time())
            await listener.waiter
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _tell(self, now: float) -> None:
        """Send what is due at `now`, and come back for the next; wake who waits where there is none
        or where it cannot be sent.
        """
        generation, chunks = self._generation, self._chunks
        number, many = generation.sent, len(chunks)
        try:
            while number < many and not self._listener.gone:
                due = generation.started + generation.schedule[number]
                if due > now:
                    # Not looked at again: timers count in milliseconds, and may come too early by
                    # one.
                    self._timer = self._loop.call_at(due, self._tell, due)
                    return
                chunk = chunks[number]
                if self._stamp:
                    chunk = b": sent=%d\n%b" % (time.clock_gettime_ns(time.CLOCK_MONOTONIC), chunk)
                if not self._push(chunk):
                    break
                number += 1
                generation.sent = number
        except BaseException:
            self._listener.wake()
            raise
        self._listener.wake()
