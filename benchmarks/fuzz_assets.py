"""Mutants of songs and covers, looked at as the gate looks at what a payload points to."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

from benchmarks import fuzz_seeds, mutators
from benchmarks.fuzzing import Files, tried
from soundstage.exchange import media


def run(many: int, seed: int) -> list[str]:
    """A line for each kind of problem."""
    return tried("assets", _make, _read, many, seed)


def _make(rng: random.Random) -> Files:
    kind, raw = rng.choice(fuzz_seeds.assets())
    if rng.random() < 0.05:
        kind = "image" if kind == "audio" else "audio"
    return {kind: mutators.damaged(raw, rng)}


def _read(folder: Path, rng: random.Random) -> None:
    (file,) = folder.iterdir()
    look = media.audio if file.name == "audio" else media.image
    with contextlib.suppress(media.Broken, media.Unreadable):
        look(file.read_bytes())
