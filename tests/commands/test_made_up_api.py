"""An API that no Python has ever heard of gets every command from a folder of data alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_run import CommandRun, run_here
from saturation import ended

from made_up_api import SHAPES, folder, without_streams
from soundstage.contract.contract import SCHEMAS_VARIABLE


@pytest.fixture(params=["no-tracks", "string-tracks"])
def shape(request: pytest.FixtureRequest) -> str:
    assert request.param in SHAPES
    return str(request.param)


@pytest.fixture
def schemas(shape: str, tmp_path: Path) -> Path:
    home = tmp_path / "apis"
    home.mkdir()
    return folder(home, shape)


def soundstage(schemas: Path, *words: str) -> CommandRun:
    return run_here(
        *(*words, "--schemas", str(schemas)),
        folder=schemas.parent,
        env={SCHEMAS_VARIABLE: ""},  # it is set by the option, and is as it was afterwards
    )


@pytest.mark.proof
def test_check_and_report(shape: str, schemas: Path) -> None:
    explore = "2" if shape == "no-tracks" else "0"  # requests are the same in both
    done = soundstage(
        schemas,
        *("check", "--target", "emulator", "--emulator-args", "--profile instant"),
        *("--api", shape, "--explore", explore, "--out", "run"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = (schemas.parent / "run" / "rules.ndjson").read_text().splitlines()
    assert len(rules) > 50
    assert (schemas.parent / "run" / "report.html").stat().st_size > 10_000


@pytest.mark.proof
def test_check_finds_a_fault(shape: str, schemas: Path) -> None:
    done = soundstage(
        schemas,
        *("check", "--target", "emulator", "--emulator-args", "--profile instant"),
        *("--fault", "index/gap", "--api", shape, "--explore", "0", "--out", "run"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{shape}/tune/index/consecutive" in done.stdout


@pytest.mark.proof
def test_faults(shape: str, schemas: Path) -> None:
    done = soundstage(schemas, "faults", "--api", shape, "--valid", "100", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    row = json.loads(done.stdout)
    assert row["killed"] == row["faults"] > 100


@pytest.mark.proof
def test_load(shape: str, schemas: Path) -> None:
    words = ["load", "--target", "emulator", "--emulator-args", "--profile instant"]
    words += ["--api", shape, "--rate", "10", "--duration", "1s", "--out", "run"]
    # A process of its own: Locust patches the one that it is loaded in.
    done = subprocess.run(
        [sys.executable, "-m", "soundstage", *words, "--schemas", str(schemas)],
        cwd=schemas.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended(done.returncode, schemas.parent / "run"), done.stdout + done.stderr


@pytest.mark.proof
def test_record_then_lint(shape: str, schemas: Path) -> None:
    done = soundstage(
        schemas,
        *("record", "--target", "emulator", "--emulator-args", "--profile instant"),
        *("--api", shape, "--out", "saved"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (saved,) = (schemas.parent / "saved").glob("*.ndjson")
    done = soundstage(schemas, "lint", str(saved), "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["api"] == shape


@pytest.mark.parametrize("form", ["text", "openapi", "jsonschema", "mermaid"])
@pytest.mark.proof
def test_schema(shape: str, schemas: Path, form: str) -> None:
    done = soundstage(schemas, "schema", "--api", shape, "--format", form)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.proof
def test_a_contract_without_streams_is_served_recorded_and_linted(
    shape: str, schemas: Path
) -> None:
    without_streams(schemas, shape)
    done = soundstage(
        schemas,
        *("record", "--target", "emulator", "--api", shape, "--endpoint", "sync"),
        *("--emulator-args", f"--profile instant --api {shape}", "--out", "saved"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (saved,) = (schemas.parent / "saved").glob("*.ndjson")
    error = schemas.parent / "error.json"
    error.write_text(json.dumps({"code": "tired", "text": "Come back tomorrow."}))
    for file, kind in ((saved, "once"), (error, "error")):
        done = soundstage(schemas, "lint", str(file), "--api", shape, "--format", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert (found["endpoint"], found["verdict"]) in ((kind, "conforms"), ("sync", "conforms"))
    done = soundstage(schemas, "record", "--target", "emulator", "--api", shape, "--out", "again")
    assert done.returncode == 2
    assert f"no endpoint of the name or kind stream in {shape}: say --endpoint once" in done.stderr
