"""What is seen of a run while it runs: on a terminal, in a pipe, and where nobody reads."""

from __future__ import annotations

import fcntl
import io
import math
import os
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from pathlib import Path
from shlex import split
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from saturation import ended

from soundstage.loadtests.generator.lateness import Lateness
from soundstage.loadtests.live import view
from soundstage.loadtests.live.board import Board
from soundstage.results import slo
from soundstage.results.bundle import Bundle
from soundstage.results.milestone_names import MilestoneNames
from soundstage.results.objective_tally import ObjectiveTally

from .conftest import _ENVIRONMENT, start

_ROWS, _COLUMNS = 40, 110
_IN_A_PIPE = """
import sys
import locust
from soundstage.output import progress_lines
progress_lines._PERIODS = ((0.0, 0.4),)
from soundstage.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _board(**changes: Any) -> Board:
    """Of a run with 53 exchanges, of which 50 got to where the song can be heard."""
    (quantile, count) = slo.resolve(
        ["v6.streaming_ready.p95<30s", "violations==0"], {("v6", "stream"): ["streaming_ready"]}
    )
    tallies = [
        ObjectiveTally(quantile, n=1000, good=500),
        ObjectiveTally(count, n=53, events=2),
    ]
    facts: dict[str, Any] = {"invalid": None, "draining": False, "due": 5.0, **changes}
    late, lags = Lateness([0.002] * 100), Lateness([0.004] * 100)
    stopping = threading.Event()
    if facts["draining"]:
        stopping.set()
    recording = SimpleNamespace(
        done=53,
        outcomes=Counter(ok=50, timeout=3),
        violating=2,
        codes=Counter({"field.missing": 2}),
        scorecard=SimpleNamespace(tallies=tallies),
        watchers=[],
    )
    run: Any = SimpleNamespace(
        recording=recording,
        stopping=stopping,
        elapsed_s=12.0,
        in_flight=7,
        due=lambda elapsed_s: facts["due"],
        spent=lambda: 53,
        workers=lambda: None,
        why_invalid=lambda: facts["invalid"],
        cpu_share=lambda: 0.31,
        session=SimpleNamespace(budget=SimpleNamespace(limit=100)),
        loaded=lambda: SimpleNamespace(started=57, late=late, lags=lags, steal=0.0),
    )
    names = MilestoneNames(("streaming_ready", "complete"), (), (("streaming_ready", "TTSR"),))
    board = Board(run, 60.0, {("v6", "stream"): names})
    board.measured["v6", "stream"] = 53
    board.stages["v6", facts.get("stage", "validated")] = 53
    board.times["v6", "stream", "streaming_ready"] = Lateness([0.25] * 40 + [31.5] * 10)
    return board


def _drawn(board: Board) -> str:
    console = Console(file=io.StringIO(), width=_COLUMNS, force_terminal=False)
    console.print(view.picture(board))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_picture_shows_load_milestones_findings_objectives_and_the_generator() -> None:
    said = _drawn(_board())
    assert "12 of 60 s" in said
    assert "started 0.0/s (asked for 5/s), ended 0.0/s" in said
    assert "7 in flight" in said
    assert "budget 53 of 100" in said
    assert "timeout 3" in said
    assert re.search(r"v6 stream TTSR +50 of 53 +\d+ ms +never +–", said)
    assert "v6 chunks  validated 53" in said
    assert "field.missing 2" in said
    assert "SLO v6.streaming_ready.p95<30s  fail  50% do well, 95% must" in said
    assert "SLO violations==0  fail  2 of n = 53" in said
    assert "CPU 31% of a core, loop lag p99 4 ms" in said
    assert "invalid" not in said


def test_an_invalid_generator_is_said_at_once_and_a_drain_too() -> None:
    board = _board(invalid="the load generator was saturated", draining=True, due=None)
    said = _drawn(board)
    assert "invalid: the load generator was saturated" in " ".join(said.split())
    assert "12 s, draining" in said
    assert "asked for" not in said
    assert "invalid: the load generator was saturated" in view.line(board)


def test_what_a_pipe_reads_is_one_line() -> None:
    assert view.line(_board()) == (
        "12 of 60 s · 7 in flight · 53 done · 3 failed · 2 violating · TTSR p50 0.25 s"
    )


def test_strings_of_others_cannot_drive_the_terminal() -> None:
    said = _drawn(_board(stage="\x1b]0;mine\x07[bold]x\r"))
    assert not set("\x1b\x07\r") & set(said)
    assert "[bold]x" in said, "nor are they read as markup"


def test_quantiles_so_far_count_what_never_came_as_never() -> None:
    board, place = _board(), ("v6", "stream", "complete")
    board.times[place] = Lateness([1.0, 2.0, 3.0])
    for n, median in ((3, 2.0), (6, 3.0), (7, math.inf)):
        board.measured["v6", "stream"] = n
        assert board.quantile(place, 0.5) == pytest.approx(median, rel=0.006)


def _on_terminal(words: list[str], cwd: Path, *, read: bool) -> tuple[int, str, str]:
    """Run `soundstage load` with a terminal as standard error: exit code, output, what it showed.

    Without `read` the terminal takes nothing, as after Ctrl-S, until the process is gone.
    """
    ours, theirs = os.openpty()
    try:
        size = struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        if not read:
            termios.tcflow(theirs, termios.TCOOFF)
        process = subprocess.Popen(
            [sys.executable, "-m", "soundstage", "load", *words],
            cwd=cwd,
            env={**_ENVIRONMENT, "TERM": "xterm-256color"},
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        deadline = time.monotonic() + 60
        while process.poll() is None:
            assert time.monotonic() < deadline, "it waits for its terminal"
            if read and select.select([ours], [], [], 0.1)[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
            elif not read:
                time.sleep(0.05)
        out, _ = process.communicate(timeout=30)
        return process.returncode, out.decode(), shown.decode(errors="replace")
    finally:
        os.close(ours)


def test_on_a_terminal_the_run_is_drawn_while_it_runs_and_wiped_at_its_end(
    emulator: str, tmp_path: Path
) -> None:
    words = ["--target", emulator, *split("--rate 20 --duration 2s --slo violations==0")]
    code, out, shown = _on_terminal([*words, "--out", str(tmp_path / "run")], tmp_path, read=True)
    assert ended(code, tmp_path / "run"), shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "v6 stream TTSR" in plain
    assert "v6 stream TTC" in plain
    assert "in flight" in plain
    assert "SLO violations==0" in plain
    assert "loop lag p99" in plain
    assert plain.count("generator") >= 3, "again and again"
    assert "\x1b[2K" in shown
    assert "violations==0" in out, "the report goes to standard output"


@pytest.mark.proof
def test_a_terminal_that_takes_nothing_does_not_hold_up_the_load(
    emulator: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    words = ["--target", emulator, *split("--rate 20 --duration 2500ms"), "--out", str(folder)]
    code, _, _ = _on_terminal(words, tmp_path, read=False)
    assert ended(code, folder)
    run = Bundle.open(folder).run
    assert run["status"] == "complete"
    assert run["totals"]["arrivals_started"] > 25


def test_in_a_pipe_a_plain_line_comes_now_and_then(emulator: str, tmp_path: Path) -> None:
    words = ["load", "--target", emulator, *split("--rate 20 --duration 1500ms --seed 3")]
    process = start("-c", _IN_A_PIPE, *words, "--out", str(tmp_path / "run"), cwd=tmp_path)
    _, err = process.communicate(timeout=60)
    assert ended(process.returncode, tmp_path / "run"), err
    lines = err.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("soundstage load: ") for line in lines)
    assert any("TTSR p50" in line for line in lines)
    assert "\x1b" not in err
