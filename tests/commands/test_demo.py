"""`soundstage demo`, the first command of the README, from its beginning to its end."""

from __future__ import annotations

import io
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_run import run_here

from soundstage.cli import main
from soundstage.commands import demo
from soundstage.contract import load
from soundstage.generation.faults import catalogue

DEMO = [sys.executable, "-P", "-m", "soundstage", "demo"]


@pytest.mark.proof
def test_everything_is_shown_once_and_passes(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--speed", "1000", "--seconds", "1"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    # A machine that is busy with other things makes the load void, and says so.
    assert done.returncode in (0, 6), done.stdout + done.stderr
    begun, checked, loaded, end = done.stdout.split("\n== ")
    assert begun == ""
    assert checked.splitlines()[1].startswith("$ soundstage check --target emulator ")
    assert "PASS  Contract kept" in checked
    assert loaded.splitlines()[1].startswith("$ soundstage load --target emulator ")
    lines = end.splitlines()
    assert lines[0] == "what came of it"
    assert lines[1].startswith("check  PASS  Contract kept")
    assert lines[2].startswith("load   ")
    pages = [tmp_path / line.split()[-1] for line in lines[3:5]]
    assert [page.parent.name.rpartition("-")[0][20:] for page in pages] == ["check", "load"]
    assert all(page.is_file() for page in pages)
    assert lines[5].startswith("next   soundstage ")
    assert [each.name for each in tmp_path.iterdir()] == ["runs"], "nothing else is left"


def test_the_commands_that_are_shown_are_those_that_are_run() -> None:
    args = demo.parse_args(["--rate", "2.5", "--seed", "3", "--seconds", "9", "--speed", "20"])
    (_, check), (_, load) = demo._commands(args)
    assert shlex.join(check) == "check --target emulator --seed 3 --explore 0"
    assert shlex.join(load) == (
        "load --target emulator '--emulator-args=--speed 20 --seed 3' --rate 2.5 --duration 9s "
        "--seed 3"
    )


def test_what_is_to_be_tried_next_can_be_tried(tmp_path: Path) -> None:
    (broken, _), (live, _) = demo._next()
    assert broken[-1] in catalogue.by_name(load("v6"))
    done = run_here(*live, folder=tmp_path)
    assert (done.returncode, "4 of them billable" in done.stdout) == (0, True), done


def test_where_nothing_came_to_an_end_that_is_said(tmp_path: Path) -> None:
    said = io.StringIO()
    demo._sum_up([tmp_path / "none"], said)
    head, stopped, *_ = said.getvalue().splitlines()[1:]
    assert head == "== what came of it"
    assert stopped.strip() == "it was stopped before anything was judged"


def test_where_the_first_command_cannot_begin_no_other_is_tried(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", "--runs", str(tmp_path / "file")]) == 2
    out, err = capfd.readouterr()
    assert "cannot hold a run bundle: Not a directory" in err
    assert "soundstage load" not in out + err
    assert out.splitlines()[-2:] == [
        "== what came of it",
        "       check did not begin (exit code 2: see above); nothing more was tried",
    ]


def test_a_load_of_no_seconds_is_refused_before_anything_is_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        demo.parse_args(["--seconds", "0"])
    out, err = capsys.readouterr()
    assert out == ""
    assert "--seconds: 0 is too few: at least 1" in err


@pytest.mark.proof
def test_who_stops_it_is_told_what_there_is(tmp_path: Path) -> None:
    """Stopped once the load has begun: the check has its verdict and its page by then."""
    process = subprocess.Popen(
        [*DEMO, "--seconds", "60"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("soundstage load: ") and "in flight" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130, out + err
    end = out.split("== what came of it\n")[1].splitlines()
    assert end[0].startswith("check  PASS  Contract kept")
    assert end[1].startswith("load   INCOMPLETE  ")
    assert all((tmp_path / line.split()[-1]).is_file() for line in end[2:4])
    assert err.splitlines()[-1] == "soundstage demo: interrupted"
