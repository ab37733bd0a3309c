"""The raw bytes of an exchange with their arrival times, kept small while it is in flight.

Whether an exchange fails, and so needs its transcript, is only known in its last event: all bytes
are kept till then. Thousands of streams at once make that hundreds of megabytes, so they are packed
block by block; the events of one stream resemble each other and shrink to about a sixth.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator

from soundstage.process.memory import Claim

Piece = tuple[int, bytes, bool]

#: Bytes that are packed together: more shrink better, and fewer wait unpacked.
_BLOCK = 2_048
# The fastest level, in small windows: 64 KB of working memory, about 1 us for an event.
_LEVEL, _WINDOW_BITS, _MEMORY = 1, -13, 5


class Tape:
    """Pieces in their order: (arrival in monotonic ns, raw bytes, coarse). All of them are kept, or
    none: where the `claim` (None: there is no bound) gives no room for so many bytes, what is there
    is let go (`dropped`), and nothing is kept any more.
    """

    __slots__ = ("_claim", "_held", "_marked", "_marks", "_packed", "_raw", "dropped")

    def __init__(self, claim: Claim | None = None) -> None:
        self.dropped = False
        self._claim = claim
        self._held = self._marked = 0
        self._raw = bytearray()
        self._packed: list[bytes] = []
        # For each piece its time, then twice its length, plus one if it is coarse.
        self._marks = array("q")

    def append(self, at_ns: int, raw: bytes, coarse: bool) -> None:
        """Add a piece."""
        if self.dropped:
            return
        marks = self._marks
        marks.append(at_ns)
        marks.append(2 * len(raw) + coarse)
        self._raw += raw
        if len(self._raw) >= _BLOCK:
            self._pack()

    def __len__(self) -> int:
        """How many pieces there are."""
        return len(self._marks) // 2

    @property
    def kept_bytes(self) -> int:
        """Bytes of memory that the pieces take, as they are kept."""
        return len(self._raw) + sum(map(len, self._packed)) + 8 * len(self._marks)

    def pieces(self) -> list[Piece]:
        """All pieces as they were added."""
        return list(self._unpacked())

    def _unpacked(self) -> Iterator[Piece]:
        blocks = (zlib.decompress(block, _WINDOW_BITS) for block in self._packed)
        whole = b"".join((*blocks, self._raw))
        at = 0
        for number in range(0, len(self._marks), 2):
            length, coarse = divmod(self._marks[number + 1], 2)
            yield self._marks[number], whole[at : at + length], bool(coarse)
            at += length

    def _pack(self) -> None:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY)
        block = packer.compress(self._raw) + packer.flush()
        marks = 8 * len(self._marks) - self._marked
        self._marked += marks
        many = len(block) + marks
        if self._claim is not None:
            if not self._claim.take(many):
                self.drop()
                return
            self._held += many
        self._packed.append(block)
        self._raw = bytearray()

    def drop(self) -> None:
        """Let go of all pieces, and keep no more."""
        self.dropped = True
        if self._claim is not None:
            self._claim.give(self._held)
        self._raw, self._packed, self._marks = bytearray(), [], array("q")
