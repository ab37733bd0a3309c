"""A generator that cannot keep up, a clock that is set: the run says so, and blames no API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import split

import pytest

from soundstage.results.bundle import Bundle

from .conftest import start

_BUSY = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
for _ in range(15):
    if os.fork() == 0:
        break
while True:
    pass
"""
_STEPPED = """
import sys, time
import locust, gevent
from locust.env import Environment
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.run_end import conclude
from soundstage.loadtests.run.run_setup import open_run
from soundstage.loadtests.schedule.scenario import Part, Scenario

url, out = sys.argv[1:]
options = LoadOptions(url, Scenario(parts=(Part("v6"),)), out=out)
run = open_run(Environment(user_classes=[], host=url), options)
run.begin(0.05)
real = time.time_ns

def step():
    gevent.sleep(0.3)
    time.time_ns = lambda: real() + 50_000_000  # somebody sets the clock ...
    gevent.sleep(1.5)
    time.time_ns = real  # ... and sets it right again, before the run ends

gevent.spawn(step)
run.drive(arrivals.constant(10.0, 2.5))
run.drain(10)
sys.exit(conclude(run))
"""


@contextmanager
def _starved(pid: int) -> Iterator[None]:
    """Fifteen others want the only core that `pid` may use. (Being nice is no way to be starved:
    there are kernels that give more to the nicest.)
    """
    cores = os.sched_getaffinity(0)
    core = {min(cores)}
    # Of the same session, since the kernel shares a core fairly between sessions.
    busy = subprocess.Popen([sys.executable, "-c", _BUSY, str(*core)], process_group=0)
    _confine(pid, core)
    try:
        yield
    finally:
        os.killpg(busy.pid, signal.SIGKILL)
        busy.wait()
        _confine(pid, cores)


def _confine(pid: int, cores: set[int]) -> None:
    for thread in map(int, os.listdir(f"/proc/{pid}/task")):
        os.sched_setaffinity(thread, cores)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux' affinity of cores")
@pytest.mark.proof
def test_a_generator_starved_of_cpu_makes_the_run_invalid_and_does_not_blame_the_api(
    emulator: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    options = [*split("--rate 100 --duration 4s --api v6 --slo v6.complete.p50<1ms")]
    options += ["--target", emulator, "--out", str(folder)]
    process = start("-m", "soundstage", "load", *options, cwd=tmp_path)
    try:
        while not (folder / "transcripts").is_dir():
            assert process.poll() is None
            time.sleep(0.02)
        with _starved(process.pid):
            time.sleep(3.0)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 6, err
    assert "the load generator was saturated" in out
    bundle = Bundle.open(folder)
    run = bundle.run
    assert run["verdict"] == "invalid"
    assert [void["kind"] for void in run["voids"]] == ["generator"]
    assert run["reason"] == run["voids"][0]["message"]
    (objective,) = run["slos"]
    assert objective["verdict"] == "inconclusive", "missed by far, but who knows by whose fault"
    assert "saturated" in objective["reason"]
    rows = list(bundle.exchanges())
    assert {row["outcome"] for row in rows} == {"ok"}, "and every exchange came to its end"
    assert not any(row["codes"].keys() & {"stream.truncated"} for row in rows)
    samples = list(bundle.health())
    assert max(each["lag_max_s"] for each in samples) > 0.1, "seen as it happened"


def test_a_clock_that_was_set_marks_the_run_even_if_it_was_set_right_again(
    emulator: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = start("-c", _STEPPED, emulator, str(folder), cwd=tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 6, err
    run = Bundle.open(folder).run
    assert run["clock"]["stepped"] is True
    assert "clock" in [void["kind"] for void in run["voids"]]
    assert run["verdict"] == "invalid"
