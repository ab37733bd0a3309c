"""Tells the chunks of a generation by a timer alone, each when it is due. The coroutine of the
answer sleeps meanwhile: to wake it for a chunk costs half as much as to send one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from soundstage.emulator.generations.generations import Generation
from soundstage.emulator.http.asgi import FarEnd
from soundstage.emulator.service.shared_timer import Appointment, SharedTimer


class Telling:
    """The telling of one generation, from the chunk on that was not sent yet. `push` sends a piece
    of the body at once, and says no where that cannot be; `stamp`: each chunk is sent with the
    moment at which it is sent.
    """

    __slots__ = ("_chunks", "_generation", "_listener", "_next", "_push", "_stamp", "_timer")

    def __init__(
        self,
        generation: Generation,
        listener: FarEnd,
        push: Callable[[bytes], bool],
        timer: SharedTimer,
        *,
        stamp: bool,
    ) -> None:
        self._generation = generation
        self._chunks = generation.chunks
        self._listener = listener
        self._push = push
        self._stamp = stamp
        self._timer = timer
        self._next: Appointment | None = None

    async def go_on(self) -> None:
        """Send chunks until the last, until nobody listens, or until one cannot be pushed: it is
        due then, and not sent.
        """
        loop, listener = asyncio.get_running_loop(), self._listener
        listener.waiter = loop.create_future()
        try:
            self._tell(loop.time())
            await listener.waiter
        finally:
            if self._next is not None:
                self._next.drop()

    def _tell(self, now: float) -> None:
        """Send what is due at `now`, and come back for the next; wake who waits where there is none
        or where it cannot be sent.
        """
        generation = self._generation
        schedule, number = generation.schedule, generation.sent
        try:
            while number < len(schedule) and not self._listener.gone:
                due = generation.started + schedule[number]
                if due > now:
                    # Not looked at again: a moment may be met a millisecond too early.
                    self._next = self._timer.call_at(due, self._tell)
                    return
                chunk = self._chunks[number]
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
