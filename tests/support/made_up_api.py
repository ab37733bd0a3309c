"""Contracts of other shapes, made up: other stage names, no tracks or three called by strings, an
index from 5 in steps of 5, a stage that may come anywhere, bare JSON lines, hardly anything at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

GROUNDS = {"basis": "documented", "source": "Made up > Everything"}
ON_FIELDS = {"x-basis": "documented", "x-source": "Made up > Everything"}


def field(**schema: Any) -> dict[str, Any]:
    return {**schema, **ON_FIELDS}


def stage(name: str, phase: str | None, **more: Any) -> dict[str, Any]:
    when: dict[str, Any] = {"properties": {"phase": {"const": phase}}, "required": ["phase"]}
    return {
        "name": name,
        "when": when,
        "chunk": f"chunks/{name}.json",
        "after": [],
        "times": [1, 1],
        "per_track": False,
        **GROUNDS,
        **more,
    }


PLAIN = {
    "phase": field(type="string"),
    "n": field(type="integer"),
    "job": field(type="string", minLength=1),
    "done": field(type="boolean"),
    "mood": field(type="string"),
    "share": field(type="number", minimum=0, maximum=1),
}


def without_tracks() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """No tracks, an index from 5 in steps of 5, a stage that may come anywhere, bare JSON lines."""
    stages = [
        stage("broken", "broken", times=[0, 1], ends="stream", failure=True),
        stage("wake", "wake"),
        stage("dream", "dream", after=[["wake"]], times=[2, 4]),
        stage("hum", "hum", times=[0, None]),
        stage("sing", "sing", after=[["dream"], ["wake"]], times=[0, None], charges=True),
        stage("bow", "bow", after=[["sing"]], ends="stream"),
    ]
    protocol = {
        "index": {"field": "n", "start": 5, "step": 5, **GROUNDS},
        "completion": {"field": "done", "before_last": GROUNDS, "last": GROUNDS},
        "constant": [{"field": "job", **GROUNDS}],
        "never_decrease": [{"field": "share", "stages": ["sing"], **GROUNDS}],
        "stages": stages,
        "fields": PLAIN,
    }
    extra = {
        "dream": {"mood": field(enum=["calm", "wild"])},
        "sing": {"share": PLAIN["share"]},
    }
    return protocol, extra


def with_string_tracks() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Three tracks that are called by strings, each with an unbounded stage of its own."""
    voices = {"voice": field(enum=["low", "mid", "high"])}
    stages = [
        stage("broken", "broken", times=[0, 1], ends="stream", failure=True),
        stage("hello", "hello", charges=True),
        stage("verse", "verse", after=[["hello"]], times=[1, None], per_track=True),
        stage("bridge", "bridge", after=[["verse"]], times=[0, 1], per_track=True),
        stage("coda", "coda", after=[["verse", "bridge"]], per_track=True, ends="track"),
    ]
    protocol = {
        "index": {"field": "n", "start": 0, "step": 1, **GROUNDS},
        "tracks": {"field": "voice", "values": ["low", "mid", "high"], **GROUNDS},
        "constant": [],
        "never_decrease": [],
        "stages": stages,
        "fields": {**PLAIN, "voice": field(type="string")},
    }
    return protocol, dict.fromkeys(("verse", "bridge", "coda"), voices)


def bare() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """No index, no tracks, no flag, no failure, nothing constant; both framings."""
    stages = [
        stage("start", "start"),
        stage("work", "work", after=[["start"]], times=[0, None]),
        stage("stop", "stop", after=[["start"]], ends="stream"),
    ]
    fields = {name: PLAIN[name] for name in ("phase", "job", "n")}
    return {"constant": [], "never_decrease": [], "stages": stages, "fields": fields}, {}


SHAPES: dict[str, tuple[Callable[[], tuple[dict[str, Any], Any]], list[str]]] = {
    "no-tracks": (without_tracks, ["lines"]),
    "string-tracks": (with_string_tracks, ["sse"]),
    "bare": (bare, ["lines", "sse"]),
}


def write(place: Path, value: Any) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(value))


def folder(root: Path, shape: str) -> Path:
    """A folder of contracts with the one made-up contract of a shape."""
    make, framings = SHAPES[shape]
    protocol, extra = make()
    installed = Path(str(files("soundstage.schemas")))
    for name in ("protocol.schema.json", "fields.json"):
        shutil.copy(installed / name, root / name)
    home = root / shape
    ends = {
        "request": "request.json",
        "billed": False,
        **GROUNDS,
    }
    once = {"kind": "sync", "path": "/tune/once", "response": "response.json"}
    endpoints = [
        {"name": "tune", "kind": "stream", "method": "POST", "path": "/tune", "framings": framings},
        {"name": "once", "method": "POST", **once},
    ]
    write(
        home / "protocol.json",
        {
            "$schema": "../protocol.schema.json",
            "api": shape,
            "title": "Made up",
            "base_url": "https://api.example",
            "endpoints": [{**each, **ends} for each in endpoints],
            "hosts": {"values": ["api.example"], **GROUNDS},
            **protocol,
        },
    )
    common = {name: PLAIN[name] for name in ("n", "job")}
    if "completion" in protocol:
        common["done"] = PLAIN["done"]
    for each in protocol["stages"]:
        phase = {"phase": field(const=each["when"]["properties"]["phase"]["const"])}
        properties = {**phase, **({} if each.get("failure") else common)}
        properties |= extra.get(each["name"], {})
        schema = {"type": "object", "required": list(properties), "properties": properties}
        write(home / each["chunk"], schema)
    text = {"type": "object", "required": ["words"], "properties": {"words": field(type="string")}}
    write(home / "request.json", text)
    items = {
        "type": "object",
        "required": ["audio_url"],
        "properties": {"audio_url": {"$ref": "../fields.json#/$defs/audio_url", **ON_FIELDS}},
    }
    result = {
        "job": PLAIN["job"],
        "songs": field(type="array", minItems=1, maxItems=3, items=items),
    }
    schema = {"type": "object", "required": list(result), "properties": result}
    write(home / "response.json", schema)
    error = {"name": "tired", "title": "Too tired", "status": 429, **GROUNDS}
    body = {"code": "tired", "text": "Come back tomorrow."}
    write(
        home / "errors.json",
        {
            "statuses": {"minimum": 400, "maximum": 599, **GROUNDS},
            "server_error": GROUNDS,
            "printed": [] if shape == "bare" else [{**error, "body": body}],
            "unprinted": [],
        },
    )
    write(home / "examples" / "index.json", {"examples": []})
    return root


def without_streams(root: Path, shape: str) -> Path:
    """The same folder, its contract left with the one synchronous endpoint."""
    file = root / shape / "protocol.json"
    protocol = json.loads(file.read_text())
    protocol["endpoints"] = [each for each in protocol["endpoints"] if each["kind"] == "sync"]
    write(file, protocol)
    return root
