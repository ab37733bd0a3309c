"""One part of the file fuzz: many mutants, each through a reader in this process. What a reader
raises that is no answer of ours is a problem, and its input is kept for a report.

`tried` runs a part; each input comes of (part, seed, number) alone, so that one can be made again:
`python -m benchmarks.fuzz_part NAME --seed S --first N --many 1`.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from soundstage.errors import SoundstageError

Files = Mapping[str, bytes]
#: Makes the files of one case; and reads them from the folder that they were written to.
Maker = Callable[[random.Random], Files]
Reader = Callable[[Path, random.Random], None]

#: An input that takes more of the processor is a problem (seconds); so is a process that grows by
#: more (MB).
SLOWEST_S: Final = 20.0
MOST_MB: Final = 300.0
#: After so many problems a part gives up: they will be of one kind.
_ENOUGH: Final = 10


class Bug(Exception):
    """A command said so itself: exit 70, or a traceback."""


@dataclass
class Place:
    """Where a part works, and where it keeps what failed."""

    work: Path
    kept: Path
    first: int = 0
    problems: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


#: Set by whoever runs parts; the tests have each in a folder of its own.
place: Place | None = None


def tried(name: str, make: Maker, read: Reader, many: int, seed: int) -> list[str]:
    """Give `read` so many mutants; a line for each kind of problem, with the folder that its input
    is kept in.
    """
    here = _place()
    folder = here.work / "case"
    problems: list[str] = []
    for number in range(here.first, here.first + many):
        rng = random.Random(f"{name}/{seed}/{number}")
        files = make(rng)
        _write(folder, files)
        (here.work / "number").write_text(f"{name} {number}")
        begun = time.process_time()
        why = _why(folder, read, rng)
        took = time.process_time() - begun
        if why is None and took > SLOWEST_S:
            why = f"took {took:.0f} s of the processor"
        if why is not None and (kind := re.sub(r": .* at ", " at ", why)) not in here.seen:
            here.seen.add(kind)
            kept = keep(folder, here.kept, f"{name}-{seed}-{number}")
            problems.append(f"{name} {number} of seed {seed}: {why}; its input: {kept}")
            if len(problems) >= _ENOUGH:
                break
    return problems


def command(argv: list[str]) -> int:
    """Run a command of ours in this process; its exit code. Raises Bug at 70."""
    from soundstage import cli

    out, err = io.StringIO(), io.StringIO()
    os.environ["SOUNDSTAGE_TRACEBACK"] = "1"
    try:
        code = cli.run(argv[0], argv[1:], out, err)
    except SystemExit as ended:
        code = int(ended.code or 0)
    if code == 70 or "Traceback (most recent" in err.getvalue():
        raise Bug(f"{' '.join(argv[:2])}: exit {code}: {_of_text(err.getvalue())}")
    return code


def keep(folder: Path, kept: Path, name: str) -> Path:
    """A copy of the input in `folder`; links and pipes stay what they are."""
    goal = kept / name
    if not goal.exists():
        shutil.copytree(folder, goal, symlinks=True, ignore=_no_pipes)
    return goal


def _no_pipes(folder: str, names: list[str]) -> list[str]:
    return [each for each in names if (Path(folder) / each).is_fifo()]


def _place() -> Place:
    if place is None:
        raise RuntimeError("fuzzing.place is not set")
    return place


def _write(folder: Path, files: Files) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, raw in files.items():
        goal = folder / name
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.write_bytes(raw)


def _why(folder: Path, read: Reader, rng: random.Random) -> str | None:
    """What is wrong with how a case ended; None if nothing is."""
    try:
        read(folder, rng)
    except SoundstageError as error:
        text = str(error)
        return f"an error over several lines: {text[:300]!r}" if "\n" in text else None
    except Bug as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 -- this is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]} at {_where(error)}"
    return None


def _where(error: BaseException) -> str:
    """The innermost place of ours, and the innermost at all."""
    frames = traceback.extract_tb(error.__traceback__)
    shown = [f"{'/'.join(Path(each.filename).parts[-2:])}:{each.lineno}" for each in frames]
    ours = [
        each for each, frame in zip(shown, frames, strict=True) if "packages" not in frame.filename
    ]
    return " < ".join(dict.fromkeys([*shown[-1:], *ours[-1:]]))


def _of_text(said: str) -> str:
    """The last line of a traceback, and the innermost place in it that is not a library's."""
    places = re.findall(r'File "([^"]+)", line (\d+)', said)
    ours = [(file, line) for file, line in places if "packages" not in file]
    where = ":".join(("/".join(Path(ours[-1][0]).parts[-2:]), ours[-1][1])) if ours else "?"
    last = next(
        (each for each in said.splitlines() if re.match(r"\w[\w.]*(Error|Exception)", each)), ""
    )
    return f"{last[:200]} at {where}"
