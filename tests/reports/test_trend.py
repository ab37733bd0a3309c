"""The trend over real bundles: where it moved, and a link to each run."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path
from types import ModuleType

import pytest

from soundstage import cli
from soundstage.reports.history.trend import Point, TrendSeries
from soundstage.reports.run.milestone_times import Quantile
from soundstage.results.run_history import RunEntry


@pytest.fixture
def root(tmp_path: Path, runs: ModuleType) -> Path:
    """Twelve runs of 40 songs; from the eighth on each song takes half as long again."""
    root = tmp_path / "runs"
    for number in range(12):
        rng = random.Random(number)
        slow = 1.5 if number >= 7 else 1.0
        rows = [runs.exchange(n + 1, rng, at=n * 0.1) for n in range(40)]
        for row in rows:
            row["milestones"] = {
                name: value and round(value * slow, 6) for name, value in row["milestones"].items()
            }
        made = f"2026-02-{number + 1:02d}T00:00:00.000Z"
        path = root / f"run-{number:02d}"
        runs.write(path, rows, kind="load", created=made, finish={"verdict": "pass"})
        (path / "report.html").write_text("a report")
    return root


def trend(root: Path, *arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("runs", ["trend", "--runs", str(root), *arguments], out, err)
    assert code == 0, err.getvalue()
    return out.getvalue()


def test_a_slow_down_shows_at_the_run_that_brought_it(root: Path) -> None:
    found = json.loads(trend(root, "--format", "json", "--milestone", "complete"))
    p50 = next(each for each in found if each["order"] == 0.5)
    assert len(p50["points"]) == 12
    assert [change["run"] for change in p50["changes"]] == ["run-07"]
    assert p50["changes"][0]["ratio"] == pytest.approx(1.5, rel=0.1)


def test_the_page_names_the_change_and_links_every_run(root: Path) -> None:
    said = trend(root, "--milestone", "complete")
    assert "slower since run-07" in said
    page = (root / "trend.html").read_text()
    assert "slower than before" in page
    for number in range(12):
        assert f'href="run-{number:02d}/report.html"' in page
    assert "<script" not in page
    assert "style=" not in page


def test_without_two_runs_the_page_says_so(root: Path) -> None:
    assert "trend:" in trend(root, "--limit", "1")
    assert "no two runs" in (root / "trend.html").read_text()


def series(*values: float) -> TrendSeries:
    points = (
        Point(
            RunEntry(Path(f"run-{n}"), f"run-{n}"), 40, Quantile(0.95, value, value, value, False)
        )
        for n, value in enumerate(values)
    )
    return TrendSeries("emulator", "v6", "stream", "complete", 0.95, tuple(points), (), "TTC")


@pytest.mark.parametrize(
    ("values", "since"),
    [
        ([1.0, 1.01, 0.99, 1.0, math.inf, math.inf], ", none since run-4."),
        ([math.inf, 1.01, math.inf, 1.0, 1.0, 1.0], "never got there."),
        ([math.inf, math.inf], ", none since run-0."),
    ],
)
def test_runs_that_never_got_there_are_no_unchanged_level(values: list[float], since: str) -> None:
    said = series(*values).sentence
    assert "no change of level among those that got there; 2 runs never got there" in said
    assert said.endswith(since)
