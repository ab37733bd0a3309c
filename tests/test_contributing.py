"""What CONTRIBUTING.md shows is true: its commands run, and the files that it names are there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_run import CommandRun, run_here

from soundstage.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
#: Paths in backquotes; what holds a `*` stands for at least one file.
NAMED = sorted(
    set(re.findall(r"`((?:src|reports|schemas|tests|benchmarks|docs|\.ci)/[\w./*-]*)`", PAGE))
    | set(re.findall(r"\]\((?!http)([^)#]+)", PAGE))
)


@pytest.mark.parametrize(
    "line",
    [pytest.param(line, marks=[pytest.mark.proof] if " faults " in line else []) for line in LINES],
)
def test_a_command_of_the_page_runs(line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "python"
    done: CommandRun | subprocess.CompletedProcess[str]
    if words[1:3] == ["-m", "soundstage"] and words[3] in COMMANDS:
        done = run_here(*words[3:], folder=ROOT)
    else:
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_is_there(name: str) -> None:
    assert list(ROOT.glob(name.rstrip("/"))), name
