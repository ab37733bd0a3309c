"""Contracts of a few lines: stages told by `t`, all fields described, nothing asked beside what a
test is about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from soundstage.conformance.engine import StreamCheck
from soundstage.contract import Contract, load

#: Fields that a chunk of any stage may have.
FIELDS: dict[str, Any] = {
    "n": {"type": "integer"},
    "i": {"type": "integer"},
    "id": {"type": "string"},
    "share": {"type": "number"},
    "over": {"type": "boolean"},
    "deep": {
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "i": {"type": "integer"},
            "id": {"type": "string"},
            "over": {"type": "boolean"},
            "all": {
                "type": "array",
                "items": {"type": "object", "properties": {"id": {"type": "string"}}},
            },
        },
    },
    "error": {"type": "string"},
}


def written(place: Path, value: Any) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(value))


def stage(name: str, **words: Any) -> dict[str, Any]:
    """A stage that is told by its name in `t`; `fields` are what its chunks must have."""
    return {"name": name, **words}


def small(
    root: Path,
    *stages: dict[str, Any],
    endpoint: dict[str, Any] | None = None,
    request: dict[str, Any] | None = None,
    more: Iterable[dict[str, Any]] = (),
    files: Mapping[str, Any] | None = None,
    **words: Any,
) -> Contract:
    """The contract `small`: one stream with these stages, and `more` endpoints; `words` are those
    of the whole protocol, `files` further schemas by name.
    """
    home = root / "small"
    for name, schema in (files or {}).items():
        written(home / name, schema)
    told = []
    for each in stages:
        entry = dict(each)
        needed = entry.pop("fields", ())
        properties = {**FIELDS, "t": {"const": each["name"]}}
        schema = {"type": "object", "properties": properties, "required": ["t", *needed]}
        entry.setdefault("when", {"properties": {"t": {"const": each["name"]}}, "required": ["t"]})
        written(home / f"chunks/{each['name']}.json", schema)
        told.append({"chunk": f"chunks/{each['name']}.json", **entry})
    stream = {
        "name": "stream", "kind": "stream", "method": "POST", "path": "/s",
        "framings": ["sse"], "billed": False, "request": "request.json", **(endpoint or {}),
    }  # fmt: skip
    written(home / "request.json", request or {"type": "object", "properties": {}})
    written(
        home / "protocol.json",
        {
            "$schema": "../protocol.schema.json",
            "api": "small", "title": "Small", "base_url": "https://small.example",
            "basis": "documented", "source": "Small > All",
            "endpoints": [stream, *more], "stages": told, "fields": FIELDS, **words,
        },
    )  # fmt: skip
    return load("small", root)


STATES = ("lost", "queued", "working", "done")


def small_job(
    root: Path,
    *,
    job: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    words: dict[str, Any] | None = None,
    **poll: Any,
) -> Contract:
    """The contract `small` with a job beside its stream, whose states are lost, queued, working and
    done; `job`, `status` and `poll` are words of those, `words` of the whole protocol.
    """
    making = {
        "name": "job", "kind": "job", "method": "POST", "path": "/j", "billed": True,
        "request": "request.json", "response": "accepted.json", "success": [202],
        "gives": {"id": {"from": "/id"}}, "poll": {"endpoint": "status", **poll},
        **(job or {}),
    }  # fmt: skip
    asked = {
        "name": "status", "kind": "status", "method": "GET", "path": "/j/{id}", "billed": False,
        "stages": list(STATES),
        "constant": [{"field": "id"}, {"field": "/deep/all/*/id"}],
        "never_decrease": [{"field": "share", "stages": ["working"]}],
        **(status or {}),
    }  # fmt: skip
    ready = {"name": "ready", "at": "all", "field": "/deep/all/*/id"}
    return small(
        root,
        stage("over", ends="stream", fields=["id"], state="done"),
        stage("lost", times=[0, 1], ends="stream", failure=True, fields=["error"]),
        stage("queued"),
        stage(
            "working",
            after=[["queued"]],
            times=[1, None],
            milestones=[{"name": "begun", "at": "first"}, ready],
        ),
        stage(
            "done",
            after=[["working"]],
            ends="stream",
            fields=["id"],
            milestones=[{"name": "complete", "at": "first", "headline": True}],
        ),
        endpoint={"gives": {"id": {"from": "/id"}}, "looked_up_by": "status"},
        more=[making, asked],
        files={
            "accepted.json": {
                "type": "object",
                "properties": {"id": {"type": "string", "minLength": 1}},
                "required": ["id"],
            }
        },
        **(words or {}),
    )


def checked(contract: Contract, chunks: Iterable[Any], *, request: Any = None) -> StreamCheck:
    """A stream of these chunks, closed: "start" for {"t": "start"}, (name of the event, chunk), an
    object, or bytes as they are.
    """
    check = StreamCheck(contract, request=request)
    for each in chunks:
        name, chunk = each if isinstance(each, tuple) else ("", each)
        chunk = {"t": chunk} if isinstance(chunk, str) else chunk
        check.event(chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode(), name)
    check.close()
    return check


def codes(contract: Contract, chunks: Iterable[Any], *, request: Any = None) -> list[str]:
    """The codes of what is found in a stream of these chunks (as `checked` takes them)."""
    return [each.code for each in checked(contract, chunks, request=request).violations]
