"""Why a file that people write does not fit its JSON Schema, in words for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from soundstage.near_names import did_you_mean

UNKNOWN: Final = "additionalProperties"


def first_wrong(found: list[Any]) -> Any:
    """Of the errors of jsonschema_rs the one to speak of: a word that is not known comes first,
    since the one that is missing may be that one, misspelt.
    """
    return min(found, key=lambda wrong: wrong.kind.name != UNKNOWN)


def place_of(wrong: Any) -> str:
    """Where it is, as `[target][api][0]`."""
    return "".join(f"[{part}]" for part in wrong.instance_path) or "the file"


def reason_of(wrong: Any, schema: Mapping[str, Any]) -> str:
    """The validator's own words, but for those that only speak of the schema."""
    kind = wrong.kind
    if kind.name == UNKNOWN:
        return _unknown(wrong, kind.unexpected[0], schema)
    if kind.name == "enum":
        options = ", ".join(map(str, kind.options))
        near = did_you_mean(str(wrong.instance), map(str, kind.options))
        return f"{wrong.instance!r} is none of {options}{near}"
    return str(wrong.message)


def _unknown(wrong: Any, word: str, schema: Mapping[str, Any]) -> str:
    """That there is no such word, and which there are in its place."""
    there: Any = schema
    for step in wrong.schema_path[:-1]:
        there = there[step]
        if isinstance(there, dict) and set(there) == {"$ref"}:
            there = schema["$defs"][there["$ref"].rpartition("/")[2]]
    known = list(there["properties"])
    return f"{word!r} is not known; there are {', '.join(known)}{did_you_mean(word, known)}"
