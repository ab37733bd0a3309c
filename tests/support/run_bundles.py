"""Small real bundles for tests that are about many runs and not about what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from soundstage.results.bundle import BundleWriter

FACTS: dict[str, Any] = {
    "kind": "check",
    "command": "soundstage check --target emulator",
    "target": {"url": "http://127.0.0.1:1", "kind": "emulator"},
    "machine": {"system": "Linux", "cpus": 2, "python": "3.11.7"},
    "budget": {"limit": None, "spent": 0},
    "clock": {"source": "kernel", "stepped": False},
}


def bundle(folder: Path, *, day: int = 1, verdict: str | None = "pass", **facts: Any) -> Path:
    """A bundle in `folder`, of a day in January 2026; without a verdict it was killed."""
    created = f"2026-01-{day:02d}T08:00:00.000Z"
    with BundleWriter.create(folder, {**FACTS, "created": created, **facts}) as writer:
        if verdict is not None:
            code = {"pass": 0, "fail": 1}.get(verdict, 6)
            writer.finish(verdict=verdict, exit_code=code, reason=None, rules=[])
    return folder
