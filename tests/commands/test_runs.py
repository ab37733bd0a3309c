"""`soundstage runs` as a user types it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from run_bundles import bundle
from soundstage import cli
from soundstage.errors import UsageError
from soundstage.reports.formats.all_formats import FILES
from soundstage.results import layout
from soundstage.results.run_history import Runs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    root.mkdir()
    contracts = {"v6": {"title": "Six", "sha256": "0" * 64}}
    for day in range(1, 7):
        kind = "load" if day % 2 else "check"
        bundle(root / f"{kind}-{day}", day=day, kind=kind, contracts=contracts)
    bundle(root / "killed", day=7, verdict=None)
    return root


def runs(root: Path, *arguments: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("runs", [*arguments, "--runs", str(root)], out, err)
    return code, out.getvalue() + err.getvalue()


def listed(root: Path, *arguments: str) -> list[str]:
    code, said = runs(root, "list", "--format", "json", *arguments)
    assert code == 0, said
    return [row["id"] for row in json.loads(said)]


def test_runs_are_listed_newest_first_with_what_came_of_them(root: Path) -> None:
    code, said = runs(root)
    assert code == 0
    lines = said.splitlines()
    assert lines[1].split()[:2] == ["killed", "incomplete"]
    assert lines[2].split() == ["check-6", "pass", "emulator", "v6"]
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--kind", "load"], ["load-5", "load-3", "load-1"]),
        (["--verdict", "none"], ["killed"]),
        (["--api", "v6", "--limit", "1"], ["check-6"]),
        (["--since", "2026-01-06"], ["killed", "check-6"]),
        (["--target-kind", "live"], []),
        (["--tag", "candidate"], ["load-3"]),
    ],
)
def test_filters_leave_what_was_asked_for(root: Path, filters: list[str], found: list[str]) -> None:
    runs(root, "tag", "load-3", "candidate")
    assert listed(root, *filters) == found


def test_a_pin_shows_and_can_be_taken_away(root: Path) -> None:
    assert runs(root, "pin", "check-2", "--as", "baseline") == (0, "baseline: check-2\n")
    assert json.loads(runs(root, "show", "baseline")[1])["pins"] == ["baseline"]
    assert runs(root, "unpin", "baseline") == (0, "baseline was check-2\n")
    assert runs(root, "unpin", "baseline")[0] == 2


def test_pruning_spares_the_newest_the_pinned_and_what_may_still_run(root: Path) -> None:
    runs(root, "pin", "check-2", "--as", "baseline")
    code, said = runs(root, "prune", "--keep", "3", "--dry-run")
    assert code == 0
    assert len(listed(root)) == 7, said
    code, said = runs(root, "prune", "--keep", "3")
    assert code == 0
    assert listed(root) == ["killed", "check-6", "load-5", "check-2"]
    code, said = runs(root, "prune", "--older-than", "1d", "--incomplete")
    assert listed(root) == ["check-2"]


@pytest.mark.parametrize(
    ("name", "files", "why"),
    [
        # A folder of another program, which keeps a run.json, too.
        ("exp-7", {"run.json": "{}", "weights.bin": "dear"}, "weights.bin lies in it"),
        ("exp-8", {"run.json": '{"format": 1}'}, "nothing in it says that it is one"),
        ("exp-9", {"run.json": "", "exchanges.ndjson.gz": "", "notes.txt": "x"}, "notes.txt lies"),
        ("2026-11-28T08-57-15-check-1f47", {"run.json": "", ".git": ""}, ".git lies in it"),
    ],
)
def test_prune_deletes_no_folder_that_may_be_somebody_elses(
    root: Path, name: str, files: dict[str, str], why: str
) -> None:
    (root / name).mkdir()
    for file, text in files.items():
        (root / name / file).write_text(text)
    code, said = runs(root, "prune", "--keep", "0", "--incomplete")
    assert code == 0
    assert f"left alone: {root / name}: may be no run of Soundstage: " in said
    assert why in said
    assert sorted(each.name for each in (root / name).iterdir()) == sorted(files)
    assert sorted(each.name for each in root.iterdir() if each.is_dir()) == [name]
    entry = next(each for each in Runs(root).entries() if each.id == name)
    with pytest.raises(UsageError, match="may be no run of Soundstage"):
        Runs(root).remove(entry)


@pytest.mark.parametrize("text", ["", '{"format": 1, "kind"', "[]", "\x00"])
def test_prune_deletes_a_damaged_run_of_ours_where_that_is_asked_for(root: Path, text: str) -> None:
    for name in ("2026-11-28T08-57-15-check-1f47", "mine"):
        (root / name).mkdir()
        (root / name / "run.json").write_text(text)
        (root / name / "transcripts").mkdir()
        (root / name / ".soundstage-0123456789abcdef.tmp").write_text("half")
    (root / "mine" / "exchanges.ndjson.gz").write_text("")
    (root / "mine" / "compare-base.html").write_text("")
    code, said = runs(root, "prune", "--keep", "0", "--incomplete")
    assert (code, "left alone" in said) == (0, False)
    assert not [each for each in root.iterdir() if each.is_dir()]


def test_what_may_lie_in_a_bundle_is_what_reports_write_there() -> None:
    assert set(layout.REPORTS) == set(FILES)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "nothing"], 2, "no run or pin"),
        (["tag", "check-2", "two words"], 2, "is no name"),
        (["untag", "check-2", "x"], 2, "not tagged"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(
    root: Path, arguments: list[str], code: int, said: str
) -> None:
    done, text = runs(root, *arguments)
    assert done == code
    assert said in text
    assert text.count("\n") == 1


def test_without_a_folder_there_is_no_data(tmp_path: Path) -> None:
    code, said = runs(tmp_path / "none")
    assert (code, said.count("\n")) == (5, 1)


@pytest.mark.parametrize(
    "when", ["999999w", "0001-01-01T00:00:00+14:00", "yesterday", "2026-02-31"]
)
def test_a_moment_that_is_none_is_one_line(
    root: Path, when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        runs(root, "list", "--since", when)
    assert stopped.value.code == 2
    assert when in capsys.readouterr().err
