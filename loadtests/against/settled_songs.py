"""The songs of a run in the order in which they were due, as far as all of them are known.

A row comes when its song ends, so rows come fastest first. Here each waits for all that were due
before it: what is handed on are always the first songs by intended start, never the first to end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from typing import Any

from soundstage.reports.decision.first_songs import is_song

#: The run ended before its song did: nobody knows when it would have.
_CENSORED = "censored"


class SettledSongs:
    """`expect` each arrival in its turn, and `add` rows as they come; `ready` has the songs before
    which none is missing. `blocked`: a song will never be known, so no more will be ready.
    """

    def __init__(self, measured_from_ns: int = 0) -> None:
        self.ready: deque[Mapping[str, Any]] = deque()
        self.blocked = False
        self._from_ns = measured_from_ns
        self._due: deque[int] = deque()
        self._rows: dict[int, list[Mapping[str, Any]]] = {}
        #: When measured songs were due, in order.
        self._asked: list[int] = []

    def expect(self, due_ns: int) -> None:
        """An arrival is due then, in nanoseconds of the run; none before it will be told later."""
        self._due.append(due_ns)
        if due_ns >= self._from_ns:
            self._asked.append(due_ns)
        self._settle()

    def add(self, row: Mapping[str, Any]) -> None:
        """A row of exchanges.ndjson.gz has come."""
        self._rows.setdefault(row["intended_ns"], []).append(row)
        self._settle()

    @property
    def quiet(self) -> bool:
        """Whether all that were expected are known."""
        return not self._due

    def sent_by(self, now_ns: int) -> int:
        """How many measured songs had been due by then."""
        return bisect_right(self._asked, now_ns)

    def _settle(self) -> None:
        while self._due and not self.blocked:
            rows = self._rows.get(self._due[0])
            if not rows:
                return
            row = rows.pop()
            if not rows:
                del self._rows[self._due[0]]
            self._due.popleft()
            if row["outcome"] == _CENSORED:
                self.blocked = True
            elif is_song(row):
                self.ready.append(row)
