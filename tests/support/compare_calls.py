"""The command `compare` in this process, and runs that were changed, for tests of it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from soundstage import cli

REQUIRED = "v6/stream/streaming_ready/field/version/required"
Make = Callable[..., Path]


def delay(row: dict[str, Any], stage: str, factor: float) -> None:
    """Make a stage take `factor` times as long: it and all that follow come later."""
    stages = row["stages"]
    if stage not in stages:
        return
    first, last, _ = stages[stage]
    before = max((each[1] for each in stages.values() if each[0] < first), default=0.0)
    later = (last - before) * (factor - 1)
    for name, (begin, end, times) in stages.items():
        if name == stage:
            stages[name] = [begin, end + later, times]
        elif begin > first:
            stages[name] = [begin + later, end + later, times]
    for name, moment in row["milestones"].items():
        if moment is not None and moment > first:
            row["milestones"][name] = moment + later


def change(path: Path, **facts: Any) -> None:
    place = path / "run.json"
    place.write_bytes(orjson.dumps({**orjson.loads(place.read_bytes()), **facts}))


def compare(*words: object) -> tuple[int, str, str]:
    """Run the command; its exit code, what it printed, and what it complained of."""
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("compare", [str(word) for word in words], out, err)
    return code, out.getvalue(), err.getvalue()


def as_json(*words: object) -> dict[str, Any]:
    code, out, err = compare(*words, "--format", "json")
    assert out, err
    document: dict[str, Any] = json.loads(out)
    assert document["exit_code"] == code
    return document
