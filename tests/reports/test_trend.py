"""The trend over real bundles: where it moved, and a link to each run."""

from __future__ import annotations

import io
import json
import math
import random
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from listened_rows import playback, track

from run_bundles import bundle
from soundstage import cli
from soundstage.reports.history.trend_series import Point, TrendSeries
from soundstage.reports.run.milestone_times import Quantile
from soundstage.results.run_history import RunEntry


def songs(runs: ModuleType, root: Path, number: int, slow: float = 1.0) -> None:
    """A run of 40 songs on the day of its number; each takes `slow` times as long as usual."""
    rng = random.Random(number)
    rows = [runs.exchange(n + 1, rng, at=n * 0.1) for n in range(40)]
    for row in rows:
        row["milestones"] = {
            name: value and round(value * slow, 6) for name, value in row["milestones"].items()
        }
    created = f"2026-02-{number + 1:02d}T00:00:00.000Z"
    path = root / f"run-{number:02d}"
    runs.write(path, rows, kind="load", created=created, finish={"verdict": "pass"})
    (path / "report.html").write_text("a report")


@pytest.fixture
def root(tmp_path: Path, runs: ModuleType) -> Path:
    """Twelve runs; from the eighth on each song takes half as long again."""
    root = tmp_path / "runs"
    for number in range(12):
        songs(runs, root, number, slow=1.5 if number >= 7 else 1.0)
    return root


def trend(root: Path, *arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("runs", ["trend", "--runs", str(root), *arguments], out, err)
    assert code == 0, err.getvalue()
    return out.getvalue()


def series_of(root: Path, *arguments: str) -> list[dict[str, Any]]:
    """The series of the only workload."""
    (workload,) = json.loads(trend(root, "--format", "json", *arguments))["workloads"]
    found: list[dict[str, Any]] = workload["series"]
    return found


def test_a_slow_down_shows_at_the_run_that_brought_it(root: Path) -> None:
    found = series_of(root, "--milestone", "complete")
    p50 = next(each for each in found if each["order"] == 0.5)
    assert len(p50["points"]) == 12
    assert [change["run"] for change in p50["changes"]] == ["run-07"]
    assert p50["changes"][0]["ratio"] == pytest.approx(1.5, rel=0.1)


def test_what_a_run_is_known_by_comes_first(root: Path) -> None:
    found = [(each["milestone"], each["headline"]) for each in series_of(root)]
    assert found[:6:2] == [("streaming_ready", True), ("audio", True), ("complete", True)]
    assert not any(headline for _, headline in found[6:])
    assert len(found) > 10


def test_the_page_names_the_change_and_links_every_run(root: Path) -> None:
    said = trend(root)
    assert said.startswith("Slower: v6 stream TTSR p50 +")
    assert "slower since run-07" in said
    arms = [",".join(f"{root}/run-{n:02d}" for n in span) for span in (range(3, 7), range(7, 11))]
    command = f"soundstage compare {arms[0]} {arms[1]}"
    assert f"next: {command}\n" in said
    page = (root / "trend.html").read_text()
    assert "<h1>" in page
    assert "Slower: v6 stream TTSR p50 +" in page
    assert command in page
    for number in range(12):
        assert f'href="run-{number:02d}/report.html"' in page
    assert "v6 stream TTSR p50 · emulator, profile realistic, 100× faster than life, 5/s" in page
    assert "<script" not in page
    assert "style=" not in page


def test_what_else_changed_at_that_run_is_said(root: Path) -> None:
    for number in range(7, 12):
        change(root / f"run-{number:02d}", lambda run: run["versions"].update(soundstage="9.9"))
    said = trend(root)
    assert "this changed as well: soundstage 0.1.0, then 9.9." in (root / "trend.html").read_text()
    assert "--allow client\n" in said


@pytest.mark.parametrize("changed", [False, True])
def test_the_command_to_type_compares_the_runs_before_with_those_after(
    root: Path, changed: bool
) -> None:
    if changed:
        for number in range(7, 12):
            change(root / f"run-{number:02d}", lambda run: run["versions"].update(python="9"))
    (command,) = re.findall("^next: soundstage compare (.*)$", trend(root), re.MULTILINE)
    out, err = io.StringIO(), io.StringIO()
    assert cli.run("compare", shlex.split(command), out, err) == 3, out.getvalue()
    assert "lower" in out.getvalue().partition("\n")[0]


def test_runs_of_another_workload_have_a_series_of_their_own(root: Path) -> None:
    def faster(run: dict[str, Any]) -> None:
        run["target"]["speed"] = 10

    def elsewhere(run: dict[str, Any]) -> None:
        run["target"].update(kind="live", url="https://api.example.com/", profile=None, speed=None)

    for number, how in ((9, faster), (10, elsewhere), (11, elsewhere)):
        change(root / f"run-{number:02d}", how)
    found = json.loads(trend(root, "--format", "json"))["workloads"]
    assert [(each["target"], len(each["runs"])) for each in found] == [
        ("live, api.example.com", 2),
        ("emulator, profile realistic, 10× faster than life", 1),
        ("emulator, profile realistic, 100× faster than life", 9),
    ]


def test_workloads_that_are_called_alike_are_told_apart(root: Path) -> None:
    for number in range(6):
        change(root / f"run-{number:02d}", lambda run: run["parameters"].update(timeout_s=7))
    found = json.loads(trend(root, "--format", "json"))["workloads"]
    assert [each["load"] for each in found] == ["5/s, timeout_s none", "5/s, timeout_s 7"]


def test_runs_that_measure_nothing_are_left_out_and_said(root: Path) -> None:
    def saturated(run: dict[str, Any]) -> None:
        run["voids"] = [{"kind": "generator", "message": "the generator was late <b>"}]

    change(root / "run-03", saturated)
    change(root / "run-04", lambda run: run.update(status="interrupted"))
    (root / "run-05" / "run.json").write_text("{}")
    said = trend(root)
    assert "left out: run-03: generator: the generator was late" in said
    assert "left out: run-04: incomplete: the run did not come to its end" in said
    assert "left out: run-05: cannot be read" in said
    page = (root / "trend.html").read_text()
    assert "9 runs in 1 workload; 3 runs left out" in page
    assert "the generator was late &lt;b&gt;" in page
    assert len(series_of(root)[0]["points"]) == 9


@pytest.mark.parametrize(("limit", "missing"), [(1, 7), (2, 6), (7, 1)])
def test_too_few_runs_are_no_unchanged_level(root: Path, limit: int, missing: int) -> None:
    said = trend(root, "--limit", str(limit))
    assert said.startswith(f"Too few runs to tell: {missing} more needed\n")
    page = (root / "trend.html").read_text()
    assert '<header class="top neutral">' in page
    assert "no change" not in page.lower()


def test_four_runs_and_four_at_ten_times_the_time_are_told(
    tmp_path: Path, runs: ModuleType
) -> None:
    for number in range(8):
        songs(runs, tmp_path, number, slow=10.0 if number >= 4 else 1.0)
    said = trend(tmp_path)
    assert said.startswith("Slower: v6 stream TTSR p50 ×")
    assert "since run-04" in said


def test_an_unchanged_level_says_what_it_could_have_told(tmp_path: Path, runs: ModuleType) -> None:
    for number in range(12):
        songs(runs, tmp_path, number)
    said = trend(tmp_path)
    assert said.startswith("No change of level in 6 series\n")
    assert re.search(r"no change of level; newest 4 runs slower by about \d+% or more would", said)


def test_without_a_run_the_page_says_so(tmp_path: Path) -> None:
    bundle(tmp_path / "runs" / "check")  # of which there are no times to draw
    assert trend(tmp_path / "runs").startswith("No runs to draw\n")
    assert "No run could be drawn" in (tmp_path / "runs" / "trend.html").read_text()


def change(path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    """Change a run.json."""
    place = path / "run.json"
    run = json.loads(place.read_text())
    how(run)
    place.write_text(json.dumps(run))


def series(*values: float) -> TrendSeries:
    points = (
        Point(
            RunEntry(Path(f"run-{n}"), f"run-{n}"), 40, Quantile(0.95, value, value, value, False)
        )
        for n, value in enumerate(values)
    )
    return TrendSeries("v6", "stream", "complete", 0.95, tuple(points), (), "TTC")


@pytest.mark.parametrize(
    ("values", "since"),
    [
        ([*[1.0, 1.01, 0.99, 1.0] * 2, math.inf, math.inf], ", none since run-8."),
        ([math.inf, 1.01, math.inf, 1.0, 1.0, 1.0], "never got there."),
        ([math.inf, math.inf], ", none since run-0."),
    ],
)
def test_runs_that_never_got_there_are_no_unchanged_level(values: list[float], since: str) -> None:
    said = series(*values).sentence
    assert "2 runs never got there" in said
    assert since.rstrip(".") in said
    known = sum(map(math.isfinite, values))
    told = "no change of level among those that got there"
    assert (told if known >= 8 else f"too few runs to tell: {8 - known} more needed") in said


def test_a_line_says_with_which_run_continuity_fell(tmp_path: Path, runs: ModuleType) -> None:
    root = tmp_path / "runs"
    for number, gapped in enumerate((0, 1, 20)):
        songs(runs, root, number)
        rng = random.Random(number)
        rows = [runs.exchange(n + 1, rng, at=n * 0.1) for n in range(40)]
        for n, row in enumerate(rows):
            row["playback"] = playback(track(1, 2.0) if n < gapped else track(), track())
        path = root / f"heard-{number:02d}"
        created = f"2026-03-{number + 1:02d}T00:00:00.000Z"
        parameters = {"rate": 3.0, "probe_playback": 1.0}
        runs.write(
            path, rows, kind="load", created=created, finish={"verdict": "pass"},
            parameters=parameters,
        )  # fmt: skip
    told = trend(root)
    assert "stream without a gap: 3 runs; the last 50.0% of 40 songs without a gap" in told
    assert "; fell from 97.5% to 50.0% with heard-02." in told
    assert told.count("without a gap:") == 1, "where nobody listened nothing is said"
    workloads = json.loads(trend(root, "--format", "json"))["workloads"]
    (heard,) = (each["continuity"] for each in workloads if "continuity" in each)
    assert [point["continuity"] for point in heard[0]["points"]] == [1.0, 0.975, 0.5]
    trend(root, "--output", str(tmp_path / "trend.html"))
    assert "fell from 97.5% to 50.0%" in (tmp_path / "trend.html").read_text()
