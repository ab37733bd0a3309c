"""What a schema asks of a value, in words, where its author gave it no title."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from soundstage.contract.json_schema.keywords import ALTERNATIVES, Schema
from soundstage.output.cutting import head

_LONGEST: Final = 60
_MOST_NAMED: Final = 8


def shown(value: Any) -> str:
    """A JSON value of a contract, short and on one line."""
    text = json.dumps(value, ensure_ascii=False)
    return head(text, _LONGEST)


def many(number: int, noun: str) -> str:
    """`1 item`, `2 items`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _listed(values: list[Any], word: str) -> str:
    named = [shown(value) for value in values[:_MOST_NAMED]]
    if (more := len(values) - len(named)) > 0:
        named.append(f"one of {more} more")
    return (
        f" {word} ".join(named) if len(named) < 3 else f"{', '.join(named[:-1])} {word} {named[-1]}"
    )


#: What a keyword asks, said of "it".
_WORDS: Final[Mapping[str, Callable[[Any], str]]] = {
    "const": shown,
    "enum": lambda asked: _listed(asked, "or"),
    "minimum": lambda asked: f"at least {shown(asked)}",
    "maximum": lambda asked: f"at most {shown(asked)}",
    "exclusiveMinimum": lambda asked: f"more than {shown(asked)}",
    "exclusiveMaximum": lambda asked: f"less than {shown(asked)}",
    "multipleOf": lambda asked: f"a multiple of {shown(asked)}",
    "minLength": lambda asked: f"of at least {many(asked, 'character')}",
    "maxLength": lambda asked: f"of at most {many(asked, 'character')}",
    "pattern": lambda asked: f"like {shown(asked)}",
    "minItems": lambda asked: f"of at least {many(asked, 'item')}",
    "maxItems": lambda asked: f"of at most {many(asked, 'item')}",
    "uniqueItems": lambda asked: "without an item that comes twice" if asked else "",
    "contains": lambda asked: f"with an item that is {described(asked)}",
    "minContains": lambda asked: f"with {asked:,} of them at least",
    "maxContains": lambda asked: f"with {asked:,} of them at most",
    "minProperties": lambda asked: f"of at least {many(asked, 'field')}",
    "maxProperties": lambda asked: f"of at most {many(asked, 'field')}",
    "propertyNames": lambda asked: f"with names that are {described(asked)}",
    "additionalProperties": lambda asked: "without any other field" if asked is False else "",
    "unevaluatedProperties": lambda asked: "without any other field" if asked is False else "",
    "items": lambda asked: "without any other item" if asked is False else "",
    "unevaluatedItems": lambda asked: "without any other item" if asked is False else "",
    "not": lambda asked: f"not {described(asked)}" if asked else "nothing at all",
    "anyOf": lambda asked: _of_alternatives(asked, "or"),
    "oneOf": lambda asked: f"one alone of these: {_of_alternatives(asked, 'or')}",
    "dependentRequired": lambda asked: "; ".join(
        f"with {' and '.join(needed)} where {name} is there"
        for name, needed in asked.items()
        if needed
    ),
}


def _of_alternatives(asked: list[Schema], word: str) -> str:
    """What alternatives ask; of those that only ask for fields, which fields."""
    needed = [each.get("required") for each in asked if set(each) <= {"required", "type"}]
    if len(needed) == len(asked) and all(needed):
        sets = [" and ".join(names or ()) for names in needed]
        return f"with at least {sets[0]}" if len(sets) == 1 else f"with {f' {word} '.join(sets)}"
    return f" {word} ".join(dict.fromkeys(described(each) for each in asked[:_MOST_NAMED]))


def described(schema: Any) -> str:
    """What a value that meets a schema is, in words: its title, or what its keywords ask."""
    if isinstance(schema, bool):
        return "anything" if schema else "nothing at all"
    if title := schema.get("title"):
        return str(title)
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    fixed = [word for word in ("const", "enum") if word in schema]
    found = [_WORDS[fixed[0]](schema[fixed[0]])] if fixed else [KINDS[kind] for kind in kinds]
    first = " or ".join(found)
    more = [
        said
        for word, asked in schema.items()
        if word in _WORDS and word not in fixed and (said := _WORDS[word](asked))
    ]
    if needed := schema.get("required"):
        more.append(f"with {' and '.join(needed)}")
    return ", ".join(each for each in (first, *more) if each) or "anything"


def asked_by(keyword: str, schema: Schema) -> str:
    """What one keyword of a schema asks, in words: its title where the schema has one (which is
    not what its alternatives are about), else the keyword's own.
    """
    if (title := schema.get("title")) and keyword not in (*ALTERNATIVES, "dependentRequired"):
        return str(title)
    said = _WORDS[keyword](schema[keyword]) if keyword in _WORDS else ""
    return said or f"{keyword} {shown(schema.get(keyword))}"


#: What a type of JSON Schema is called.
KINDS: Final = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "array": "an array",
    "object": "an object",
}
