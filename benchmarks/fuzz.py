"""Everything that reads what others wrote, under attack: files through the readers in this process
(each part in a process of its own), files through the real commands, and the request side of the
emulator. Nothing may end by a signal, a traceback or exit 70, grow without end, write where it has
no business, or let out a key.

The same seed makes the same inputs. What fails is kept in a folder, which is printed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import fuzz_commands, fuzz_requests, fuzzing
from benchmarks.result import Row

#: Parts and the share of the inputs that each gets: a module `fuzz_NAME` with `run(many, seed)`,
#: which returns a line for each kind of
#: problem, or an object whose `problems` or `bad` are these.
PARTS: Final[Mapping[str, float]] = {
    "saved": 0.4, "files": 0.2, "bundles": 0.15, "contracts": 0.05, "assets": 0.2,
}  # fmt: skip
#: A part that gets nowhere for so long hangs (seconds); one that does not say how far it got may
#: take longer.
_PATIENCE_S, _UNTOLD_S = 120.0, 3600.0
_ROOT: Final = Path(__file__).parents[1]


@dataclass
class Outcome:
    """What came of one part."""

    many: int
    problems: list[str] = field(default_factory=list)
    growth_mb: float = 0.0
    seconds: float = 0.0


def part(name: str, many: int, seed: int, work: Path, kept: Path) -> Outcome:
    """Run one part in a process of its own."""
    place = work / name
    place.mkdir(parents=True, exist_ok=True)
    words = ["--many", str(many), "--seed", str(seed), "--work", str(place), "--kept", str(kept)]
    begun = time.monotonic()
    outcome = Outcome(many)
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fuzz_part", name, *words],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = _until_done(child, place / "number")
    outcome.seconds = time.monotonic() - begun
    if child.returncode == 0:
        found = json.loads(said)
        outcome.problems, outcome.growth_mb = found["problems"], found["growth_mb"]
        if outcome.growth_mb > fuzzing.MOST_MB:
            outcome.problems.append(f"{name}: grew by {outcome.growth_mb:.0f} MB")
        return outcome
    number = (place / "number").read_text() if (place / "number").exists() else name
    how = f"exit {child.returncode}"
    if child.returncode < 0:
        how = f"ended by {signal.Signals(-child.returncode).name}"
    folder = fuzzing.keep(place / "case", kept, f"{number.replace(' ', '-')}-ended")
    outcome.problems.append(f"{number} of seed {seed}: {how}; its input: {folder}")
    return outcome


def _until_done(child: subprocess.Popen[str], number: Path) -> str:
    """What a part printed; one that gets nowhere is ended."""
    last, since = "", time.monotonic()
    while True:
        try:
            return child.communicate(timeout=5)[0]
        except subprocess.TimeoutExpired:
            now = number.read_text() if number.exists() else ""
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > (_PATIENCE_S if now else _UNTOLD_S):
                child.kill()


def files(
    inputs: int,
    commands: int,
    seed: int,
    work: Path,
    kept: Path,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Outcome], fuzz_commands.Outcome]:
    """(what came of each part, what came of the real commands)."""
    found = {}
    for name, share in PARTS.items():
        found[name] = part(name, max(1, round(inputs * share)), seed, work, kept)
        told(f"{name}: {_in_words(found[name])}")
        for each in found[name].problems:
            told(f"  {each}")
    of_commands = fuzz_commands.attacked(commands, seed, work, kept, told)
    for each in of_commands.problems:
        told(f"  {each}")
    return found, of_commands


def _in_words(outcome: Outcome) -> str:
    rate = outcome.many / outcome.seconds if outcome.seconds else 0
    return f"{len(outcome.problems)} of {outcome.many:,}, {rate:,.0f}/s"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 -- progress, beside the table


def measure(
    inputs: int = 100_000,
    commands: int = 500,
    bodies: int = fuzz_requests.BODIES,
    examples: int = fuzz_requests.EXAMPLES,
    seed: int = 0,
) -> list[Row]:
    """Rows of the table. 0 of something leaves it out."""
    kept = Path(tempfile.mkdtemp(prefix="soundstage-fuzz-"))
    _say(f"what fails is kept in {kept}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as work:
        found, of_commands = files(inputs, commands, seed, Path(work), kept, _say)
    for name, outcome in found.items():
        first = (outcome.problems or [""])[0][:60]
        rows.append(Row(f"{name}: problems", _in_words(outcome), first, target="0"))
        grown = f"{outcome.growth_mb:.0f} MB"
        rows.append(Row(f"{name}: growth", grown, target=f"<= {fuzzing.MOST_MB:.0f} MB"))
    if commands:
        codes = ", ".join(f"{code}: {many}" for code, many in sorted(of_commands.codes.items()))
        first = (of_commands.problems or [""])[0][:60]
        rows += [
            Row("real commands: problems", f"{len(of_commands.problems)} of {commands:,}", first),
            Row("real commands: exit codes", codes),
            Row("real commands: largest process", f"{of_commands.largest_mb:.0f} MB"),
        ]
    if bodies:
        more: list[Any] = fuzz_requests.rows(bodies, examples)
        rows += more
    return rows
