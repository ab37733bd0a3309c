"""Where somebody's own words come back: whole, or a longer piece of them, in any case and with
other signs between the words. Pure; finds places and replaces nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from soundstage.wire.needles import Span, begun

#: Shorter texts are anybody's; of longer ones, a piece as long as this is theirs.
SHORTEST: Final = 8
_PIECE: Final = 16
#: Any piece holds one of the text's blocks of this size. They are looked for one by one if they are
#: few, as `in` is fast; else every fifth place is looked up among all the parts that there are.
_BLOCK, _FEW = 8, 48
_PART, _STRIDE = 12, 5
#: Of a text, so much is known.
_MOST: Final = 65_536

_A, _Z = ord("A"), ord("Z")
#: As it is compared: letters of ASCII in lower case; what stands between words is a blank.
_SAME: Final = bytes(
    each + 32 if _A <= each <= _Z else 32 if each in b"+-_\t\n\r" else each for each in range(256)
)


class Echoes:
    """Finds `texts` again. Those of fewer than eight characters are ignored."""

    __slots__ = ("_blocks", "_parts", "_short", "_whole")

    def __init__(self, texts: Iterable[str]) -> None:
        self._short: list[bytes] = []
        self._whole = b""
        self._blocks: dict[bytes, int] = {}
        self._parts: dict[bytes, int] | None = None
        for text in dict.fromkeys(texts):
            plain = " ".join(text.split())
            if len(plain) < SHORTEST:
                continue
            same = plain.encode("utf-8", "surrogatepass")[:_MOST].translate(_SAME)
            if len(same) < _PIECE:
                self._short.append(same)
                continue
            begin = len(self._whole)
            self._whole += same + b"\0"
            for at in range(begin, begin + len(same) - _BLOCK + 1, _BLOCK):
                self._blocks.setdefault(self._whole[at : at + _BLOCK], at)

    def __bool__(self) -> bool:
        return bool(self._short or self._whole)

    def spans(self, data: bytes, cut: bool = False) -> Iterator[Span]:
        """The places where they stand in `data`. `cut`: see `Needles.spans`."""
        same = data.translate(_SAME)
        if cut:
            for text in (*self._short, *self._whole.split(b"\0")):
                yield from begun(text, same)
        for short in self._short:
            start = same.find(short)
            while start >= 0:
                yield start, start + len(short)
                start = same.find(short, start + 1)
        yield from self._few(same) if len(self._blocks) <= _FEW else self._many(same)

    def _few(self, same: bytes) -> Iterator[Span]:
        for block, place in self._blocks.items():
            at = same.find(block)
            while at >= 0:
                start, end = self._stretched(same, at, place, _BLOCK)
                if end - start >= _PIECE:
                    yield start, end
                    at = end - 1
                at = same.find(block, at + 1)

    def _many(self, same: bytes) -> Iterator[Span]:
        if self._parts is None:
            whole = self._whole
            parts: dict[bytes, int] = {}
            for at in range(len(whole) - _PART + 1):
                parts.setdefault(whole[at : at + _PART], at)
            self._parts = parts
        found, at = self._parts, 0
        while at <= len(same) - _PART:
            place = found.get(same[at : at + _PART])
            if place is None:
                at += _STRIDE
                continue
            start, end = self._stretched(same, at, place, _PART)
            if end - start >= _PIECE:
                yield start, end
            at = max(end, at + _STRIDE)

    def _stretched(self, same: bytes, at: int, place: int, size: int) -> Span:
        """The whole of what is in common around a part."""
        whole, start, end = self._whole, at, at + size
        while start and place and same[start - 1] == whole[place - 1] != 0:
            start, place = start - 1, place - 1
        place += end - start
        while end < len(same) and place < len(whole) and same[end] == whole[place] != 0:
            end, place = end + 1, place + 1
        return start, end
