"""Where somebody's own words come back: whole, or a longer piece of them, in any case and with
other signs between the words. Pure; finds places and replaces nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from soundstage.output.needles import Span, begun

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
#: Between words there may be more than one such sign: CR LF, an indentation, ` - `.
_BETWEEN: Final = re.compile(b"  +")


class _Lower(dict[int, str]):
    """Letters beyond ASCII in lower case, where that takes as many bytes; for `str.translate`."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        lower = letter.lower()
        size = len(letter.encode("utf-8", "surrogatepass"))
        self[code] = kept = lower if len(lower.encode("utf-8", "surrogatepass")) == size else letter
        return kept


_LOWER: Final = _Lower()


def _compared(data: bytes, wide: bool) -> bytes:
    """Bytes as they are compared, of the same length. `wide`: also letters beyond ASCII."""
    same = data.translate(_SAME)
    if not wide or same.isascii():
        return same
    text = same.decode("utf-8", "surrogateescape")
    return text.translate(_LOWER).encode("utf-8", "surrogateescape")


class Echoes:
    """Finds `texts` again. Those of fewer than eight characters are ignored."""

    __slots__ = ("_blocks", "_parts", "_short", "_whole", "_wide")

    def __init__(self, texts: Iterable[str]) -> None:
        self._short: list[bytes] = []
        self._whole = b""
        self._wide = False
        self._blocks: dict[bytes, int] = {}
        self._parts: dict[bytes, int] | None = None
        for text in dict.fromkeys(texts):
            plain = " ".join(text.split())
            if len(plain) < SHORTEST:
                continue
            self._wide = self._wide or not plain.isascii()
            same = _compared(plain.encode("utf-8", "surrogatepass")[:_MOST], True)
            same = _BETWEEN.sub(b" ", same)
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
        same = _compared(data, self._wide)
        if b"  " not in same:
            yield from self._spans(same, cut)
            return
        # Found in what has one blank between words, and told as places of what was given.
        gaps = [(gap.start() + 1, gap.end()) for gap in _BETWEEN.finditer(same)]
        begins, lost, total = [0], [0], 0
        for start, end in gaps:
            begins.append(start - total)
            total += end - start
            lost.append(total)
        for start, end in self._spans(_BETWEEN.sub(b" ", same), cut):
            first, last = bisect_right(begins, start) - 1, bisect_right(begins, end - 1) - 1
            yield start + lost[first], end + lost[last]

    def _spans(self, same: bytes, cut: bool) -> Iterator[Span]:
        """The places in bytes as they are compared."""
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
