"""What a command has started ends with it, whatever ended it; and how signals end a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from processes import running

from soundstage.contract import load_all
from soundstage.exchange.spawn import spawned_emulator

PROGRAM = [sys.executable, "-P", "-m", "soundstage"]
API = list(load_all())[-1]
#: Far more than it takes; a busy machine is given time.
_PATIENCE_S = 30.0


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_emulator_ends_when_its_standard_input_does() -> None:
    with subprocess.Popen(
        [*PROGRAM, "emulate", "--until-eof", "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"listening on ")
        child.stdin.write(b"what is said does not matter\n")
        child.stdin.flush()
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(_PATIENCE_S) == 0
        assert child.stderr is not None
        assert child.stderr.read() == b""


def test_a_replay_ends_when_its_standard_input_does(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with spawned_emulator(["--profile", "instant"]) as url:
        words = ["record", "--target", url, "--api", API, "--out", str(saved)]
        subprocess.run([*PROGRAM, *words], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(
        [*PROGRAM, "emulate", "--until-eof", "--port", "0", "--replay", str(saved)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_PATIENCE_S,
        check=False,
    )
    # It may hear of the end before it serves, and is stopped as any command is.
    assert done.returncode in (0, 143)


def test_the_emulator_of_a_command_that_is_killed_ends_with_it(tmp_path: Path) -> None:
    words = ["record", "--target", "emulator", "--emulator-args", "--speed 1", "--api", API]
    with subprocess.Popen([*PROGRAM, *words, "--out", str(tmp_path / "saved")]) as child:
        until(lambda: children(child.pid))
        (emulator,) = children(child.pid)
        child.send_signal(signal.SIGSTOP)
        assert running(emulator), "its starter is only stopped"
        child.kill()
    until(lambda: not running(emulator))


_SLOW = """
import sys, time
import soundstage.commands.explain as explain
def run(*given):
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("told", flush=True)
        time.sleep(60)
explain.run = run
"""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_command_at_once(tmp_path: Path, second: signal.Signals) -> None:
    (tmp_path / "sitecustomize.py").write_text(_SLOW)
    with subprocess.Popen(
        [*PROGRAM, "explain"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == b"told\n"
        child.send_signal(signal.SIGHUP)
        time.sleep(0.3)  # what comes sooner is taken for an echo of the first
        assert child.poll() is None, "a terminal that closes does not mean: at once"
        child.send_signal(second)
        _, said = child.communicate(timeout=_PATIENCE_S)
    assert child.returncode == 130
    assert said == b""


_LOST = """
import soundstage.commands.explain as explain, threading
def run(*given):
    def fail():
        raise {error}
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    return 0
explain.run = run
"""


@pytest.mark.parametrize(
    ("error", "code"),
    [("KeyError('a bug')", 70), ("MemoryError", 6), ("OSError(28, 'No space left')", 6)],
)
def test_what_ends_a_thread_is_not_lost(tmp_path: Path, error: str, code: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(_LOST.format(error=error))
    done = subprocess.run(
        [*PROGRAM, "explain"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "SOUNDSTAGE_TRACEBACK": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr


_BROKEN = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "soundstage.generation.broken_requests":
            raise {error}
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    ("error", "code"),
    [("ImportError('no such library')", 70), ("MemoryError", 6), ("ZeroDivisionError", 70)],
)
@pytest.mark.proof
def test_checks_that_cannot_run_are_no_broken_contract_and_no_interruption(
    tmp_path: Path, error: str, code: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_BROKEN.format(error=error))
    with spawned_emulator(["--profile", "instant"]) as url:
        words = ["check", "--target", url, "--api", API, "--out", str(tmp_path / "run")]
        done = subprocess.run(
            [*PROGRAM, *words],
            env={**os.environ, "PYTHONPATH": str(tmp_path), "SOUNDSTAGE_TRACEBACK": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "PASS" not in done.stdout


_TOLD = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), {signum})
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("module", ["pytest", "soundstage.pytest_plugin"])
@pytest.mark.proof
def test_a_check_that_is_told_to_stop_while_it_loads_bills_nothing_and_leaves_a_report(
    tmp_path: Path, module: str
) -> None:
    told = _TOLD.format(module=module, signum=int(signal.SIGTERM))
    (tmp_path / "sitecustomize.py").write_text(told)
    with spawned_emulator(["--speed", "1"]) as url:
        words = ["check", "--target", url, "--api", API, "--out", str(tmp_path / "run")]
        done = subprocess.run(
            [*PROGRAM, *words],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        assert httpx.get(f"{url}/_emulator/health").json()["charges"] == 0
    assert done.returncode == 143, done.stderr
    assert f"terminated; what was judged is in {tmp_path / 'run'}" in done.stderr
    assert json.loads((tmp_path / "run/run.json").read_bytes())["status"] == "interrupted"
    assert (tmp_path / "run/report.html").is_file()


@pytest.mark.parametrize("whole", [True, False], ids=["runs to its end", "is cut"])
@pytest.mark.proof
def test_a_load_that_holds_a_lifeline_runs_and_ends_with_it(tmp_path: Path, whole: bool) -> None:
    """Locust patches the whole process while it is imported, and must not stumble over the thread
    that watches the lifeline.
    """
    with spawned_emulator(["--speed", "50"]) as url:
        words = [
            "load",
            "--target",
            url,
            "--api",
            API,
            "--rate",
            "4",
            "--out",
            str(tmp_path / "run"),
        ]
        words += ["--duration", "1s" if whole else "600s", "--until-eof"]
        with subprocess.Popen(
            [*PROGRAM, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            assert child.stdin is not None
            if whole:
                assert child.wait(_PATIENCE_S) in (0, 6), child.stderr
            else:
                until(lambda: (tmp_path / "run/run.json").exists())
                child.stdin.close()
                assert child.wait(_PATIENCE_S) == 143
    assert (tmp_path / "run/report.html").is_file()
