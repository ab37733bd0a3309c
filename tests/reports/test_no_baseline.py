"""A first run has nothing to be compared with: what is said, and what it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_run import run_here

from run_bundles import bundle

PASS = ("--no-baseline", "pass")


@pytest.fixture
def first(tmp_path: Path) -> Path:
    bundle(tmp_path / "runs" / "one", kind="load")
    return tmp_path


@pytest.mark.parametrize("base", ["baseline", "latest~1", "runs/nightly", "kept/nightly"])
def test_without_a_base_it_is_said_how_one_comes_to_be(base, first):
    run = run_here("compare", base, "latest", folder=first)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert run.stderr.startswith(f"soundstage compare: {base}: ")
    assert "--no-baseline pass" in run.stderr
    if base == "baseline":
        assert "`soundstage runs pin latest --as baseline`" in run.stderr


@pytest.mark.parametrize("base", ["baseline", "latest~1", "runs/nightly"])
def test_it_passes_with_a_warning_where_the_caller_asks_for_that(base, first):
    run = run_here("compare", base, "latest", *PASS, folder=first)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("NO BASELINE  No baseline yet, nothing compared: passed, as ")
    assert {each.name for each in (first / "runs" / "one").iterdir()} >= {"run.json"}
    assert not list(first.rglob("compare-*"))


def test_the_same_for_programs_and_for_a_job_summary(first):
    run = run_here("compare", "baseline", "latest", *PASS, "--format", "json", folder=first)
    document = json.loads(run.stdout)
    assert (run.returncode, document["verdict"], document["exit_code"]) == (0, "no_baseline", 0)
    assert "warning: baseline" in run.stderr
    options = [*PASS, "--format", "markdown", "--out", "summary.md"]
    run = run_here("compare", "baseline", "latest", *options, folder=first)
    assert run.returncode == 0
    assert run.stdout.startswith("NO BASELINE")
    assert (first / "summary.md").read_text().startswith("## ⚠️ No baseline yet")


def test_a_slip_of_the_pen_is_no_first_run(first):
    run_here("runs", "pin", "one", "--as", "baseline", folder=first)
    run = run_here("compare", "basline", "latest", *PASS, folder=first)
    assert run.returncode == 2
    assert "did you mean baseline?" in run.stderr


def test_a_pin_whose_run_is_gone_is_no_first_run(first):
    bundle(first / "runs" / "two", day=2, kind="load")
    run_here("runs", "pin", "one", "--as", "baseline", folder=first)
    (first / "runs" / "one" / "run.json").unlink()
    run = run_here("compare", "baseline", "latest", *PASS, folder=first)
    assert run.returncode == 2
    assert "not in runs any more" in run.stderr


@pytest.mark.parametrize("candidate", ["nope", "latest~3", "runs/nope"])
def test_a_candidate_that_is_not_there_is_a_mistake(candidate, first):
    assert run_here("compare", "baseline", candidate, *PASS, folder=first).returncode == 2


def test_without_a_folder_of_runs_there_is_no_candidate_either(tmp_path):
    run = run_here("compare", "baseline", "latest", *PASS, folder=tmp_path)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)


def test_with_a_base_the_option_changes_nothing(first):
    bundle(first / "runs" / "two", day=2, kind="load")
    own = run_here("compare", "latest~1", "latest", folder=first)
    assert run_here("compare", "latest~1", "latest", *PASS, folder=first) == own
