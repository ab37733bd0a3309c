"""What a bundle is begun and ended with, and a row of each kind, for tests of bundles."""

from __future__ import annotations

from typing import Any

RUN: dict[str, Any] = {
    "kind": "check",
    "command": "soundstage check --target emulator",
    "target": {"url": "http://127.0.0.1:1", "kind": "emulator"},
    "machine": {"system": "Linux", "cpus": 2, "python": "3.11.7"},
    "budget": {"limit": None, "spent": 0},
    "clock": {"source": "kernel", "stepped": False},
}
END: dict[str, Any] = {"verdict": "pass", "exit_code": 0, "reason": None, "rules": []}
RULE = {"rule": "v6/stream/index/consecutive", "api": "v6", "endpoint": "stream"}


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"e{number:06d}",
        "scenario": "check",
        "api": "v6",
        "endpoint": "stream",
        "intended_ns": 0,
        "started_ns": 10,
        "outcome": "ok",
        "verdict": "conforms",
        "milestones": {"complete": 1.5},
        "stages": {"final#1": [1.5, 1.5, 1]},
        "codes": {},
        **changes,
    }


def violation(message: str = "missing") -> dict[str, Any]:
    return {
        "exchange": "e000001",
        "code": "field.missing",
        "severity": "error",
        "chunk": 0,
        "path": "/version",
        "message": message,
        "rule": "v6/stream/final/field/version/required",
    }
