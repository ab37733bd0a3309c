"""Room for so many generations at once, and a queue before it: first come, first served.

When a generation is accepted it is known how long it will take, so when it starts is worked out
there and then: with `c` slots it starts when all but `c - 1` of those before it have ended. Nobody
waits on an object.

Never here: what a generation is, and how its time is spread over its chunks.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class SlowDown:
    """The more generations run, the longer each takes: `factor` times as long for one that starts
    while `running` others run, in proportion below and above. Not slower than `most` times.
    """

    running: int
    factor: float
    most: float = math.inf

    def stretch(self, running: int) -> float:
        """How many times as long a generation takes that starts beside so many others."""
        return min(1.0 + (self.factor - 1.0) * running / self.running, self.most)


class Admitted(NamedTuple):
    """When a generation starts (seconds of the clock that `now` was read from), and how many
    times as long as undisturbed it takes. It occupies its slot for `service_s` * `stretch`.
    """

    start: float
    stretch: float


class Capacity:
    """A queue with `slots` servers; None: nobody waits. `queue`: how many may wait, None for any
    number. Times are those of the monotonic clock, in seconds, and never go back.
    """

    def __init__(
        self, slots: int | None = None, queue: int | None = None, slowdown: SlowDown | None = None
    ) -> None:
        self.slots = slots
        self.queue = queue
        self.slowdown = slowdown
        #: When those who are in have their slot, and when they leave it: in order.
        self._starts: list[float] = []
        self._ends: list[float] = []

    def is_full(self, now: float) -> bool:
        """Whether there is no slot for one that comes `now`, and no place in the queue."""
        self._leave(now)
        if self.slots is None or self.queue is None or len(self._ends) < self.slots:
            return False
        return self.waiting(now) >= self.queue

    def admit(self, now: float, service_s: float) -> Admitted:
        """Take in a generation that comes `now` and undisturbed takes `service_s`. It keeps its
        slot to its end, whether or not its client does.
        """
        self._leave(now)
        start = now
        # Of those before it, the one whose end leaves a slot free.
        if self.slots is not None and len(self._ends) >= self.slots:
            start = self._ends[-self.slots]
        stretch = 1.0
        if self.slowdown is not None:
            stretch = self.slowdown.stretch(len(self._ends) - bisect_right(self._ends, start))
        insort(self._starts, start)
        insort(self._ends, start + service_s * stretch)
        return Admitted(start, stretch)

    def _leave(self, now: float) -> None:
        """Forget those who have left, and when those who have a slot got it."""
        del self._ends[: bisect_right(self._ends, now)]
        del self._starts[: bisect_right(self._starts, now)]

    def clear(self) -> None:
        """Forget everybody."""
        self._starts.clear()
        self._ends.clear()

    def waiting(self, now: float) -> int:
        """How many are admitted and have no slot yet."""
        return len(self._starts) - bisect_right(self._starts, now)

    def running(self, now: float) -> int:
        """How many hold a slot."""
        return len(self._ends) - bisect_right(self._ends, now) - self.waiting(now)
