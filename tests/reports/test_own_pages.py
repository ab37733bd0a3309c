"""What is no page of ours is never replaced, and pages that lie beside runs are in nobody's way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_run import run_here

from run_bundles import bundle

PAGES = ("index", "trend")


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    bundle(tmp_path / "runs" / "one", kind="load")
    bundle(tmp_path / "runs" / "two", day=2)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_somebody_else_is_left_as_it_is(page, work):
    place = work / "runs" / f"{page}.html"
    place.write_text("<h1>mine</h1>")
    run = run_here("runs", page, folder=work)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert f"runs/{page}.html: is there, and no page of Soundstage" in run.stderr
    assert "--output" in run.stderr
    assert place.read_text() == "<h1>mine</h1>"
    assert run_here("runs", page, "--output", "all.html", folder=work).returncode == 0


@pytest.mark.parametrize("page", PAGES)
def test_a_link_that_lies_there_is_no_page_of_ours(page, work):
    (work / "target").write_text("mine")
    (work / "runs" / f"{page}.html").symlink_to(work / "target")
    assert run_here("runs", page, folder=work).returncode == 2
    assert (work / "target").read_text() == "mine"


@pytest.mark.parametrize("page", PAGES)
def test_our_own_page_is_renewed(page, work):
    for _ in range(2):
        run = run_here("runs", page, folder=work)
        assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("more", [[], ["--output", "page.html"]])
def test_a_folder_without_runs_gets_no_page(page, more, tmp_path):
    (tmp_path / "dogs" / "rex").mkdir(parents=True)
    (tmp_path / "dogs" / "index.html").write_text("of dogs")
    run = run_here("runs", page, "--runs", "dogs", *more, folder=tmp_path)
    assert (run.returncode, run.stderr.count("\n")) == (5, 1)
    assert "dogs: no run lies in it; nothing was written" in run.stderr
    assert names(tmp_path) == {"dogs"}
    assert names(tmp_path / "dogs") == {"rex", "index.html"}


def test_all_that_a_shell_names_in_the_folder_of_runs_is_reported(work):
    for page in PAGES:
        run_here("runs", page, folder=work)
    run_here("runs", "pin", "one", "--as", "baseline", folder=work)
    given = [f"runs/{name}" for name in sorted(os.listdir(work / "runs"))]
    assert len(given) == 5
    run = run_here("report", *given, "--format", "markdown", folder=work)
    assert run.stdout.count("\n## ") + run.stdout.startswith("## ") >= 2
    assert "runs/index.html: a page, no bundle: passed over" in run.stderr
    assert "runs/marks.json: a file, no bundle: passed over" in run.stderr


def test_a_page_alone_is_refused(work):
    run_here("runs", "index", folder=work)
    run = run_here("report", "runs/index.html", folder=work)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "not a run bundle" in run.stderr


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("root:x:0:0:root:/root:/bin/bash\n", "text that begins with 'root:x:0:0"),
        ("", "an empty file"),
        ('{"name": "x", "version": 2}', "JSON with"),
        ("<!doctype html><p>x", "a page of HTML"),
    ],
)
def test_a_file_that_holds_no_answer_is_not_shown_as_one(text, like, tmp_path):
    (tmp_path / "file").write_text(text)
    for more in ([], ["--format", "json"]):
        run = run_here("show", "file", *more, folder=tmp_path)
        assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
        assert "soundstage show: file: looks like no answer of v5 or v6" in run.stderr
        assert like in run.stderr


def test_a_stream_of_another_api_is_still_shown(tmp_path):
    (tmp_path / "file").write_text('data: {"a": 1}\n\n')
    run = run_here("show", "file", folder=tmp_path)
    assert run.returncode == 0
    assert "no contract fits it" in run.stdout
