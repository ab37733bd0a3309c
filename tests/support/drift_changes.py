"""What an API may change, and runs before and after it, for tests of drift."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from observations import Change, Chunks, observed_run
from soundstage.contract import Contract, load
from soundstage.observed.facts import Observed
from soundstage.reports.drift.drift import DriftFinding, drift

V6 = load("v6")
SECOND_TRACK = V6.protocol.tracks.values[1]  # type: ignore[union-attr]


@cache
def valid_run(contract: Contract, many: int) -> Observed:
    return observed_run(contract, many, 1)


def compared(
    change: Change, *, base: int = 30, candidate: int = 12, contract: Contract = V6
) -> list[DriftFinding]:
    """The drift from `base` valid streams to `candidate` changed ones."""
    return drift(
        valid_run(contract, base),
        observed_run(contract, candidate, 2, change),
        {contract.api: contract},
    )


def told(findings: list[DriftFinding]) -> set[tuple[str, str, str, str | None, str]]:
    return {(f.verdict, f.effect, f.kind, f.stage, f.path) for f in findings}


def on(stage_field: str, stage_value: str, change: Any) -> Change:
    """A change of every chunk in which a field has a value."""

    def changed(chunks: Chunks, rng: random.Random) -> Chunks:
        for chunk in chunks:
            if chunk.get(stage_field) == stage_value:
                change(chunk, rng)
        return chunks

    return changed


def on_ready(change: Any) -> Change:
    return on("streaming_ready", True, change)  # type: ignore[arg-type]


def shifted(chunks: Chunks, rng: random.Random) -> Chunks:
    for chunk in chunks:
        chunk["chunkIndex"] += 1
    return chunks


def swapped(chunks: Chunks, rng: random.Random) -> Chunks:
    chunks[0]["status"], chunks[1]["status"] = chunks[1]["status"], chunks[0]["status"]
    return chunks


def numbered(chunks: Chunks) -> Chunks:
    for number, chunk in enumerate(chunks):
        chunk["chunkIndex"] = number
    return chunks


def without(name: str, value: Any) -> Change:
    return lambda chunks, rng: numbered([c for c in chunks if c.get(name) != value])


def doubled(chunks: Chunks, rng: random.Random) -> Chunks:
    return numbered([c.copy() for chunk in chunks for c in [chunk] * (1 + (chunk is chunks[1]))])


def extra_stage(chunks: Chunks, rng: random.Random) -> Chunks:
    return numbered([chunks[0], {**chunks[0], "status": "queued"}, *chunks[1:]])


def third_track(chunks: Chunks, rng: random.Random) -> Chunks:
    more = [{**c, "version": 3} for c in chunks if c.get("version") == SECOND_TRACK]
    return numbered(chunks[:-1] + more + chunks[-1:])


def renamed_id(chunks: Chunks, rng: random.Random) -> Chunks:
    chunks[3]["message_id"] = "another"
    return chunks
