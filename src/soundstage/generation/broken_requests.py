"""Requests that break one rule of the contract on purpose, derived from its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema, type_name
from soundstage.contract.rules import Rule

#: One value of each JSON type; the first whose type is not allowed is taken.
_OF_EACH_TYPE: tuple[Any, ...] = (17, "text", True, ["a"], {"a": 1}, 0.5, None)
#: Values that a constraint may rule out, tried in turn.
_SUSPECTS: tuple[Any, ...] = ("not a URL", " ", "", -1, 0, 10**12)
#: A text that is too long by one is made up of at most so many characters.
_LONGEST = 100_000


def breaking(contract: Contract, rule: Rule, valid: dict[str, Any]) -> dict[str, Any] | None:
    """`valid` changed so that it breaks `rule`, a rule of the endpoint "request", and if possible
    no other; None if no value is known that does (say so, rather than guess).
    """
    parts = rule.id.split("/")[2:]
    of = contract.endpoints.get(parts[0])
    if of is not None:
        parts = parts[1:]
    if len(parts) < 3 or parts[0] != "field" or "." in parts[1]:
        return None
    _, name, aspect, *_ = parts
    if aspect == "required":
        without = {key: value for key, value in valid.items() if key != name}
        # What is asked for on a condition may be left out where that does not hold.
        return without if _is_refused(contract, valid, without) else None
    for schema in _request_schemas(contract):
        if name in schema.get("properties", {}):
            # What says nothing of what it rests on rests on what all of the contract does.
            usual = schema.get("x-basis", rule.basis)
            for value in _broken_values(schema["properties"][name], aspect, rule.basis, usual):
                return {**valid, name: value}
    return None


def _is_refused(contract: Contract, valid: dict[str, Any], changed: dict[str, Any]) -> bool:
    """Whether a change of a valid request makes it one that its schema rules out."""
    found = [patterns.validator(schema) for schema in _request_schemas(contract)]
    return not any(each.is_valid(valid) and each.is_valid(changed) for each in found)


def _request_schemas(contract: Contract) -> Iterator[Schema]:
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            yield endpoint.request


def _broken_values(schema: Schema, aspect: str, basis: str, usual: str) -> Iterator[Any]:
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if aspect == "type":
        # Every integer is a number, too.
        allowed = {*kinds, *(("integer",) if "number" in kinds else ())}
        yield from (value for value in _OF_EACH_TYPE if type_name(value) not in allowed)
        return
    parts = [schema, *schema.get("allOf", ())]
    aimed = [part for part in parts if part.get("x-basis", usual) == basis]
    others = [part for part in parts if part.get("x-basis", usual) != basis]
    suspects = [*_SUSPECTS, *(value for part in aimed for value in _beyond(part))]
    fitting = [value for value in suspects if type_name(value) in kinds and _breaks(aimed, value)]
    # Best is a value that breaks this rule alone; an empty prompt is blank as well.
    yield from sorted(fitting, key=lambda value: _breaks(others, value))


def _beyond(part: Schema) -> Iterator[Any]:
    """Values just beyond the bounds that a schema sets."""
    if part.get("maxLength", _LONGEST) < _LONGEST:
        yield "a" * (part["maxLength"] + 1)
    if "minimum" in part:
        yield part["minimum"] - 1
    if "maximum" in part:
        yield part["maximum"] + 1


def _breaks(parts: list[Schema], value: Any) -> bool:
    alone = [{key: part[key] for key in part if key != "allOf"} for part in parts]
    return any(not patterns.validator(part).is_valid(value) for part in alone)
