"""How much of their answers all exchanges of a process may hold together. What is only kept (raw
bytes for transcripts, chunks that are looked at later) gets half of it at most, and is dropped
first, which is said; the other half is for what is still to be judged.

Each exchange has caps of its own, but a thousand at once may all be at theirs.
"""

from __future__ import annotations

import threading
from typing import Final

#: For all exchanges of a process, in bytes.
MOST_BYTES: Final = 160 * 2**20
#: What an exchange holds below this is not counted: nearly every one stays below.
FREE_BYTES: Final = 16 * 2**10
#: Bytes of memory that a byte of JSON takes as Python's objects (about 24 at the worst).
PARSED: Final = 8


class AnswerMemory:
    """Bytes that exchanges share. `refused` is how many exchanges did not get what they asked for.
    Safe to use from several threads or greenlets.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.most = most
        self.held = 0
        self.refused = 0
        self._lock = threading.Lock()

    def claim(self) -> Claim:
        """What one exchange holds of it."""
        return Claim(self)

    def take(self, many: int, *, kept: bool) -> bool:
        """Whether there was room for so many bytes more; they are then taken. `kept`: what they say
        is judged already.
        """
        with self._lock:
            if self.held + many > (self.most // 2 if kept else self.most):
                return False
            self.held += many
        return True

    def give(self, many: int) -> None:
        """Give so many bytes back."""
        with self._lock:
            self.held -= many


class Claim:
    """The bytes that one exchange holds. They are given back by `release`, or when nothing refers
    to the claim any more: whoever drops an exchange need not think of it.
    """

    __slots__ = ("_free", "_held", "_refused", "_room")

    def __init__(self, room: AnswerMemory) -> None:
        self._room = room
        self._free = FREE_BYTES
        self._held = 0
        self._refused = False

    def take(self, many: int, *, kept: bool = True) -> bool:
        """Whether so many bytes more may be held; see `AnswerMemory.take`."""
        if many <= self._free:
            self._free -= many
            return True
        if self._room.take(many, kept=kept):
            self._held += many
            return True
        if not self._refused:
            self._refused = True
            self._room.refused += 1
        return False

    def give(self, many: int) -> None:
        """So many of these bytes are not held any more."""
        many = min(many, self._held)
        self._held -= many
        self._room.give(many)

    def release(self) -> None:
        """None of these bytes is held any more."""
        held, self._held = self._held, 0
        if held:
            self._room.give(held)

    def __del__(self) -> None:
        self.release()
