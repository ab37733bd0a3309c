"""The generations that can be looked up: those that run, and for a while those that have ended.

Whether or not somebody listens, a generation goes on by the clock. What one leaves behind is kept
by age, so that it can be asked for again and its files be played, and within bounds, so that an
emulator that runs for days stays as large as it is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final

from soundstage.emulator.generations.generations import Generation

#: Seconds after its end that a generation can be looked up.
KEPT_S: Final = 900.0
#: Beyond this many, or so many characters of prompts and lyrics, the oldest that have ended are
#: forgotten before that.
MOST: Final = 10_000
MOST_TEXT: Final = 64 * 2**20
#: Bytes of chunks that are being told, all together: there is no room for more.
MOST_TOLD: Final = 256 * 2**20


@dataclass(frozen=True, slots=True)
class _Kept:
    generation: Generation
    facts: Mapping[str, Any]
    text: int


class Store:
    """Generations by message id, in the order in which they came."""

    def __init__(
        self,
        kept_s: float = KEPT_S,
        most: int = MOST,
        most_text: int = MOST_TEXT,
        most_told: int = MOST_TOLD,
    ) -> None:
        self._kept_s, self._most, self._most_text = kept_s, most, most_text
        self._most_told = most_told
        self._told = 0
        self._all: dict[str, _Kept] = {}
        #: (when it ends, message id)
        self._ends: list[tuple[float, str]] = []
        self._text = 0
        #: Whether there may be no room for one more: `has_room` looks closer.
        self.crowded = False

    def add(
        self, generation: Generation, *, number: int, endpoint: str, account: str, text: int
    ) -> None:
        """Keep a generation that is about to be told; `text` is how much of it is the client's own
        words, in characters.
        """
        facts = {
            "number": number,
            "api": generation.contract.api,
            "endpoint": endpoint,
            "account": account,
            "time": time.time(),
        }
        message_id = generation.story.message_id
        self._all[message_id] = _Kept(generation, facts, text)
        self._text += text
        self._told += _size(generation)
        self.crowded = self._told >= self._most_told or self._text > 2 * self._most_text
        heappush(self._ends, (generation.end, message_id))

    def has_room(self, now: float) -> bool:
        """Whether one more can be told beside those that are, and remembered beside those that
        run on without their clients.
        """
        if self._text > 2 * self._most_text:
            self.prune(now)
        self.crowded = self._told >= self._most_told or self._text > 2 * self._most_text
        return not self.crowded

    def leave(self, generation: Generation) -> None:
        """Whoever asked for a generation has heard it, or has gone."""
        self._told -= _size(generation)
        generation.drop_chunks()

    def get(self, message_id: str) -> Generation | None:
        """A generation; None if there is none."""
        kept = self._all.get(message_id)
        return None if kept is None else kept.generation

    def prune(self, now: float) -> None:
        """Forget what has ended and is too old, or too much."""
        ends = self._ends
        while ends and ends[0][0] <= now:
            too_much = len(self._all) > self._most or self._text > self._most_text
            if not too_much and ends[0][0] > now - self._kept_s:
                return
            kept = self._all.pop(heappop(ends)[1], None)
            self._text -= 0 if kept is None else kept.text

    def clear(self) -> None:
        """Forget all of them; those that are being told still take their room."""
        self._all.clear()
        self._ends.clear()
        self._text = 0

    def __len__(self) -> int:
        return len(self._all)

    # --- looking around ---------------------------------------------------------------------------

    def stages(self, now: float) -> tuple[dict[str, int], dict[str, int]]:
        """How many run, by the stage they are in (`queued` before their first chunk), and how many
        have ended, by their last.
        """
        running: Counter[str] = Counter()
        ended: Counter[str] = Counter()
        for kept in self._all.values():
            made = kept.generation
            if made.end > now:
                reached = made.reached(now)
                running[made.steps[reached - 1].stage if reached else "queued"] += 1
            else:
                ended[made.steps[-1].stage if made.steps else ""] += 1
        return dict(running), dict(sorted(ended.items()))

    def latest(self, limit: int, **only: str) -> Iterator[tuple[Mapping[str, Any], Generation]]:
        """The newest generations first, each with what is known of its request; `only` may name the
        value of `api`, `endpoint` or `account`.
        """
        found = (
            (kept.facts, kept.generation)
            for kept in reversed(self._all.values())
            if all(kept.facts[name] == value for name, value in only.items())
        )
        return islice(found, limit)


def _size(generation: Generation) -> int:
    return sum(map(len, generation.chunks))
