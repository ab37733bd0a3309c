"""What resolved schemas ask: of each place in a value whether it must be there, of which type it
is, and what else holds of it. Each such constraint is a rule of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from soundstage.contract.json_schema.keywords import (
    ALTERNATIVES,
    ANY,
    VALUES,
    Schema,
    inner,
    place_of,
)
from soundstage.contract.json_schema.schema_words import described, shown

__all__ = [
    "Constraint",
    "Schema",
    "constraint_of",
    "constraints",
    "pointer",
    "required_basis",
    "type_name",
]

#: Keywords of a value that are its own, or hold schemas that are asked as a whole.
_ASKED: Final = frozenset(
    {*VALUES, *ALTERNATIVES, "not", "contains", "propertyNames"}
    | {"unevaluatedProperties", "unevaluatedItems"}
)
_CLOSING: Final = ("additionalProperties", "items")
#: What stands in the id of a rule for the object itself.
WHOLE_OBJECT: Final = "whole"

_TYPE_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def type_name(value: Any) -> str:
    """The JSON Schema type of a parsed JSON value; numbers that are not int are "number"."""
    if value is None:
        return "null"
    return next((name for kind, name in _TYPE_NAMES if isinstance(value, kind)), "number")


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901, section 3) to the place that `parts` lead to."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def required_basis(field: Schema, around: str) -> str:
    """On what grounds a required field must be there: `x-required-basis` where its presence rests
    on less than its type does, else its own basis, else that of the object `around` it.
    """
    return str(field.get("x-required-basis", field.get("x-basis", around)))


@dataclass(frozen=True, slots=True)
class Constraint:
    """One thing that a schema asks of one place.

    `path` names the place by property names, "*" for any item of an array or any value without a
    name of its own; it is empty for the object itself. `aspect` is `required`, `type` or `value`,
    the last part of the rule's id.
    """

    path: tuple[str, ...]
    aspect: str
    basis: str
    source: str
    text: str


def constraints(schema: Schema) -> Iterator[Constraint]:
    """Every constraint in a resolved schema; each (path, aspect, basis) once, and of types only
    the outermost, since a type that is repeated inside `allOf` asks nothing more.

    Raises ValueError (pointer, reason) where one has no `x-basis` and `x-source` on it or around
    it.
    """
    seen = set()
    for constraint in _walk(schema, (), "", "", ""):
        if not (constraint.basis and constraint.source):
            place = "".join(
                "/items" if name == ANY else "/properties" + pointer(name)
                for name in constraint.path
            )
            raise ValueError(place, f"{constraint.aspect} has no basis or no source")
        grounds = "" if constraint.aspect == "type" else constraint.basis
        key = (constraint.path, constraint.aspect, grounds)
        if key not in seen:
            seen.add(key)
            yield constraint


def _walk(
    schema: Schema, path: tuple[str, ...], basis: str, source: str, title: str
) -> Iterator[Constraint]:
    basis = schema.get("x-basis", basis)
    source = schema.get("x-source", source)
    title = schema.get("title", title)
    field = ".".join(path)
    if path and "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        yield Constraint(path, "type", basis, source, f"{field} is of type {' or '.join(kinds)}")
    if _asks_more(schema):
        yield Constraint(path, "value", basis, source, _asked_of(schema, field, title))
    missing = list(schema.get("required", ()))
    for each in inner(schema):
        if each.way[0] == "properties" and each.at[0] in missing:
            missing.remove(each.at[0])
            yield _presence(each.schema, path + each.at, basis, source)
        if each.asked:
            about = title if not each.at else ""
            yield from _walk(each.schema, path + each.at, basis, source, about)
    for name in missing:  # described by another part of the schema
        yield _presence({}, (*path, name), basis, source)


def _presence(field: Schema, path: tuple[str, ...], basis: str, source: str) -> Constraint:
    grounds = required_basis(field, basis), field.get("x-source", source)
    return Constraint(path, "required", *grounds, f"{'.'.join(path)} is present")


def _asks_more(schema: Schema) -> bool:
    return bool(schema.keys() & _ASKED) or any(schema.get(word) is False for word in _CLOSING)


def _asked_of(schema: Schema, field: str, title: str) -> str:
    if "const" in schema:
        return f"{field} is {shown(schema['const'])}"
    if field:
        return f"{field} is {title or described(schema)}"
    # Of a whole object, what it must have is said by rules of its own.
    more = {word: asked for word, asked in schema.items() if word not in ("type", "required")}
    return f"the object is {title or described({**more, 'title': ''})}"


def constraint_of(
    schema: Schema, way: Sequence[str | int], keyword: str | None
) -> tuple[tuple[str, ...], str]:
    """The place and the aspect of the constraint that is broken where `keyword` fails, `way` being
    where it stands in the schema, itself included. Of a missing field the place is that of the
    object that lacks it.
    """
    stands = tuple(way)
    if keyword is not None and stands and stands[-1] == keyword:
        stands = stands[:-1]
    place, asked = place_of(schema, stands)
    aspect = keyword if asked and keyword in ("required", "type") else "value"
    return place, str(aspect)
