"""What the contract says about the places in a chunk or a result: which fields there are, what may
be kept of their values, and which types, values and sizes are documented, and how firmly.

Who observes asks it what to look at; who compares, what was seen that should not have been.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from math import inf
from typing import Any

from soundstage.conformance.violations import SEVERITY_OF_BASIS, Severity
from soundstage.contract import Contract
from soundstage.contract.json_schema.field_schemas import Schema, pointer, required_basis
from soundstage.contract.json_schema.patterns import found_in
from soundstage.contract.roles import role_of
from soundstage.observed.facts import MANY, RESULT
from soundstage.observed.text_classes import EXAMPLES
from soundstage.output.redact import PRIVATE_FIELDS

#: Roles whose values are people's own words or their ids, beside the fields of that name.
_PRIVATE_ROLES = frozenset(
    {"message_id", "task_id", "prompt", "lyrics", "lyrics_sections", "reference_audio"}
)
#: A role whose values are names of the protocol.
_NAMING_ROLE = "stage_name"


class Stance(Enum):
    """What a contract says about something that may be seen or not."""

    REQUIRED = "required"
    ALLOWED = "allowed"
    SILENT = "silent"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Said:
    """Something that the contract says: `stance`, whether breaking it is an error (`firm`), and
    the place on the page.
    """

    stance: Stance
    firm: bool = True
    source: str = ""

    @classmethod
    def by(cls, grounds: Any, stance: Stance) -> Said:
        """What is said on these grounds of the protocol."""
        severity = grounds.severity or SEVERITY_OF_BASIS[grounds.basis]
        return cls(stance, bool(severity == Severity.ERROR), grounds.source)


SILENT = Said(Stance.SILENT)
ALLOWED = Said(Stance.ALLOWED)


@dataclass(frozen=True, slots=True)
class Documented:
    """A documented place. `listed`: the stage (or the result) itself lists it; otherwise some other
    stage does. `required`: in every object around it. `private`: nothing of its values may be kept;
    `naming`: its texts are names of the protocol, which may. `fields`: the pointers of those below.
    """

    schema: Schema
    required: bool
    listed: bool
    source: str
    private: bool
    naming: bool
    fields: dict[str, str] = field(default_factory=dict)

    def said(self, facet: str, detail: Any = "") -> Said:
        """What is said about a fact of this place (of a range: about one end of it)."""
        if facet in ("field", "always"):
            stance = Stance.REQUIRED if self.required else Stance.ALLOWED
            basis = self.schema.get("x-basis", "documented")
            grounds = required_basis(self.schema, basis) if self.required else basis
            return Said(stance, SEVERITY_OF_BASIS[grounds] is Severity.ERROR, self.source)
        said = SILENT
        for part, basis in _parts(self.schema, "documented"):
            allowed = _ALLOWS[facet](part, detail)
            if allowed is False:
                firm = SEVERITY_OF_BASIS[basis] is Severity.ERROR
                return Said(Stance.FORBIDDEN, firm, self.source)
            said = ALLOWED if allowed else said
        return said

    def types(self) -> list[str]:
        """The types that are documented; empty for any."""
        return _types(self.schema)

    def constants(self) -> list[Any]:
        """The values that are printed for it; empty where none are."""
        return constants(self.schema)


def constants(schema: Schema) -> list[Any]:
    """The values that a schema prints: its `const`, its `enum`, or the first of its `allOf`."""
    return next((values for part, _ in _parts(schema, "") if (values := _printed(part))), [])


# ------------------------------------------------- what one schema, without its `allOf`, allows


def _parts(schema: Schema, basis: str) -> Iterator[tuple[Schema, str]]:
    basis = schema.get("x-basis", basis)
    yield schema, basis
    for part in schema.get("allOf", ()):
        yield from _parts(part, basis)


def _types(part: Schema) -> list[str]:
    kinds = part.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def _printed(part: Schema) -> list[Any]:
    return [part["const"]] if "const" in part else list(part.get("enum", ()))


def _type(part: Schema, name: str) -> bool | None:
    """As JSON Schema calls types; 2.0 is an integer."""
    kinds = _types(part)
    return (name in kinds or (name == "integer" and "number" in kinds)) if kinds else None


def _value(part: Schema, kept: str) -> bool | None:
    """A value as it is kept. Many are more than any page prints, and a class of texts is kept only
    where names are due: it is none of them.
    """
    printed = _printed(part)
    if not printed or kept.startswith("#"):
        return None
    if kept == MANY or kept.startswith("<"):
        return False
    try:
        value = json.loads(kept)
    except ValueError:  # whoever wrote the file wrote no JSON there
        return None
    return any(type(each) is type(value) and each == value for each in printed)


def _format(part: Schema, name: str) -> bool | None:
    """A pattern says something about a class of text, told by an example of the class, if it takes
    the examples of some classes and not those of others.
    """
    asked = part.get("pattern")
    taken = {kind for kind, text in EXAMPLES.items() if asked and found_in(asked, text)}
    return False if taken and name not in taken else None


def _within(least: str, most: str) -> Callable[[Schema, Any], bool | None]:
    def within(part: Schema, number: Any) -> bool | None:
        if least not in part and most not in part:
            return None
        return bool(part.get(least, -inf) <= number <= part.get(most, inf))

    return within


_items = _within("minItems", "maxItems")
#: By facet: whether a schema allows a detail; None where it says nothing about it.
_ALLOWS: Mapping[str, Callable[[Schema, Any], bool | None]] = {
    "type": _type,
    "value": _value,
    "format": _format,
    "size": lambda part, size: _items(part, float(size) if size.isdecimal() else inf),
    "number": _within("minimum", "maximum"),
    "length": _within("minLength", "maxLength"),
}

# ------------------------------------------------- all places of a stage


Places = Mapping[str, Documented]


@cache
def documented(contract: Contract, endpoint: str, stage: str) -> Places:
    """Every documented place of a stage's chunks (or of a result) by pointer, `*` for any item. Of
    a stage that is not known: the fields that any chunk may have.
    """
    found: dict[str, Documented] = {}
    names = _naming(contract)

    def walk(schema: Schema, where: str, above: Documented, required: bool, name: str = "") -> None:
        """Take in a place that is `above` or below it; `name` is that of a field."""
        role = _NAMING_ROLE if name in names else role_of(schema)
        private = above.private or name in PRIVATE_FIELDS or role in _PRIVATE_ROLES
        naming = not private and (role == _NAMING_ROLE or bool(constants(schema)))
        source = schema.get("x-source", above.source)
        place = Documented(schema, required, above.listed, source, private, naming)
        found[where] = place
        for inner, below in schema.get("properties", {}).items():
            place.fields[inner] = where + pointer(inner)
            walk(below, place.fields[inner], place, inner in schema.get("required", ()), inner)
        if isinstance(schema.get("items"), dict):
            walk(schema["items"], f"{where}/*", place, False)

    root = Documented({}, required=True, listed=True, source="", private=False, naming=False)
    protocol = contract.endpoints[endpoint].protocol or contract.protocol
    if stage == RESULT:
        walk(contract.endpoints[endpoint].response or {}, "", root, True)
        return found
    walk({"properties": protocol.fields}, "", replace(root, listed=False), False)
    anywhere = found[""].fields
    if (known := protocol.by_name.get(stage)) is not None:
        walk(known.schema, "", root, True)
        found[""].fields.update(anywhere)
    return found


@cache
def _naming(contract: Contract) -> frozenset[str]:
    """The fields for which some stage prints the text that they hold."""
    return frozenset(
        name
        for stage in contract.stages
        for name, schema in stage.schema.get("properties", {}).items()
        if any(isinstance(value, str) for value in constants(schema))
    )
