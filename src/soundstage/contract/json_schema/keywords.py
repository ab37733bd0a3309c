"""The keywords of JSON Schema 2020-12, and the one way down a schema: which schemas stand inside
another, and to which place of a value each of them speaks.

Everything that walks a schema walks it from here: rules, patterns, roles, words, faults.
Source: JSON Schema Core 2020-12, section 10 (applicators) and 11 (unevaluated), Validation, 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

Schema = dict[str, Any]

#: What is said about values, not what they must be. `format` and `content…` are annotations in this
#: dialect (Validation, sections 7.2.1 and 8.2): a pattern says what a text must be like.
ANNOTATIONS: Final = frozenset(
    {
        "$schema",
        "$comment",
        "$defs",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "format",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "x-basis",
        "x-source",
        "x-required-basis",
        "x-role",
    }
)
#: Keywords about a value by itself, but for its type.
VALUES: Final = (
    "const",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
    "dependentRequired",
)
#: Schemas that all hold of the same value: what they ask is asked, each part on its own grounds.
_ALL: Final = ("allOf",)
#: Schemas of the same value that hold on a condition.
_ON_CONDITION: Final = ("then", "else")
#: Schemas of which one or none must hold, or that hold of what has no name: what stands in them is
#: asked as a whole, at the place where the keyword stands.
ALTERNATIVES: Final = ("anyOf", "oneOf")
_WHOLE: Final = (
    "not",
    "if",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
)
#: Keywords that hold a schema for each name or pattern.
_BY_NAME: Final = ("properties", "patternProperties", "dependentSchemas")
APPLICATORS: Final = frozenset(
    {*_ALL, *_ON_CONDITION, *ALTERNATIVES, *_WHOLE, *_BY_NAME}
    | {"required", "items", "prefixItems", "additionalProperties"}
)
KEYWORDS: Final = ANNOTATIONS | APPLICATORS | {"type", *VALUES, "$ref"}
#: Keywords that leave open which names there are, so that none is undocumented.
OPEN: Final = ("additionalProperties", "patternProperties", "unevaluatedProperties")
_CLOSING: Final = ("items", "additionalProperties", "unevaluatedItems", "unevaluatedProperties")
#: Any item of an array, or any value of an object that is not named.
ANY: Final = "*"


class Inner(NamedTuple):
    """A schema inside another. `way` leads to it from there, `at` is what it adds to the place in
    a value. `asked`: whoever breaks what it asks breaks a rule of its own; else only the whole that
    it is a part of. `always`: it holds whatever else does.
    """

    way: tuple[str | int, ...]
    at: tuple[str, ...]
    schema: Schema
    asked: bool = True
    always: bool = True


def inner(schema: Schema) -> Iterator[Inner]:
    """The schemas that stand directly inside a schema, `true` and `false` written as schemas."""
    for keyword, held in schema.items():
        if keyword == "properties":
            for name, each in held.items():
                yield Inner((keyword, name), (name,), plain(each))
        elif keyword == "patternProperties":
            for name, each in held.items():
                yield Inner((keyword, name), (ANY,), plain(each))
        elif keyword == "dependentSchemas":
            for name, each in held.items():
                yield Inner((keyword, name), (), plain(each), always=False)
        elif keyword in _ALL:
            for number, each in enumerate(held):
                yield Inner((keyword, number), (), plain(each))
        elif keyword in ALTERNATIVES:
            for number, each in enumerate(held):
                yield Inner((keyword, number), (), plain(each), asked=False, always=False)
        elif keyword == "prefixItems":
            for number, each in enumerate(held):
                yield Inner((keyword, number), (str(number),), plain(each))
        elif held is False and keyword in _CLOSING:
            continue  # the object or array itself is what breaks it
        elif keyword in ("items", "additionalProperties"):
            yield Inner((keyword,), (ANY,), plain(held))
        elif keyword in _ON_CONDITION:
            yield Inner((keyword,), (), plain(held), always=False)
        elif keyword in _WHOLE:
            yield Inner((keyword,), (), plain(held), asked=False, always=False)


def plain(schema: Any) -> Schema:
    """A schema as an object: `true` allows everything, `false` nothing (Core, section 4.3.2)."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    assert isinstance(schema, dict)
    return schema


def place_of(schema: Schema, way: Sequence[str | int]) -> tuple[tuple[str, ...], bool]:
    """The place in a value that a keyword speaks of, `way` being where it stands in the schema
    (without the keyword itself), and whether what stands there is asked on its own.
    """
    place: tuple[str, ...] = ()
    left = tuple(way)
    while left:
        found = next((each for each in inner(schema) if each.way == left[: len(each.way)]), None)
        if found is None or not found.asked:
            return place, False
        place += found.at
        schema, left = found.schema, left[len(found.way) :]
    return place, True


def of_the_same_value(schema: Schema) -> Iterator[Schema]:
    """A schema, and all inside it that speak of the same value, alternatives and conditions too."""
    yield schema
    for each in inner(schema):
        if not each.at and each.way[0] not in ("contains", "propertyNames", "unevaluatedItems"):
            yield from of_the_same_value(each.schema)


def names_of(schema: Schema) -> frozenset[str]:
    """The names of properties that a schema describes, whatever part of it does so."""
    return frozenset(
        name for each in of_the_same_value(schema) for name in each.get("properties", ())
    )


def is_open(schema: Schema) -> bool:
    """Whether a schema says itself which other names may come."""
    return any(word in each for each in of_the_same_value(schema) for word in OPEN)
