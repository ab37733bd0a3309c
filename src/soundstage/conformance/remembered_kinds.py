"""Kinds of chunks: what there is to check in one, remembered by what it consists of.

Streams consist of a few kinds of chunk, and trying every `when` of a contract costs more than all
other checks together.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from operator import itemgetter
from typing import Any, Final, NamedTuple

from soundstage.conformance.fields import FieldCheck
from soundstage.contract.json_schema.field_path import FieldPath
from soundstage.contract.protocol import ConstantField, NeverDecrease, Stage

#: Values of these types are equal only if they are the same JSON value (1 and 1.0 are one, too).
_DISTINCT: Final = frozenset((str, bool, type(None)))
#: How many kinds of chunk are remembered, and how long the names and marks of one may be.
MOST_KINDS: Final = 1024
LONGEST_KIND: Final = 1000


class RareChecks(NamedTuple):
    """What there is to check in a chunk that most have not: constants that are no plain members of
    it, fields that never fall, a number that lies deeper. `misnamed` says what is wrong with the
    name of its event.
    """

    nested: tuple[ConstantField, ...]
    rising: tuple[NeverDecrease, ...]
    number: FieldPath | None
    misnamed: str | None


class Kind(NamedTuple):
    """What follows from a chunk's names, from the values that stages are told by, and from the name
    of its event.

    `fits` says whether the fields of such a chunk are as they should be; None where they cannot
    be, since not all of its names are documented. The rest: what there is to check in it.
    `constant` are the names of plain members that identify the stream, `values` gets their values,
    `constants` are these members (what is said of it, its name, its JSON pointer), and `rising` in
    the same way those that never fall;
    `number` is the name of the one that numbers it. `beside` holds what few chunks have, None of
    most.
    """

    stage: Stage
    fields: FieldCheck
    fits: Callable[[Any], bool] | None
    tracked: bool
    constant: tuple[str, ...]
    values: Callable[[dict[str, Any]], Any] | None
    constants: tuple[tuple[ConstantField, str, str], ...]
    rising: tuple[tuple[NeverDecrease, str, str], ...]
    number: str | None
    beside: RareChecks | None


def _no_marks(_: dict[str, Any]) -> tuple[()]:
    return ()


class _Shape(NamedTuple):
    """What is known of chunks whose members have certain names and types, in events of a certain
    name: how to get the values of those that stages are told by, and the kinds of chunk by these.
    """

    marks: Callable[[dict[str, Any]], Any]
    kinds: dict[Any, Kind]


class RememberedKinds:
    """The kinds of chunk of one contract's streams. `recognise` tells the kind of a chunk, given
    the name of its event; `valued` are the members of whose values that depends.

    Bounded in number and in size: chunks are made by others. A kind that has no room is told anew
    each time.
    """

    def __init__(
        self,
        recognise: Callable[[dict[str, Any], str | None], Kind | None],
        valued: Set[str],
    ) -> None:
        self._recognise = recognise
        self._valued = valued
        self.shapes: dict[tuple[tuple[str, ...], tuple[type, ...], str | None], _Shape] = {}
        #: How many are remembered.
        self.many = 0

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
            marks, kinds = shape
            kind = kinds.get(marks(chunk))
            if kind is not None:
                return kind
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
        valued = [name for name in chunk if name in self._valued]
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
            shape = _Shape(itemgetter(*valued) if valued else _no_marks, {})
            self.shapes[key] = shape
        shape.kinds[shape.marks(chunk)] = kind
        self.many += 1
