"""What the reference says of a file: the keys of its JSON Schema, as tables.

Generators of such pages (json-schema-for-humans, sphinx-jsonschema) give a heading to each key and
to each branch of a choice: two hundred lines where a table of ten says it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from markdown_words import code, escaped, sentence, table

from soundstage.commands.new_files.file_schemas import FILE_SCHEMAS, file_schema

Schema = Mapping[str, Any]
#: Numbers that nobody comes near.
_BEYOND = 100_000_000
_WRITTEN = tuple(
    f"urn:soundstage:{each}" for each in ("run-bundle", "transcript", "observed", "doctor")
)
_WORDS = {"integer": "whole number", "object": "table", "boolean": "true or false"}


def of_file(name: str, part: str = "", title: str = "") -> str:
    """The keys of a file, or of one definition in its schema, such as a row of a bundle."""
    whole = schema_of(name)
    page = _Page(whole, f"{name}.{part}" if part else name)
    start = whole["$defs"][part] if part else whole
    page.add(title.replace("_", " "), start)
    return "\n".join(page.lines)


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a file, by its word; `protocol` is that of a contract."""
    if name in FILE_SCHEMAS:
        return json.loads(file_schema(name))
    return json.loads(
        files("soundstage.schemas").joinpath(f"{name}.schema.json").read_text("utf-8")
    )


class _Page:
    """Tables of one schema: a part for each object with keys, in the order in which they come."""

    def __init__(self, whole: Schema, prefix: str) -> None:
        self._whole, self._prefix = whole, prefix
        self._told: set[int] = set()
        #: Of what Soundstage writes, nearly all is always there.
        self._written = str(whole.get("$id", "")).startswith(_WRITTEN)
        self.lines: list[str] = []

    def add(self, title: str, schema: Schema) -> None:
        """A part with what an object says of itself, its table, and the parts of what is in it."""
        schema = self._resolved(schema)
        if id(schema.get("properties")) in self._told:
            return
        self._told.add(id(schema.get("properties")))
        if title:
            place, comma, which = title.partition(", ")
            self.lines += [f"### {code(place)}{comma}{which}", ""]
        self.lines += [sentence(escaped(schema.get("description", ""))), "", *_together(schema)]
        inner: list[tuple[str, Schema]] = []
        rows = []
        for key, value in schema.get("properties", {}).items():
            if value is True:  # said elsewhere
                continue
            place = f"{title}.{key}" if title else key
            rows.append(self._row(place, key, value, key in schema.get("required", ())))
            inner += [(place + suffix, each) for suffix, each in self._objects(value)]
        if isinstance(schema.get("additionalProperties"), Mapping):
            inner += [
                (f"{title}.NAME{suffix}", each)
                for suffix, each in self._objects(schema["additionalProperties"])
            ]
        if rows:
            self.lines += table(("key", "value", "meaning"), rows)
        for each in schema.get("oneOf", ()):
            if "$ref" in each:
                inner.append((_last(each["$ref"]), each))
        for choice in schema.get("allOf", ()):
            if "$ref" in choice.get("then", {}):
                inner.append((f"{title}, {_condition(choice['if'])}", choice["then"]))
        for place, each in inner:
            self.add(place, each)

    def _row(self, place: str, key: str, schema: Schema, required: bool) -> tuple[str, str, str]:
        anchor = re.sub(r"[^a-z0-9]+", "-", f"{self._prefix}-{place}".lower()).strip("-")
        whole = self._resolved(schema)
        meaning = [
            # What begins with a value stays as it is.
            sentence(escaped(text), capital=not re.match(r"(null|\w+):| null ", text))
            for text in self._said(schema)
        ]
        if "default" in whole:
            meaning.append(f"Default: {code(json.dumps(whole['default']))}.")
        if examples := whole.get("examples"):
            meaning.append(f"Example: {', '.join(code(json.dumps(each)) for each in examples)}.")
        asked = ""
        if required != self._written:
            asked = ", **required**" if required else ", may be absent"
        return (
            f"{code(key)}{{#{anchor}}}",
            self._value(whole) + asked,
            " ".join(filter(None, meaning)),
        )

    def _said(self, schema: Schema) -> Iterator[str]:
        """What a key says of itself, and what the kind of its value says, where that is no table,
        which says it in its own place.
        """
        whole = self._resolved(schema)
        own = str(whole.get("description") or whole.get("title") or "")
        yield own
        kind = self._resolved({"$ref": schema.get("$ref", "")}) if "$ref" in schema else {}
        if "object" not in kind.get("type", ""):
            said = str(kind.get("description") or kind.get("title") or "")
            if said != own:
                yield said

    def _value(self, schema: Schema) -> str:
        schema = self._resolved(schema)
        if "const" in schema:
            return code(json.dumps(schema["const"]))
        if "enum" in schema:
            return "one of " + ", ".join(code(json.dumps(each)) for each in schema["enum"])
        if "type" not in schema and (choices := schema.get("anyOf") or schema.get("oneOf")):
            return " or ".join(dict.fromkeys(self._value(each) for each in choices))
        kinds = schema.get("type", "any value")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return " or ".join(self._kind(kind, schema) for kind in kinds)

    def _kind(self, kind: str, schema: Schema) -> str:
        if kind == "array" and isinstance(items := schema.get("items"), Mapping):
            return f"list of: {self._value(items)}"
        named = schema.get("additionalProperties")
        if kind == "object" and isinstance(named, Mapping) and "properties" not in schema:
            return f"table, each of its values: {self._value(named)}"
        bounds = _bounds(schema) if kind in ("integer", "number") else ""
        return _WORDS.get(kind, kind) + bounds

    def _objects(self, schema: Schema, suffix: str = "") -> Iterator[tuple[str, Schema]]:
        """The objects with keys of their own that a value is made of, and how they are reached."""
        schema = self._resolved(schema)
        if "properties" in schema:
            yield suffix, schema
        elif isinstance(items := schema.get("items"), Mapping):
            yield from self._objects(items, suffix + "[]")
        elif isinstance(named := schema.get("additionalProperties"), Mapping):
            yield from self._objects(named, suffix + ".NAME")
        for each in schema.get("anyOf", ()):
            yield from self._objects(each, suffix)

    def _resolved(self, schema: Schema) -> Schema:
        """A schema with what its reference says; what stands beside the reference wins."""
        reference = schema.get("$ref", "") if isinstance(schema, Mapping) else ""
        if not reference.startswith("#/"):
            return schema if isinstance(schema, Mapping) else {}
        found: Any = self._whole
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return {**self._resolved(found), **{k: v for k, v in schema.items() if k != "$ref"}}


def _bounds(schema: Schema) -> str:
    """From where to where a number goes, but for bounds that only keep readers of JSON well."""
    least, most, above = (
        None if number is None or abs(number) > _BEYOND else f"{number:,}"
        for number in map(schema.get, ("minimum", "maximum", "exclusiveMinimum"))
    )
    if above is not None:
        return f" above {above}" + (f", at most {most}" if most is not None else "")
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return f" of {least} or more" if least is not None else ""


def _together(schema: Schema) -> list[str]:
    """Which keys go together, where a schema says so by alternatives of what it requires."""
    sets = [each["required"] for each in schema.get("oneOf", ()) if "required" in each]
    if not sets:
        return []
    return ["One of: " + "; ".join(" with ".join(map(code, each)) for each in sets) + ".", ""]


def _condition(schema: Schema) -> str:
    return " and ".join(
        f"`{key}` is `{value['const']}`" if "const" in value else f"`{key}` is one of several"
        for key, value in schema.get("properties", {}).items()
    )


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]
