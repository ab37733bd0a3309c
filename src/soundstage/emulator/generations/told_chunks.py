"""The bytes of a generation's chunks, kept small: thousands of generations are told at once, and
most chunks of a stage say the same, with other numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from operator import is_
from typing import Any, Final, NamedTuple, overload

import orjson

from soundstage.contract.protocol import Protocol
from soundstage.generation.faults.fault import FRAMES, heads_of, tail_of
from soundstage.generation.walk import Draft, Drafted, Step

#: Fewer chunks of a stage are kept as they are.
_FEW: Final = 3


#: What stands for a number: no text of JSON has this byte in it, but escaped.
_NO_JSON: Final = b"\0"
_HOLE: Final = orjson.Fragment(_NO_JSON)


class _HoledText(NamedTuple):
    """What chunks have in common, as bytes with `holes` holes, and the numbers for all of them."""

    text: bytes
    holes: int
    numbers: array[int]


class ToldChunks(Sequence[bytes]):
    """The chunks of one generation in the framing that it is told in. `size` is how many bytes they
    take as they are kept.
    """

    __slots__ = ("_frames", "_places", "size")

    def __init__(
        self, protocol: Protocol, steps: Sequence[Step], chunks: Drafted, framing: str
    ) -> None:
        before, after = FRAMES[framing]
        heads = heads_of(protocol, steps, framing) or [b""] * len(chunks)
        #: Each chunk whole; or its text, and then where its numbers are among those of the text.
        frames: list[bytes | _HoledText] = [b""] * len(chunks)
        places = array("I", bytes(4 * len(chunks)))
        self._frames, self._places = frames, places
        alike: dict[int, list[int]] = {}
        for number, (draft, _) in enumerate(chunks):
            of_draft = alike.get(id(draft))
            if of_draft is None:
                alike[id(draft)] = [number]
            else:
                of_draft.append(number)
        self.size = 0
        for numbers in alike.values():
            head, draft = heads[numbers[0]] + before, chunks[numbers[0]][0]
            text = None
            if len(numbers) >= _FEW:
                text = _holed(draft, [chunks[number][1] for number in numbers], head, after)
            if text is not None:
                for place, number in enumerate(numbers):
                    frames[number] = text
                    places[number] = place * text.holes
                self.size += len(text.text) + 8 * len(text.numbers)
                continue
            for number in numbers:
                payload = draft.payload(chunks[number][1]) if draft.live else draft.first
                frame = frames[number] = head + orjson.dumps(payload) + after
                self.size += len(frame)
        if chunks and protocol.sentinel is not None:
            frames[-1] = self[-1] + tail_of(protocol, steps, framing)

    def first_that_say(self, texts: Mapping[str, bytes]) -> dict[str, int]:
        """The number of the first chunk in which each text stands; the texts by any names. Those
        that stand in none are absent.
        """
        found: dict[str, int] = {}
        looked_at: set[int] = set()
        for number, frame in enumerate(self._frames):
            if isinstance(frame, bytes):
                for name, text in texts.items():
                    if frame.find(text) >= 0:  # (`in` tries a number first, and takes longer)
                        found.setdefault(name, number)
            elif id(frame) not in looked_at:
                looked_at.add(id(frame))
                for name, text in texts.items():
                    if frame.text.find(text.replace(b"%", b"%%")) >= 0:
                        found.setdefault(name, number)
        return found

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, number: int) -> bytes: ...
    @overload
    def __getitem__(self, number: slice) -> list[bytes]: ...

    def __getitem__(self, number: int | slice) -> bytes | list[bytes]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        frame = self._frames[number]
        if isinstance(frame, bytes):
            return frame
        text, holes, numbers = frame
        place = self._places[number]
        return text % tuple(numbers[place : place + holes])


def _holed(
    draft: Draft, rows: Sequence[list[Any]], before: bytes, after: bytes
) -> _HoledText | None:
    """The text that chunks of one draft have in common; None if they differ in more than numbers.
    The same is only what is the same object: what is equal (1 and true) may be written in two ways.
    """
    told: list[tuple[int, ...]] = []
    model = draft.first.copy() if draft.live else draft.first
    for name, column in zip(draft.live, zip(*rows, strict=True), strict=True):
        if all(map(is_, column, repeat(column[0]))):
            model[name] = column[0]
        elif set(map(type, column)) == {int}:
            told.append(column)
            model[name] = _HOLE
        else:
            return None
    try:
        numbers = array("q", chain.from_iterable(zip(*told, strict=True)))
    except OverflowError:
        return None
    text = (before + orjson.dumps(model) + after).replace(b"%", b"%%")
    return _HoledText(text.replace(_NO_JSON, b"%d"), len(told), numbers)
