"""Commands, and the checks in a session of pytest that is somebody's, leave nothing in the folder
that they run in but what they say that they write.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
_CONTRACTS = ["-p", "soundstage.pytest_plugin", "--pyargs", "soundstage.contracts"]
_LOAD = ["load", "--target", "emulator", "--rate", "9", "--duration", "1s", "--emulator-args"]
#: What is run, and all that it may leave.
RUNS: dict[str, tuple[list[str], set[str]]] = {
    "check": (["check", "--target", "emulator", "--api", "v6", "--out", "out"], {"out"}),
    "faults": (["faults", "--api", "v5", "--valid", "5", "--only", "order/*"], set()),
    "load": ([*_LOAD, "--speed 100", "--out", "out"], {"out"}),
    "record": (["record", "--target", "emulator", "--api", "v6", "--out", "out"], {"out"}),
    "demo": (["demo", "--seconds", "1"], {"runs"}),
}
#: A test of a user's own, with what we hand out for it.
_OWN = """
from soundstage.contract import load
pytest_plugins = ["soundstage.emulator.pytest_fixture"]
def test_it_listens(emulator):
    assert emulator.url.startswith("http://127.0.0.1:")
"""


def left_by(folder: Path, words: list[str]) -> set[str]:
    """The names in a folder after Python ran in it with these words."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {each.name for each in folder.iterdir()}


@pytest.mark.proof
@pytest.mark.parametrize("command", RUNS)
def test_a_command_leaves_what_it_writes_and_nothing_else(command: str, tmp_path: Path) -> None:
    words, left = RUNS[command]
    assert left_by(tmp_path, ["-m", "soundstage", *words]) == left


@pytest.mark.proof
def test_checks_in_a_session_of_pytest_leave_the_bundle_alone(tmp_path: Path) -> None:
    (tmp_path / "soundstage.toml").write_text('[target]\nurl = "emulator"\napi = ["v6"]\n')
    left = left_by(tmp_path, [*_PYTEST, *_CONTRACTS, "--out", "out"])
    assert left == {"soundstage.toml", "out"}
    assert '"v5"' not in (tmp_path / "out" / "run.json").read_text()


@pytest.mark.proof
def test_a_test_with_our_emulator_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(_OWN)
    words = [*_PYTEST, "-p", "no:hypothesispytest", "test_own.py"]
    assert left_by(tmp_path, words) - {"__pycache__"} == {"test_own.py"}
