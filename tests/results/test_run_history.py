"""The history of runs: what the folders say, and the marks beside them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from run_bundles import bundle
from soundstage import cli
from soundstage.errors import NoDataError, TargetError, UsageError
from soundstage.output import outgoing
from soundstage.results import run_history
from soundstage.results.run_history import MARKS, Runs, resolve


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs: two that ended, and one that was killed."""
    root = tmp_path / "runs"
    root.mkdir()
    bundle(root / "2026-01-01-check-aaaa", day=1)
    bundle(root / "2026-01-02-load-bbbb", day=2, verdict="fail", kind="load")
    bundle(root / "2026-01-03-check-cccc", day=3, verdict=None)
    return root


def ids(root: Path) -> list[str]:
    return [entry.id[-4:] for entry in Runs(root).entries()]


def test_the_newest_run_comes_first(root: Path) -> None:
    assert ids(root) == ["cccc", "bbbb", "aaaa"]


def test_a_bundle_that_changes_is_read_again_and_one_that_goes_is_forgotten(root: Path) -> None:
    assert ids(root) == ["cccc", "bbbb", "aaaa"]
    shutil.rmtree(root / "2026-01-03-check-cccc")
    bundle(root / "2026-01-03-check-cccc", day=4)
    shutil.rmtree(root / "2026-01-01-check-aaaa")
    newest, _ = Runs(root).entries()
    assert (newest.verdict, newest.created) == ("pass", "2026-01-04T08:00:00.000+00:00")


@pytest.mark.parametrize("left", [b"", b"SQLite format 3\0" * 100])
def test_an_index_that_an_earlier_version_left_is_nothing_to_us(root: Path, left: bytes) -> None:
    (root / "index.sqlite").write_bytes(left)
    assert len(ids(root)) == 3
    assert (root / "index.sqlite").read_bytes() == left


def test_looking_at_runs_writes_nothing(root: Path) -> None:
    before = sorted(each.name for each in root.iterdir())
    Runs(root).find("latest")
    assert sorted(each.name for each in root.iterdir()) == before


def test_a_bundle_that_cannot_be_read_is_one_entry_with_its_fault(root: Path) -> None:
    broken = root / "2026-01-05-check-dddd"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    (root / "no-bundle").mkdir()
    last = Runs(root).entries()[-1]
    assert (last.id, last.kind) == (broken.name, None)
    assert "run.json:1:2" in str(last.fault)
    assert Runs(root).find("latest").id.endswith("cccc"), "what cannot be read is not the latest"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-01-02-load-bbbb", "bbbb"),
        ("2026-01-02", "bbbb"),
        ("latest", "cccc"),
        ("latest~2", "aaaa"),
        ("baseline", "aaaa"),
    ],
)
def test_a_run_is_found_by_id_beginning_age_and_pin(root: Path, text: str, found: str) -> None:
    Runs(root).pin("latest~2", "baseline")
    assert resolve(text, root).name.endswith(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026", "3 runs begin like this"),
        ("yesterday", "`soundstage runs` lists them"),
        ("latest~3", "only 3 runs"),
    ],
)
def test_a_name_that_means_no_single_run_is_refused_with_a_way_on(
    root: Path, text: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        resolve(text, root)


def test_a_folder_is_itself_whatever_runs_are_called(root: Path, tmp_path: Path) -> None:
    assert resolve(str(root / "2026-01-01-check-aaaa"), root).name.endswith("aaaa")
    assert resolve(str(tmp_path / "not-there"), root) == tmp_path / "not-there"
    with pytest.raises(NoDataError, match="no such folder"):
        Runs(tmp_path / "not-there")


def test_pins_and_tags_travel_with_the_folder(root: Path) -> None:
    Runs(root).pin("2026-01-01", "baseline")
    Runs(root).tag("2026-01-02", "candidate")
    cached = root.with_name("cached")
    shutil.copytree(root, cached)
    runs = Runs(cached)
    assert runs.find("baseline").id.endswith("aaaa")
    assert next(e.tags for e in runs.entries() if e.id.endswith("bbbb")) == ("candidate",)
    shutil.rmtree(cached / "2026-01-01-check-aaaa")
    with pytest.raises(UsageError, match="any more"):
        runs.find("baseline")


@pytest.mark.parametrize("name", ["", "a b", "../x", "<b>", "x" * 65, "latest"])
def test_a_pin_needs_a_name_that_is_one(root: Path, name: str) -> None:
    with pytest.raises(UsageError):
        Runs(root).pin("2026-01-01", name)
    assert not (root / MARKS).exists()


def test_marks_that_are_not_ours_are_refused_by_file(root: Path) -> None:
    (root / MARKS).write_text("[]")
    with pytest.raises(UsageError, match=MARKS):
        Runs(root).entries()


def test_processes_that_mark_at_once_lose_nothing(root: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from soundstage.results.run_history import Runs\n"
        "for number in range(20):\n"
        "    Runs(Path(sys.argv[1])).tag('2026-01-01', f'{sys.argv[2]}-{number}')\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(root), name]) for name in "abc"
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    (tags,) = json.loads((root / MARKS).read_text())["tags"].values()
    assert len(tags) == len(set(tags)) == 60


def test_a_lock_goes_with_the_process_that_was_killed_while_it_held_it(root: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from soundstage.results.run_history import Runs\n"
        "with Runs(Path(sys.argv[1]))._marking():\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        child.kill()
    assert Runs(root).tag("latest", "candidate").id.endswith("cccc")


def test_a_lock_that_is_held_for_long_is_one_line(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_history, "_BUSY_SECONDS", 0.0)
    with Runs(root)._marking(), pytest.raises(TargetError, match="held by another process"):
        Runs(root).tag("latest", "candidate")


def test_a_pinned_run_cannot_be_removed(root: Path) -> None:
    runs = Runs(root)
    entry = runs.pin("2026-01-01", "baseline")
    with pytest.raises(UsageError, match="pinned"):
        runs.remove(entry)
    assert entry.path.exists()
    runs.unpin("baseline")
    runs.remove(entry)
    assert not entry.path.exists()
    assert len(ids(root)) == 2


def test_an_entry_holds_no_secret_that_a_bundle_or_its_fault_repeats(root: Path) -> None:
    key = "sk-live-0123456789abcdef"
    outgoing.hide([key])
    first, second, *_ = sorted(each.name for each in root.iterdir() if each.is_dir())
    for name, said in ((first, {"kind": key}), (second, {})):
        place = root / name / "run.json"
        run = json.loads(place.read_text())
        run["target"].update(said)
        place.write_text(json.dumps({**run, "reason": f"Incorrect API key {key}"}))
    told = " ".join(str(entry) for entry in Runs(root).entries())
    assert "[redacted]" in told
    assert key not in told


def test_no_half_of_a_secret_is_left_where_a_fault_is_cut_off(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-live-0123456789abcdef"
    outgoing.hide([key])
    monkeypatch.chdir(root.parent)
    folder = Path("runs") / ("x" * 36 + key)
    folder.mkdir()
    (folder / "run.json").write_text("{")
    out = io.StringIO()
    assert cli.run("runs", ["list"], out, io.StringIO()) == 0
    assert "sk-live-0" not in out.getvalue()
