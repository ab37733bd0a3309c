"""JSON Schemas inferred from what was observed: one for each stage, that all it was inferred from
meets. Ranges and counts are annotations (`x-observed`), since the next song may go beyond them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from soundstage.observed.observation import RESULT, ApiSeen, EndpointSeen, StageSeen
from soundstage.observed.shapes import PlaceShape, exchanges_around, parent_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Classes of text that JSON Schema has a format for, of the same name.
_FORMATS = frozenset({"uri", "uuid", "date-time", "date"})


def document(api: str, seen: ApiSeen) -> dict[str, Any]:
    """All inferred schemas of an API version as the definitions of one: `stream.final`, `sync`.
    What was seen of the protocol stands under `x-observed-protocol`, by endpoint.
    """
    definitions = {}
    for endpoint, of_endpoint in sorted(seen.endpoints.items()):
        for name, stage in sorted(of_endpoint.stages.items()):
            key = endpoint if name == RESULT else f"{endpoint}.{name}"
            definitions[key] = schema_of(stage, _title(api, endpoint, name, stage))
    return {
        "$schema": DIALECT,
        "title": f"{api} as observed",
        "$defs": definitions,
        "x-observed-protocol": {
            name: protocol_of(each) for name, each in sorted(seen.endpoints.items())
        },
    }


def _title(api: str, endpoint: str, stage: str, seen: StageSeen) -> str:
    what = "a result" if stage == RESULT else f"a chunk of {stage}"
    return f"{api} {endpoint}: {what}, as seen in {seen.exchanges} exchanges"


def schema_of(stage: StageSeen, title: str | None = None) -> dict[str, Any]:
    """The schema that every chunk of a stage met, as far as its chunks were looked at."""
    below: dict[str, list[str]] = {}
    for where in sorted(stage.places):
        if where:
            below.setdefault(where.rpartition("/")[0], []).append(where)
    schema = _schema(stage.places, "", below) if stage.places else {}
    return {"title": title, **schema} if title else schema


def _schema(
    places: Mapping[str, PlaceShape], where: str, below: Mapping[str, list[str]]
) -> dict[str, Any]:
    place = places[where]
    kinds = sorted(place.types)
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    schema |= _strings(place)
    inner = below.get(where, [])
    properties = {}
    required = []
    for each in inner:
        name = each[len(where) + 1 :].replace("~1", "/").replace("~0", "~")
        if name == "*" or name.startswith("<"):
            continue
        properties[name] = _schema(places, each, below)
        if places[each].always == exchanges_around(places, each):
            required.append(name)
    if properties:
        schema["properties"] = properties
        schema["required"] = required
    if f"{where}/*" in inner:
        schema["items"] = _schema(places, f"{where}/*", below)
    schema["x-observed"] = _facts(places, where)
    return schema


def _is_text(key: str) -> bool:
    """Whether a candidate is a text in JSON: a file of others may hold anything there."""
    try:
        return isinstance(json.loads(key), str)
    except ValueError:
        return False


def _strings(place: PlaceShape) -> dict[str, Any]:
    """`enum` or `format`, where all texts are a few names of the protocol, or of one class."""
    kinds = set(place.types)
    texts = place.types.counts.get("string", [0, 0])[0]
    if not texts or kinds - {"string", "null"}:
        return {}
    names = {key: counts[0] for key, counts in place.values.counts.items() if _is_text(key)}
    if sum(names.values()) == texts:
        nothing: list[Any] = [None] if "null" in kinds else []
        return {"enum": [*map(json.loads, sorted(names)), *nothing]}
    if len(place.formats) == 1:
        (name,) = place.formats
        return {"format": name} if name in _FORMATS else {}
    return {}


def _facts(places: Mapping[str, PlaceShape], where: str) -> dict[str, Any]:
    place = places[where]
    facts: dict[str, Any] = {
        "seen": place.seen,
        "of": parent_of(places, where),
        "exchanges": [place.exchanges, exchanges_around(places, where)],
        "documented": place.documented,
    }
    for name in ("types", "formats", "values", "sizes"):
        tally = getattr(place, name)
        if len(tally):
            facts[name] = {key: tally.counts[key][0] for key in sorted(tally)}
    for name in ("numbers", "lengths"):
        if (found := getattr(place, name)) is not None:
            facts[name] = [int(end) if end.is_integer() else end for end in found]
    return facts


def protocol_of(seen: EndpointSeen) -> dict[str, Any]:
    """What was seen of an endpoint's protocol: counts of exchanges."""
    tallies = {
        "framings": seen.framings,
        "tracks": seen.tracks,
        "index_starts": seen.starts,
        "index_steps": seen.steps,
        "last_stages": seen.last,
        "order": seen.order,
    }
    return {
        "exchanges": seen.exchanges,
        "whole": seen.whole,
        **{
            name: {key: tally.exchanges(key) for key in sorted(tally)}
            for name, tally in tallies.items()
            if len(tally)
        },
        "stages": {
            name: {
                "chunks": stage.chunks,
                "exchanges": stage.exchanges,
                "times": {key: stage.times.exchanges(key) for key in sorted(stage.times)},
            }
            for name, stage in sorted(seen.stages.items())
            if name != RESULT
        },
    }
