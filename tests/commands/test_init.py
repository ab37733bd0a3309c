"""`soundstage init`: what it writes is valid, runs, and replaces nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_run import CommandRun, run_here
from saturation import ended, saturated

from soundstage.commands.new_files.file_schemas import file_schema
from soundstage.config import read_config
from soundstage.loadtests.schedule.scenario_file import find_scenario

WORKFLOW = ".github/workflows/soundstage.yml"
WRITTEN = {
    "soundstage.toml",
    "soundstage.schema.json",
    "scenario.toml",
    "scenario.schema.json",
    WORKFLOW,
}


def files_in(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if not each.is_dir()}


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Path, CommandRun]:
    (tmp_path / ".git").mkdir()
    return tmp_path, run_here("init", folder=tmp_path)


def test_it_says_what_it_wrote_and_what_to_type_next(begun):
    folder, run = begun
    assert run.returncode == 0
    assert files_in(folder) == WRITTEN
    for name in WRITTEN:
        assert f"wrote {name}: " in run.stdout
    assert "next: soundstage check\n" in run.stdout
    # Nobody else can install what was installed from a folder of this machine.
    assert "on no package index" in run.stderr
    assert "EDIT THIS" in (folder / WORKFLOW).read_text()


def test_its_settings_and_scenario_are_read_and_name_the_schema_beside_them(begun):
    folder, _ = begun
    assert read_config(folder / "soundstage.toml").target.url == "emulator"
    assert find_scenario(str(folder / "scenario.toml")).slos
    for name, schema in (("soundstage", "config"), ("scenario", "scenario")):
        first = (folder / f"{name}.toml").read_text().splitlines()[0]
        assert first == f"#:schema ./{name}.schema.json"
        assert (folder / f"{name}.schema.json").read_text() == file_schema(schema)


@pytest.mark.parametrize("name", ["soundstage.toml", "scenario.toml"])
def test_what_is_commented_out_is_valid_too(name, begun):
    folder, _ = begun
    place = folder / name
    text = re.sub(r"^(\s*)# (?=[a-z_]+ +=|\"|\[)", r"\1", place.read_text(), flags=re.MULTILINE)
    place.write_text(text)
    if name == "scenario.toml":
        found = find_scenario(str(place))
        assert len(found.slos) == 3
        assert found.parts[0].weight == 3
    else:
        config = read_config(place)
        assert config.target.budget == 4
        assert config.waivers
        assert config.severities


def steps(folder: Path) -> list[dict[str, Any]]:
    workflow = yaml.safe_load((folder / WORKFLOW).read_text())
    # YAML 1.1 takes the key `on` for true.
    assert set(workflow) == {"name", True, "permissions", "jobs"}
    found: list[dict[str, Any]] = workflow["jobs"]["soundstage"]["steps"]
    return found


def test_the_workflow_pins_actions_and_names_the_target(begun):
    folder, _ = begun
    for step in steps(folder):
        if "uses" in step:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
    runs = [step["run"] for step in steps(folder) if "soundstage check" in step.get("run", "")]
    assert runs == ["soundstage check --target emulator --out soundstage-check"]


@pytest.mark.proof
def test_what_the_workflow_runs_runs(begun):
    folder, _ = begun
    bin_ = folder.parent / "bin"
    bin_.mkdir()
    command = bin_ / "soundstage"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m soundstage "$@"\n')
    command.chmod(0o755)
    summary = folder.parent / "summary.md"
    environment = {
        **os.environ,
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    for step in steps(folder):
        if "run" in step and step["name"] != "Install Soundstage":
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=folder, env=environment, timeout=100, capture_output=True, text=True,
            )  # fmt: skip
            assert ended(done.returncode, folder / "soundstage-load"), done.stdout + done.stderr
    assert "Contract kept" in summary.read_text()
    for name in ("soundstage-check", "soundstage-load"):
        run = json.loads((folder / name / "run.json").read_text())
        assert run["verdict"] == "pass" or saturated(folder / name), run["reason"]


def test_what_is_there_is_left_alone_and_nothing_else_is_written(tmp_path):
    (tmp_path / "scenario.toml").write_text("mine\n")
    run = run_here("init", folder=tmp_path)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "scenario.toml: there already" in run.stderr
    assert "--force" in run.stderr
    assert files_in(tmp_path) == {"scenario.toml"}
    forced = run_here("init", "--force", folder=tmp_path)
    assert forced.returncode == 0
    assert find_scenario(str(tmp_path / "scenario.toml")).slos


def test_once_more_is_no_mistake(begun):
    folder, _ = begun
    run = run_here("init", folder=folder)
    assert (run.returncode, run.stderr) == (0, "")
    assert "all of it is there already" in run.stdout


def test_a_folder_that_is_not_there_is_made(tmp_path):
    run = run_here("init", "a/b c", folder=tmp_path)
    assert files_in(tmp_path / "a" / "b c") == WRITTEN
    assert "next: cd 'a/b c' && soundstage check" in run.stdout
    assert "no .git" in run.stderr


def test_a_link_leads_nothing_out_of_the_folder(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / ".github").symlink_to(outside)
    (folder / "scenario.toml").symlink_to(outside / "new")
    run = run_here("init", "--force", folder=folder)
    assert run.returncode == 2
    assert "a link leads out of" in run.stderr
    assert not files_in(outside)


@pytest.mark.parametrize(
    "source",
    ["soundstage", "git+https://h.example/x y@1", 'https://h.example/"', "http://h.example/x"],
)
def test_a_source_that_a_workflow_could_not_install_is_refused(source, tmp_path):
    run = run_here("init", "--source", source, folder=tmp_path)
    assert (run.returncode, files_in(tmp_path)) == (2, set())


def test_a_source_that_is_named_stands_in_the_workflow(tmp_path):
    source = "git+https://github.com/songs/soundstage@0123456789abcdef0123456789abcdef01234567"
    run = run_here("init", "--source", source, folder=tmp_path)
    assert "package index" not in run.stderr
    install = next(step for step in steps(tmp_path) if step.get("name") == "Install Soundstage")
    assert install["env"] == {"SOURCE": source}
