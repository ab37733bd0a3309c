"""`soundstage lint` as a user starts it: a new process, one transcript."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.result import Row
from soundstage.contract import load_all
from soundstage.generation.walk import payloads, plan, random_story

_RUNS = 7


def measure() -> list[Row]:
    """Median wall time of seven runs, in turn with a bare interpreter's."""
    contract = list(load_all().values())[-1]
    rng = random.Random(1)
    chunks = payloads(contract, plan(contract, rng), random_story(rng), rng)
    broken = [dict(chunk) for chunk in chunks]
    index = contract.protocol.index
    assert index is not None
    broken[3][index.field.name] = "3"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, each, target in (("conforming", chunks, 0.15), ("violating", broken, 0.2)):
            file = Path(folder) / f"{name}.sse"
            file.write_bytes(b"".join(b"data: %s\n\n" % json.dumps(c).encode() for c in each))
            ours, bare = [], []
            for _ in range(_RUNS):
                ours.append(_seconds("-m", "soundstage", "lint", str(file)))
                bare.append(_seconds("-c", "pass"))
            median, reference = statistics.median(ours), statistics.median(bare)
            rows.append(
                Row(
                    f"soundstage lint, cold, {name}",
                    f"{median:.2f} s",
                    f"python -c pass {reference:.2f}",
                    f"{median / reference:.1f}x",
                    f"<= {target} s",
                )
            )
    return rows


def _seconds(*arguments: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begun
