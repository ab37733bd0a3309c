"""Mutants of what people save (responses, transcripts, archives), read as `lint` and
`emulate --replay` read them, and judged.
"""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks import fuzz_seeds, mutators
from benchmarks.fuzzing import Files, command, tried
from soundstage.emulator.replay import recordings
from soundstage.errors import SoundstageError

_WAYS = (
    ["lint"], ["lint", "--format", "json"], ["lint", "--strict", "--on-inconclusive", "warn"],
    ["lint", "--endpoint", "stream", "--api", "v6"], ["lint", "--shrink"],
)  # fmt: skip


def run(many: int, seed: int) -> list[str]:
    """A line for each kind of problem."""
    return tried("saved", _make, _read, many, seed)


def _make(rng: random.Random) -> Files:
    name, raw = rng.choice(fuzz_seeds.saved())
    return {name: mutators.mutant(raw, rng)}


def _read(folder: Path, rng: random.Random) -> None:
    (file,) = folder.iterdir()
    if rng.random() < 0.2:
        recordings.find(folder if rng.random() < 0.5 else file, fuzz_seeds.contracts())
        return
    # The smallest stream takes thousands of trials: seldom.
    way = _WAYS[-1] if rng.random() < 0.005 else rng.choice(_WAYS[:-1])
    try:
        command([*way, str(file)])
    except SoundstageError as error:
        raise AssertionError("an error got out of a command") from error
