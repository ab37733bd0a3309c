"""Finds fields by what they are for: their role, the name of the shared definition they refer to.

So that nothing in Python needs to know what a version calls its identifier or its audio.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from soundstage.contract.asset_fields import KINDS, AssetField, asset_fields, properties_in
from soundstage.contract.contract import Contract
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.role_names import role_of
from soundstage.output.cutting import head

__all__ = [
    "URL_ROLES",
    "asset_urls",
    "assets_of",
    "identifier",
    "identifiers",
    "role_of",
    "roles",
    "track_assets",
]

#: The roles of fields and parameters that hold a URL.
URL_ROLES = frozenset({*KINDS, "url", "reference_audio"})
_IDENTIFIERS = ("message_id", "task_id")
#: More characters of an identifier are not taken.
LONGEST_ID = 4_000
_DEEPEST = 32
#: The role of a field that says of which track something is.
TRACK: Final = "track"


@cache
def roles(contract: Contract) -> dict[str, str]:
    """The role of every documented field of chunks and results that has one, by name: what stands
    at the top of an object wins.
    """
    found: dict[str, str] = {}
    schemas = list(_objects(contract))
    for schema in schemas:
        for name, field in schema.get("properties", {}).items():
            if role := role_of(field):
                found.setdefault(name, role)
    for name, field in (pair for schema in schemas for pair in properties_in(schema)):
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
            return head(found, LONGEST_ID, end="")
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
    found = ((each.role, each.url) for each in track_assets(contract, values))
    return list(dict.fromkeys(found))


class TrackAsset(NamedTuple):
    """Where a file lies, and of which track it is (None where nothing says so)."""

    role: str
    track: int | str | None
    url: str


def track_assets(contract: Contract, values: Iterable[Any]) -> Iterator[TrackAsset]:
    """Every asset that chunks or results point to, in order."""
    known = {name: role for name, role in roles(contract).items() if role in {*KINDS, TRACK}}
    for value in values:
        yield from _look(value, known, None, 0)


def _look(
    value: Any, known: dict[str, str], track: int | str | None, depth: int
) -> Iterator[TrackAsset]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        own = (each for name, each in value.items() if known.get(name) == TRACK)
        track = next((each for each in own if isinstance(each, int | str)), track)
        for name, inner in value.items():
            if isinstance(inner, str) and (role := known.get(name, TRACK)) != TRACK:
                yield TrackAsset(role, track, inner)
            else:
                yield from _look(inner, known, track, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _look(inner, known, track, depth + 1)


def _objects(contract: Contract) -> Iterator[Schema]:
    yield {"properties": contract.protocol.fields}
    for stage in contract.stages:
        yield stage.schema
    for endpoint in contract.endpoints.values():
        if endpoint.response:
            yield endpoint.response
