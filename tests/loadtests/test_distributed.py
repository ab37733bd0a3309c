"""One load run on several processes: real ones, one of which is killed, or comes late."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path
from shlex import split
from typing import Any

import pytest

from soundstage.exchange.spawn import spawned_emulator
from soundstage.loadtests.cluster.shares import owner
from soundstage.loadtests.schedule.arrivals import steady
from soundstage.loadtests.schedule.scenario import Scenario
from soundstage.results.bundle import Bundle

from .conftest import drains, load, seen, start, start_load, until

_LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "locustfile.py"
#: So long anything may take on a busy machine.
_PATIENCE_S = 60.0


def _asked(rate: float, seconds: float, seed: int) -> list[int]:
    """When the arrivals of such a run are due, in ns since its beginning."""
    scenario = Scenario(phases=tuple(steady(rate, seconds)), seed=seed)
    return [int(moment * 1e9) for moment in scenario.schedule()]


def _of(rows: list[dict[str, Any]]) -> Counter[str]:
    """How many rows each worker shipped."""
    return Counter(row["id"].partition("e")[0] for row in rows)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(each) for each in text.split()]


@pytest.mark.proof
def test_several_processes_send_what_one_would_and_leave_one_bundle(
    emulator: str, tmp_path: Path
) -> None:
    options = "--rate 30 --duration 2s --seed 8 --processes 2 --slo complete.p50<20s --budget 500"
    ran = load(tmp_path, "--target", emulator, *split(options))
    run, rows = ran.bundle.run, ran.rows
    assert sorted(row["intended_ns"] for row in rows) == (asked := _asked(30, 2, 8))
    assert len({row["id"] for row in rows}) == len({row["message_id"] for row in rows}) == len(rows)
    assert {each["name"]: each["exchanges"] for each in run["workers"]} == _of(rows)
    assert {each["state"] for each in run["workers"]} == {"finished"}
    assert min(_of(rows).values()) >= len(rows) // 2
    assert run["totals"]["arrivals_asked"] == run["totals"]["arrivals_started"] == len(asked)
    assert run["totals"]["unaccounted"] == 0
    assert run["budget"] == {"limit": 500, "spent": len(rows)}
    # What follows from rows, and from what was looked at, is there as if one process had sent it.
    rules = {rule["rule"]: rule for rule in ran.bundle.rules()}
    rule = rules["v6/stream/streaming_ready/field/stream_url/required"]
    assert (rule["outcome"], rule["exchanges"]) == ("passed", sum(r["api"] == "v6" for r in rows))
    assert {each["api"]: each["n"] for each in run["slos"]} == Counter(r["api"] for r in rows)
    assert json.loads((ran.folder / "observed.json").read_bytes())["apis"].keys() == {"v5", "v6"}
    health = list(ran.bundle.health())
    assert {sample["worker"] for sample in health} == {"w0", "w1"}
    for each in run["workers"]:
        assert each["clock_error_ms"] >= 0
        assert abs(each["clock_offset_ms"]) <= each["clock_error_ms"], "they share a clock"
    assert not _alive(each["pid"] for each in run["workers"])
    if run["verdict"] != "invalid":  # nobody promises that this machine has time
        assert ran.code == 0, ran.err
        assert run["verdict"] == "pass"


def _alive(pids: Any) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_killed_worker_is_named_and_costs_what_it_had_not_shipped(
    emulator: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    options = "--rate 50 --duration 5s --api v6 --seed 3 --processes 3 --format json"
    process = start_load(folder, emulator, options)
    until(process, lambda: len(_of(seen(folder))) == 3)
    killed = _children(process.pid)[1]
    os.kill(killed, signal.SIGKILL)
    out, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 6, err
    run = json.loads(out)
    rows = list(Bundle.open(folder).exchanges())
    lost = [each for each in run["workers"] if each["state"] == "lost"]
    assert [each["pid"] for each in lost] == [killed]
    [lost_one] = lost
    assert lost_one["exchanges"] == _of(rows)[lost_one["name"]] > 0, "what it had shipped is kept"
    # What is not there is accounted for, to the last arrival.
    asked = _asked(50, 5, 3)
    assert len(rows) + lost_one["unaccounted"] == len(asked)
    assert {row["intended_ns"] for row in rows} <= set(asked)
    assert run["totals"]["arrivals_asked"] == len(asked)
    assert run["totals"]["unaccounted"] == lost_one["unaccounted"] > 0
    # Nobody takes over its share, and what is missing is of it alone.
    missing = set(asked) - {row["intended_ns"] for row in rows}
    place = sorted(each["name"] for each in run["workers"]).index(lost_one["name"])
    assert {owner(asked.index(due), 3) for due in missing} == {place}
    assert run["verdict"] == "invalid"
    [void] = [each for each in run["voids"] if each["kind"] == "incomplete"]
    assert f"worker {lost_one['name']} (" in void["message"]
    assert f"process {killed}) was lost" in void["message"]
    assert "killed by signal 9" in void["message"]
    assert f"{lost_one['unaccounted']} of its {lost_one['asked']} requests" in void["message"]


@pytest.mark.proof
def test_a_budget_holds_across_workers_and_so_does_the_contract(tmp_path: Path) -> None:
    fault = "field/streaming_ready/stream_url/missing"
    with spawned_emulator(["--speed", "200", "--fault", fault]) as url:
        options = "--rate 60 --duration 20s --api v6 --processes 3 --budget 20"
        ran = load(tmp_path, "--target", url, *split(options))
        with urllib.request.urlopen(f"{url}/_emulator/state") as answer:
            state = json.load(answer)
    assert ran.code == 1, ran.err
    run = ran.bundle.run
    assert run["budget"] == {"limit": 20, "spent": 20}
    tries = len(list(tmp_path.glob("run*")))
    assert state["number"] == 20 * tries, "the emulator counted them, too"
    assert sum(each["spent"] for each in run["workers"]) == 20
    assert run["voids"][0]["kind"] == "budget"
    assert "the budget of 20" in ran.err
    rules = {rule["rule"]: rule for rule in ran.bundle.rules()}
    assert rules["v6/stream/streaming_ready/field/stream_url/required"]["outcome"] == "failed"
    assert {row["transcript"] for row in ran.rows} == set(ran.bundle.transcripts())
    assert len(list(ran.bundle.violations())) >= 20


@pytest.mark.proof
def test_the_users_of_a_closed_loop_are_spread_over_the_workers(
    emulator: str, tmp_path: Path
) -> None:
    options = "--users 4 --duration 2s --api v6 --endpoint sync --processes 2"
    ran = load(tmp_path, "--target", emulator, *split(options))
    rows = ran.rows
    assert {row["outcome"] for row in rows} == {"ok"}
    assert _of(rows).keys() == {"w0", "w1"}
    assert len({row["id"] for row in rows}) == len(rows) > 8
    assert all(row["intended_ns"] >= 0 for row in rows)
    assert ran.bundle.run["totals"]["arrivals_asked"] == len(rows)


@pytest.mark.proof
def test_ctrl_c_drains_all_workers_and_once_more_ends_them_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    # Songs take a minute, and a single one would leave them ten: nothing ends by itself.
    options = "--rate 20 --duration 60s --drain 600s --api v6 --processes 2"
    with spawned_emulator(["--speed", "1"]) as url:
        process = start_load(folder, url, options, run__load_run__INTERRUPT_DRAIN_S=600.0)
        until(process, lambda: (folder / "health.ndjson").is_file())
        process.send_signal(signal.SIGINT)
        until(process, lambda: drains(folder))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 130, err
    run, rows = Bundle.open(folder).run, list(Bundle.open(folder).exchanges())
    assert run["status"] == "interrupted"
    assert {row["outcome"] for row in rows} == {"censored"}
    assert len(rows) == run["totals"]["arrivals_asked"] > 0
    assert {each["state"] for each in run["workers"]} == {"finished"}
    assert (folder / "report.html").is_file()


@pytest.mark.proof
def test_workers_do_not_outlive_a_killed_master(emulator: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start_load(folder, emulator, "--rate 5 --duration 60s --processes 2")
    until(process, lambda: len(_of(seen(folder))) == 2)
    workers = _children(process.pid)
    assert len(workers) == 2
    process.kill()
    process.communicate(timeout=_PATIENCE_S)
    deadline = time.monotonic() + _PATIENCE_S
    while _alive(workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    bundle = Bundle.open(folder)
    assert not bundle.complete
    assert bundle.run["status"] == "running"


@pytest.mark.proof
def test_workers_send_nothing_more_to_a_master_that_is_silent_and_lose_no_row(
    emulator: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    options = "--rate 20 --duration 600s --api v6 --processes 2"
    process = start_load(folder, emulator, options, cluster__worker__PATIENCE_S=2.5)
    until(process, lambda: len(_of(seen(folder))) == 2)
    workers = _children(process.pid)
    process.send_signal(signal.SIGSTOP)  # it is there, and its connections are
    until(process, lambda: not any(map(_works, workers)))
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 6
    assert "the master does not take rows" in err
    run = Bundle.open(folder).run
    assert {each["state"] for each in run["workers"]} == {"finished"}
    assert run["totals"]["arrivals_asked"] == len(seen(folder))


def _works(pid: int) -> bool:
    """Whether a process is there and has not ended, be it that nobody has been told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.proof
def test_locusts_master_and_workers_leave_one_bundle_whoever_comes_late_or_is_killed(
    emulator: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def locust(*options: str) -> subprocess.Popen[str]:
        words = ["-m", "locust", "-f", str(_LOCUSTFILE), "--only-summary", *options]
        process = start(*words, cwd=tmp_path)
        request.addfinalizer(process.communicate)
        request.addfinalizer(process.kill)
        return process

    port = str(_free_port())
    asked = split("--soundstage-rate 30 --soundstage-api v6 --soundstage-drain 5")
    place = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    master = locust(*place, *split("--master --headless -u 1 --expect-workers 2"), *asked,
                    "--host", emulator)  # fmt: skip
    joining = split(f"--worker --master-host 127.0.0.1 --master-port {port}")
    workers = [locust(*joining) for _ in range(2)]
    runs = tmp_path / "runs"
    [folder] = until(master, lambda: list(runs.iterdir()) if runs.exists() else [])
    until(master, lambda: _of(seen(folder)).keys() == {"w0", "w1"})
    late = locust(*joining)
    workers[0].kill()
    assert master.stderr is not None
    heard = ""
    while "came after the run began: not used" not in heard:
        heard += (line := master.stderr.readline())
        assert line, heard
    late.send_signal(signal.SIGINT)
    late.wait(_PATIENCE_S)
    before = len(seen(folder))
    until(master, lambda: len(seen(folder)) > before)
    master.send_signal(signal.SIGINT)
    _, err = master.communicate(timeout=_PATIENCE_S)
    others = [each.communicate(timeout=_PATIENCE_S)[1] for each in (workers[1], late)]
    said = [heard + err, *others]
    assert not [text for text in said if "Traceback" in text]
    assert master.returncode == 6, err
    assert list(runs.iterdir()) == [folder], "only the master writes"
    run, rows = Bundle.open(folder).run, list(Bundle.open(folder).exchanges())
    by_pid = {each["pid"]: each for each in run["workers"]}
    assert by_pid[workers[0].pid]["state"] == "lost"
    assert by_pid[workers[1].pid]["state"] == "finished"
    assert late.pid not in by_pid
    # Each arrival of the schedule has one row, or is accounted for as the killed one's.
    intended = [row["intended_ns"] for row in rows]
    schedule = [due for due in _asked(30, 600, 0) if due <= max(intended)]
    assert len(set(intended)) == len(intended)
    assert set(intended) <= set(schedule)
    assert 0 <= len(schedule) - len(rows) <= run["totals"]["unaccounted"]
    assert any(f"process {workers[0].pid}) was lost" in void["message"] for void in run["voids"])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
