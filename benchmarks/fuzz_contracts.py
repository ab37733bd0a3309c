"""Mutants of contract folders: loaded; what loads is printed, judged with, generated from."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks import fuzz_seeds, mutators
from benchmarks.fuzzing import Files, tried
from soundstage.conformance.engine import StreamCheck
from soundstage.contract import Contract, contract, drawing, openapi
from soundstage.generation import walk


def run(many: int, seed: int) -> list[str]:
    """A line for each kind of problem."""
    return tried("contracts", _make, _read, many, seed)


def _make(rng: random.Random) -> Files:
    api = rng.choice(fuzz_seeds.contracts()).api
    return mutators.folder(fuzz_seeds.folder_of_contract(api), rng)


def _read(folder: Path, rng: random.Random) -> None:
    # Each folder is read once; what was read would otherwise be kept for good.
    contract._load.cache_clear()
    for api in contract.available(folder):
        found = contract.load(api, folder)
        _used(found, rng)


def _used(found: Contract, rng: random.Random) -> None:
    drawing.listing(found)
    drawing.mermaid(found)
    openapi.document(found)
    openapi.document(found, "3.1")
    if found.endpoint_of_kind("stream") is None:
        return
    check = StreamCheck(found)
    for raw in rng.choice(fuzz_seeds.saved())[1].split(b"\n"):
        check.event(raw.removeprefix(b"data: "))
    check.close()
    walk.plan(found, rng)
