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
        return {key: value for key, value in valid.items() if key != name}
    for schema in _request_schemas(contract):
        if name in schema.get("properties", {}):
            for value in _broken_values(schema["properties"][name], aspect, rule.basis):
                return {**valid, name: value}
    return None


def _request_schemas(contract: Contract) -> Iterator[Schema]:
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            yield endpoint.request


def _broken_values(schema: Schema, aspect: str, basis: str) -> Iterator[Any]:
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if aspect == "type":
        yield from (value for value in _OF_EACH_TYPE if type_name(value) not in kinds)
        return
    parts = [schema, *schema.get("allOf", ())]
    aimed = [part for part in parts if part.get("x-basis") == basis]
    others = [part for part in parts if part.get("x-basis") != basis]
    fitting = [value for value in _SUSPECTS if type_name(value) in kinds and _breaks(aimed, value)]
    # Best is a value that breaks this rule alone; an empty prompt is blank as well.
    yield from sorted(fitting, key=lambda value: _breaks(others, value))


def _breaks(parts: list[Schema], value: Any) -> bool:
    alone = [{key: part[key] for key in part if key != "allOf"} for part in parts]
    return any(not patterns.validator(part).is_valid(value) for part in alone)
