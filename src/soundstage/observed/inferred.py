"""JSON Schemas inferred from what was observed: one for each stage, that all it was inferred from
meets. Ranges and counts of exchanges are annotations (`x-observed`), since the next song may go
beyond them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from soundstage.observed.facts import RESULT, Fact, Facts

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Classes of text that JSON Schema has a format for, of the same name.
_FORMATS = frozenset({"uri", "uuid", "date-time", "date"})
_PROTOCOL = {
    "framings": "framing",
    "tracks": "track",
    "index_starts": "index.start",
    "index_steps": "index.step",
    "last_stages": "last",
}


def document(api: str, endpoints: Mapping[str, Facts]) -> dict[str, Any]:
    """All inferred schemas of an API version as the definitions of one: `stream.final`, `sync`.
    What was seen of the protocol stands under `x-observed-protocol`, by endpoint.
    """
    definitions = {}
    for name, facts in sorted(endpoints.items()):
        for stage in facts.stages():
            what = "a result" if stage == RESULT else f"a chunk of {stage}"
            many = facts.count(Fact("stage", stage))
            title = f"{api} {name}: {what}, as seen in {many} exchanges"
            key = name if stage == RESULT else f"{name}.{stage}"
            definitions[key] = schema_of(facts, stage, title)
    return {
        "$schema": DIALECT,
        "title": f"{api} as observed",
        "$defs": definitions,
        "x-observed-protocol": {
            name: protocol_of(facts) for name, facts in sorted(endpoints.items())
        },
    }


def schema_of(facts: Facts, stage: str, title: str | None = None) -> dict[str, Any]:
    """The schema that every chunk of a stage met, as far as its chunks were looked at."""
    below: dict[str, list[str]] = {}
    for fact in facts:
        if (fact.facet, fact.stage) == ("field", stage) and fact.path:
            below.setdefault(fact.path.rpartition("/")[0], []).append(fact.path)
    seen = facts.details("field", stage)
    schema = _schema(facts, stage, "", below) if seen else {}
    return {"title": title, **schema} if title else schema


def _schema(facts: Facts, stage: str, path: str, below: Mapping[str, list[str]]) -> dict[str, Any]:
    kinds = list(facts.details("type", stage, path))
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    schema |= _texts(facts, stage, path)
    properties, required = {}, []
    for inner in below.get(path, []):
        name = inner[len(path) + 1 :].replace("~1", "/").replace("~0", "~")
        if name == "*":
            schema["items"] = _schema(facts, stage, inner, below)
        elif not name.startswith("<"):
            properties[name] = _schema(facts, stage, inner, below)
            always = Fact("always", stage, "", inner)
            if facts.count(always) == facts.around(always):
                required.append(name)
    if properties:
        schema["properties"] = properties
        schema["required"] = required
    schema["x-observed"] = _counts(facts, stage, path)
    return schema


def is_text(value: str) -> bool:
    """Whether a value is a text in JSON: a file of others may hold anything there."""
    try:
        return isinstance(json.loads(value), str)
    except ValueError:
        return False


def _texts(facts: Facts, stage: str, path: str) -> dict[str, Any]:
    """`enum` or `format`, where all texts are a few names of the protocol, or of one class."""
    kinds = set(facts.details("type", stage, path))
    if "string" not in kinds or kinds - {"string", "null"}:
        return {}
    values = facts.details("value", stage, path)
    if values and all(map(is_text, values)) and not facts.count(Fact("unkept", stage, "", path)):
        nothing: list[Any] = [None] if "null" in kinds else []
        return {"enum": [*map(json.loads, values), *nothing]}
    classes = list(facts.details("format", stage, path))
    return {"format": classes[0]} if len(classes) == 1 and classes[0] in _FORMATS else {}


def _counts(facts: Facts, stage: str, path: str) -> dict[str, Any]:
    place = Fact("field", stage, "", path)
    found: dict[str, Any] = {
        "exchanges": [facts.count(place), facts.around(place)],
        "documented": not facts.count(place._replace(facet="extra")),
    }
    for name in ("type", "format", "value", "size"):
        if details := facts.details(name, stage, path):
            found[f"{name}s"] = dict(details)
    for name in ("number", "length"):
        if ends := facts.range(name, stage, path):
            found[f"{name}s"] = [int(end) if end.is_integer() else end for end in ends]
    return found


def protocol_of(facts: Facts) -> dict[str, Any]:
    """What was seen of an endpoint's protocol: counts of exchanges."""
    stages = [stage for stage in facts.stages() if stage != RESULT]
    found = {name: dict(facts.details(facet)) for name, facet in _PROTOCOL.items()}
    found["order"] = {f"{a}>{b}": n for a in stages for b, n in facts.details("order", a).items()}
    return {
        "exchanges": facts.count(Fact("exchanges")),
        "whole": facts.count(Fact("whole")),
        **{name: counts for name, counts in found.items() if counts},
        "stages": {
            stage: {
                "exchanges": facts.count(Fact("stage", stage)),
                "times": dict(facts.details("times", stage)),
            }
            for stage in stages
        },
    }
