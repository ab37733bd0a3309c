"""Finds fields by what they are for: their role, the name of the shared definition they refer to.

So that nothing in Python needs to know what a version calls its identifier or its audio.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from soundstage.contract.asset_fields import KINDS, AssetField, asset_fields
from soundstage.contract.contract import Contract
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.json_schema.keywords import plain
from soundstage.contract.role_names import role_of

__all__ = ["URL_ROLES", "asset_urls", "assets_of", "identifier", "identifiers", "role_of", "roles"]

#: The roles of fields and parameters that hold a URL.
URL_ROLES = frozenset({*KINDS, "url", "reference_audio"})
_IDENTIFIERS = ("message_id", "task_id")
#: More characters of an identifier are not taken.
LONGEST_ID = 4_000
_DEEPEST = 32


@cache
def roles(contract: Contract) -> dict[str, str]:
    """The role of every documented field of chunks and results that has one, by name."""
    found: dict[str, str] = {}
    for schema in _objects(contract):
        for name, field in schema.get("properties", {}).items():
            if role := role_of(field):
                found.setdefault(name, role)
    return found


@cache
def identifiers(contract: Contract) -> tuple[str, ...]:
    """The fields that identify a generation, the best first."""
    found = [(_IDENTIFIERS.index(r), n) for n, r in roles(contract).items() if r in _IDENTIFIERS]
    return tuple(name for _, name in sorted(found))


def identifier(contract: Contract, value: dict[str, Any]) -> str | None:
    """The identifier in a chunk or a result, at most `LONGEST_ID` characters; None if it has
    none.
    """
    for name in identifiers(contract):
        found = value.get(name)
        if isinstance(found, str) and found:
            return found[:LONGEST_ID]
    return None


@cache
def assets_of(contract: Contract, name: str) -> dict[str, AssetField]:
    """The fields that point to files, by name: those of the chunks or the result of the endpoint
    that is called `name`.
    """
    endpoint = contract.endpoints[name]
    if endpoint.protocol is not None:
        stages = (stage.schema for stage in endpoint.protocol.stages)
        return asset_fields([{"properties": contract.protocol.fields}, *stages])
    return asset_fields([endpoint.response or {}])


def asset_urls(contract: Contract, values: Iterable[Any]) -> list[tuple[str, str]]:
    """The (role, URL) of every asset that chunks or results point to: each once, in order."""
    known = {name: role for name, role in roles(contract).items() if role in KINDS}
    return list(dict.fromkeys(pair for value in values for pair in _look(value, known, 0)))


def _look(value: Any, known: dict[str, str], depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in known and isinstance(inner, str):
                yield known[name], inner
            else:
                yield from _look(inner, known, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _look(inner, known, depth + 1)


def _objects(contract: Contract) -> Iterator[Schema]:
    yield {"properties": contract.protocol.fields}
    for stage in contract.stages:
        yield stage.schema
    for endpoint in contract.endpoints.values():
        if endpoint.response:
            yield endpoint.response
            for field in endpoint.response.get("properties", {}).values():
                yield plain(field.get("items", True))
