"""Room for so many generations at once, and a queue before it: first come, first served.

When a generation is accepted it is known how long it will take, so when it starts is worked out
there and then: with `c` slots it starts when all but `c - 1` of those before it have ended. Nobody
waits on an object, and the state is rows of a table, so that processes can share it.

Never here: what a generation is, and how its time is spread over its chunks.
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

_TABLES = """
CREATE TABLE IF NOT EXISTS admitted (
    id INTEGER PRIMARY KEY,
    starts REAL NOT NULL,
    ends REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS admitted_by_end ON admitted (ends);
CREATE INDEX IF NOT EXISTS admitted_by_start ON admitted (starts);
"""


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
    """A queue with `slots` servers, on a SQLite connection that the caller owns.

    `slots` None: nobody waits. `queue`: how many may wait, None for any number. Times are those
    of the monotonic clock, in seconds, which all processes of a machine share.

    `admit` runs inside the transaction that the caller has begun (several processes must begin it
    with BEGIN IMMEDIATE); if the caller rolls back, nothing was admitted.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        slots: int | None,
        queue: int | None = None,
        slowdown: SlowDown | None = None,
    ) -> None:
        self._database = database
        self.slots = slots
        self.queue = queue
        self.slowdown = slowdown
        for statement in filter(str.strip, _TABLES.split(";")):
            database.execute(statement)

    def admit(self, now: float, service_s: float) -> Admitted | None:
        """Take in a generation that comes `now` and undisturbed takes `service_s`; None if the
        queue is full. Once admitted it keeps its slot to its end, whether or not its client does.
        """
        run = self._database.execute
        run("DELETE FROM admitted WHERE ends <= ?", (now,))
        start = now
        if self.slots is not None:
            # Of those before it, the one whose end leaves a slot free.
            ends = run(
                "SELECT ends FROM admitted ORDER BY ends DESC LIMIT 1 OFFSET ?", (self.slots - 1,)
            ).fetchone()
            if ends is not None:
                if self.queue is not None and self.waiting(now) >= self.queue:
                    return None
                start = float(ends[0])
        stretch = 1.0
        if self.slowdown is not None:
            beside = run("SELECT COUNT(*) FROM admitted WHERE ends > ?", (start,)).fetchone()
            stretch = self.slowdown.stretch(beside[0])
        run(
            "INSERT INTO admitted (starts, ends) VALUES (?, ?)",
            (start, start + service_s * stretch),
        )
        return Admitted(start, stretch)

    def waiting(self, now: float) -> int:
        """How many are admitted and have no slot yet."""
        query = "SELECT COUNT(*) FROM admitted WHERE starts > ?"
        return int(self._database.execute(query, (now,)).fetchone()[0])

    def running(self, now: float) -> int:
        """How many hold a slot."""
        query = "SELECT COUNT(*) FROM admitted WHERE starts <= ? AND ends > ?"
        return int(self._database.execute(query, (now, now)).fetchone()[0])

    def clear(self) -> None:
        """Forget everybody: to be called once, before the first process serves. A monotonic clock
        starts anew with the machine, so what an earlier emulator left behind says nothing.
        """
        self._database.execute("DELETE FROM admitted")
