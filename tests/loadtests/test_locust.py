"""Locust as its users know it: the locustfile, the users, the statistics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from shlex import split

import pytest
from saturation import ended

from soundstage import cli, loadtests
from soundstage.results.bundle import Bundle

from .conftest import seen, start, until

_ROOM = Path(__file__).parents[2] / "loadtests"

_STATISTICS = """
import csv, io, json, sys
import locust
from locust.env import Environment
from soundstage.loadtests.run import users
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.run_end import conclude
from soundstage.loadtests.run.run_setup import open_run
from soundstage.loadtests.schedule.scenario import Part, Scenario

class Arrivals(users.ArrivalsUser):
    pass

url, out = sys.argv[1:]
environment = Environment(user_classes=[Arrivals], host=url)
run = open_run(environment, LoadOptions(url, Scenario(parts=(Part("v6"),)), out=out))
users.attach(environment, run, lambda: arrivals.constant(20.0, 1.0))
runner = environment.create_local_runner()
run.begin(0.05)
runner.start(1, 1)
run.stopping.wait()
run.drain(30)
conclude(run)
users.detach(environment)
runner.quit()
stats = {
    f"{entry.method} {entry.name}": {
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "times": {str(key): count for key, count in entry.response_times.items()},
    }
    for entry in environment.stats.entries.values()
}
total = environment.stats.total
counted = [total.response_times, total.num_reqs_per_sec]
table = io.StringIO()
locust.stats.StatsCSV(environment, [0.5]).requests_csv(csv.writer(table))
*_, last = csv.DictReader(table.getvalue().splitlines())
print(json.dumps({
    "stats": stats,
    "long": locust.stats.bucket_response_time(61_234.4),
    "total": [total.num_requests, *(sum(each.values()) for each in counted)],
    "downloaded": (last["Name"], last["Request Count"]),
}))
"""


def test_no_module_beside_the_locustfile_is_named_like_a_standard_one() -> None:
    names = {path.stem for path in _ROOM.glob("*.py")} - {"__init__"}
    assert not names & sys.stdlib_module_names


def test_milestones_are_rows_in_locusts_statistics_to_the_millisecond(
    emulator: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = start("-c", _STATISTICS, emulator, str(folder), cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    said = json.loads(out)
    assert said["long"] == 61_234, "Locust rounds what takes over 10 s to seconds"
    stats = said["stats"]
    rows = list(Bundle.open(folder).exchanges())
    assert len(rows) == 20
    assert stats["POST v6 stream"]["requests"] == 20
    assert stats["POST v6 stream"]["failures"] == 0
    due = sorted(
        row["milestones"]["streaming_ready"] * 1e3 + (row["started_ns"] - row["intended_ns"]) / 1e6
        for row in rows
    )
    times = stats["SSE v6 streaming_ready"]["times"]
    kept = sorted(float(each) for each, count in times.items() for _ in range(count))
    # Rows keep microseconds, so what lies in the middle may be rounded either way.
    assert kept == pytest.approx(due, rel=0, abs=0.502)
    for name in ("accepted", "first_chunk", "validated", "audio", "complete"):
        assert stats[f"SSE v6 {name}"]["requests"] == 20
    assert said["total"] == [20, 20, 20], "milestones are no requests"
    assert said["downloaded"] == ["Aggregated", "20"]


def _start(tmp_path: Path, url: str, *options: str) -> subprocess.Popen[str]:
    words = ["-m", "locust", "-f", str(_ROOM / "locustfile.py"), "--host", url, "--headless"]
    return start(*words, "--only-summary", *options, cwd=tmp_path)


def _ended(process: subprocess.Popen[str], tmp_path: Path) -> tuple[int, str, list[Path]]:
    """Exit code, all that it said, and the bundles that it left."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err, _bundles(tmp_path)


def _summed_up(said: str) -> list[int]:
    """How many requests there were by both tables that Locust prints at the end."""
    lines = [line.split() for line in said.splitlines() if " Aggregated " in line]
    counts, percentiles = lines
    return [int(counts[counts.index("Aggregated") + 1]), int(percentiles[-1])]


def _bundles(tmp_path: Path) -> list[Path]:
    runs = tmp_path / "runs"
    return sorted(runs.iterdir()) if runs.exists() else []


def test_the_locustfile_runs_headless_and_leaves_a_bundle(emulator: str, tmp_path: Path) -> None:
    process = _start(tmp_path, emulator, *split("-u 3 -r 3 -t 60s"))
    until(process, lambda: any(len(seen(folder)) > 2 for folder in _bundles(tmp_path)))
    process.send_signal(signal.SIGINT)
    code, said, bundles = _ended(process, tmp_path)
    assert len(bundles) == 1, said
    assert ended(code, bundles[0]), said
    assert bundles[0].name in said
    bundle = Bundle.open(bundles[0])
    assert bundle.complete
    assert bundle.run["verdict"] == ("pass" if code == 0 else "invalid")
    rows = list(bundle.exchanges())
    assert {row["outcome"] for row in rows} == {"ok"}
    assert (bundles[0] / "report.html").is_file()
    assert _summed_up(said) == [len(rows)] * 2, "requests, and their percentiles"


@pytest.mark.proof
def test_a_run_time_is_not_shortened_by_what_was_loaded_before(
    emulator: str, tmp_path: Path
) -> None:
    process = _start(tmp_path, emulator, *split("-u 1 -t 2s --soundstage-rate 10"))
    _, said, bundles = _ended(process, tmp_path)
    assert len(bundles) == 1, said
    assert max(row["intended_ns"] for row in Bundle.open(bundles[0]).exchanges()) > 1e9


@pytest.mark.proof
def test_locusts_own_processes_share_a_schedule_and_leave_one_bundle(
    emulator: str, tmp_path: Path
) -> None:
    # Time runs from when the first worker is there; on a busy machine the other takes a while.
    options = split("-u 1 -t 8s --processes 2 --soundstage-rate 20 --soundstage-api v6")
    process = _start(tmp_path, emulator, *options, "--soundstage-budget", "1000")
    code, said, bundles = _ended(process, tmp_path)
    assert "Traceback" not in said
    assert "Bad response code" not in said
    assert len(bundles) == 1, "the master's"
    bundle = Bundle.open(bundles[0])
    rows = list(bundle.exchanges())
    assert {row["outcome"] for row in rows} == {"ok"}
    assert len({row["intended_ns"] for row in rows}) == len(rows) > 2
    assert [each["state"] for each in bundle.run["workers"]] == ["finished"] * 2
    assert {each["name"] for each in bundle.run["workers"]} == {row["id"][:2] for row in rows}
    assert bundle.run["budget"] == {"limit": 1000, "spent": len(rows)}
    assert code == bundle.run["exit_code"], said
    assert _summed_up(said) == [len(rows)] * 2, "workers tell of milestones apart, too"


def test_the_locustfile_says_in_a_line_why_it_cannot_start(tmp_path: Path) -> None:
    process = _start(tmp_path, "http://127.0.0.1:9", *split("-u 1 -t 60s"))
    code, said, bundles = _ended(process, tmp_path)
    assert code == 6
    assert "cannot start: http://127.0.0.1:9 does not answer" in said
    assert "Traceback" not in said
    assert not bundles


_TWICE = """
import sys
import gevent
import locust
from locust import argument_parser
from locust.env import Environment
from soundstage.loadtests.locustfile import Songs

options = argument_parser.get_parser().parse_args(["--host", "http://127.0.0.1:9"])
environment = Environment(
    user_classes=[Songs], events=locust.events, host=options.host, parsed_options=options
)
runner = environment.create_local_runner()
environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
for _ in range(2):
    runner.start(1, 1)
    with gevent.Timeout(10):
        while runner.state != "stopped" or not runner.spawning_greenlet.ready():
            gevent.sleep(0.01)
    print(runner.user_count)
"""


@pytest.mark.proof
def test_no_test_goes_on_that_could_not_begin_neither_the_first_nor_the_next(
    tmp_path: Path,
) -> None:
    process = start("-c", _TWICE, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.split() == ["0", "0"]
    assert err.count("cannot start: http://127.0.0.1:9 does not answer") == 2, err


def test_a_folder_without_contracts_is_refused_before_locust_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(_ROOM / "locustfile.py"), "--headless"],
        cwd=tmp_path,
        env={**os.environ, "SOUNDSTAGE_SCHEMAS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("locust: --schemas (or SOUNDSTAGE_")
    assert "Traceback" not in done.stderr


def test_the_options_are_listed_and_the_locustfile_is_where_soundstage_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["load", "--locustfile"]) == 0
    found = capsys.readouterr().out.strip()
    # Where the package lies: here beside its other parts, and among them where it is installed.
    assert Path(found) == Path(str(loadtests.__file__)).with_name("locustfile.py")
    process = start("-m", "locust", "-f", found, "--soundstage-help", cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "--headless" in out, "Locust's own come first"
    ours = out.partition("\nSoundstage:\n")[2].partition("\nExamples:")[0]
    for name in ("rate", "slo", "budget", "key-file", "metrics-port", "web-allow-host", "help"):
        assert f"\n  --soundstage-{name}" in ours, out
