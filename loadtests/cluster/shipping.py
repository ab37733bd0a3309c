"""Rows on their way from a worker to its master: in bounded batches, each acknowledged.

The messages go through Locust's own channel. A batch that is not acknowledged is sent again, and
the master takes each number once, so a row is neither lost nor counted twice while both live.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent
import gevent.event
import orjson

from soundstage.errors import TargetError
from soundstage.output import outgoing
from soundstage.results.bundle import portable
from soundstage.results.layout import fixed_words

#: The kinds of messages. To the master:
HELLO = "soundstage_hello"  # this worker is ready
ROWS = "soundstage_rows"  # a batch
LEASE = "soundstage_lease"  # grant me a lot of the budget
CLOCK = "soundstage_clock"  # what time is it? (and the answer)
DRIVEN = "soundstage_driven"  # its share of the schedule is over
FAILED = "soundstage_failed"  # it cannot go on, and why
LEAVE = "soundstage_leave"  # it will end soon, and wants no further share
DONE = "soundstage_done"  # all is shipped
#: To the workers:
BEGIN = "soundstage_begin"  # the run begins, or has begun, at such a time
PLAN = "soundstage_plan"  # who takes which arrivals from when on
ACK = "soundstage_ack"  # a batch has been taken
GRANT = "soundstage_grant"  # a lot of the budget
STOP = "soundstage_stop"  # start nothing more, and drain

#: What a master hears, and what a worker does.
TO_MASTER = (HELLO, ROWS, LEASE, CLOCK, DRIVEN, FAILED, LEAVE, DONE)
TO_WORKER = (BEGIN, PLAN, ACK, GRANT, STOP, CLOCK)

#: A batch goes after so many seconds, or rows.
SHIP_S = 0.5
BATCH_ROWS = 200
#: At most so many batches are under way; one that is not acknowledged in time is sent again.
_WINDOW = 8
_AGAIN_S = 5.0
#: A master that does not take a batch for so long is not there any more.
PATIENCE_S = 30.0
#: So long a worker tries to ship the rest of its rows.
SHIP_TIMEOUT_S = 30.0
#: And so long once somebody is in a hurry.
HURRY_S = 3.0
#: More rows than this are not kept for a master that does not take them.
MOST_WAITING = 100_000

Send = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class _BatchEntry:
    row: dict[str, Any]
    violations: list[dict[str, Any]] = field(default_factory=list)
    exercised: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Batch:
    data: dict[str, Any]
    made: float
    sent: float


class Shipment:
    """What a worker has to ship. Takes rows as a `BundleWriter` does; `figures` is called for each
    batch, for what is known of the worker as a whole (see `worker`); `abandoned` once the master
    has not taken any for long.
    """

    def __init__(
        self,
        send: Send,
        figures: Callable[[], dict[str, Any]],
        abandoned: Callable[[], None] = lambda: None,
    ) -> None:
        self._send = send
        self._figures = figures
        self._abandoned = abandoned
        self._entries: deque[_BatchEntry] = deque()
        self._transcripts: dict[str, bytes] = {}
        self._health: list[dict[str, Any]] = []
        self._under_way: dict[int, _Batch] = {}
        self._number = 0
        self._wake = gevent.event.Event()
        self._empty = gevent.event.Event()
        self._greenlet: gevent.Greenlet[..., None] | None = None

    # ------------------------------------------------------------------ as an outlet

    def exchange(self, row: Mapping[str, Any]) -> None:
        """Take a row. Raises TargetError if the master has not taken any for long."""
        if len(self._entries) >= MOST_WAITING:
            raise TargetError(f"the master does not take rows: {MOST_WAITING} are waiting")
        self._entries.append(_BatchEntry(dict(row)))
        self._empty.clear()
        if len(self._entries) >= BATCH_ROWS:
            self._wake.set()

    def violations(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the violations of the last row."""
        self._entries[-1].violations.extend(dict(row) for row in rows)

    def exercised(self, rules: Iterable[str]) -> None:
        """Take the rules that the last row was the first to put to the test."""
        self._entries[-1].exercised.extend(rules)

    def transcript(self, name: str, data: bytes) -> str:
        """Take a transcript; returns the path that it will have."""
        self._transcripts[name] = data
        return f"transcripts/{name}"

    def health(self, row: Mapping[str, Any]) -> None:
        """Take a sample of how this worker does."""
        self._health.append(dict(row))

    # ------------------------------------------------------------------ on its way

    def start(self) -> None:
        """Begin to ship."""
        self._greenlet = gevent.spawn(self._run)

    def acknowledged(self, number: int) -> None:
        """The master has taken a batch."""
        self._under_way.pop(number, None)
        if not self._under_way and not self._entries:
            self._empty.set()
        self._wake.set()

    def finish(self, timeout_s: float) -> bool:
        """Ship all that is left; whether the master has taken it."""
        if self._entries or self._health or self._transcripts:
            self._empty.clear()
            self._ship()
        elif not self._under_way:
            self._empty.set()
        self._wake.set()
        whole = bool(self._empty.wait(timeout_s))
        if self._greenlet is not None:
            self._greenlet.kill()
        return whole

    def _run(self) -> None:
        while True:
            self._wake.wait(SHIP_S)
            self._wake.clear()
            now = time.monotonic()
            for batch in list(self._under_way.values()):
                if now - batch.made > PATIENCE_S:
                    self._abandoned()
                if now - batch.sent > _AGAIN_S:
                    batch.sent = now
                    self._send(ROWS, batch.data)
            while len(self._under_way) < _WINDOW and (self._entries or self._health):
                self._ship()
                if len(self._entries) < BATCH_ROWS:
                    break

    def _ship(self) -> None:
        entries = [self._entries.popleft() for _ in range(min(len(self._entries), BATCH_ROWS))]
        document = {
            "entries": [
                {"row": each.row, "violations": each.violations, "exercised": each.exercised}
                for each in entries
            ],
            "health": self._health,
            "figures": self._figures(),
        }
        self._number += 1
        now = time.monotonic()
        data = {
            "number": self._number,
            "document": packed(document),
            "transcripts": self._transcripts,
        }
        self._health, self._transcripts = [], {}
        self._under_way[self._number] = _Batch(data, now, now)
        self._send(ROWS, data)


def packed(document: Mapping[str, Any]) -> bytes:
    """A document as it goes to the master, without secrets: that may know others."""
    data = _dumped(document)
    if outgoing.may_hold(data):
        data = _dumped(outgoing.document(document, fixed_words()))
    return data


def _dumped(document: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # a lone surrogate, or a huge integer, of an API
        return orjson.dumps(portable(document))
