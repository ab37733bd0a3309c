"""What is wrong with the body of a request, field by field: what was expected there, and what came.

All of it follows from the schema of the contract. Of what came no text is repeated but a short one
where the schema lists those that it takes, and never what `secret` holds: a prompt is long, and a
key may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema, pointer, type_name
from soundstage.contract.json_schema.schema_words import KINDS, asked_by, described
from soundstage.contract.reading.form_words import meant
from soundstage.output import visible
from soundstage.output.cutting import cut
from soundstage.untrusted.json_text import Problem

#: Problems of one body that are named.
MOST_NAMED: Final = 10
_LONGEST_FIELD: Final = 120
_LONGEST_WORDS: Final = 200
_LONGEST_TEXT: Final = 40
_LONGEST_NUMBER: Final = 64  # bits
_MISSING: Final = "missing"
_UNEXPECTED: Final = "unexpected"
_CLOSING: Final = ("additionalProperties", "unevaluatedProperties")
#: Keywords that list what they take: there a text that they do not take is worth repeating.
_LISTING: Final = ("enum", "const")
#: How what a keyword asks begins where it needs a noun before it.
_NEEDS_NOUN: Final = ("of ", "with ", "without ", "like ")


@dataclass(frozen=True, slots=True)
class BodyProblem:
    """One thing wrong with a body. `field` is a JSON pointer, "" for the whole body; `expected` and
    `found` are words: `at most 300`, `the number 900`, `missing`,
    `unexpected`.
    """

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        place = self.field.removeprefix("/") or "the body"
        if self.found == _MISSING:
            return f"{place}: missing, expected {self.expected}"
        if self.found == _UNEXPECTED:
            return f"{place}: {self.expected}"
        return f"{place}: expected {self.expected}, got {self.found}"


@dataclass(frozen=True, slots=True)
class BodyProblems:
    """What is wrong with one body, at most `MOST_NAMED` things; `more`: there are others."""

    named: tuple[BodyProblem, ...] = ()
    more: bool = False

    def __str__(self) -> str:
        said = "; ".join(map(str, self.named))
        return f"{said}; and more" if self.more else said


NO_PROBLEMS: Final = BodyProblems()


def problems_of(
    errors: Iterable[jsonschema_rs.ValidationError], schema: Schema, body: Any, secret: str | None
) -> BodyProblems:
    """The errors that a validator of `schema` found in a body, in words. `secret`: the key of the
    request.
    """
    found: dict[BodyProblem, None] = {}
    for error in errors:
        if patterns.gave_up(error):
            continue
        for each in islice(_of_error(error, schema, body, secret), MOST_NAMED + 1):
            found[each] = None
        if len(found) > MOST_NAMED:
            break
    return BodyProblems(tuple(islice(found, MOST_NAMED)), len(found) > MOST_NAMED)


def whole_body(expected: str, body: Any, secret: str | None) -> BodyProblems:
    """A body that is something else altogether."""
    return BodyProblems((BodyProblem("", expected, _found(body, secret)),))


def broken_text(problems: Iterable[Problem]) -> str:
    """Why a body is not JSON: what is wrong and where, and nothing of the text itself."""
    said = []
    for each in islice(problems, MOST_NAMED):
        # A text that cannot be read is quoted where the reading stopped.
        quoted = each.code in ("json.syntax", "json.trailing_text")
        message = each.message.partition(": ")[0] if quoted else each.message
        said.append(visible.line(cut(message, _LONGEST_WORDS)))
    return "; ".join(said)


def _of_error(
    error: jsonschema_rs.ValidationError, schema: Schema, body: Any, secret: str | None
) -> Iterator[BodyProblem]:
    way, at = list(error.schema_path), list(error.instance_path)
    keyword = str(way[-1]) if way else ""
    around = _within(schema, way[:-1])
    kind: Any = error.kind
    if "propertyNames" in way:
        expected = described(_within(schema, way[: way.index("propertyNames") + 1]))
        yield BodyProblem(_place(at, secret), f"names that are {expected}", "another name")
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        name = str(kind.property)
        expected = described(_member(around, name) or _member(schema, name) or {})
        yield BodyProblem(_place([*at, name], secret), _words(expected), _MISSING)
    elif keyword in _CLOSING:
        known = list(around.get("properties", ()))
        for name in getattr(kind, "unexpected", ()):
            # `meant` compares what it is given with every name, letter by letter.
            near = meant(name[:_LONGEST_FIELD], known) if _is_shown(name, secret) else ""
            there = f"; there are {', '.join(map(str, known[:MOST_NAMED]))}" if known else ""
            expected = f"no such field{near or there}"
            yield BodyProblem(_place([*at, name], secret), _words(expected), _UNEXPECTED)
    else:
        value = _at(body, at)
        if keyword == "type":
            expected = described({"type": around.get("type", ())})
        else:
            expected = _with_noun(asked_by(keyword, around), value)
        found = _found(value, secret, echoed=keyword in _LISTING)
        yield BodyProblem(_place(at, secret), _words(expected), found)


def _within(schema: Any, way: list[str | int]) -> Schema:
    """The part of a schema that a way leads to; {} where it leads nowhere."""
    for part in way:
        try:
            schema = schema[part]
        except (KeyError, IndexError, TypeError):
            return {}
    return schema if isinstance(schema, dict) else {}


def _member(schema: Schema, name: str) -> Schema:
    found = schema.get("properties", {}).get(name)
    return found if isinstance(found, dict) else {}


def _at(body: Any, way: list[str | int]) -> Any:
    for part in way:
        body = body[part]
    return body


def _place(way: list[str | int], secret: str | None) -> str:
    shown = (part if _is_shown(str(part), secret) else "…" for part in way)
    return visible.line(cut(pointer(*shown), _LONGEST_FIELD))


def _is_shown(text: str, secret: str | None) -> bool:
    return not secret or secret not in text


def _words(text: str) -> str:
    return visible.line(cut(text, _LONGEST_WORDS))


def _with_noun(asked: str, value: Any) -> str:
    if asked.startswith(_NEEDS_NOUN):
        return f"{KINDS.get(type_name(value), 'a value')} {asked}"
    return asked


def _found(value: Any, secret: str | None, *, echoed: bool = False) -> str:
    """What came, in words; a text itself only where it is `echoed`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if not value.strip():
            return "a blank text" if value else "an empty text"
        if echoed and len(value) <= _LONGEST_TEXT and _is_shown(value, secret):
            return f'"{visible.line(value)}"'
        return f"a text of {len(value):,} character{'' if len(value) == 1 else 's'}"
    if isinstance(value, list | dict):
        what = "item" if isinstance(value, list) else "field"
        kind = KINDS[type_name(value)]
        return f"{kind} of {len(value):,} {what}{'' if len(value) == 1 else 's'}"
    if value is None:
        return "null"
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return "a very large integer"  # Python refuses to write the longest
    text = str(value)
    return (
        f"the number {text}"
        if len(text) <= _LONGEST_TEXT and _is_shown(text, secret)
        else ("a number")
    )
