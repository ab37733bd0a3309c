"""Small contracts of one shape each, written into a folder: a stream of two stages unless something
else is said, and what a test wants to have beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

REQUEST: Json = {"type": "object", "properties": {"words": {"type": "string", "minLength": 1}},
                 "required": ["words"]}  # fmt: skip
STREAM: Json = {"name": "stream", "kind": "stream", "method": "POST", "path": "/tales",
                "request": "request.json", "framings": ["sse"], "billed": False}  # fmt: skip
SYNC: Json = {"name": "sync", "kind": "sync", "method": "POST", "path": "/tales/whole",
              "request": "request.json", "response": "tale.json", "billed": True}  # fmt: skip
LINE: Json = {"type": "object", "properties": {"line": {"type": "string"}}, "required": ["line"]}
END: Json = {"type": "object", "properties": {"end": {"const": True}}, "required": ["end"]}


def stage(name: str, field: str, **more: Any) -> Json:
    """A stage that is told by one field, whose chunks are in `NAME.json`."""
    when = {"required": [field]}
    return {"name": name, "when": when, "chunk": f"{name}.json", **more}


STAGES: list[Json] = [
    stage("line", "line", times=[1, None]),
    stage("end", "end", after=[["line"]], ends="stream"),
]


def write(
    root: Path,
    endpoints: list[Json] | None = None,
    stages: list[Json] | None = None,
    *,
    api: str = "tales",
    files: dict[str, Json] | None = None,
    **more: Any,
) -> Path:
    """Write a contract into `root`, and give its folder. `files`: schemas by the name of their
    file, beside (or in place of) those that everybody needs; `more`: words of the protocol.
    """
    folder = root / api
    folder.mkdir(parents=True)
    protocol = {
        "$schema": "../protocol.schema.json",
        "api": api,
        "title": "Tales",
        "base_url": "https://tales.example",
        "basis": "documented",
        "source": "Tales > All",
        "endpoints": [STREAM] if endpoints is None else endpoints,
        "stages": STAGES if stages is None else stages,
        **more,
    }
    schemas = {"request.json": REQUEST, "line.json": LINE, "end.json": END, **(files or {})}
    for name, value in {"protocol.json": protocol, **schemas}.items():
        (folder / name).write_text(json.dumps(value))
    return folder
