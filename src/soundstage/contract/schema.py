"""Schemas of a contract: references inlined, keywords checked, rules and constraints listed.

Only the keywords in `KEYWORDS` are understood; any other is refused, never ignored. The resolved
schema is plain JSON Schema 2020-12, so that `jsonschema` and `jsonschema-rs` agree about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any

from soundstage.errors import ContractDataError

Schema = dict[str, Any]

ANNOTATIONS = frozenset(
    {"$schema", "$comment", "title", "description", "default", "x-basis", "x-source"}
)
#: Keywords that say what a value must be. Breaking one of the first is `field.type`, else `value`.
CONSTRAINTS = ("type", "const", "enum", "minimum", "maximum", "minLength", "pattern")
SIZES = ("minItems", "maxItems")
NESTING = frozenset({"properties", "required", "items", "allOf"})
KEYWORDS = ANNOTATIONS | NESTING | {*CONSTRAINTS, *SIZES, "$ref"}
#: What a stage's `when` may also use: it tells chunks apart and yields no rules.
WHEN_KEYWORDS = KEYWORDS | {"anyOf", "not"}

_TYPE_NAMES: tuple[tuple[type, str], ...] = (
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


class Folder:
    """A folder of JSON files, each read once; errors name the file."""

    def __init__(self, root: Traversable, name: str) -> None:
        self.root = root
        self.name = name
        self._read: dict[str, Any] = {}
        self._resolved: dict[str, Schema] = {}

    def read(self, path: str) -> Any:
        """The parsed file at `path`, relative to the folder; `..` may lead to its siblings.

        Raises ContractDataError if it is absent or not JSON.
        """
        if path not in self._read:
            place = self.root
            for part in path.split("/"):
                place = place.joinpath(part)
            try:
                self._read[path] = json.loads(place.read_bytes())
            except (OSError, ValueError) as error:
                raise ContractDataError(f"{self.name}/{path}: {error}") from error
        return self._read[path]

    def resolve(self, path: str) -> Schema:
        """The schema in the file at `path`, references inlined; the same object every time."""
        if path not in self._resolved:
            self._resolved[path] = self.inline(self.read(path), path, "")
        return self._resolved[path]

    def inline(
        self, schema: Any, path: str, pointer: str, keywords: frozenset[str] = KEYWORDS
    ) -> Schema:
        """`schema`, found in file `path` at `pointer`, with every `$ref` replaced by its target.

        The name of the last definition on the way is kept as `x-role`; a `const` or an `enum`
        gains the `type` that it implies, so that a wrong type is told from a wrong value.
        """

        def refuse(reason: str) -> ContractDataError:
            return ContractDataError(f"{self.name}/{path}#{pointer}: {reason}")

        if not isinstance(schema, dict):
            raise refuse(f"a schema must be an object, not {type_name(schema)}")
        unknown = schema.keys() - keywords
        if unknown:
            raise refuse(f"keyword {sorted(unknown)[0]!r} is not understood")
        resolved: Schema = {}
        for keyword, value in schema.items():
            here = f"{pointer}/{keyword}"
            if keyword == "$ref":
                continue
            if keyword == "properties":
                resolved[keyword] = {
                    name: self.inline(sub, path, f"{here}/{name}", keywords)
                    for name, sub in value.items()
                }
            elif keyword in ("items", "not"):
                resolved[keyword] = self.inline(value, path, here, keywords)
            elif keyword in ("allOf", "anyOf"):
                resolved[keyword] = [
                    self.inline(sub, path, f"{here}/{number}", keywords)
                    for number, sub in enumerate(value)
                ]
            else:
                resolved[keyword] = value
        if "$ref" in schema:
            target, role = self._target(schema["$ref"], path, refuse)
            clash = (target.keys() & resolved.keys()) - ANNOTATIONS
            if clash:
                raise refuse(f"{sorted(clash)[0]!r} stands beside a $ref that has it too")
            resolved = {**target, **resolved, "x-role": role}
        if "const" in resolved:
            resolved.setdefault("type", type_name(resolved["const"]))
        if "enum" in resolved:
            resolved.setdefault("type", sorted({type_name(value) for value in resolved["enum"]}))
        return resolved

    def _target(self, reference: str, path: str, refuse: Any) -> tuple[Schema, str]:
        file, mark, pointer = reference.partition("#/")
        parts = pointer.split("/")
        if not mark or len(parts) != 2 or parts[0] != "$defs":
            raise refuse(f"$ref {reference!r} must name a definition: FILE#/$defs/NAME")
        target_path = _join(path, file) if file else path
        definition = self.read(target_path).get("$defs", {}).get(parts[1])
        if definition is None:
            raise refuse(f"$ref {reference!r} leads nowhere")
        return self.inline(definition, target_path, "/" + pointer), parts[1]


def _join(path: str, reference: str) -> str:
    parts = path.split("/")[:-1]
    for part in reference.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


@dataclass(frozen=True, slots=True)
class Constraint:
    """One thing that a schema asks of one place.

    `path` names the place by property names, "*" for any item of an array. `aspect` is
    `required`, `type` or `value`, the last part of the rule's id.
    """

    path: tuple[str, ...]
    aspect: str
    basis: str
    source: str
    text: str


def constraints(schema: Schema) -> Iterator[Constraint]:
    """Every constraint in a resolved schema; each (path, aspect, basis) once, and of types only
    the outermost, since a type that is repeated inside `allOf` asks nothing more.

    Raises ValueError where one has no `x-basis` and `x-source` on it or around it.
    """
    seen = set()
    for constraint in _walk(schema, (), "", "", ""):
        if not (constraint.basis and constraint.source):
            raise ValueError(f"{'/'.join(constraint.path)}: {constraint.aspect} has no basis")
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
    if path and any(word in schema for word in (*CONSTRAINTS[1:], *SIZES)):
        asked = f"is {json.dumps(schema['const'])}" if "const" in schema else f"is {title}"
        yield Constraint(path, "value", basis, source, f"{field} {asked}")
    for part in schema.get("allOf", ()):
        yield from _walk(part, path, basis, source, title)
    for name, sub in schema.get("properties", {}).items():
        inner = (*path, name)
        if name in schema.get("required", ()):
            yield Constraint(
                inner,
                "required",
                sub.get("x-basis", basis),
                sub.get("x-source", source),
                f"{'.'.join(inner)} is present",
            )
        yield from _walk(sub, inner, basis, source, "")
    if "items" in schema:
        yield from _walk(schema["items"], (*path, "*"), basis, source, "")
