"""Rows of `exchanges.ndjson.gz` as a run against a given profile would have them, without sockets:
what `tests/emulator` fits profiles to and `tests/reports` holds against each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from soundstage.contract import Contract
from soundstage.emulator.pace.profile import Profile
from soundstage.generation.walk import plan
from soundstage.results.bundle import BundleWriter


def rows(
    profile: Profile,
    contracts: Mapping[str, Contract],
    many: int,
    seed: int,
    *,
    cut: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """`many` streams of each API version; a share `cut` of them is cut off midway by a timeout."""
    for api, contract in contracts.items():
        course = profile.of(api)
        draws = {stage: counts.draw for stage, counts in course.chunks.items()}
        for number in range(many):
            rng = random.Random(f"{seed}/{api}/{number}")
            error = course.refusal(rng)
            row = _row(api, number)
            if error is not None:
                status = next(e.status for e in contract.errors.known if e.name == error)
                ending = {"outcome": "refused", "reason": f"api.{error}", "http_status": status}
                yield {**row, **ending, "verdict": "inconclusive", "ended": 0.01}
                continue
            failing = course.failure(rng)
            steps = plan(contract, rng, times=draws, fails_after=failing)
            due = profile.schedule(api, steps, rng, 1.0)
            stop = rng.uniform(due[0], due[-1]) if rng.random() < cut else None
            stages: dict[str, list[Any]] = {}
            for (stage, track), moment in zip(steps, due, strict=True):
                if stop is None or moment <= stop:
                    label = stage if track is None else f"{stage}#{track}"
                    first, _, count = stages.get(label, (moment, moment, 0))
                    stages[label] = [round(first, 6), round(moment, 6), count + 1]
            row["stages"] = stages
            if stop is not None:
                yield {**row, "outcome": "timeout", "verdict": "inconclusive", "ended": stop}
            elif contract.protocol.by_name[steps[-1].stage].failure:
                failed = {"outcome": "failed", "reason": "stream.failed", "verdict": "inconclusive"}
                yield {**row, **failed, "ended": due[-1]}
            else:
                yield {**row, "ended": due[-1], "milestones": {"complete": due[-1]}}


def bundle_of(folder: Path, found: Iterable[dict[str, Any]], **target: Any) -> Path:
    """A finished bundle with these rows; `target` in part, an emulator unless it says otherwise."""
    run = {
        "kind": "load",
        "command": "soundstage load",
        "target": {"url": "http://127.0.0.1:8000", "kind": "emulator", **target},
        "machine": {"system": "test", "cpus": 1, "python": "3"},
        "budget": {"limit": None, "spent": 0},
        "clock": {"source": "kernel", "stepped": False},
    }
    with BundleWriter.create(folder, run) as writer:
        for row in found:
            writer.exchange(row)
        writer.finish(verdict="pass", exit_code=0, reason=None, rules=[])
    return folder


def _row(api: str, number: int) -> dict[str, Any]:
    return {
        "id": f"{api}-{number:06d}",
        "scenario": "recorded",
        "api": api,
        "endpoint": "stream",
        "intended_ns": 0,
        "started_ns": 0,
        "outcome": "ok",
        "verdict": "conforms",
        "reason": None,
        "http_status": 200,
        "milestones": {},
        "stages": {},
        "codes": {},
    }
