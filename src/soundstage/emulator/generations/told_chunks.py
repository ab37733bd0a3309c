"""The bytes of a generation's chunks, kept small: thousands of generations are told at once, and
most chunks of a stage say the same, with other numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
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

    __slots__ = ("_places", "_texts", "size")

    def __init__(
        self, protocol: Protocol, steps: Sequence[Step], chunks: Drafted, framing: str
    ) -> None:
        before, after = FRAMES[framing]
        heads = heads_of(protocol, steps, framing)
        #: Chunks as they are, and what others have in common; of each chunk, which of these it is
        #: (times how many chunks there are), and its rank among those that have it in common.
        self._texts: list[bytes | _HoledText] = []
        many = len(steps)
        code = "I" if many < 2**15 else "Q"
        self._places = places = array(code, bytes(array(code).itemsize * many))
        texts = self._texts
        size = 0
        for draft in chunks:
            numbers = draft.numbers
            head = heads[numbers[0]] + before if heads else before
            text = _holed(draft, head, after) if len(numbers) >= _FEW else None
            if text is not None:
                for place, number in enumerate(numbers, len(texts) * many):
                    places[number] = place
                texts.append(text)
                size += len(text.text) + 8 * len(text.numbers)
                continue
            for number, payload in zip(numbers, draft.payloads(), strict=True):
                places[number] = len(texts) * many
                frame = b"%b%b%b" % (head, orjson.dumps(payload), after)
                texts.append(frame)
                size += len(frame)
        self.size = size
        if many and protocol.sentinel is not None:
            texts.append(self[-1] + tail_of(protocol, steps, framing))
            places[-1] = (len(texts) - 1) * many

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> bytes: ...
    @overload
    def __getitem__(self, number: slice) -> list[bytes]: ...

    def __getitem__(self, number: int | slice) -> bytes | list[bytes]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        places = self._places
        which, rank = divmod(places[number], len(places))
        found = self._texts[which]
        if isinstance(found, bytes):
            return found
        text, holes, numbers = found
        place = rank * holes
        return text % tuple(numbers[place : place + holes])


def _holed(draft: Draft, before: bytes, after: bytes) -> _HoledText | None:
    """The text that the chunks of a draft have in common; None if they differ in more than numbers.
    The same is only what is the same object: what is equal (1 and true) may be written in two ways.
    """
    told: list[Sequence[int]] = []
    model = draft.first.copy() if draft.live else draft.first
    for name, column in zip(draft.live, draft.columns, strict=True):
        if set(map(type, column)) == {int}:
            told.append(column)
            model[name] = _HOLE
        elif all(map(is_, column, repeat(column[0]))):
            model[name] = column[0]
        else:
            return None
    try:
        numbers = array("q", chain.from_iterable(zip(*told, strict=True)))
    except OverflowError:
        return None
    text = (before + orjson.dumps(model) + after).replace(b"%", b"%%")
    return _HoledText(text.replace(_NO_JSON, b"%d"), len(told), numbers)


def first_that_say(chunks: Drafted, texts: Collection[str]) -> dict[str, int]:
    """The number of the first chunk in which each text stands, as a whole value, wherever in it.
    Those that stand in none are absent.
    """
    found: dict[str, int] = {}
    wanted = frozenset(texts)
    for draft in chunks:
        whole = draft.first
        values: Iterable[Any] = whole.values() if type(whole) is dict else (whole,)
        told = [(draft.numbers[0], values)]
        for column in draft.columns:
            if type(column[0]) is not int:
                told += ((n, (value,)) for n, value in zip(draft.numbers, column, strict=True))
        for number, values in told:
            for value in values:
                kind = type(value)
                if kind is str:
                    if value in wanted and number < found.get(value, number + 1):
                        found[value] = number
                elif kind is list or kind is dict:
                    for text in wanted.intersection(_texts_in(value)):
                        found[text] = min(number, found.get(text, number))
    return found


def _texts_in(whole: Any) -> Iterator[str]:
    """All texts in a value, however deep."""
    waiting = [whole]
    while waiting:
        value = waiting.pop()
        if type(value) is str:
            yield value
        elif type(value) is dict:
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)
