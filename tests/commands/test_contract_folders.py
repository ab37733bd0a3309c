"""Folders of contracts that are added: by option or variable, before or after the command; a wrong
one is refused with what to write instead, and a broken contract stops nobody who does not need it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_run import CommandRun, run_here

from made_up_api import folder
from soundstage.cli import COMMANDS, _command_first

SHAPE = "no-tracks"
VARIABLE = "SOUNDSTAGE_SCHEMAS"
INSTANT = {"constant": 0}


@pytest.fixture
def apis(tmp_path: Path) -> Path:
    home = tmp_path / "apis"
    home.mkdir()
    return folder(home, SHAPE)


def ran(*words: str, at: Path, variable: str = "") -> CommandRun:
    return run_here(*words, folder=at, env={VARIABLE: variable})


@pytest.mark.parametrize("by", ["option", "variable"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("apis/no-tracks", "this is one contract: name the folder that it lies in, {}/apis"),
        ("empty", "no contract lies in it: name a folder that holds VERSION/protocol.json"),
        (".", "no contract lies in it: name {}/apis, where there are some"),
        ("nowhere", "no such folder"),
    ],
)
@pytest.mark.parametrize("command", [["schema", "--api", SHAPE], ["lint", "x"]])
def test_a_folder_without_contracts_is_refused_with_what_to_name_instead(
    apis: Path, by: str, name: str, said: str, command: list[str]
) -> None:
    home = apis.parent
    (home / "empty").mkdir()
    place = os.path.normpath(home / name)
    if by == "variable":
        done = ran(*command, at=home, variable=place)
    else:
        done = ran(*command, "--schemas", name, at=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert said.format(home) in done.stderr
    assert "--schemas" in done.stderr


@pytest.mark.parametrize("word", ["", "a:b"])
def test_what_the_variable_could_not_hold_is_no_folder(tmp_path: Path, word: str) -> None:
    (tmp_path / "a:b").mkdir()
    done = ran("schema", f"--schemas={word}", at=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--schemas" in done.stderr
    assert "name a folder" in done.stderr


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("form", ["apart", "together"])
def test_the_option_stands_before_the_command_or_after_it(
    apis: Path, before: bool, form: str
) -> None:
    option = ["--schemas", str(apis)] if form == "apart" else [f"--schemas={apis}"]
    command = ["schema", "--api", SHAPE]
    words = [*option, *command] if before else [*command, *option]
    done = ran(*words, at=apis.parent)
    assert done.returncode == 0, done.stderr
    assert SHAPE in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_what_stands_before_a_command_is_given_to_it(command: str) -> None:
    words = ["--schemas", "a", "--until-eof", "--schemas=b", command, "--api", "v6"]
    assert _command_first(words) == [command, *words[:4], "--api", "v6"]


def test_the_option_without_a_command_shows_the_usage(apis: Path) -> None:
    done = ran("--schemas", str(apis), at=apis.parent)
    assert done.returncode == 2
    assert done.stdout.startswith("usage: soundstage COMMAND")


def test_behind_two_dashes_nothing_is_an_option(apis: Path) -> None:
    done = ran("lint", "--", "--schemas", at=apis.parent)
    assert done.returncode == 2
    assert "--schemas: No such file" in done.stderr


def checks_said(*words: str, at: Path, variable: str = "") -> CommandRun:
    """What pytest says of the contract checks."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "soundstage.pytest_plugin", "--pyargs", "soundstage.contracts"]
    done = subprocess.run(
        [*command, *words],
        cwd=at,
        env={**os.environ, VARIABLE: variable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return CommandRun(done.returncode, done.stdout, done.stderr)


@pytest.mark.proof
def test_pytest_takes_the_option_too(apis: Path) -> None:
    words = ("--schemas", str(apis), "--api", SHAPE, "--collect-only")
    done = checks_said(*words, at=apis.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"test_rule[{SHAPE}/tune/index/consecutive]" in done.stdout


@pytest.mark.parametrize("by", ["option", "variable"])
@pytest.mark.proof
def test_pytest_refuses_a_folder_without_contracts_in_one_line(apis: Path, by: str) -> None:
    place = str(apis / SHAPE)
    words = ("--schemas", place) if by == "option" else ()
    variable = "" if by == "option" else place
    done = checks_said(*words, "--target", "emulator", at=apis.parent, variable=variable)
    assert done.returncode == 2
    said = [line for line in (done.stdout + done.stderr).splitlines() if "--schemas" in line]
    assert len(said) == 1
    assert f"name the folder that it lies in, {apis}" in said[0]


def test_pytest_leaves_the_variable_as_it_was(apis: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    words = ["-q", "-p", "no:cacheprovider", "-p", "soundstage.pytest_plugin", "--version"]
    assert pytest.main([*words, "--schemas", str(apis)]) == 0
    assert os.environ[VARIABLE] == ""


# --- one of several is broken ---------------------------------------------------------------------


@pytest.fixture
def beside_a_broken_one(apis: Path) -> Path:
    """Two contracts in a folder, the second of which is not understood."""
    shutil.copytree(apis / SHAPE, apis / "broken")
    (apis / "broken" / "errors.json").write_text("{")
    file = apis / "broken" / "protocol.json"
    file.write_text(file.read_text().replace(f'"{SHAPE}"', '"broken"', 1))
    (apis.parent / "x.json").write_text('{"detail": "Not found"}')
    return apis


CHECK = ("check", "--target", "emulator", "--explore", "0", "--out", "run")


@pytest.mark.parametrize(
    "words",
    [
        ("lint", "--api", "v6", "--endpoint", "error", "x.json"),
        ("schema", "--api", SHAPE),
        ("explain", "index.gap"),
        ("explain", f"{SHAPE}/tune"),
        ("faults", "--api", SHAPE, "--only", "wire/gzip", "--valid", "1"),
        ("record", "--target", "emulator", "--api", SHAPE, "--out", "saved", "--dry-run"),
        ("load", "--target", "emulator", "--api", SHAPE, "--dry-run"),
        pytest.param(
            (*CHECK, "--emulator-args", "--profile instant", "--api", SHAPE, "-k", "index"),
            marks=pytest.mark.proof,
        ),
    ],
)
def test_a_broken_contract_stops_no_command_that_does_not_need_it(
    beside_a_broken_one: Path, words: tuple[str, ...]
) -> None:
    done = ran(*words, "--schemas", str(beside_a_broken_one), at=beside_a_broken_one.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert ("without broken: " in done.stderr) == ("index.gap" in words)


@pytest.mark.parametrize(
    "words",
    [
        ("lint", "x.json"),
        ("lint", "--api", "broken", "x.json"),
        ("schema", "--api", "broken"),
        ("explain", "broken/tune"),
        ("faults",),
        ("check", "--target", "emulator", "--out", "run"),
        ("emulate", "--port", "0"),
    ],
)
def test_a_command_that_needs_it_or_all_of_them_says_what_is_broken(
    beside_a_broken_one: Path, words: tuple[str, ...]
) -> None:
    done = ran(*words, "--schemas", str(beside_a_broken_one), at=beside_a_broken_one.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "broken/errors.json" in done.stderr


def test_a_profile_needs_the_contracts_that_it_names(beside_a_broken_one: Path) -> None:
    home = beside_a_broken_one.parent
    for api in (SHAPE, "broken"):
        profile = {"description": "Mine.", "default": INSTANT, "apis": {api: {"default": INSTANT}}}
        (home / f"{api}.json").write_text(json.dumps(profile))
    common = ("--port", "99999", "--schemas", str(beside_a_broken_one))
    done = ran("emulate", "--profile", "broken.json", *common, at=home)
    assert "broken/errors.json" in done.stderr
    done = ran("emulate", "--profile", f"{SHAPE}.json", *common, at=home)
    assert "broken/errors.json" not in done.stderr


@pytest.mark.parametrize("form", ["text", "openapi"])
def test_schema_shows_the_others_and_names_the_broken_one(
    beside_a_broken_one: Path, form: str
) -> None:
    words = ("schema", "--format", form, "--schemas", str(beside_a_broken_one))
    done = ran(*words, at=beside_a_broken_one.parent)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "broken/errors.json" in done.stderr
    for api in (SHAPE, "v5", "v6"):
        assert api in done.stdout
