"""`soundstage lint` of a run bundle, its transcripts, and folders of saved answers."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from tests.support.saved_files import GOOD, broken

from soundstage import cli


def lint(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("lint", [str(each) for each in words], out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two checks: of an emulator that breaks the order, and of one that keeps the contract."""
    folder = tmp_path_factory.mktemp("runs")
    common = ["--target", "emulator", "--api", "v6", "--explore", "0"]
    for name, fault in (("red", ["--fault", "order/streaming/skipped"]), ("green", [])):
        words = [*common, *fault, "--out", str(folder / name)]
        cli.run("check", words, io.StringIO(), io.StringIO())
    return folder / "red", folder / "green"


def test_the_transcripts_of_a_bundle_are_judged_again(bundles: tuple[Path, Path]) -> None:
    red, _ = bundles
    for named in (red, red / "transcripts"):
        code, out, err = lint(named)
        assert (code, err) == (1, "")
        first, *rest = out.splitlines()
        assert first.startswith(f"{red}: 1 transcript; of ")
        assert first.endswith(" more exchanges it keeps no bytes, but rows")
        assert "[stage.missing]" in out
        assert rest[-1].startswith(f"{red}/transcripts/e0")
        assert "violates: v6 stream" in rest[-1]


def test_as_json_there_is_a_line_a_transcript(bundles: tuple[Path, Path]) -> None:
    code, out, err = lint(bundles[0], "--format", "json")
    assert code == 1
    assert [json.loads(line)["verdict"] for line in out.splitlines()] == ["violates"]
    assert "1 transcript" in err


def test_a_bundle_that_kept_nothing_says_so_and_others_are_judged(
    bundles: tuple[Path, Path],
) -> None:
    red, green = bundles
    code, out, err = lint(green)
    assert (code, out) == (5, "")
    assert "keeps no transcripts to judge" in err
    assert f"soundstage show {green}" in err
    code, out, err = lint(green, red)
    assert "violates: v6 stream" in out
    assert "keeps no transcripts" in err
    assert code == 1


def test_a_run_is_named_as_elsewhere(
    bundles: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    os.symlink(bundles[0], tmp_path / "runs" / "linked")
    monkeypatch.chdir(tmp_path)
    assert lint("runs/linked")[0] == 1
    assert lint("latest")[0] == 2, "there is no file, and no run"


def test_another_contract_than_that_of_the_run_is_said(
    bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(bundles[0], copy)
    run = json.loads((copy / "run.json").read_text())
    run["contracts"]["v6"]["sha256"] = "0" * 64
    (copy / "run.json").write_text(json.dumps(run))
    out = lint(copy)[1]
    assert "the v6 contract here is another than that of the run" in out


def test_a_folder_of_saved_answers_is_judged_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "a.sse").write_bytes(GOOD)
    (folder / "b.sse").write_bytes(broken())
    (folder / ".hidden").write_bytes(b"no answer")
    (folder / "inner").mkdir()
    code, out, err = lint("--api", "v6", folder)
    assert (code, err) == (1, "")
    assert f"{folder}/a.sse: conforms" in out
    assert f"{folder}/b.sse: violates" in out
    outside = tmp_path / "outside.sse"
    outside.write_bytes(GOOD)
    os.symlink(outside, folder / "c.sse")
    code, out, err = lint("--api", "v6", folder)
    assert "c.sse: a link that leads out" in err
    assert code == 2
    assert "b.sse: violates" in out


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    code, _, err = lint(tmp_path)
    assert code == 5
    assert "a folder without files" in err
