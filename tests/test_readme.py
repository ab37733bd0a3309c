"""What the README shows is true: its commands run, its tables name what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from soundstage.cli import COMMANDS, usage

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
#: Blocks marked `sh` are run; others show what needs a key, a server or a person.
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINES = [
    line.partition("#")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.partition("#")[0].strip()
]


def test_the_first_screen_shows_two_commands() -> None:
    first = README.split("\n## ")[0]
    assert "make demo" in first
    assert "make test" in first
    assert LINES[:2] == ["make demo", "make test"]


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("setup", "demo", "test", "proofs", "check", "bench"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith("make ")])
@pytest.mark.proof
def test_a_command_of_the_readme_runs(line: str, tmp_path: Path) -> None:
    words = shlex.split(line)
    assert words[0] == "soundstage"
    arguments = [str(ROOT / word) if word.startswith("schemas/") else word for word in words[1:]]
    command = [sys.executable, "-m", "soundstage", *arguments]
    for _ in range(3):
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        # A load run that did not get the CPU says so, and measures nothing.
        if words[1] != "load" or "saturated" not in done.stdout:
            break
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.proof
def test_every_command_is_in_the_help_and_has_an_example_of_its_own() -> None:
    for name in COMMANDS:
        assert f"  {name}" in usage()
        command = [sys.executable, "-m", "soundstage", name, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert f"soundstage {name}" in done.stdout.partition("example")[2], name


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_a_link_of_the_readme_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
