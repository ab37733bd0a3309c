"""What masters and workers say to each other, and the rows that a worker ships, in batches.

All goes as one kind of custom message through Locust's channel, which is TCP and keeps the order.
Not with its reports (`report_to_master`): those go every three seconds, and a worker that is killed
would cost so much more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gevent
import gevent.event
import orjson

from soundstage.output import outgoing
from soundstage.results.bundle import portable
from soundstage.results.layout import fixed_words

if TYPE_CHECKING:  # importing Locust patches the sockets of the whole process
    from locust.runners import DistributedRunner

#: The kind of Locust's message; what stands in it under "kind" is one of these. To the master:
CHANNEL = "soundstage"
HELLO = "hello"  # this worker is ready
ROWS = "rows"  # a batch
DRIVEN = "driven"  # its share of the schedule is over
FAILED = "failed"  # it cannot go on, and why
DONE = "done"  # all is shipped
#: To a worker:
BEGIN = "begin"  # the run begins at such a time, with such a share
STOP = "stop"  # start nothing more, and drain
#: Both ways: what time is it?
CLOCK = "clock"

#: A batch goes after so many seconds, or rows: half a second is what a killed worker costs.
SHIP_S = 0.5
BATCH_ROWS = 200

Send = Callable[[str, dict[str, Any]], None]


def hear(runner: DistributedRunner, heard: Callable[[str, Mapping[str, Any], str], None]) -> None:
    """Give what comes to `heard` (kind, data, sender), and no longer to the run before. It is
    called in the greenlet that receives all messages, and must not wait for another one.
    """
    # Locust takes one listener for as long as a runner lives, which may have run after run.
    runner.custom_messages.pop(CHANNEL, None)

    def listener(environment: Any, msg: Any) -> None:
        del environment
        heard(str(msg.data["kind"]), msg.data, msg.node_id)

    runner.register_message(CHANNEL, listener)


@dataclass(slots=True)
class _BatchEntry:
    row: dict[str, Any]
    violations: list[dict[str, Any]] = field(default_factory=list)
    exercised: list[str] = field(default_factory=list)


class Shipment:
    """What a worker has to ship. Takes rows as a `BundleWriter` does; `figures` is called for each
    batch, for what is known of the worker as a whole (see `worker`). `number` is that of the last
    batch: the master counts, so that none is missed unseen.
    """

    def __init__(self, send: Send, figures: Callable[[], dict[str, Any]]) -> None:
        self.number = 0
        self._send = send
        self._figures = figures
        self._entries: deque[_BatchEntry] = deque()
        self._transcripts: dict[str, bytes] = {}
        self._health: list[dict[str, Any]] = []
        self._wake = gevent.event.Event()
        self._greenlet: gevent.Greenlet[..., None] | None = None

    # ------------------------------------------------------------------ as an outlet

    def exchange(self, row: Mapping[str, Any]) -> None:
        """Take a row."""
        self._entries.append(_BatchEntry(dict(row)))
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

    def finish(self) -> None:
        """Ship all that is left."""
        if self._greenlet is not None:
            self._greenlet.kill()
        while self._entries or self._health or self._transcripts:
            self._ship()

    def _run(self) -> None:
        while True:
            self._wake.wait(SHIP_S)
            self._wake.clear()
            while self._entries or self._health:
                self._ship()

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
        data = {"document": packed(document), "transcripts": self._transcripts}
        self._health, self._transcripts = [], {}
        self.number += 1
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
