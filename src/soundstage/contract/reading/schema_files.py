"""The schemas in a contract's files: read, their references followed, every keyword checked.

A keyword that is not in `keywords.KEYWORDS` is refused, never ignored. A resolved schema is plain
JSON Schema 2020-12, so that `jsonschema` and `jsonschema-rs` agree about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs
from jsonschema_rs import canonical

from soundstage.contract.grounds import Grounds
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import constraints, pointer, type_name
from soundstage.contract.json_schema.keywords import ANNOTATIONS, KEYWORDS, Schema, inner, plain
from soundstage.contract.reading import folder
from soundstage.contract.reading.form_words import meant, said, short
from soundstage.contract.role_names import ROLES, role_named
from soundstage.errors import ContractDataError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

#: Schemas that a folder may come to with its references followed: one that doubles thirty times
#: would come to a billion. And references that may be followed one after another.
MOST_SCHEMAS: Final = 20_000
_LONGEST_WAY: Final = 16
#: The most that a schema may ask for of what must be made up.
MOST_ASKED: Final = 10_000
_MADE_UP: Final = ("minLength", "minItems", "minProperties", "minContains")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FORM: Final = {"$ref": DIALECT}
_BASES: Final = ("documented", "exemplified", "inferred")
_BY_NAME: Final = ("properties", "patternProperties", "dependentSchemas")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
_ONE_MORE: Final = ("propertyNames", "unevaluatedItems", "unevaluatedProperties")
#: Where `false` says that there is nothing else, and stays as it is.
_CLOSING: Final = ("items", "additionalProperties", "unevaluatedItems", "unevaluatedProperties")
_Refuse = Callable[[str], ContractDataError]


@cache
def _form() -> jsonschema_rs.Draft202012Validator:
    """What a schema must be like: the library's own copy, whatever `$schema` says."""
    return patterns.validator(_FORM)


class SchemaFiles:
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
        #: (basis, source) of what names none itself; None where nothing is said.
        self.grounds: tuple[str | None, str | None] = (None, None)

    def grounds_of(self, entry: Mapping[str, Any]) -> Grounds:
        """What an entry rests on: what it says, else what is said of the whole contract."""
        basis, source = self.grounds
        return Grounds(
            entry.get("basis", basis), entry.get("source", source), entry.get("severity")
        )

    def grounded(self, schema: Schema) -> Schema:
        """A schema that says what it rests on, where the whole contract says so."""
        basis, source = self.grounds
        said = {"x-basis": basis, "x-source": source}
        return {**{word: each for word, each in said.items() if each is not None}, **schema}

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return folder.is_there(self.found(path)[1])

    def read(self, path: str, named_at: str = "") -> Any:
        """The parsed file at `path`, relative to the folder; `..` may lead to its siblings, not out
        of it. `named_at`: the place (FILE#/POINTER) that names it.

        Raises ContractDataError if it is absent, elsewhere, not JSON or out of all proportion.
        """
        if path not in self._read:
            root, place = self.found(path)
            if named_at and not folder.is_there(place):
                raise ContractDataError(f"{self.name}/{named_at}: there is no file {path}")
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

    def resolve(self, path: str, named_at: str = "") -> Schema:
        """The schema in the file at `path`, references inlined; the same object every time.
        `named_at`: as `read` takes it.

        It describes an object (or nothing at all), each constraint on its grounds, and there is a
        value that meets it.
        """
        if path not in self._resolved:
            schema = self.grounded(self.inline(self.read(path, named_at), path, ""))
            if schema.get("type", "object") != "object":
                raise self._refusing(path, "/type")(
                    "only objects have fields: `type` must be object, or stay away"
                )
            if schema.keys() - ANNOTATIONS:
                # Whoever asks anything means an object, whether or not the file says so.
                schema = {**schema, "type": "object"}
            try:
                for _ in constraints(schema):
                    pass
            except ValueError as error:
                place, reason = error.args
                raise self._refusing(path, place)(reason) from error
            self._can_be_met(schema, path)
            self._resolved[path] = schema
        return self._resolved[path]

    def _can_be_met(self, schema: Schema, path: str) -> None:
        """Refuse what no value can meet, where that can be seen without making one up. Only what
        always holds: an alternative that cannot be is no harm while there is another.
        """
        try:
            found = canonical.find_unsatisfiable(schema, offline=True)
        except (ValueError, canonical.CanonicalizationError):
            return  # beyond the library's bounds: `schema --prove` tries the rest
        always = _always(schema, "")
        for place in sorted(found, key=len, reverse=True):
            if place in always:
                why = f"no value can meet this{_together(found[place], place)}"
                raise self._refusing(path, place)(short(why))

    def _refusing(self, path: str, place: str) -> _Refuse:
        return lambda reason: ContractDataError(f"{self.name}/{path}#{place}: {reason}")

    def inline(self, schema: Any, path: str, place: str, *, alone: bool = True) -> Schema:
        """`schema`, found in file `path` at pointer `place`, with every `$ref` replaced by its
        target.

        The name of the last definition on the way that is a role is kept as `x-role`; a `const` or
        an `enum` gains the `type` that it implies, so that a wrong type is told from a wrong value.
        `alone`: it describes all the fields that it asks for; one that only tells things apart
        need not.
        """
        self._check_form(schema, path, place)
        return self._inline(schema, path, place, (), alone=alone)

    def _check_form(self, schema: Any, path: str, place: str) -> None:
        self._check_keywords(schema, path, place)
        try:
            wrong = next(iter(_form().iter_errors(schema)), None)
        except ValueError as error:  # beyond the library's bounds
            raise self._refusing(path, place)(str(error)) from error
        if wrong is not None:
            refuse = self._refusing(path, place + pointer(*wrong.instance_path))
            raise refuse(said(wrong, _FORM))

    def _check_keywords(self, schema: Any, path: str, place: str) -> None:
        refuse = self._refusing(path, place)
        if not isinstance(schema, dict):
            raise refuse(f"a schema must be an object, not {type_name(schema)}")
        if unknown := sorted(schema.keys() - KEYWORDS):
            raise refuse(_unknown(unknown[0]))
        for word in ("x-basis", "x-required-basis"):
            if schema.get(word, _BASES[0]) not in _BASES:
                raise self._refusing(path, f"{place}/{word}")(f"must be one of {', '.join(_BASES)}")
        if not isinstance(schema.get("x-source", ""), str):
            raise self._refusing(path, f"{place}/x-source")("must be a text")
        if "x-role" in schema and role_named(schema["x-role"]) is None:
            known = ", ".join(sorted(ROLES))
            raise self._refusing(path, f"{place}/x-role")(f"no such role; there are {known}")
        if schema.get("$schema", DIALECT) not in (DIALECT, f"{DIALECT}#"):
            raise self._refusing(path, f"{place}/$schema")(f"must be {DIALECT}")
        for word in _MADE_UP:
            asked = schema.get(word, 0)
            if isinstance(asked, int | float) and asked > MOST_ASKED:
                raise self._refusing(path, f"{place}/{word}")(f"at most {MOST_ASKED:,}")

    def _inline(
        self,
        schema: Any,
        path: str,
        place: str,
        on_the_way: tuple[str, ...],
        depth: int = 0,
        *,
        alone: bool = True,
    ) -> Schema:
        """`alone`: the schema names all the fields that it asks for; one that adds to another on a
        condition need not.
        """
        self._check_keywords(schema, path, place)
        refuse = self._refusing(path, place)
        self._grown += 1
        if self._grown > MOST_SCHEMAS:
            raise refuse(f"with its references followed, more than {MOST_SCHEMAS:,} schemas")
        if depth > folder.DEEPEST or len(on_the_way) > _LONGEST_WAY:
            raise refuse("nested too deeply")
        depth += 1
        resolved: Schema = {}

        def below(value: Any, here: str, *, alone: bool = False) -> Schema:
            return self._inline(plain(value), path, here, on_the_way, depth, alone=alone)

        for keyword, value in schema.items():
            here = f"{place}/{keyword}"
            if keyword in ("$ref", "$defs"):
                continue
            if keyword in _CLOSING and value is False:
                resolved[keyword] = value
            elif keyword in _BY_NAME:
                own = keyword != "dependentSchemas"
                resolved[keyword] = {
                    name: below(sub, here + pointer(name), alone=own) for name, sub in value.items()
                }
                if keyword == "patternProperties":
                    for pattern in value:
                        self._check_pattern(pattern, path, here)
            elif keyword == "pattern":
                self._check_pattern(value, path, here)
                resolved[keyword] = value
            elif keyword in _LISTS:
                resolved[keyword] = [
                    below(sub, f"{here}/{number}", alone=keyword == "prefixItems")
                    for number, sub in enumerate(value)
                ]
            elif keyword in (*_ONE, *_ONE_MORE):
                resolved[keyword] = below(value, here, alone=keyword in ("items", "contains"))
            else:
                resolved[keyword] = value
        if "$ref" in schema:
            resolved = self._with_target(schema["$ref"], resolved, path, place, on_the_way, depth)
        if "const" in resolved:
            resolved.setdefault("type", type_name(resolved["const"]))
        if "enum" in resolved:
            resolved.setdefault("type", sorted({type_name(value) for value in resolved["enum"]}))
        if alone:
            self._check_required(resolved, path, place)
        return resolved

    def _check_pattern(self, pattern: str, path: str, place: str) -> None:
        if (unfit := patterns.why_unfit(pattern)) is not None:
            raise self._refusing(path, place)(unfit)

    def _check_required(self, schema: Schema, path: str, place: str) -> None:
        """A field that must be there and is described nowhere is a slip of the pen."""
        described = set(schema.get("properties", ())) | {
            name for part in schema.get("allOf", ()) for name in part.get("properties", ())
        }
        for name in schema.get("required", ()):
            if name not in described:
                raise self._refusing(path, f"{place}/required")(
                    f"{name!r} is not described: add it to `properties`"
                )

    def _with_target(
        self,
        reference: str,
        beside: Schema,
        path: str,
        place: str,
        on_the_way: tuple[str, ...],
        depth: int,
    ) -> Schema:
        """What a reference leads to, and what stands beside it, which holds as well."""
        target, role = self._target(reference, path, place, on_the_way, depth)
        clash = (target.keys() & beside.keys()) - ANNOTATIONS
        if clash:
            kept = {word: value for word, value in target.items() if word in ANNOTATIONS}
            found = {**kept, **beside, "allOf": [target, *beside.get("allOf", ())]}
        else:
            found = {**target, **beside}
        if role is not None:
            found.setdefault("x-role", role) if "x-role" in beside else found.update(
                {"x-role": role}
            )
        return found

    def _target(
        self,
        reference: str,
        path: str,
        here: str,
        on_the_way: tuple[str, ...],
        depth: int,
    ) -> tuple[Schema, str | None]:
        refuse = self._refusing(path, here)
        file, _, place = reference.partition("#")
        if "://" in reference or (place and not place.startswith("/")):
            raise refuse(
                f"$ref {reference!r} must name a file of the folder, or FILE#/POINTER in one"
            )
        target_path = _join(path, file) if file else path
        held = self.read(target_path, f"{path}#{here}/$ref")
        if not isinstance(held, dict):
            raise self._refusing(target_path, "")(f"must be an object, not {type_name(held)}")
        parts = [part.replace("~1", "/").replace("~0", "~") for part in place.split("/")[1:]]
        for part in parts:
            if isinstance(held, list) and part.isdigit() and int(part) < len(held):
                held = held[int(part)]
            elif isinstance(held, dict) and part in held:
                held = held[part]
            else:
                raise refuse(f"$ref {reference!r} leads nowhere")
        whole = f"{target_path}#{place}"
        if whole in on_the_way:
            raise self._refusing(target_path, place)(
                "refers to itself: a value that holds its like has no schema here"
            )
        held = plain(held) if isinstance(held, bool) else held
        if whole not in self._sound:
            self._check_form(held, target_path, place)
            self._sound.add(whole)
        target = self._inline(held, target_path, place, (*on_the_way, whole), depth)
        return target, role_named(parts[-1]) if parts else None


def _unknown(keyword: str) -> str:
    guess = meant(keyword, KEYWORDS) or " (JSON Schema 2020-12, with $ref to files here)"
    return f"keyword {keyword!r} is not understood{guess}"


def _together(reason: Any, place: str) -> str:
    """The keywords that leave no value together, as seen from the schema at `place`."""
    causes = getattr(reason, "causes", None) or [getattr(reason, "cause", None)]
    named = [
        "`" + f"{cause.pointer}/{word}`".removeprefix(place).removeprefix("/")
        for cause in causes
        for word in (cause.keywords if cause is not None else ())
    ]
    return f": {' with '.join(named)}" if named else ""


def _always(schema: Schema, place: str) -> set[str]:
    """The pointers to the parts of a schema that hold of every value, or of every one that has the
    fields it must have.
    """
    found = {place}
    for each in inner(schema):
        if not each.always or each.way[0] in ("patternProperties", "additionalProperties", "items"):
            continue
        if each.way[0] == "properties" and each.way[1] not in schema.get("required", ()):
            continue
        found |= _always(each.schema, place + pointer(*each.way))
    return found


def _join(path: str, reference: str) -> str:
    parts = path.split("/")[:-1]
    for part in reference.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
