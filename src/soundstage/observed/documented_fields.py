"""What observing needs to know of a contract: which fields are documented, which may show their
values, and which are somebody's own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soundstage.contract.field_schemas import Schema
from soundstage.contract.roles import role_of
from soundstage.observed.text_classes import SPECIFIC, format_of, is_token
from soundstage.output.redact import PRIVATE_FIELDS

#: Longest text that may be a value of an enumeration.
LONGEST_VALUE = 40
_LARGEST_KNOWN = 10**6
LARGEST_UNKNOWN = 1_000

#: Roles whose values are people's own words or their ids, beside the fields of that name.
_PRIVATE_ROLES = frozenset(
    {"message_id", "task_id", "prompt", "lyrics", "lyrics_sections", "reference_audio"}
)
#: A role whose values are names of the protocol.
_NAMING_ROLE = "stage_name"


@dataclass(frozen=True, slots=True)
class DocumentedPlace:
    """What the contract says about a place, as far as observing needs it. `fields` are those that
    are documented below it; `vocabulary`: its texts are names of the protocol, and may be kept;
    `private`: nothing of its values may be.
    """

    fields: Mapping[str, DocumentedPlace] = field(default_factory=dict)
    items: DocumentedPlace | None = None
    documented: bool = False
    vocabulary: bool = False
    private: bool = False


NOTHING_KNOWN = DocumentedPlace()


def known_of(
    schema: Schema, names: frozenset[str] = frozenset(), private: bool = False
) -> DocumentedPlace:
    """What a resolved schema says about a place and those below it. `names`: fields that have a
    vocabulary elsewhere in the contract.
    """
    private = private or role_of(schema) in _PRIVATE_ROLES
    items = schema.get("items")
    return DocumentedPlace(
        fields={
            name: known_of(
                {**below, "x-role": _NAMING_ROLE} if name in names else below,
                names,
                private or name in PRIVATE_FIELDS,
            )
            for name, below in schema.get("properties", {}).items()
        },
        items=known_of(items, names, private) if items else None,
        documented=True,
        vocabulary=not private and (role_of(schema) == _NAMING_ROLE or bool(constants(schema))),
        private=private,
    )


def constants(schema: Schema) -> list[Any]:
    """The values that a schema prints: its `const`, its `enum`, or those of its `allOf`."""
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list(schema["enum"])
    return [value for part in schema.get("allOf", ()) for value in constants(part)]


def kept_value(value: Any, kind: str, known: DocumentedPlace) -> str | None:
    """How a value is kept as a candidate of an enumeration: as JSON, as its class (`<text>`) where
    it is no name though names are due, or as a hash (`#1a2b3c4d`) where nobody said that its texts
    are names; None where it is not kept at all.
    """
    if kind == "boolean":
        return "true" if value else "false"
    if known.private:
        return None
    if kind == "integer":
        largest = _LARGEST_KNOWN if known.documented else LARGEST_UNKNOWN
        return str(int(value)) if abs(value) <= largest else None
    if kind != "string":
        return None
    short = len(value) <= LONGEST_VALUE and is_token(value)
    if known.vocabulary:
        return json.dumps(value) if short else f"<{format_of(value)}>"
    if not short:
        return None
    if known.documented or format_of(value) in SPECIFIC:
        return None
    return "#" + hashlib.sha256(value.encode()).hexdigest()[:8]
