"""What the contract says about the places in a chunk or a result: which fields there are, what may
be kept of their values, and which types, values and sizes are documented, and how firmly.

Who observes asks it what to look at; who compares, what was seen that should not have been.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

from soundstage.conformance.violations import SEVERITY_OF_BASIS, Severity
from soundstage.contract import Contract
from soundstage.contract.field_schemas import Schema, pointer, required_basis
from soundstage.contract.patterns import found_in
from soundstage.contract.roles import role_of
from soundstage.observed.facts import RESULT
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

    def presence(self) -> Said:
        """What is said about the field being there."""
        stance = Stance.REQUIRED if self.required else Stance.ALLOWED
        basis = self.schema.get("x-basis", "documented")
        grounds = required_basis(self.schema, basis) if self.required else basis
        return Said(stance, SEVERITY_OF_BASIS[grounds] is Severity.ERROR, self.source)

    def type(self, name: str) -> Said:
        """What is said about a type (as JSON Schema calls it; 2.0 is an integer)."""

        def allows(part: Schema) -> bool:
            kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
            return name in kinds or (name == "integer" and "number" in kinds)

        said = [(allows(part), firm) for part, firm in self._parts() if "type" in part]
        return self._said(said)

    def value(self, value: Any) -> Said:
        """What is said about a value being that of the field."""
        printed = [(_printed(part), firm) for part, firm in self._parts()]
        return self._said(
            (any(type(each) is type(value) and each == value for each in values), firm)
            for values, firm in printed
            if values
        )

    def format(self, name: str) -> Said:
        """What a pattern says about a class of text, told by an example of the class: nothing
        unless it takes the examples of some classes and not those of others.
        """
        for part, firm in self._parts():
            if "pattern" in part:
                taken = {kind for kind, text in EXAMPLES.items() if found_in(part["pattern"], text)}
                if taken and name not in taken:
                    return Said(Stance.FORBIDDEN, firm, self.source)
        return SILENT

    def _said(self, parts: Any) -> Said:
        """Of parts of a schema, whether each allows something, and how firmly."""
        said = SILENT
        for allowed, firm in parts:
            if not allowed:
                return Said(Stance.FORBIDDEN, firm, self.source)
            said = ALLOWED
        return said

    def types(self) -> list[str]:
        """The types that are documented; empty for any."""
        kinds = self.schema.get("type", [])
        return kinds if isinstance(kinds, list) else [kinds]

    def nullable(self) -> bool:
        """Whether null is documented."""
        return "null" in self.types() and self.type("null").stance is not Stance.FORBIDDEN

    def constants(self) -> list[Any]:
        """The values that are printed for it; empty where none are."""
        return constants(self.schema)

    def limits(self, least: str, most: str) -> tuple[float | None, float | None, bool]:
        """Documented limits (keywords such as `minimum` and `maximum`), and whether they are
        firm.
        """
        low = high = None
        hard = True
        for part, firm in self._parts():
            if least in part or most in part:
                low, high, hard = part.get(least, low), part.get(most, high), firm
        return low, high, hard

    def _parts(self) -> Iterator[tuple[Schema, bool]]:
        for part, basis in _parts(self.schema, "documented"):
            yield part, SEVERITY_OF_BASIS[basis] is Severity.ERROR


def _parts(schema: Schema, basis: str) -> Iterator[tuple[Schema, str]]:
    basis = schema.get("x-basis", basis)
    yield schema, basis
    for part in schema.get("allOf", ()):
        yield from _parts(part, basis)


def _printed(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def constants(schema: Schema) -> list[Any]:
    """The values that a schema prints: its `const`, its `enum`, or the first of its `allOf`."""
    return next((values for part, _ in _parts(schema, "") if (values := _printed(part))), [])


Places = Mapping[str, Documented]


@cache
def documented(contract: Contract, endpoint: str, stage: str) -> Places:
    """Every documented place of a stage's chunks (or of a result) by pointer, `*` for any item. Of
    a stage that is not known: the fields that any chunk may have.
    """
    found: dict[str, Documented] = {}
    protocol = contract.protocol
    if stage == RESULT:
        whole = contract.endpoints[endpoint].response or {}
        _walk(whole, "", found, required=True, listed=True, names=_naming(contract))
        return found
    known = protocol.by_name.get(stage)
    others = {"type": "object", "properties": protocol.fields}
    _walk(others, "", found, required=False, listed=False, names=_naming(contract))
    if known is not None:
        fields = found[""].fields
        _walk(known.schema, "", found, required=True, listed=True, names=_naming(contract))
        found[""].fields.update({name: at for name, at in fields.items() if at in found})
    return found


@cache
def _naming(contract: Contract) -> frozenset[str]:
    """The fields for which some stage prints the text that they hold."""
    return frozenset(
        name
        for stage in contract.protocol.stages
        for name, schema in stage.schema.get("properties", {}).items()
        if any(isinstance(value, str) for value in constants(schema))
    )


def _walk(
    schema: Schema,
    where: str,
    found: dict[str, Documented],
    *,
    required: bool,
    listed: bool,
    names: frozenset[str],
    source: str = "",
    named: bool = False,
    private: bool = False,
) -> None:
    source = schema.get("x-source", source)
    role = _NAMING_ROLE if named else role_of(schema)
    private = private or role in _PRIVATE_ROLES
    naming = not private and (role == _NAMING_ROLE or bool(constants(schema)))
    place = found[where] = Documented(schema, required, listed, source, private, naming)
    for name, below in schema.get("properties", {}).items():
        inner = place.fields[name] = where + pointer(name)
        _walk(
            below,
            inner,
            found,
            required=name in schema.get("required", ()),
            listed=listed,
            names=names,
            source=source,
            named=name in names,
            private=private or name in PRIVATE_FIELDS,
        )
    if "items" in schema:
        _walk(
            schema["items"],
            f"{where}/*",
            found,
            required=False,
            listed=listed,
            names=names,
            source=source,
            private=private,
        )


@cache
def before(contract: Contract) -> Mapping[str, frozenset[str]]:
    """For each stage those that must have come before it, directly or not."""
    stages = contract.protocol.stages
    found: dict[str, frozenset[str]] = {stage.name: frozenset() for stage in stages}
    for _ in stages:  # each round follows one more step
        for stage in stages:
            groups = [
                frozenset.intersection(*(found[name] | {name} for name in group))
                for group in stage.after
            ]
            found[stage.name] = frozenset[str]().union(*groups) - {stage.name}
    return found
