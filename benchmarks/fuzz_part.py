"""`python -m benchmarks.fuzz_part NAME`: one part of the file fuzz in a process of its own, so that
a reader that kills it is seen, and its memory is its own. Prints what it found as one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import fuzzing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_part")
    parser.add_argument("name", help="saved, bundles, contracts or assets")
    parser.add_argument("--many", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--work", type=Path, required=True, help="a folder to work in")
    parser.add_argument("--kept", type=Path, required=True, help="where failing inputs are kept")
    asked = parser.parse_args()
    part = importlib.import_module(f"benchmarks.fuzz_{asked.name}")
    fuzzing.place = fuzzing.Place(asked.work, asked.kept, asked.first)
    # Libraries that load at the first input are no growth.
    problems = problems_of(part.run(min(asked.many, 20), asked.seed))
    before = memory_mb("VmRSS")
    if asked.many > 20:
        fuzzing.place.first = asked.first + 20
        problems += problems_of(part.run(asked.many - 20, asked.seed))
    growth = memory_mb("VmHWM") - before
    json.dump({"problems": problems, "before_mb": before, "growth_mb": growth}, sys.stdout)
    return 0


def problems_of(found: Any) -> list[str]:
    """Of a part that also tells other things."""
    for name in ("problems", "bad"):
        if hasattr(found, name):
            return list(getattr(found, name))
    return list(found)


def memory_mb(which: str) -> float:
    """Resident memory of this process: now (VmRSS), or at its most (VmHWM)."""
    found = re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
