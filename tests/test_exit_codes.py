"""Each exit code of docs/reference/exit-codes.md as a shell sees it: from a real process."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_rows import RUN

from soundstage.contract import load
from soundstage.generation import walk
from soundstage.results.bundle import BundleWriter

V6 = load("v6")
FACTS: dict[str, Any] = {**RUN, "kind": "load", "parameters": {"rate": 5}}
#: Nobody listens there: it is the discard port, and a test machine has no such service.
NOBODY = "http://127.0.0.1:9"


def soundstage(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "soundstage", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def stream(edit: Callable[[list[dict[str, Any]]], None] | None = None) -> bytes:
    rng = random.Random(1)
    chunks = walk.payloads(V6, walk.plan(V6, rng), walk.random_story(rng), rng)
    if edit is not None:
        edit(chunks)
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def broken(chunks: list[dict[str, Any]]) -> None:
    del chunks[1]["isComplete"]


def failed(chunks: list[dict[str, Any]]) -> None:
    chunks[2:] = [{**chunks[1], "chunkIndex": 2, "error": "no GPU"}]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A stream that conforms, one that violates, one in which the API says that it failed."""
    folder = tmp_path_factory.mktemp("streams")
    made = {"good": stream(), "bad": stream(broken), "undecided": stream(failed)}
    for name, body in made.items():
        (folder / f"{name}.sse").write_bytes(body)
    return {name: folder / f"{name}.sse" for name in made}


def run_of(folder: Path, times: float, songs: int, **facts: Any) -> Path:
    """A load run in which songs take `times` as long as they should."""
    rng = random.Random(songs)
    with BundleWriter.create(folder, {**FACTS, **facts}) as writer:
        for number in range(songs):
            ready = times * rng.lognormvariate(0, 0.2)
            writer.exchange(
                {
                    "id": f"e{number:06d}",
                    "scenario": "load",
                    "api": "v6",
                    "endpoint": "stream",
                    "intended_ns": number * 200_000_000,
                    "started_ns": number * 200_000_000,
                    "outcome": "ok",
                    "verdict": "conforms",
                    "milestones": {"streaming_ready": ready, "complete": 2 * ready},
                    "stages": {},
                    "codes": {},
                }
            )
        writer.finish(verdict="pass", exit_code=0, reason=None, rules=[])
    return folder


def test_0_is_a_pass(saved: dict[str, Path]) -> None:
    done = soundstage("lint", saved["good"])
    assert (done.returncode, done.stderr) == (0, "")


def test_1_is_a_broken_contract(saved: dict[str, Path]) -> None:
    assert soundstage("lint", saved["bad"]).returncode == 1


def test_1_outranks_what_cannot_be_told(saved: dict[str, Path]) -> None:
    assert soundstage("lint", saved["undecided"], saved["bad"], saved["good"]).returncode == 1


@pytest.mark.parametrize(
    "words", [["nothing"], ["lint", "--no-such-option"], ["lint", "no-such-file.sse"]]
)
def test_2_is_wrong_usage_in_one_line_without_a_traceback(words: list[str]) -> None:
    done = soundstage(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("soundstage")


def test_2_ends_at_once_whatever_else_was_found(saved: dict[str, Path], tmp_path: Path) -> None:
    assert soundstage("lint", saved["bad"], tmp_path / "absent.sse").returncode == 2


def test_3_is_too_slow(tmp_path: Path) -> None:
    base = run_of(tmp_path / "base", 1.0, 200)
    slow = run_of(tmp_path / "slow", 2.0, 200)
    done = soundstage("compare", base, slow)
    assert done.returncode == 3, done.stdout + done.stderr


def test_4_is_inconclusive_unless_that_is_allowed(saved: dict[str, Path]) -> None:
    assert soundstage("lint", saved["undecided"]).returncode == 4
    assert soundstage("lint", saved["undecided"], "--on-inconclusive", "warn").returncode == 0


def test_5_is_no_data(tmp_path: Path) -> None:
    done = soundstage("report", run_of(tmp_path / "empty", 1.0, 0))
    assert done.returncode == 5
    assert "no data" in done.stderr


def test_6_is_a_target_that_is_not_there(tmp_path: Path) -> None:
    done = soundstage("check", "--target", NOBODY, "--api", "v6", "--out", tmp_path / "run")
    assert done.returncode == 6
    assert "Traceback" not in done.stdout + done.stderr
    assert NOBODY in done.stdout + done.stderr


def test_6_are_runs_that_cannot_be_compared(tmp_path: Path) -> None:
    base = run_of(tmp_path / "base", 1.0, 10)
    other = run_of(tmp_path / "other", 1.0, 10, parameters={"rate": 50})
    assert soundstage("compare", base, other).returncode == 6


def test_70_is_our_bug_and_says_how_to_report_it(tmp_path: Path) -> None:
    # A bug put into the command before it is called: Python imports this module when it starts.
    (tmp_path / "sitecustomize.py").write_text(
        "import soundstage.commands.explain as explain\n"
        "def run(*given):\n    raise ZeroDivisionError('a bug')\n"
        "explain.run = run\n"
    )
    done = soundstage("explain", "index.gap", PYTHONPATH=str(tmp_path), SOUNDSTAGE_TRACEBACK="")
    assert done.returncode == 70
    assert "this is our bug, please report it: ZeroDivisionError: a bug" in done.stderr
    assert "Traceback" not in done.stderr


def test_130_is_an_interruption(tmp_path: Path) -> None:
    pipe = tmp_path / "slow.sse"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "soundstage", "lint", str(pipe)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    # Opening it waits until the command reads, so the signal meets it at work.
    with pipe.open("wb"):
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in said
