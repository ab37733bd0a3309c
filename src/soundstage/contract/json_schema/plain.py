"""Schemas without keywords that only some readers know. Names of properties and values that happen
to be called like one are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from soundstage.contract.json_schema.field_schemas import Schema

#: Keywords of JSON Schema 2020-12 that hold schemas: by name, in a list, or one.
_BY_NAME: Final = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE: Final = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)


def without(schema: Schema, drops: Callable[[str], bool]) -> dict[str, Any]:
    """A schema without the keywords that `drops` says yes to, at any depth."""

    def of(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: inside(key, inner) for key, inner in value.items() if not drops(key)}

    def inside(key: str, inner: Any) -> Any:
        if key in _BY_NAME and isinstance(inner, dict):
            return {name: of(each) for name, each in inner.items()}
        if key in _LISTS and isinstance(inner, list):
            return [of(each) for each in inner]
        return of(inner) if key in _SINGLE else inner

    stripped: dict[str, Any] = of(schema)
    return stripped


def for_strict_readers(schema: Schema) -> dict[str, Any]:
    """A schema as a validator takes it that refuses what it does not know, as Ajv does: without
    extensions (`x-basis`), and without `format`, whose names are open-ended.
    """
    return without(schema, lambda keyword: keyword.startswith("x-") or keyword == "format")
