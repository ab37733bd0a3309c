"""The raw bytes of an exchange with their arrival times, kept small while it is in flight.

Whether an exchange fails, and so needs its transcript, is only known in its last event: all bytes
are kept till then. Thousands of streams at once make that hundreds of megabytes, so they are packed
block by block; the events of one stream resemble each other, and those of the other streams of its
endpoint, and shrink to a sixth and less.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from soundstage.process.memory import Claim

Piece = tuple[int, bytes, bool]

#: Bytes that are packed together: more shrink better, and fewer wait unpacked.
_BLOCK = 2_048
# The fastest level, in small windows: 24 KB of working memory, 2 us for an event.
_LEVEL, _WINDOW_BITS, _MEMORY = 1, -12, 4
#: Before each piece: its time, then twice its length, plus one if it is coarse.
_MARK = struct.Struct("=qI")
_mark = _MARK.pack


class Likeness:
    """What the tapes of one endpoint have in common: the first block that any of them packed. By it
    the later ones are packed in three quarters of the time, to two thirds of the size.
    """

    __slots__ = ("_primed", "block")

    def __init__(self) -> None:
        self.block = b""
        self._primed: zlib._Compress | None = None

    def packer(self) -> zlib._Compress:
        """One that knows the block, if there is one."""
        return _packer() if self._primed is None else self._primed.copy()

    def learn(self, block: bytes) -> None:
        """Take a block for that of all; the first one stays it."""
        if self._primed is None:
            self.block = block[:_BLOCK]
            self._primed = _packer(self.block)


def _packer(known: bytes = b"") -> zlib._Compress:
    settings = (_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY, zlib.Z_DEFAULT_STRATEGY)
    return zlib.compressobj(*settings, known) if known else zlib.compressobj(*settings)


class Tape:
    """Pieces in their order: (arrival in monotonic ns, raw bytes, coarse). All of them are kept, or
    none: where the `claim` (None: there is no bound) gives no room for so many bytes, what is there
    is let go (`dropped`), and nothing is kept any more. `likeness`: of the tapes that it resembles.
    """

    __slots__ = ("_alone", "_claim", "_held", "_likeness", "_packed", "_raw", "_waiting", "dropped")

    def __init__(self, claim: Claim | None = None, likeness: Likeness | None = None) -> None:
        self.dropped = False
        self._claim = claim
        self._likeness = likeness
        # So many blocks, the first ones, were packed before there was anything to resemble.
        self._alone = 0
        self._held = 0
        # Pieces that wait to be packed, each after its mark, and how many bytes they are. (To let
        # a buffer grow by each would move it, and so all of it, nearly every time.)
        self._raw: list[bytes] = []
        self._waiting = 0
        self._packed: tuple[bytes, ...] = ()

    def append(self, at_ns: int, raw: bytes, coarse: bool) -> None:
        """Add a piece, of less than 2 GB."""
        if self.dropped:
            return
        marked = _mark(at_ns, 2 * len(raw) + coarse) + raw
        self._raw.append(marked)
        self._waiting += len(marked)
        if self._waiting >= _BLOCK:
            self._pack(b"".join(self._raw))

    def __len__(self) -> int:
        """How many pieces there are."""
        return sum(1 for _ in self._unpacked())

    @property
    def kept_bytes(self) -> int:
        """Bytes of memory that the pieces take, as they are kept."""
        return self._waiting + sum(map(len, self._packed))

    def pieces(self) -> list[Piece]:
        """All pieces as they were added."""
        return list(self._unpacked())

    def _unpacked(self) -> Iterator[Piece]:
        for block in (*self._blocks(), b"".join(self._raw)):
            at = 0
            while at < len(block):
                at_ns, marked = _MARK.unpack_from(block, at)
                at += _MARK.size
                end = at + marked // 2
                yield at_ns, block[at:end], bool(marked % 2)
                at = end

    def _blocks(self) -> Iterator[bytes]:
        known = b"" if self._likeness is None else self._likeness.block
        for number, block in enumerate(self._packed):
            if number < self._alone:
                yield zlib.decompress(block, _WINDOW_BITS)
            else:
                yield zlib.decompressobj(_WINDOW_BITS, known).decompress(block)

    def _pack(self, raw: bytes) -> None:
        likeness = self._likeness
        packer = _packer() if likeness is None else likeness.packer()
        block = packer.compress(raw) + packer.flush()
        if likeness is None or not likeness.block:
            self._alone += 1
        if likeness is not None:
            likeness.learn(raw)
        many = len(block)
        if self._claim is not None:
            if not self._claim.take(many):
                self.drop()
                return
            self._held += many
        self._packed += (block,)
        self._raw, self._waiting = [], 0

    def drop(self) -> None:
        """Let go of all pieces, and keep no more."""
        self.dropped = True
        if self._claim is not None:
            self._claim.give(self._held)
        self._raw, self._waiting, self._packed = [], 0, ()
