"""JSON Schemas inferred from what was observed: one for each stage, that all it was inferred from
meets. Ranges and counts are annotations (`x-observed`), since the next song may go beyond them.
"""

from __future__ import annotations

import json
from typing import Any, Final

from soundstage.observed.facts import RANGES, RESULT, ApiSeen, Facts

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
#: Classes of text that JSON Schema has a format for, of the same name.
_FORMATS: Final = frozenset({"uri", "uuid", "date-time", "date"})
#: What of the protocol is told, and as what.
_PROTOCOL: Final = {
    "framings": "framing", "tracks": "tracks", "index_starts": "start", "index_steps": "step",
    "last_stages": "last",
}  # fmt: skip


def document(api: str, seen: ApiSeen) -> dict[str, Any]:
    """All inferred schemas of an API version as the definitions of one: `stream.final`, `sync`.
    What was seen of the protocol stands under `x-observed-protocol`, by endpoint.
    """
    definitions = {}
    for endpoint, facts in sorted(seen.endpoints.items()):
        for stage in facts.stages():
            key = endpoint if stage == RESULT else f"{endpoint}.{stage}"
            what = "a result" if stage == RESULT else f"a chunk of {stage}"
            many = facts.count("stage", stage)
            title = f"{api} {endpoint}: {what}, as seen in {many} exchanges"
            definitions[key] = {"title": title, **schema_of(facts, stage)}
    return {
        "$schema": DIALECT,
        "title": f"{api} as observed",
        "$defs": definitions,
        "x-observed-protocol": {
            name: protocol_of(each) for name, each in sorted(seen.endpoints.items())
        },
    }


def schema_of(facts: Facts, stage: str) -> dict[str, Any]:
    """The schema that every chunk of a stage met, as far as its chunks were looked at."""
    below: dict[str, list[str]] = {}
    paths = facts.places(stage)
    for path in paths:
        if path:
            below.setdefault(path.rpartition("/")[0], []).append(path)
    return _schema(facts, stage, "", below) if paths else {}


def _schema(facts: Facts, stage: str, path: str, below: dict[str, list[str]]) -> dict[str, Any]:
    kinds = sorted(facts.details("type", stage, path))
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    schema |= _strings(facts, stage, path, set(kinds))
    inner = below.get(path, [])
    properties = {}
    required = []
    for each in inner:
        name = each[len(path) + 1 :].replace("~1", "/").replace("~0", "~")
        if name == "*" or name.startswith("<"):
            continue
        properties[name] = _schema(facts, stage, each, below)
        if facts.count("always", stage, path=each) == facts.around(stage, each):
            required.append(name)
    if properties:
        schema["properties"] = properties
        schema["required"] = required
    if f"{path}/*" in inner:
        schema["items"] = _schema(facts, stage, f"{path}/*", below)
    schema["x-observed"] = _notes(facts, stage, path)
    return schema


def _is_text(value: str) -> bool:
    """Whether a candidate is a text in JSON: a file of others may hold anything there."""
    try:
        return isinstance(json.loads(value), str)
    except ValueError:
        return False


def _strings(facts: Facts, stage: str, path: str, kinds: set[str]) -> dict[str, Any]:
    """`enum` or `format`, where all texts are a few names of the protocol, or of one class."""
    if "string" not in kinds or kinds - {"string", "null"}:
        return {}
    values = facts.details("value", stage, path)
    unkept = facts.count("unkept", stage, path=path)
    if values and not unkept and not facts.many(stage, path) and all(map(_is_text, values)):
        nothing: list[Any] = [None] if "null" in kinds else []
        return {"enum": [*map(json.loads, sorted(values)), *nothing]}
    formats = [*facts.details("format", stage, path)]
    return {"format": formats[0]} if len(formats) == 1 and formats[0] in _FORMATS else {}


def _notes(facts: Facts, stage: str, path: str) -> dict[str, Any]:
    notes: dict[str, Any] = {
        "exchanges": [facts.count("at", stage, path=path), facts.around(stage, path)],
        "documented": not facts.count("extra", stage, path=path),
    }
    for facet in ("type", "format", "value", "size"):
        if facet == "value" and facts.many(stage, path):
            continue
        if found := facts.details(facet, stage, path):
            notes[f"{facet}s"] = dict(sorted(found.items()))
    for facet in RANGES:
        if (ends := facts.range(facet, stage, path)) is not None:
            notes[f"{facet}s"] = [int(end) if end.is_integer() else end for end in ends]
    return notes


def protocol_of(facts: Facts) -> dict[str, Any]:
    """What was seen of an endpoint's protocol: counts of exchanges."""
    order = {
        f"{stage}>{later}": number
        for stage in facts.stages()
        for later, number in facts.details("order", stage).items()
    }
    told = {name: facts.details(facet) for name, facet in _PROTOCOL.items()} | {"order": order}
    return {
        "exchanges": facts.exchanges,
        "whole": facts.count("whole"),
        **{name: dict(sorted(found.items())) for name, found in told.items() if found},
        "stages": {
            stage: {
                "exchanges": facts.count("stage", stage),
                "times": dict(sorted(facts.details("times", stage).items())),
            }
            for stage in facts.stages()
            if stage != RESULT
        },
    }
