"""Kinds of chunks: what there is to check in one, remembered by what it consists of.

Streams consist of a few kinds of chunk, and trying every `when` of a contract costs more than all
other checks together.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from operator import itemgetter
from typing import Any, Final, NamedTuple

import orjson

from soundstage.conformance.fields import FieldCheck
from soundstage.conformance.order.remembered_states import StageMove
from soundstage.contract.json_schema.field_path import FieldPath
from soundstage.contract.json_schema.proved_members import Unproved
from soundstage.contract.protocol import ConstantField, NeverDecrease, Stage
from soundstage.untrusted import json_text

#: Values of these types are equal only if they are the same JSON value (1 and 1.0 are one, too).
_DISTINCT: Final = frozenset((str, bool, type(None)))
#: How many kinds of chunk are remembered, and how long the names and marks of one may be.
MOST_KINDS: Final = 1024
LONGEST_KIND: Final = 1000


class RareChecks(NamedTuple):
    """What there is to check in a chunk that most have not: constants that are no plain members of
    it, fields that never fall, a number that lies deeper or is none; whether its track, the flag
    that it is the last, or fields of its stage's milestones are to be looked for in the same way.
    `misnamed` says what is wrong with the name of its event.
    """

    nested: tuple[ConstantField, ...] = ()
    rising: tuple[NeverDecrease, ...] = ()
    number: FieldPath | None = None
    tracked: bool = False
    flagged: bool = False
    milestones: bool = False
    misnamed: str | None = None


#: Of a chunk that has nothing of the kind.
NOTHING_RARE: Final = RareChecks()


class Kind(NamedTuple):
    """What follows from a chunk's names, from the types of its members, from the values that stages
    are told by, and from the name of its event. All names are of plain members that it has.

    `move` is what it does to the order, and `track` the name of the member that says on which
    track, where its type is right; `number` that of the one that numbers it, an integer; `flag` of
    the one that says whether it is the last, true or false.

    `constant` are the names of the members that identify the stream, `values` gets their values,
    `constants` are these members (what is said of it, its name, its JSON pointer), and `rising` in
    the same way those that never fall.

    `fits` says whether the fields of such a chunk are as they should be; None where they cannot
    be, since not all of its names are documented.

    `beside` holds what few chunks have, None of most.
    """

    stage: Stage
    fields: FieldCheck
    move: StageMove
    track: str | None
    fits: Callable[[Any], bool] | None
    values: Callable[[dict[str, Any]], Any] | None
    constant: tuple[str, ...]
    constants: tuple[tuple[ConstantField, str, str], ...]
    rising: tuple[tuple[NeverDecrease, str, str], ...]
    number: str | None
    flag: str | None
    beside: RareChecks | None


def _no_marks(_: dict[str, Any]) -> tuple[()]:
    return ()


class _Shape(NamedTuple):
    """What is known of chunks whose members have certain names and types, in events of a certain
    name: how to get the values of those that stages are told by, the kinds of chunk by these (each
    with what it leaves to be checked), and how many quotes their text has at least (-1 where that
    is not known by the types).
    """

    marks: Callable[[dict[str, Any]], Any]
    kinds: dict[Any, tuple[Kind, Unproved | None]]
    quotes: int


class RememberedKinds:
    """The kinds of chunk of one contract's streams. `recognise` tells the kind of a chunk, given
    the name of its event; `valued` are the members of whose values that depends; `unproved` tells
    what of its fields a chunk of a kind leaves to be checked.

    Bounded in number and in size: chunks are made by others. A kind that has no room is told anew
    each time.
    """

    def __init__(
        self,
        recognise: Callable[[dict[str, Any], str | None], Kind | None],
        unproved: Callable[[Kind, dict[str, Any]], Unproved | None],
        valued: Set[str],
    ) -> None:
        self._recognise = recognise
        self._unproved = unproved
        self.valued = valued
        self.shapes: dict[tuple[tuple[str, ...], tuple[type, ...], str | None], _Shape] = {}
        #: How many are remembered.
        self.many = 0

    def read(
        self, raw: bytes, event: str | None, max_depth: int
    ) -> tuple[dict[str, Any], tuple[Kind, Unproved | None]] | None:
        """The chunk that a text says, its kind, and what of its fields is still to be checked (None
        where that cannot be said); None where the kind is not remembered, or the text is not proved
        to hide nothing (see `json_text.proved`, whose shortest way this is: a shape knows how many
        quotes its text has).
        """
        if len(raw) > json_text.MANY_BYTES or max_depth < 1:
            return None
        try:
            chunk = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None
        if type(chunk) is not dict:
            return None
        types = tuple(map(type, chunk.values()))
        shape = self.shapes.get((tuple(chunk), types, event))
        if shape is None:
            return None
        marks, kinds, quotes = shape
        known = kinds.get(marks(chunk))
        if known is None:
            return None
        if raw.count(b'"') != quotes and not json_text.is_proved(raw, chunk, types, max_depth):
            return None
        return chunk, known

    def kind(
        self,
        chunk: dict[str, Any],
        event: str | None = None,
        types: tuple[type, ...] | None = None,
    ) -> Kind | None:
        """The kind of a chunk; None if no stage knows it. `event` is the name of its event, None
        where names say nothing; `types` are those of its members, if they are known.
        """
        if types is None:
            types = tuple(map(type, chunk.values()))
        shape = self.shapes.get((tuple(chunk), types, event))
        if shape is not None:
            known = shape.kinds.get(shape.marks(chunk))
            if known is not None:
                return known[0]
        kind = self._recognise(chunk, event)
        if kind is not None:
            self._remember(kind, chunk, event, types)
        return kind

    def clear(self) -> None:
        """Forget all."""
        self.shapes.clear()
        self.many = 0

    def _remember(
        self, kind: Kind, chunk: dict[str, Any], event: str | None, types: tuple[type, ...]
    ) -> None:
        valued = [name for name in chunk if name in self.valued]
        marks = [chunk[name] for name in valued]
        size = sum(map(len, chunk)) + sum(len(mark) for mark in marks if type(mark) is str)
        if (
            self.many >= MOST_KINDS
            or size + len(event or "") > LONGEST_KIND
            or not _DISTINCT.issuperset(map(type, marks))
        ):
            return
        key = (tuple(chunk), types, event)
        shape = self.shapes.get(key)
        if shape is None:
            quotes = json_text.quotes_of(types)
            marks_of = itemgetter(*valued) if valued else _no_marks
            shape = _Shape(marks_of, {}, -1 if quotes is None else quotes)
            self.shapes[key] = shape
        shape.kinds[shape.marks(chunk)] = kind, self._unproved(kind, chunk)
        self.many += 1
