"""The bytes of a generation's chunks, kept small: thousands of generations are told at once, and
most chunks of a stage say the same, with other numbers.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, repeat
from operator import is_, methodcaller
from typing import Any, Final, NamedTuple, cast, overload

import orjson

from soundstage.contract.protocol import Protocol
from soundstage.generation.faults.catalogue import Chunks
from soundstage.generation.faults.fault import FRAMES, heads_of, tail_of
from soundstage.generation.walk import Step

#: Fewer chunks of a stage are kept as they are.
_FEW: Final = 3


#: What stands for a number: no text of JSON has this byte in it, but escaped.
_NO_JSON: Final = b"\0"
_HOLE: Final = orjson.Fragment(_NO_JSON)
_values: Final = methodcaller("values")


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

    def __init__(self, protocol: Protocol, chunks: Chunks, framing: str) -> None:
        before, after = FRAMES[framing]
        steps = [step for step, _ in chunks]
        heads = heads_of(protocol, steps, framing) or [b""] * len(chunks)
        #: Each chunk whole; or its form, and then where its numbers are among those of the form.
        self._frames = frames = cast(list[bytes | _HoledText], [b""] * len(chunks))
        self._places = places = array("I", bytes(4 * len(chunks)))
        kinds: defaultdict[Step, list[int]] = defaultdict(list)
        for number, step in enumerate(steps):
            kinds[step].append(number)
        self.size = 0
        for numbers in kinds.values():
            head = heads[numbers[0]] + before
            payloads = [chunks[number][1] for number in numbers]
            form = _form_of(payloads, head, after) if len(numbers) >= _FEW else None
            if form is not None:
                for place, number in enumerate(numbers):
                    frames[number] = form
                    places[number] = place * form.holes
                self.size += len(form.text) + 8 * len(form.numbers)
                continue
            for number, payload in zip(numbers, payloads, strict=True):
                frame = frames[number] = head + orjson.dumps(payload) + after
                self.size += len(frame)
        if chunks and protocol.sentinel is not None:
            frames[-1] = self[-1] + tail_of(protocol, steps, framing)

    def unlike(self) -> list[int]:
        """The numbers of the chunks that say more than another one with other numbers."""
        known: set[int] = set()
        found = []
        for number, frame in enumerate(self._frames):
            if isinstance(frame, _HoledText):
                if id(frame) in known:
                    continue
                known.add(id(frame))
            found.append(number)
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


def _form_of(payloads: Sequence[Any], before: bytes, after: bytes) -> _HoledText | None:
    """What payloads have in common; None if they differ in more than in numbers, or by their names.
    The same is only what is the same object: what is equal (1 and true) may be written in two ways.
    """
    if set(map(type, payloads)) != {dict}:
        return None
    model = payloads[0].copy()
    if set(map(tuple, payloads)) != {tuple(model)}:
        return None
    told: list[tuple[int, ...]] = []
    for name, column in zip(model, zip(*map(_values, payloads), strict=True), strict=True):
        if all(map(is_, column, repeat(column[0]))):
            continue
        if set(map(type, column)) != {int}:
            return None
        told.append(column)
        model[name] = _HOLE
    try:
        numbers = array("q", chain.from_iterable(zip(*told, strict=True)))
    except OverflowError:
        return None
    text = (before + orjson.dumps(model) + after).replace(b"%", b"%%")
    return _HoledText(text.replace(_NO_JSON, b"%d"), len(told), numbers)
