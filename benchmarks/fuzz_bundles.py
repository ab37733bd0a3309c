"""Mutants of run bundles, through every command that reads one."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks import fuzz_seeds, mutators
from benchmarks.fuzzing import Files, command, tried

_FORMATS = ("html", "junit", "markdown", "json", "sarif", "annotations")


def run(many: int, seed: int) -> list[str]:
    """A line for each kind of problem."""
    return tried("bundles", _make, _read, many, seed)


def _make(rng: random.Random) -> Files:
    files = {f"run/{name}": raw for name, raw in mutators.folder(fuzz_seeds.bundle(), rng).items()}
    if rng.random() < 0.3:
        files |= {f"good/{name}": raw for name, raw in fuzz_seeds.bundle(2.0).items()}
    return files


def _read(folder: Path, rng: random.Random) -> None:
    run, good = str(folder / "run"), str(folder / "good")
    if (folder / "good").exists():
        # With a calibration of a few shuffles: the usual thousand are of the same kind.
        kind = rng.randrange(4)
        if kind == 0:
            command(["runs", "list", "--runs", str(folder)])
        elif kind == 1:
            command(["runs", "trend", "--runs", str(folder), "--milestone", "complete"])
        else:
            command(["compare", *((run, good) if kind == 2 else (good, run))])
    elif rng.random() < 0.2:
        command(["report", run])
    else:
        command(["report", run, "--format", rng.choice(_FORMATS)])
