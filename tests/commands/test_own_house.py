"""`soundstage check` gives the same answer whatever surrounds it: folder, variables, plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from emulated import served

from soundstage.commands.checking import isolation, selected_cases
from soundstage.contract import load
from soundstage.emulator.options import Options

RULES = sum(1 for _ in load("v6").rules)
SHADOW = "raise RuntimeError('a file of the current folder was imported')\n"
DESELECT = "def pytest_collection_modifyitems(items):\n    del items[3:]\n"


@pytest.fixture(scope="module")
def emulator():
    with served(Options(profile="instant")) as url:
        yield url


def check(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "soundstage", "check", "--api", "v6"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SOUNDVERSE_API_KEY": "", **environment},
    )


@pytest.mark.proof
def test_nothing_in_the_current_folder_has_a_say(tmp_path: Path) -> None:
    """Nor with the emulator that is started there."""
    for name in ("bisect", "json", "random", "string", "secrets", "hypothesis", "pytest", "yaml"):
        (tmp_path / f"{name}.py").write_text(SHADOW)
    (tmp_path / "conftest.py").write_text("raise RuntimeError('of the user')\n")
    for name in ("pytest.ini", "tox.ini"):
        (tmp_path / name).write_text("[pytest]\naddopts = --nope\n")
    (tmp_path / "setup.cfg").write_text("[tool:pytest]\naddopts = --nope\n")
    (tmp_path / "pyproject.toml").write_text("this is no TOML\n")
    (tmp_path / "schemathesis.toml").write_text("[[[\n")
    before = set(os.listdir(tmp_path))
    done = check(tmp_path, "--target", "emulator", "--explore", "1", "--out", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = (tmp_path / "run" / "rules.ndjson").read_text().splitlines()
    assert len(rows) == RULES
    assert set(os.listdir(tmp_path)) - before == {"run"}, "something was left in the folder"


@pytest.mark.proof
def test_no_variable_of_the_caller_has_a_say(emulator: str, tmp_path: Path) -> None:
    plugin = tmp_path / "installed" / "deselect-1.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: deselect\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[pytest11]\ndeselect = deselecting\n")
    (tmp_path / "installed" / "deselecting.py").write_text(DESELECT)
    done = check(
        *(tmp_path, "--target", emulator, "--explore", "1", "--out", "run"),
        PYTEST_ADDOPTS="-k nothing -x -n 2 --nope",
        PYTEST_PLUGINS="nosuch",
        PYTHONWARNINGS="error",
        PYTHONPATH=f"{tmp_path / 'installed'}{os.pathsep}",
        HYPOTHESIS_PROFILE="nosuch",
        SCHEMATHESIS_HOOKS="nosuch",
        CI="1",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len((tmp_path / "run" / "rules.ndjson").read_text().splitlines()) == RULES


@pytest.mark.proof
def test_fewer_cases_than_the_contract_yields_are_our_bug(emulator: str, tmp_path: Path) -> None:
    # Python imports this module when it starts: what else could get into the house?
    (tmp_path / "sitecustomize.py").write_text(
        "import soundstage.pytest_plugin as plugin\n"
        "plugin.pytest_collection_modifyitems = lambda config, items: items.__delitem__(slice(9))\n"
    )
    done = check(
        *(tmp_path, "--target", emulator, "--explore", "0", "--out", "run"),
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 70, done.stdout + done.stderr
    assert done.stdout.startswith("INVALID")
    due = selected_cases.cases([load("v6")])
    assert f"{due - 9} test cases were collected; the contracts yield {due}" in done.stdout
    run = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert (run["exit_code"], run["verdict"], run["voids"][0]["kind"]) == (70, "invalid", "harness")
    junit = (tmp_path / "run" / "junit.xml").read_text()
    assert "<error" in junit
    assert "<failure" not in junit


@pytest.mark.proof
def test_a_bug_of_ours_in_a_check_is_no_broken_contract(emulator: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from soundstage.gate import made_up_calls\n"
        "def broken(*_, **__):\n    raise ZeroDivisionError('a bug')\n"
        "made_up_calls.probe = broken\n"
    )
    done = check(
        *(tmp_path, "--target", emulator, "--explore", "0", "--out", "run"),
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 70, done.stdout + done.stderr
    assert "this is our bug, please report it: ZeroDivisionError: a bug" in done.stdout
    junit = (tmp_path / "run" / "junit.xml").read_text()
    assert "<error" in junit
    assert "<failure" not in junit


def test_the_current_folder_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/elsewhere", ".", str(tmp_path), "/more"])
    isolation.leave_folder()
    assert sys.path == ["/elsewhere", "/more"]


def test_a_folder_that_was_removed_is_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setattr(sys, "path", ["", "/elsewhere"])
    gone.rmdir()
    isolation.leave_folder()
    assert sys.path == ["/elsewhere"]


def test_orders_are_given_back_when_the_house_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-x")
    monkeypatch.delenv("HYPOTHESIS_NO_PLUGINS", raising=False)
    before = dict(os.environ)
    with isolation.undisturbed():
        assert "PYTEST_ADDOPTS" not in os.environ
        assert os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] == "1"
        storage = Path(os.environ["HYPOTHESIS_STORAGE_DIRECTORY"])
        assert storage.is_dir()
    assert dict(os.environ) == before
    assert not storage.exists()


def test_what_hypothesis_finds_in_the_house_is_what_it_would_work_out(tmp_path: Path) -> None:
    """By its own hand, in a process that has not asked yet: elsewhere it works the table out."""
    asked = (
        "import sys, time\n"
        "from contextlib import nullcontext\n"
        "from soundstage.commands.checking import isolation\n"
        "with isolation.undisturbed() if sys.argv[1] == 'in' else nullcontext():\n"
        "    from hypothesis.internal import charmap\n"
        "    before = set(charmap.charmap_file().parent.iterdir()) if sys.argv[1] == 'in' else 0\n"
        "    print(charmap.intervals_from_codec('utf-8'))\n"
        "    if before: assert set(charmap.charmap_file().parent.iterdir()) == before, 'unused'\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", asked, where],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for where in ("in", "out")
    ]
    assert "55295" in said[0]
    assert said[0] == said[1]


@pytest.mark.proof
def test_the_cases_that_are_due_are_those_that_pytest_collects() -> None:
    """Counted in two ways: from the contracts, and by pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "contracts"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    due = selected_cases.cases([load("v5"), load("v6")])
    assert f"{due} tests collected" in done.stdout
