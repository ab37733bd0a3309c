"""Names a place in a chunk or a body: `progress`, `/choices/0/delta/content`, `/data/*/audio_url`.

A bare name is the member of that name. What begins with a slash is a JSON pointer (RFC 6901), in
which `*` stands for every item of an array, or every member of an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import pointer
from soundstage.contract.json_schema.keywords import ANY, Schema, inner

#: Places that one path may name in one value; what comes beyond that is not looked at.
_MOST: Final = 1_000
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,7}")
#: Keywords whose schemas say nothing of the value itself: of what it must not be, of single items,
#: of names, of members that nothing else speaks of.
_OF_OTHERS: Final = frozenset(
    {"not", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
)


class FieldPath:
    """A place by the steps that lead to it. `name`: the one step of a bare name, else None;
    `pointer`: as it stands in violations; as text (`str`) it is dotted, as in the ids of rules.
    """

    __slots__ = ("_dotted", "name", "parts", "pointer", "wild")

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.parts = parts
        self.name: str | None = parts[0] if len(parts) == 1 and parts[0] != ANY else None
        self.pointer = pointer(*parts)
        self.wild = ANY in parts
        self._dotted = ".".join(parts)

    def __str__(self) -> str:
        return self._dotted

    def __repr__(self) -> str:
        return f"FieldPath({self.pointer!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldPath) and other.parts == self.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def of(self, value: Any) -> Any:
        """The value at the place, None where there is none (or null). Of a path with `*` the first
        that is not null.
        """
        if self.name is not None:
            return value.get(self.name) if _is_object(value) else None
        return next((found for _, found in self.every(value) if found is not None), None)

    def is_in(self, value: Any) -> bool:
        """Whether there is such a place, whatever stands there."""
        if self.name is not None:
            return _is_object(value) and self.name in value
        return next(self.every(value), None) is not None

    def every(self, value: Any) -> Iterator[tuple[str, Any]]:
        """(JSON pointer, value) of each place that the path names, at most a thousand."""
        if self.name is not None and _is_object(value):  # nearly all are, and chunks come fast
            return iter(((self.pointer, value[self.name]),) if self.name in value else ())
        return islice(_walk(value, self.parts), _MOST)

    def place(self, value: Any) -> tuple[str | int, ...] | None:
        """The first place that the path names, by names and numbers; None if there is none."""
        return next(_places(value, self.parts, ()), None)

    def put(self, value: Any, new: Any) -> Any:
        """A copy of `value` with `new` at the place, of a path with `*` at each; where the way to
        it does not exist, the value as it is.
        """
        return _put(value, self.parts, new)

    def schemas(self, schema: Schema) -> list[Schema]:
        """What a schema says of the place: each part of it that speaks of it."""
        found = [schema]
        for part in self.parts:
            found = [each for above in found for each in _below(above, part)]
        return found


def _is_object(value: Any) -> bool:
    return type(value) is dict or isinstance(value, Mapping)


def _walk(value: Any, parts: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for place in _places(value, parts, ()):
        found = value
        for part in place:
            found = found[part]
        yield pointer(*place), found


def _places(
    value: Any, parts: tuple[str, ...], way: tuple[str | int, ...]
) -> Iterator[tuple[str | int, ...]]:
    if not parts:
        yield way
        return
    first, rest = parts[0], parts[1:]
    if isinstance(value, Mapping):
        names = list(value) if first == ANY else [first] if first in value else []
        for name in names:
            yield from _places(value[name], rest, (*way, name))
    elif isinstance(value, list):
        numbers = range(len(value)) if first == ANY else _number(first, len(value))
        for number in numbers:
            yield from _places(value[number], rest, (*way, number))


def _number(part: str, length: int) -> list[int]:
    """The item that a part of a pointer names: `03` is none (RFC 6901, section 4)."""
    return [int(part)] if _NUMBER.fullmatch(part) and int(part) < length else []


def _put(value: Any, parts: tuple[str, ...], new: Any) -> Any:
    if not parts:
        return new
    first, rest = parts[0], parts[1:]
    if isinstance(value, Mapping):
        if first == ANY:
            return {name: _put(each, rest, new) for name, each in value.items()}
        if first not in value and rest:
            return value
        return {**value, first: _put(value.get(first), rest, new)}
    if isinstance(value, list):
        where = range(len(value)) if first == ANY else _number(first, len(value))
        return [_put(each, rest, new) if n in where else each for n, each in enumerate(value)]
    return value


def _below(schema: Schema, part: str) -> Iterator[Schema]:
    for each in inner(schema):
        if not each.at:
            yield from _below(each.schema, part) if each.way[0] not in _OF_OTHERS else ()
        elif ANY in (part, each.at[0]):
            if part == ANY or _may_be(each.way, part):
                yield each.schema
        elif each.at[0] == part:
            yield each.schema


def _may_be(way: Sequence[str | int], part: str) -> bool:
    """Whether a part of a pointer may name one of the items or members that a keyword is about."""
    if way[0] == "patternProperties":
        return patterns.found_in(str(way[1]), part) is not False
    return way[0] != "items" or _NUMBER.fullmatch(part) is not None


@lru_cache(10_000)
def field_path(text: str) -> FieldPath:
    """The path that a contract writes as `text`: a name, or a JSON pointer."""
    if not text.startswith("/"):
        return FieldPath((text,))
    parts = text.split("/")[1:]
    return FieldPath(tuple(part.replace("~1", "/").replace("~0", "~") for part in parts))
