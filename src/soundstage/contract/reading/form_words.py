"""What is wrong with the form of a file of a contract, in words that say what may stand there.

A validator's own messages name its keywords ("not valid under any of the schemas listed in the
'anyOf' keyword"); who writes a contract wants the words that there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import jsonschema_rs

from soundstage.near_names import did_you_mean
from soundstage.output.cutting import head

_LONGEST_MESSAGE: Final = 400
#: Words of a form are short: two that mean different things are much alike.
_ALIKE: Final = 0.75
#: More names than these are no help.
_MOST_NAMES: Final = 30


def short(message: str) -> str:
    """A message, which may quote a value, on one line of some length."""
    line = " ".join(message.split())
    return head(line, _LONGEST_MESSAGE)


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean oneOf?` of a name that is much like a known one; else nothing."""
    return did_you_mean(name, known, alike=_ALIKE)


def said(error: jsonschema_rs.ValidationError, form: Mapping[str, Any]) -> str:
    """What an error says, on one line. `form`: the schema that the value was held against, whose
    references lead to its own `$defs`.
    """
    return short(_said(error, form))


def _said(error: jsonschema_rs.ValidationError, form: Mapping[str, Any]) -> str:
    kind: Any = error.kind  # of a class for each keyword, with what that has to say
    schema = _at(form, error.schema_path[:-1])
    if kind.name == "additionalProperties" and schema is not None:
        return _unexpected(kind.unexpected[0], schema.get("properties", {}))
    if kind.name in ("anyOf", "oneOf"):
        return _none_of(error, form) or _not_one_of(error, schema)
    if kind.name == "type" and isinstance(kind.types, list):
        return f"{_quoted(error)} must be of type {' or '.join(kind.types)}"
    if kind.name == "enum" and isinstance(kind.options, list):
        options = ", ".join(json.dumps(each) for each in kind.options)
        return f"{_quoted(error)} is not one of {options}"
    return str(error.message)


def _unexpected(name: str, known: Mapping[str, Any]) -> str:
    there = f"; there are {', '.join(known)}" if len(known) <= _MOST_NAMES else ""
    return f"{name!r} has no meaning here{meant(name, known) or there}"


def _none_of(error: jsonschema_rs.ValidationError, form: Mapping[str, Any]) -> str:
    """What each alternative misses: of those that fit the value's type, where there are any."""
    kind: Any = error.kind
    alternatives = list(kind.context)
    if not all(alternatives):
        return ""  # some fit: there are too many of them
    place = len(error.instance_path)
    fitting = [
        each
        for each in alternatives
        if not any(one.kind.name == "type" and len(one.instance_path) <= place for one in each)
    ]
    words = dict.fromkeys(_said(each[0], form) for each in fitting or alternatives)
    return "; or: ".join(words)


def _not_one_of(error: jsonschema_rs.ValidationError, schema: Mapping[str, Any] | None) -> str:
    """Where several alternatives fit, and one may: the names that tell them apart, if they do."""
    asked = [each.get("required", ()) for each in (schema or {}).get("oneOf", ())]
    names = [name for names in asked for name in names]
    if all(asked) and len(names) == len(set(names)):
        return f"say one of {', '.join(names)}, not several"
    return f"{_quoted(error)} has more than one of the forms that it may have"


def _quoted(error: jsonschema_rs.ValidationError) -> str:
    """The value, as the validator quotes it at the head of its messages."""
    return str(error.message).partition(" is not ")[0].partition(" is valid ")[0]


def _at(form: Mapping[str, Any], path: Iterable[str | int]) -> Mapping[str, Any] | None:
    """The schema that a path through keywords and references leads to, None if it is not ours."""
    held: Any = form
    for step in path:
        if step == "$ref" and isinstance(held, Mapping):
            reference = held.get("$ref", "")
            if not reference.startswith("#/$defs/"):
                return None
            held = form.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        else:
            try:
                held = held[step]
            except (LookupError, TypeError):
                return None
    return held if isinstance(held, Mapping) else None
