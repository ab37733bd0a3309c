"""v6 with jobs beside its streams: a request that is answered with an id, and states to ask for."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from soundstage.contract import Contract, load

GROUNDS = {"basis": "inferred", "source": "Made up > Jobs"}
#: Which state each stage of the stream stands for.
STATES = {
    "initializing": "job_queued",
    "validated": "job_working",
    "streaming": "job_working",
    "streaming_ready": "job_working",
    "completed": "job_working",
    "uploading": "job_working",
    "final": "job_done",
    "failed": "job_failed",
}


def _when(name: str) -> dict[str, Any]:
    return {"properties": {"state": {"const": name}}, "required": ["state"]}


def _state(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "when": _when(name), "chunk": f"states/{name}.json", **GROUNDS, **more}


def _shape(name: str, *, songs: bool, **fields: Any) -> dict[str, Any]:
    ref = "../../fields.json#/$defs/"
    known = {"x-basis": "inferred", "x-source": "Made up > Jobs"}
    properties: dict[str, Any] = {
        "message_id": {"$ref": f"{ref}message_id", **known},
        "state": {"const": name, **known},
        **{field: {**schema, **known} for field, schema in fields.items()},
    }
    required = list(properties)
    if songs:
        url = {"$ref": f"{ref}stream_url", **known}
        item = {"type": "object", "properties": {"stream_url": url}, "required": ["stream_url"]}
        properties["songs"] = {"type": "array", "minItems": 1, "items": item, **known}
    return {"type": "object", "required": required, "properties": properties}


def v6_with_jobs(folder: Path, every_s: float) -> Contract:
    """The contract, written into a folder that is not there yet; jobs are asked for every so many
    seconds.
    """
    shutil.copytree(
        Path(str(files("soundstage.schemas"))), folder, ignore=shutil.ignore_patterns("*.py", "v5")
    )
    path = folder / "v6/protocol.json"
    data = json.loads(path.read_text("utf-8"))
    endpoints = [each for each in data["endpoints"] if each["kind"] != "status"]
    stream = next(each for each in endpoints if each["kind"] == "stream")
    stream["stages"] = [stage["name"] for stage in data["stages"]]
    for stage in data["stages"]:
        if stage["name"] in STATES:
            stage["state"] = STATES[stage["name"]]
    data["endpoints"] = [
        *endpoints,
        {
            "name": "job", "kind": "job", "method": "POST", "path": "/v6/generate/song/job",
            "request": "request.json", "response": "accepted.json", "success": [202],
            "billed": True, "gives": {"message_id": {"from": "/message_id"}},
            "poll": {"endpoint": "status", "every_s": every_s, "until_s": 600}, **GROUNDS,
        },
        {
            "name": "status", "kind": "status", "method": "GET",
            "path": "/status/generation/{message_id}", "billed": False,
            "stages": ["job_failed", "job_queued", "job_working", "job_done"],
            "tracks": None, "index": None, "completion": None, "never_decrease": [],
            "constant": [{"field": "message_id", **GROUNDS}], **GROUNDS,
        },
    ]  # fmt: skip
    ready = {"name": "streaming_ready", "at": "first", "headline": True, "title": "TTSR"}
    complete = {"name": "complete", "at": "first", "headline": True, "title": "TTC"}
    shown = {**ready, "field": "/songs/*/stream_url"}
    data["stages"] += [
        _state("job_failed", times=[0, 1], ends="stream", failure=True),
        _state("job_queued"),
        _state("job_working", after=[["job_queued"]], times=[1, None], milestones=[shown]),
        _state("job_done", after=[["job_working"]], ends="stream", milestones=[ready, complete]),
    ]
    path.write_text(json.dumps(data))
    shapes = {
        "states/job_queued.json": _shape("job_queued", songs=False),
        "states/job_working.json": _shape("job_working", songs=True),
        "states/job_done.json": _shape("job_done", songs=True),
        "states/job_failed.json": _shape(
            "job_failed", songs=False, error={"type": "string", "minLength": 1}
        ),
        "accepted.json": _shape("job_queued", songs=False),
    }
    (folder / "v6/states").mkdir()
    for name, schema in shapes.items():
        if name == "accepted.json":
            schema = json.loads(json.dumps(schema).replace("../../fields", "../fields"))
        (folder / "v6" / name).write_text(json.dumps(schema))
    return load("v6", folder)
