"""How a run may end before its time: killed, interrupted, out of disk. Its bundle stays legible."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundstage.exchange.spawn import spawned_emulator
from soundstage.results.bundle import Bundle

from .conftest import drains, seen, start, start_load, until


def _report(folder: Path) -> str:
    process = start("-m", "soundstage", "report", str(folder), cwd=folder.parent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 120 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    words = [mount or "mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(place)]
    if mount is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here; test_bundle.py limits the size of files")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.proof
def test_a_run_that_is_killed_leaves_a_bundle_that_report_reads_and_calls_incomplete(
    emulator: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = start_load(folder, emulator, "--rate 40 --duration 60s")
    until(process, lambda: len(seen(folder)) > 20)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    bundle = Bundle.open(folder)
    assert not bundle.complete
    assert bundle.run["status"] == "running"
    assert {row["outcome"] for row in bundle.exchanges()} == {"ok"}
    assert list(bundle.health()), "how the generator did is on disk, too"
    said = _report(folder)
    assert "incomplete" in said
    assert (folder / "report.html").is_file()


@pytest.mark.proof
def test_a_full_disk_stops_the_run_with_one_line_and_keeps_what_is_there(
    emulator: str, small_disk: Path, tmp_path: Path
) -> None:
    folder = small_disk / "run"
    process = start_load(folder, emulator, "--rate 100 --duration 60s --api v6")
    out, err = process.communicate(timeout=90)
    assert process.returncode == 6
    assert "No space left on device" in err
    assert sum("cannot write" in line for line in err.splitlines()) == 1, err
    assert "Traceback" not in err
    assert out.startswith("INCOMPLETE  No verdict: 0 of ")
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    bundle = Bundle.open(kept)
    assert len(list(bundle.exchanges())) > 20
    assert bundle.torn == 0, "a piece that did not fit leaves no part of it"
    assert bundle.run["reason"] == "nothing more could be written: No space left on device"
    said = _report(kept)
    assert "incomplete" in said.lower()
    assert "No space left on device" in said


def test_ctrl_c_ends_early_with_a_full_report(emulator: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start_load(folder, emulator, "--rate 20 --duration 60s")
    until(process, lambda: seen(folder))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in out
    assert {"report.html", "junit.xml", "summary.md", "rules.ndjson", "observed.json"} <= set(
        os.listdir(folder)
    )
    bundle = Bundle.open(folder)
    assert (bundle.run["status"], bundle.run["exit_code"]) == ("interrupted", 130)
    assert bundle.run["totals"]["arrivals_started"] == len(list(bundle.exchanges()))


@pytest.mark.proof
def test_a_second_ctrl_c_ends_it_at_once_and_keeps_what_was_in_flight(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    # Songs take a minute, and a single one would leave them ten: nothing ends by itself.
    options = "--rate 10 --duration 60s --drain 600s --api v6"
    with spawned_emulator(["--speed", "1", "--seed", "5"]) as url:
        process = start_load(folder, url, options, run__load_run__INTERRUPT_DRAIN_S=600.0)
        until(process, lambda: (folder / "health.ndjson").is_file())
        process.send_signal(signal.SIGINT)
        until(process, lambda: drains(folder))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    rows = list(Bundle.open(folder).exchanges())
    assert rows
    assert {row["outcome"] for row in rows} == {"censored"}
    assert all(row["ended"] > 0 for row in rows)
