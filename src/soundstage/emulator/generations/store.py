"""The generations that can be looked up: those that run, and for a while those that have ended.

Whether or not somebody listens, a generation goes on by the clock. What one leaves behind is kept
by age, so that it can be asked for again and its files be played, and within bounds, so that an
emulator that runs for days stays as large as it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final

from soundstage.emulator.generations.generations import Generation

#: Seconds after its end that a generation can be looked up.
KEPT_S: Final = 900.0
#: Beyond this many, or so many characters of prompts and lyrics, the oldest that have ended are
#: forgotten before that.
MOST: Final = 10_000
MOST_TEXT: Final = 64 * 2**20
#: Bytes of chunks that are being told, all together: there is no room for more.
MOST_TOLD: Final = 256 * 2**20
#: Of so many more than are kept it is remembered when they end.
_STALE: Final = 64


@dataclass(frozen=True, slots=True)
class KeptGeneration:
    """A generation and what is to be remembered of its request: the endpoint, the account, when it
    came (seconds since 1970), and how many characters of the client's own words are kept with it.
    """

    generation: Generation
    number: int
    endpoint: str
    account: str
    text: int
    time: float

    @property
    def api(self) -> str:
        return self.generation.contract.api


class Store:
    """Generations by message id, in the order in which they came. `crowded`: there is no room for
    one more to be told, or to be remembered beside those that run on without their clients.
    """

    def __init__(
        self,
        kept_s: float = KEPT_S,
        most: int = MOST,
        most_text: int = MOST_TEXT,
        most_told: int = MOST_TOLD,
    ) -> None:
        self._kept_s, self._most, self._most_text = kept_s, most, most_text
        self._most_told = most_told
        self._told = self._text = 0
        self._all: dict[str, KeptGeneration] = {}
        #: (api, name, value) -> message id
        self._named: dict[tuple[str, str, str], str] = {}
        #: (when it ends, its number, message id); also of those that were forgotten before.
        self._ends: list[tuple[float, int, str]] = []
        self.crowded = False

    def add(
        self, generation: Generation, *, number: int, endpoint: str, account: str, text: int
    ) -> None:
        """Keep a generation that is about to be told."""
        kept = KeptGeneration(generation, number, endpoint, account, text, time.time())
        message_id = generation.story.message_id
        # The same course has the same id: what took it before cannot be looked up any more.
        self._forget(message_id)
        self._all[message_id] = kept
        self.name(generation)
        heappush(self._ends, (generation.end, number, message_id))
        if len(self._ends) > 2 * len(self._all) + _STALE:
            self._ends = [
                (each.generation.end, each.number, name) for name, each in self._all.items()
            ]
            heapify(self._ends)
        self._weigh(text, generation.size)

    def name(self, generation: Generation) -> None:
        """Let a generation be found by what it was given to be asked for by."""
        for name, value in generation.given.items():
            self._named[generation.contract.api, name, value] = generation.story.message_id

    def find(self, api: str, asked: Mapping[str, str]) -> Generation | None:
        """The generation of an API version that is asked for by these values, each by its name; by
        its message id where it gave none. None if there is none.
        """
        ids = {self._named.get((api, name, value), value) for name, value in asked.items()}
        found = self.get(ids.pop()) if len(ids) == 1 else None
        return found if found is not None and found.contract.api == api else None

    def leave(self, generation: Generation) -> None:
        """Whoever asked for a generation has heard it, or has gone."""
        self._weigh(told=-generation.size)
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
            _, number, message_id = heappop(ends)
            if (kept := self._all.get(message_id)) is not None and kept.number == number:
                self._forget(message_id)

    def _forget(self, message_id: str) -> None:
        if (kept := self._all.pop(message_id, None)) is not None:
            self._weigh(-kept.text)
            for name, value in kept.generation.given.items():
                self._named.pop((kept.api, name, value), None)

    def clear(self) -> None:
        """Forget all of them; those that are being told still take their room."""
        self._all.clear()
        self._named.clear()
        self._ends.clear()
        self._weigh(-self._text)

    def _weigh(self, text: int = 0, told: int = 0) -> None:
        """So many more characters of words are kept, and bytes of chunks told."""
        self._text += text
        self._told += told
        # Those that run cannot be forgotten: their words may come to twice as much, and no more.
        self.crowded = self._told >= self._most_told or self._text > 2 * self._most_text

    def __len__(self) -> int:
        return len(self._all)

    def newest(self) -> Iterator[KeptGeneration]:
        """All that are kept, the newest first."""
        return reversed(self._all.values())
