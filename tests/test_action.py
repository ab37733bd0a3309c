"""The action for GitHub: its check step, run as it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())


def check_step() -> dict[str, Any]:
    return next(step for step in ACTION["runs"]["steps"] if step.get("id") == "check")


def run_check(folder: Path, **inputs: str) -> tuple[int, dict[str, str], str]:
    """The exit code, the files that GitHub reads afterwards, and the step's log."""
    given = {name: one.get("default", "") for name, one in ACTION["inputs"].items()} | inputs
    environment = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: given[m[1]], text)
        for name, text in check_step()["env"].items()
    }
    files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", check_step()["run"]],
        cwd=folder,
        env={**os.environ, **environment, "PATH": path, **{n: str(p) for n, p in files.items()}},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = {name: file.read_text() if file.exists() else "" for name, file in files.items()}
    return done.returncode, said, done.stdout + done.stderr


@pytest.mark.parametrize(("fault", "code"), [("", 0), ("--fault index/gap", 1)])
def test_the_check_step_gates_and_tells_github_why(tmp_path: Path, fault: str, code: int) -> None:
    more = f"--explore 0 --emulator-args=--profile=instant {fault}"
    done, files, log = run_check(tmp_path, api="v6", arguments=more)
    assert done == code, log
    assert files["GITHUB_OUTPUT"] == f"exit-code={code}\n"
    assert ("❌" in files["GITHUB_STEP_SUMMARY"]) == bool(code)
    assert ("::error " in log) == bool(code)
    sarif = json.loads((tmp_path / "soundstage-run" / "soundstage.sarif").read_bytes())
    assert bool(sarif["runs"][0]["results"]) == bool(code)


def test_an_input_cannot_end_the_script_and_go_on(tmp_path: Path) -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
    done, _, log = run_check(tmp_path, target='"; touch owned; echo "', arguments="--explore 0")
    assert done == 2, log
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("language", ["yaml"])
def test_every_snippet_of_the_docs_parses(language: str) -> None:
    text = (ROOT / "docs" / "ci.md").read_text()
    snippets = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        assert yaml.safe_load(snippet)
