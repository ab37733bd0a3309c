"""What a gate does while it works: which exchanges are under way and how far each is, how many have
ended, what is decided, and sentences that the user should know now. Nothing is drawn here; by
itself it tells nobody.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from soundstage.exchange.budget import Budget
from soundstage.exchange.exchange import Call
from soundstage.exchange.patience import Patience


@dataclass(slots=True)
class ExchangeUnderWay:
    """An exchange that has not ended. `stage` is the newest that came, None before the first;
    `track` that it came on, where it has one. `begun_s` is a time of the clock of `Progress`.
    """

    call: Call
    begun_s: float
    stage: str | None = None
    track: Any = None

    def reached(self, stage: str, track: Any) -> None:
        """Another stage was recognised."""
        self.stage, self.track = stage, track


class Progress:
    """What a gate tells, from any of its threads, and what it comes to, for any other. `tell` gets
    each sentence that the user should know now. `clock` gives seconds.

    `ended` counts exchanges by scenario, `expected` those that are known to be sent, `rules` the
    rules that are asked for (None: not known yet), `decided` and `broken` those of them whose
    answer is there. `budget`, `exploring` and `patience` are there once something can be sent.
    """

    def __init__(
        self,
        tell: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tell = tell
        self.clock = clock
        self.begun_s = clock()
        self.ended: Counter[str] = Counter()
        self.expected: Counter[str] = Counter()
        self.rules: int | None = None
        self.decided = self.broken = 0
        self.budget: Budget | None = None
        self.exploring: Budget | None = None
        self.patience: Patience | None = None
        self._under_way: list[ExchangeUnderWay] = []
        self._lock = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """How long it has gone on, in seconds."""
        return self.clock() - self.begun_s

    def under_way(self, since_s: float = 0.0) -> list[ExchangeUnderWay]:
        """The exchanges that have not ended and began so many seconds ago, or earlier; those that
        began first to the front.
        """
        now = self.clock()
        with self._lock:
            return [each for each in self._under_way if now - each.begun_s >= since_s]

    @contextmanager
    def telling(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Sentences go to `tell` while the block runs."""
        before, self.tell = self.tell, tell
        try:
            yield
        finally:
            self.tell = before

    def said(self, text: str) -> None:
        """Something that the user should know now, in one sentence."""
        if self.tell is not None:
            self.tell(text)

    def within(self, budget: Budget, exploring: Budget, patience: Patience) -> None:
        """The purses and the time that all of it must do with."""
        self.budget, self.exploring, self.patience = budget, exploring, patience

    def expect(self, scenario: str, many: int) -> None:
        """So many more exchanges of a scenario are known to be sent."""
        with self._lock:
            self.expected[scenario] += many

    @property
    def to_come(self) -> int:
        """How many exchanges are known to be sent yet."""
        with self._lock:
            left = (many - self.ended[name] for name, many in self.expected.items())
            return sum(each for each in left if each > 0) - len(self._under_way)

    @contextmanager
    def sending(self, call: Call) -> Iterator[Call]:
        """An exchange that is under way while the block runs; yields the call to make, which tells
        of its stages.
        """
        one = ExchangeUnderWay(call, self.clock())
        with self._lock:
            self._under_way.append(one)
        try:
            yield replace(call, on_stage=one.reached)
        finally:
            with self._lock:
                # By identity: two calls may be equal.
                self._under_way = [each for each in self._under_way if each is not one]
                self.ended[call.scenario] += 1

    def decide(self, *, broken: bool) -> None:
        """The answer to one of the rules is there."""
        self.decided += 1
        self.broken += broken
