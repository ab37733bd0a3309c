"""What masters and workers say to each other, and the rows that a worker ships, in batches.

All goes as one kind of custom message through Locust's channel, which is TCP and keeps the order.
Not with its reports (`report_to_master`): those go every three seconds, and a worker that is killed
would cost so much more; nor could they wait for one that says that all is shipped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from soundstage.output import outgoing
from soundstage.results.bundle import portable
from soundstage.results.layout import fixed_words

if TYPE_CHECKING:  # importing Locust patches the sockets of the whole process
    from locust.runners import DistributedRunner

#: The kind of Locust's message; what stands in it under "kind" is one of these. To the master:
CHANNEL = "soundstage"
HELLO = "hello"  # this worker is ready, or cannot be, and why
BATCH = "batch"  # rows, and how it does
#: To a worker:
BEGIN = "begin"  # the run begins at such a time, with such a share
STOP = "stop"  # start nothing more, and drain
#: Both ways: what time is it?
CLOCK = "clock"

#: A message has at most so many rows, about what a busy worker makes between two: to put more
#: together at once would hold up its loop, and with it the next arrivals.
BATCH_ROWS = 200


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


class Shipment:
    """What a worker has to ship. Takes rows as a `BundleWriter` does, and gives them to `send` when
    it is told to, in messages of kind `BATCH`; `figures` is called for each, for what is known of
    the worker as a whole. `batches` were sent: the master counts, so that none is missed unseen.
    """

    def __init__(
        self, send: Callable[[dict[str, Any]], None], figures: Callable[[], dict[str, Any]]
    ) -> None:
        self.batches = 0
        self._send = send
        self._figures = figures
        self._entries: deque[dict[str, Any]] = deque()
        self._transcripts: dict[str, bytes] = {}
        self._health: list[dict[str, Any]] = []

    def exchange(self, row: Mapping[str, Any]) -> None:
        """Take a row."""
        self._entries.append({"row": dict(row), "violations": [], "exercised": []})

    def violations(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the violations of the last row."""
        self._entries[-1]["violations"] += map(dict, rows)

    def exercised(self, rules: Iterable[str]) -> None:
        """Take the rules that the last row was the first to put to the test."""
        self._entries[-1]["exercised"] += rules

    def transcript(self, name: str, data: bytes) -> str:
        """Take a transcript; returns the path that it will have."""
        self._transcripts[name] = data
        return f"transcripts/{name}"

    def health(self, row: Mapping[str, Any]) -> None:
        """Take a sample of how this worker does."""
        self._health.append(dict(row))

    def ship(self, observed: Mapping[str, Any] | None = None) -> None:
        """Send what there is, be it figures alone; `observed` goes with the last batch of all."""
        while True:
            entries = [self._entries.popleft() for _ in range(min(len(self._entries), BATCH_ROWS))]
            last = not self._entries
            self.batches += 1
            document = {
                "entries": entries,
                "health": self._health,
                "observed": observed if last else None,
                "figures": {
                    **self._figures(),
                    "batches": self.batches,
                    "done": last and observed is not None,
                },
            }
            transcripts, self._transcripts, self._health = self._transcripts, {}, []
            self._send({"document": packed(document), "transcripts": transcripts})
            if last:
                return


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
