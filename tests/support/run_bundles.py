"""Small real bundles for tests that are about many runs and not about what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundle_rows import RUN

from soundstage.results.bundle import BundleWriter


def bundle(folder: Path, *, day: int = 1, verdict: str | None = "pass", **facts: Any) -> Path:
    """A bundle in `folder`, of a day in January 2026; without a verdict it was killed."""
    created = f"2026-01-{day:02d}T08:00:00.000Z"
    with BundleWriter.create(folder, {**RUN, "created": created, **facts}) as writer:
        if verdict is not None:
            code = {"pass": 0, "fail": 1}.get(verdict, 6)
            writer.finish(verdict=verdict, exit_code=code, reason=None, rules=[])
    return folder
