"""What the contract says about a place in a chunk or a result, for those who compare it with what
was seen: which types, values and sizes, and how firmly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from soundstage.conformance.violations import SEVERITY_OF_BASIS, Severity
from soundstage.contract import Contract
from soundstage.contract.field_schemas import Schema, required_basis
from soundstage.contract.patterns import found_in
from soundstage.observed.facts import RESULT
from soundstage.observed.text_classes import EXAMPLES


class Stance(Enum):
    """What a contract says about something that may be seen or not."""

    REQUIRED = "required"
    ALLOWED = "allowed"
    SILENT = "silent"
    FORBIDDEN = "forbidden"


def firm(grounds: Any) -> bool:
    """Whether what rests on these grounds is an error where it is broken."""
    severity = grounds.severity or SEVERITY_OF_BASIS[grounds.basis]
    return bool(severity == Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Said:
    """Something that the contract says: `stance`, whether breaking it is an error (`firm`), and
    the place on the page.
    """

    stance: Stance
    firm: bool = True
    source: str = ""


SILENT = Said(Stance.SILENT)
ALLOWED = Said(Stance.ALLOWED)


@dataclass(frozen=True, slots=True)
class Documented:
    """A documented place. `listed`: the stage (or the result) itself lists it; otherwise some other
    stage does. `required`: in every object around it.
    """

    schema: Schema
    required: bool
    listed: bool
    source: str

    def _parts(self) -> Iterator[tuple[Schema, bool]]:
        yield from _parts(self.schema, self.schema.get("x-basis", "documented"))

    def presence(self) -> Said:
        """What is said about the field being there."""
        stance = Stance.REQUIRED if self.required else Stance.ALLOWED
        basis = self.schema.get("x-basis", "documented")
        grounds = required_basis(self.schema, basis) if self.required else basis
        return Said(stance, SEVERITY_OF_BASIS[grounds] is Severity.ERROR, self.source)

    def type(self, name: str) -> Said:
        """What is said about a type (as JSON Schema calls it; 2.0 is an integer)."""
        for part, is_firm in self._parts():
            if "type" in part:
                kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
                if not (name in kinds or (name == "integer" and "number" in kinds)):
                    return Said(Stance.FORBIDDEN, is_firm, self.source)
        return ALLOWED if any("type" in part for part, _ in self._parts()) else SILENT

    def types(self) -> list[str]:
        """The types that are documented; empty for any."""
        kinds = self.schema.get("type", [])
        return kinds if isinstance(kinds, list) else [kinds]

    def nullable(self) -> bool:
        """Whether null is documented."""
        return "null" in self.types() and self.type("null").stance is not Stance.FORBIDDEN

    def constants(self) -> list[Any]:
        """The values that are printed for it; empty where none are."""
        for part, _ in self._parts():
            if "const" in part:
                return [part["const"]]
            if "enum" in part:
                return list(part["enum"])
        return []

    def value(self, value: Any) -> Said:
        """What is said about a value being that of the field."""
        said = SILENT
        for part, is_firm in self._parts():
            printed = [part["const"]] if "const" in part else part.get("enum")
            if printed is None:
                continue
            if not any(type(each) is type(value) and each == value for each in printed):
                return Said(Stance.FORBIDDEN, is_firm, self.source)
            said = ALLOWED
        return said

    def format(self, name: str) -> Said:
        """What a pattern says about a class of text, told by an example of the class: nothing
        unless it takes the examples of some classes and not those of others.
        """
        for part, is_firm in self._parts():
            if "pattern" in part:
                asked = part["pattern"]
                taken = {kind for kind, text in EXAMPLES.items() if found_in(asked, text)}
                if taken and name not in taken:
                    return Said(Stance.FORBIDDEN, is_firm, self.source)
        return SILENT

    def limits(self, least: str, most: str) -> tuple[float | None, float | None, bool]:
        """Documented limits (keywords such as `minimum` and `maximum`), and whether they are
        firm.
        """
        low = high = None
        hard = True
        for part, is_firm in self._parts():
            if least in part or most in part:
                low, high, hard = part.get(least, low), part.get(most, high), is_firm
        return low, high, hard


def _parts(schema: Schema, basis: str) -> Iterator[tuple[Schema, bool]]:
    basis = schema.get("x-basis", basis)
    yield schema, SEVERITY_OF_BASIS[basis] is Severity.ERROR
    for part in schema.get("allOf", ()):
        yield from _parts(part, basis)


@cache
def documented(contract: Contract, endpoint: str, stage: str) -> Mapping[str, Documented]:
    """Every documented place of a stage's chunks (or of a result) by pointer, `*` for any item."""
    found: dict[str, Documented] = {}
    if stage == RESULT:
        whole = contract.endpoints[endpoint].response or {}
        _walk(whole, "", True, True, "", found)
        return found
    known = contract.protocol.by_name.get(stage)
    others = {"type": "object", "properties": contract.protocol.fields}
    _walk(others, "", False, False, "", found)
    if known is not None:
        _walk(known.schema, "", True, True, "", found)
    return found


def _walk(
    schema: Schema,
    where: str,
    required: bool,
    listed: bool,
    source: str,
    found: dict[str, Documented],
) -> None:
    source = schema.get("x-source", source)
    found[where] = Documented(schema, required, listed, source)
    for name, below in schema.get("properties", {}).items():
        inner = f"{where}/{name.replace('~', '~0').replace('/', '~1')}"
        _walk(below, inner, name in schema.get("required", ()), listed, source, found)
    if "items" in schema:
        _walk(schema["items"], f"{where}/*", False, listed, source, found)


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
