"""Files that a song or a cover might be, mutated by thousands, through the process that decodes.

Nothing may come out of it but facts and the two kinds of refusal; neither process may grow.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import fuzz_seeds, mutators
from soundstage.assets import media
from soundstage.assets.decoder_process import FileDecoder

FILES: Final = 20_000
_MOST_KEPT: Final = 5
_MOST_BYTES: Final = 200_000


@dataclass
class Outcome:
    """What came of many files: how often each outcome, what should never have come (the first few),
    and megabytes of resident memory: ours at the beginning and the end, and the most of the
    decoder's process.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory_mb: tuple[float, float] = (0.0, 0.0)
    decoder_mb: float = 0.0

    def took(self, kind: str, said: str) -> None:
        self.kinds[kind] += 1
        if "crash" in said and len(self.crashes) < _MOST_KEPT:
            self.crashes.append(said)


def mutant(files: Sequence[bytes], rng: random.Random) -> bytes:
    """A file near a true one, or between two."""
    data = rng.choice(files)
    if rng.random() < 0.15:
        other = rng.choice(files)
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    data = mutators.damaged(data, rng, rng.choice((0, 1, 1, 2, 4)), mutators.OF_BINARY)
    return data[:_MOST_BYTES]


def run(many: int = FILES, seed: int = 0) -> Outcome:
    """Put so many mutants through `media.audio` and `media.image`, the same for the same seed."""
    rng, files, outcome = random.Random(f"assets/{seed}"), fuzz_seeds.assets(), Outcome()
    begun = time.perf_counter()
    decoder = FileDecoder()
    asked: tuple[Callable[..., object], ...] = (media.audio, media.image)
    first = None
    for number in range(many):
        data = mutant(files, rng)
        for ask in asked:
            try:
                outcome.took(type(ask(data, decoder=decoder)).__name__, "")
            except (media.BrokenMedia, media.Unreadable) as error:
                outcome.took(type(error).__name__, str(error))
                if isinstance(error, media.CannotDecode):
                    outcome.bad.append(f"file {number}: {error}")
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                outcome.bad.append(f"file {number}, {ask.__name__}: {error!r}")
        if decoder.pid is not None and number % 50 == 0:
            outcome.decoder_mb = max(outcome.decoder_mb, _megabytes(decoder.pid, "VmHWM"))
        if first is None and number >= many // 10:
            first = _megabytes("self", "VmRSS")
        del outcome.bad[_MOST_KEPT:]
    decoder.close()
    outcome.seconds = time.perf_counter() - begun
    outcome.memory_mb = (first or 0.0, _megabytes("self", "VmRSS"))
    return outcome


def _megabytes(pid: int | str, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
