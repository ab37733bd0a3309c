"""Rows of a bundle's files, decoded and held against their schema in one go.

To parse a row and then to walk through it once more to hold it against the schema costs as much
again. msgspec does both at once, from types that are made of the schema here. It need not know all
of JSON Schema: a member whose form it cannot tell is a member that no row may have, here. What is
refused here is no verdict: such a row is read, and judged, in the long way (`layout.valid`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, NotRequired, Required, TypedDict, Union

import msgspec

Row = dict[str, Any]

#: What no value is of: there is no such number.
_NOTHING: Final = Annotated[int, msgspec.Meta(gt=0, lt=1)]
#: Whole numbers that every reader reads alike: some make larger ones into fractions.
_INT64: Final[Mapping[str, int]] = {"ge": -(2**63), "le": 2**63 - 1}
#: What bounds values of these types: its name in a schema, and in msgspec.
_RANGE: Final = {"minimum": "ge", "maximum": "le"}
_BOUNDS: Final[Mapping[str, Mapping[str, str]]] = {
    "integer": _RANGE,
    "number": _RANGE,
    "string": {"minLength": "min_length", "maxLength": "max_length"},
    "array": {"minItems": "min_length", "maxItems": "max_length"},
    "object": {"maxProperties": "max_length"},
    "boolean": {},
    "null": {},
}
_SAYS_NOTHING: Final = frozenset({"description", "$comment"})
_KNOWN: Final = frozenset({"type", "items", "additionalProperties"}).union(*_BOUNDS.values())

#: What a decoder raises. A line that nests too deep is one of them.
REFUSED: Final = (msgspec.DecodeError, RecursionError, ValueError)


def decoder(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Callable[[bytes], Row]:
    """What decodes a line in ASCII that is an object of this schema, whose `$ref`s lead into
    `defs`, and raises one of `REFUSED` at others, and at some that are. Members that the schema
    does not name are left out.
    """
    members = {
        name: (Required if name in schema["required"] else NotRequired)[_type_of(each, defs)]
        for name, each in schema["properties"].items()
    }
    make: Any = TypedDict  # mypy knows only those whose members are written down
    decode: Callable[[bytes], Row] = msgspec.json.Decoder(make("Decoded", members)).decode
    return decode


def _type_of(schema: Any, defs: Mapping[str, Any]) -> Any:
    """The type of the values that meet a schema; `_NOTHING` where msgspec has none."""
    if not isinstance(schema, Mapping):
        return _NOTHING
    said = {key: value for key, value in schema.items() if key not in _SAYS_NOTHING}
    if said.keys() == {"$ref"}:  # what stands beside a reference holds as well: too much to say
        return _type_of(defs[said["$ref"].removeprefix("#/$defs/")], defs)
    if said.keys() == {"enum"} and all(isinstance(each, str | None) for each in said["enum"]):
        return Literal[tuple(said["enum"])]
    if "type" not in said or not said.keys() <= _KNOWN:
        return _NOTHING
    kinds = said["type"] if isinstance(said["type"], list) else [said["type"]]
    found = [each for kind in kinds for each in _types_of(kind, said, defs)]
    return Union[tuple(found)] if found else _NOTHING  # noqa: UP007 -- how many is not known


def _types_of(kind: str, said: Mapping[str, Any], defs: Mapping[str, Any]) -> list[Any]:
    """The types of the values of one kind; none where msgspec has none."""
    bounds = {name: said[key] for key, name in _BOUNDS[kind].items() if key in said}
    if kind in ("integer", "number"):
        # Whole numbers stay what they are, as with every other reader of these rows.
        whole = Annotated[int, msgspec.Meta(**_INT64 | bounds)]
        return [whole] if kind == "integer" else [whole, _bounded(float, bounds)]
    if kind == "array":
        return [_bounded(list[_type_of(said.get("items"), defs)], bounds)]  # type: ignore[misc]
    if kind == "object":
        of = _type_of(said.get("additionalProperties"), defs)
        return [_bounded(dict[str, of], bounds)]  # type: ignore[valid-type]
    return [_bounded({"string": str, "boolean": bool, "null": None}[kind], bounds)]


def _bounded(type_: Any, bounds: Mapping[str, Any]) -> Any:
    return Annotated[type_, msgspec.Meta(**bounds)] if bounds else type_
