"""Schemas of a contract: references inlined, keywords checked, rules and constraints listed.

Only the keywords in `KEYWORDS` are understood; any other is refused, never ignored. The resolved
schema is plain JSON Schema 2020-12, so that `jsonschema` and `jsonschema-rs` agree about it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any, Final

import jsonschema_rs

from soundstage.contract import folder, patterns
from soundstage.errors import ContractDataError

Schema = dict[str, Any]

ANNOTATIONS = frozenset(
    {
        "$schema",
        "$comment",
        "title",
        "description",
        "default",
        "x-basis",
        "x-source",
        "x-required-basis",
    }
)
#: Keywords that say what a value must be. Breaking one of the first is `field.type`, else `value`.
CONSTRAINTS = ("type", "const", "enum", "minimum", "maximum", "minLength", "pattern")
SIZES = ("minItems", "maxItems")
NESTING = frozenset({"properties", "required", "items", "allOf"})
KEYWORDS = ANNOTATIONS | NESTING | {*CONSTRAINTS, *SIZES, "$ref"}
#: Schemas that a folder may come to with its references followed: one that doubles thirty times
#: would come to a billion. And references that may be followed one after another.
MOST_SCHEMAS: Final = 20_000
_LONGEST_WAY: Final = 16
#: The most that `minLength` and `minItems` may ask for, since what meets them is made up.
MOST_ASKED: Final = 10_000
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_LONGEST_MESSAGE: Final = 400
#: What a stage's `when` may also use: it tells chunks apart and yields no rules.
WHEN_KEYWORDS = KEYWORDS | {"anyOf", "not"}

#: What a schema of chunks, results or requests may say of the object as a whole. More would be a
#: rule of no field.
_ROOT = ANNOTATIONS | {"type", "properties", "required"}
_BASES = ("documented", "exemplified", "inferred")
_Refuse = Callable[[str], ContractDataError]

_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


@cache
def _form() -> jsonschema_rs.Draft202012Validator:
    """What a schema must be like: the library's own copy, whatever `$schema` says."""
    return patterns.validator({"$ref": DIALECT})


def short(message: str) -> str:
    """A validator's message, which quotes the value, on one line of some length."""
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"


def type_name(value: Any) -> str:
    """The JSON Schema type of a parsed JSON value; numbers that are not int are "number"."""
    if value is None:
        return "null"
    return next((name for kind, name in _TYPE_NAMES if isinstance(value, kind)), "number")


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901, section 3) to the place that `parts` lead to."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class Folder:
    """A folder of JSON files, each read once; errors name the file. What contracts share
    (`fields.json`, `protocol.schema.json`) is found in `shared` where the folder has none.
    """

    def __init__(self, root: Traversable, name: str, shared: Traversable | None = None) -> None:
        self.root = root
        self.name = name
        self._shared = shared
        self._read: dict[str, Any] = {}
        self._resolved: dict[str, Schema] = {}
        self._sound: set[str] = set()  # definitions whose form has been checked
        self._grown = 0  # schemas that came of following references

    def read(self, path: str) -> Any:
        """The parsed file at `path`, relative to the folder; `..` may lead to its siblings, not out
        of it.

        Raises ContractDataError if it is absent, elsewhere, not JSON or out of all proportion.
        """
        if path not in self._read:
            root, place = self.found(path)
            try:
                self._read[path] = folder.parse(folder.read_bytes(place, root))
            except ValueError as error:
                raise ContractDataError(f"{self.name}/{path}: {error}") from error
        return self._read[path]

    def place(self, path: str) -> Traversable:
        """Where the file at `path` is, or would be."""
        return self.found(path)[1]

    def found(self, path: str) -> tuple[Traversable, Traversable]:
        """The folder that holds the file at `path`, and where the file is, or would be."""
        place = self.root
        for part in path.split("/"):
            place = place.joinpath(part)
        if "/" not in path and self._shared is not None and not folder.is_there(place):
            return self._shared, self._shared.joinpath(path)
        return self.root, place

    def resolve(self, path: str) -> Schema:
        """The schema in the file at `path`, references inlined; the same object every time.

        It describes an object by its fields (or nothing at all), each constraint on its grounds.
        """
        if path not in self._resolved:
            schema = self.inline(self.read(path), path, "")
            if unfit := schema.keys() - _ROOT:
                why = f"keyword {sorted(unfit)[0]!r} is understood only for a field"
                raise self._refusing(path, "")(why)
            if schema.get("type", "object") != "object":
                raise self._refusing(path, "/type")("only objects have fields")
            if schema.keys() & {"properties", "required"}:
                # Whoever names fields means an object, whether or not the file says so.
                schema = {**schema, "type": "object"}
            try:
                for _ in constraints(schema):
                    pass
            except ValueError as error:
                place, reason = error.args
                raise self._refusing(path, place)(reason) from error
            self._resolved[path] = schema
        return self._resolved[path]

    def _refusing(self, path: str, place: str) -> _Refuse:
        return lambda reason: ContractDataError(f"{self.name}/{path}#{place}: {reason}")

    def inline(
        self, schema: Any, path: str, place: str, keywords: frozenset[str] = KEYWORDS
    ) -> Schema:
        """`schema`, found in file `path` at pointer `place`, with every `$ref` replaced by its
        target.

        The name of the last definition on the way is kept as `x-role`; a `const` or an `enum`
        gains the `type` that it implies, so that a wrong type is told from a wrong value.
        """
        self._check_form(schema, path, place, keywords)
        return self._inline(schema, path, place, keywords, ())

    def _check_form(self, schema: Any, path: str, place: str, keywords: frozenset[str]) -> None:
        self._check_keywords(schema, path, place, keywords)
        try:
            wrong = next(iter(_form().iter_errors(schema)), None)
        except ValueError as error:  # beyond the library's bounds
            raise self._refusing(path, place)(str(error)) from error
        if wrong is not None:
            refuse = self._refusing(path, place + pointer(*wrong.instance_path))
            raise refuse(short(wrong.message))

    def _check_keywords(self, schema: Any, path: str, place: str, keywords: frozenset[str]) -> None:
        refuse = self._refusing(path, place)
        if not isinstance(schema, dict):
            raise refuse(f"a schema must be an object, not {type_name(schema)}")
        if unknown := schema.keys() - keywords:
            raise refuse(f"keyword {sorted(unknown)[0]!r} is not understood")
        for word in ("x-basis", "x-required-basis"):
            if schema.get(word, _BASES[0]) not in _BASES:
                raise self._refusing(path, f"{place}/{word}")(f"must be one of {', '.join(_BASES)}")
        if not isinstance(schema.get("x-source", ""), str):
            raise self._refusing(path, f"{place}/x-source")("must be a text")
        if schema.get("$schema", DIALECT) not in (DIALECT, f"{DIALECT}#"):
            raise self._refusing(path, f"{place}/$schema")(f"must be {DIALECT}")
        for word in ("minLength", "minItems"):
            asked = schema.get(word, 0)
            if isinstance(asked, int | float) and asked > MOST_ASKED:
                raise self._refusing(path, f"{place}/{word}")(f"at most {MOST_ASKED:,}")

    def _inline(
        self,
        schema: Any,
        path: str,
        place: str,
        keywords: frozenset[str],
        on_the_way: tuple[str, ...],
        depth: int = 0,
    ) -> Schema:
        self._check_keywords(schema, path, place, keywords)
        refuse = self._refusing(path, place)
        self._grown += 1
        if self._grown > MOST_SCHEMAS:
            raise refuse(f"with its references followed, more than {MOST_SCHEMAS:,} schemas")
        if depth > folder.DEEPEST or len(on_the_way) > _LONGEST_WAY:
            raise refuse("nested too deeply")
        depth += 1
        if keywords is KEYWORDS:
            for name in schema.get("required", ()):
                if name not in schema.get("properties", ()):
                    raise self._refusing(path, f"{place}/required")(f"{name!r} is not described")
        resolved: Schema = {}
        for keyword, value in schema.items():
            here = f"{place}/{keyword}"
            if keyword == "$ref":
                continue
            if keyword == "properties":
                resolved[keyword] = {
                    name: self._inline(sub, path, here + pointer(name), keywords, on_the_way, depth)
                    for name, sub in value.items()
                }
            elif keyword == "pattern" and (unfit := patterns.why_unfit(value)) is not None:
                raise self._refusing(path, here)(unfit)
            elif keyword in ("items", "not"):
                resolved[keyword] = self._inline(value, path, here, keywords, on_the_way, depth)
            elif keyword in ("allOf", "anyOf"):
                resolved[keyword] = [
                    self._inline(sub, path, f"{here}/{number}", keywords, on_the_way, depth)
                    for number, sub in enumerate(value)
                ]
            else:
                resolved[keyword] = value
        if "$ref" in schema:
            target, role = self._target(schema["$ref"], path, refuse, on_the_way, depth)
            clash = (target.keys() & resolved.keys()) - ANNOTATIONS
            if clash:
                raise refuse(f"{sorted(clash)[0]!r} stands beside a $ref that has it too")
            resolved = {**target, **resolved, "x-role": role}
        if "const" in resolved:
            resolved.setdefault("type", type_name(resolved["const"]))
        if "enum" in resolved:
            resolved.setdefault("type", sorted({type_name(value) for value in resolved["enum"]}))
        return resolved

    def _target(
        self,
        reference: str,
        path: str,
        refuse: _Refuse,
        on_the_way: tuple[str, ...],
        depth: int,
    ) -> tuple[Schema, str]:
        file, mark, place = reference.partition("#/")
        parts = place.split("/")
        if not mark or len(parts) != 2 or parts[0] != "$defs":
            raise refuse(f"$ref {reference!r} must name a definition: FILE#/$defs/NAME")
        target_path = _join(path, file) if file else path
        held = self.read(target_path)
        definitions = held.get("$defs") if isinstance(held, dict) else None
        if not isinstance(definitions, dict):
            raise self._refusing(target_path, "")("must be an object with $defs")
        if parts[1] not in definitions:
            raise refuse(f"$ref {reference!r} leads nowhere")
        whole = f"{target_path}#/{place}"
        if whole in on_the_way:
            raise self._refusing(target_path, f"/{place}")("refers to itself")
        definition = definitions[parts[1]]
        if whole not in self._sound:
            self._check_form(definition, target_path, f"/{place}", KEYWORDS)
            self._sound.add(whole)
        way = (*on_the_way, whole)
        target = self._inline(definition, target_path, f"/{place}", KEYWORDS, way, depth)
        return target, parts[1]


def _join(path: str, reference: str) -> str:
    parts = path.split("/")[:-1]
    for part in reference.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def required_basis(field: Schema, around: str) -> str:
    """On what grounds a required field must be there: `x-required-basis` where its presence rests
    on less than its type does, else its own basis, else that of the object `around` it.
    """
    return str(field.get("x-required-basis", field.get("x-basis", around)))


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

    Raises ValueError (pointer, reason) where one has no `x-basis` and `x-source` on it or around
    it.
    """
    seen = set()
    for constraint in _walk(schema, (), "", "", ""):
        if not (constraint.basis and constraint.source):
            place = "".join(
                "/items" if name == "*" else "/properties" + pointer(name)
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
                required_basis(sub, basis),
                sub.get("x-source", source),
                f"{'.'.join(inner)} is present",
            )
        yield from _walk(sub, inner, basis, source, "")
    if "items" in schema:
        yield from _walk(schema["items"], (*path, "*"), basis, source, "")
