"""`soundstage load` as its users meet it: processes, real sockets, bundles."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from shlex import split

import pytest

from soundstage.loadtests import cli
from soundstage.loadtests.schedule.arrivals import steady
from soundstage.loadtests.schedule.scenario import Scenario
from soundstage.reports.run import findings
from soundstage.results.intake import take_in

from .conftest import Ran, load

_STREAM_MILESTONES = {"accepted", "first_chunk", "audio", "complete"}


@pytest.fixture(scope="module")
def ran(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """An open-loop run against both versions, on which several tests look."""
    options = split("--rate 20 --duration 1.5s --warmup 500ms --seed 8 --format json")
    return load(tmp_path_factory.mktemp("load"), "--target", emulator, *options)


@pytest.mark.timing
def test_a_run_passes_and_leaves_a_complete_bundle_with_reports(ran: Ran) -> None:
    assert ran.code == 0, ran.err
    run = ran.bundle.run
    assert (run["kind"], run["status"], run["verdict"], run["exit_code"]) == (
        "load",
        "complete",
        "pass",
        0,
    )
    assert json.loads(ran.out)["id"] == run["id"]
    assert run["target"]["kind"] == "emulator"
    assert run["target"]["speed"] == 200
    assert set(run["versions"]) >= {"soundstage", "locust", "gevent"}
    names = {each.name for each in ran.folder.iterdir()}
    assert names >= {"report.html", "junit.xml", "summary.md", "rules.ndjson"}
    begun, *progress = ran.err.splitlines()
    assert begun.endswith(": 20/s for 1.5 s: about 40 requests in 2 s …")
    assert all(" in flight · " in each for each in progress), "and nothing else"


@pytest.mark.timing
def test_every_arrival_of_the_schedule_has_a_row_at_its_intended_moment(ran: Ran) -> None:
    intended = sorted(row["intended_ns"] for row in ran.rows)
    scenario = Scenario(phases=tuple(steady(20.0, 1.5)), warmup_s=0.5, seed=8)
    asked = [int(moment * 1e9) for moment in scenario.schedule()]
    assert intended == asked
    assert all(row["started_ns"] >= row["intended_ns"] for row in ran.rows)
    totals = ran.bundle.run["totals"]
    assert totals["arrivals_asked"] == totals["arrivals_started"] == len(asked)
    assert totals.keys() >= {
        "loop_lag_p99_ms",
        "cpu_share",
        "late_p99_ms",
        "late_starts",
        "dropped",
    }


@pytest.mark.timing
def test_rows_have_the_milestones_of_their_version_in_order(ran: Ran) -> None:
    rows = ran.rows
    assert {row["api"] for row in rows} == {"v5", "v6"}
    assert {row["outcome"] for row in rows} == {"ok"}
    for row in rows:
        milestones = row["milestones"]
        ready = {"validated", "streaming_ready", "streaming_ready_all"}
        expected = _STREAM_MILESTONES | (ready if row["api"] == "v6" else set())
        assert set(milestones) == expected
        assert milestones["accepted"] <= milestones["first_chunk"] <= milestones["complete"]
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({row["message_id"] for row in rows}) == len(rows)


@pytest.mark.timing
def test_requests_within_the_warm_up_are_marked(ran: Ran) -> None:
    for row in ran.rows:
        assert row["warmup"] == (row["intended_ns"] < 500_000_000)


@pytest.mark.timing
def test_exchanges_overlap_instead_of_waiting_for_each_other(ran: Ran) -> None:
    assert ran.bundle.run["totals"]["most_in_flight"] > 3


@pytest.mark.timing
def test_the_contract_matrix_covers_the_endpoints_that_were_loaded(ran: Ran) -> None:
    rules = {rule["rule"]: rule for rule in ran.bundle.rules()}
    assert {rule["endpoint"] for rule in rules.values()} == {"stream"}
    assert {rule["api"] for rule in rules.values()} == {"v5", "v6"}
    assert not [rule for rule in rules.values() if rule["outcome"] == "failed"]
    assert rules["v6/stream/streaming_ready/field/stream_url/required"]["outcome"] == "passed"


def test_a_broken_contract_fails_the_run_and_keeps_transcripts(broken: Ran) -> None:
    ran = broken
    assert ran.code == 1, ran.err
    assert "field.missing" in ran.out
    rules = {rule["rule"]: rule for rule in ran.bundle.rules()}
    rule = rules["v6/stream/streaming_ready/field/stream_url/required"]
    assert rule["outcome"] == "failed"
    assert rule["violations"] == len(ran.rows)
    reason = ran.bundle.run["reason"]
    many = len(ran.rows)
    assert reason == f"stream_url is missing in streaming_ready: {many} of {many} streams"
    assert reason in ran.out
    # A bundle of before, which says none, is told of in the same words.
    report = findings.build(
        {**ran.bundle.run, "reason": None},
        rules=ran.bundle.rules(),
        violations=ran.bundle.violations(),
        exchanges=lambda wanted: take_in(ran.bundle, wanted),
    )
    assert report.headline.detail == reason
    assert {row["transcript"] for row in ran.rows} == set(ran.bundle.transcripts())
    kept = (ran.folder / ran.bundle.transcripts()[0]).read_text()
    assert "beats per minute" not in kept, "the prompt is private"


@pytest.mark.timing
def test_what_is_dropped_or_cut_at_the_end_is_counted_and_kept(tmp_path: Path) -> None:
    options = ["--target", "emulator", "--emulator-args", "--speed 2", "--api", "v6"]
    options += ["--arrivals", "constant", "--rate", "10", "--duration", "1s"]
    ran = load(tmp_path, *options, "--max-in-flight", "4", "--drain", "100ms")
    assert ran.code == 6, ran.err
    outcomes = sorted(row["outcome"] for row in ran.rows)
    assert outcomes == ["censored"] * 4 + ["dropped"] * 6
    run = ran.bundle.run
    assert run["verdict"] == "invalid"
    assert [void["kind"] for void in run["voids"]] == ["generator"]
    for row in ran.rows:
        assert row["verdict"] == "inconclusive"
        if row["outcome"] == "censored":
            assert "first_chunk" in row["milestones"], "what was seen until then is kept"
            assert "complete" not in row["milestones"]


@pytest.mark.timing
def test_a_closed_loop_keeps_its_users_busy(emulator: str, tmp_path: Path) -> None:
    options = ["--users", "3", "--duration", "1500ms", "--endpoint", "sync", "--api", "v5"]
    ran = load(tmp_path, "--target", emulator, *options)
    assert ran.code == 0, ran.err
    assert len(ran.rows) > 3
    assert ran.bundle.run["totals"]["most_in_flight"] == 3
    assert {row["endpoint"] for row in ran.rows} == {"sync"}
    assert all("complete" in row["milestones"] and not row["warmup"] for row in ran.rows)


@pytest.mark.timing
def test_a_spent_budget_ends_the_run_and_keeps_what_there_is(emulator: str, tmp_path: Path) -> None:
    ran = load(tmp_path, "--target", emulator, *split("--rate 50 --duration 20s --budget 6"))
    assert ran.code == 4, "what was measured until then is right, and there is less of it"
    run = ran.bundle.run
    assert run["budget"] == {"limit": 6, "spent": 6}
    assert run["voids"][0]["kind"] == "budget"
    assert [row["outcome"] for row in ran.rows] == ["ok"] * 6
    assert "the budget of 6" in ran.err


def test_an_unreachable_target_is_one_line_and_exit_code_6(tmp_path: Path) -> None:
    ran = load(tmp_path, "--target", "http://127.0.0.1:9")
    assert ran.code == 6
    _, said = ran.err.splitlines()
    assert said.startswith("soundstage load: http://127.0.0.1:9 does not answer")
    assert not ran.folder.exists()


def test_help_comes_without_locust_and_shows_examples() -> None:
    code = (
        "import sys\nfrom soundstage.cli import main\n"
        "try: main(['load', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'locust', 'gevent', 'scipy', 'hypothesis'} & sys.modules.keys()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "soundstage load --target emulator" in ran.stdout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("2m", 120.0), ("500ms", 0.5), ("1h", 3600.0), ("1.5s", 1.5), ("7", 7.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert cli.duration(text) == seconds


@pytest.mark.parametrize(
    "argv",
    [
        ["--duration", "soon"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--users", "3", "--rate", "2"],
        ["--users", "3", "--arrivals", "poisson"],
        ["--users", "0"],
        ["--budget", "-1"],
        ["--replay", "times.txt", "--rate", "2"],
        ["--traffic", "v6", "--api", "v6"],
        ["--duration", "0"],
        ["--find-capacity", "--users", "3"],
        ["--find-capacity", "--precision", "90%"],
        ["--confirm", "-1"],
    ],
)
def test_wrong_options_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        cli.parse_args(["--target", "http://127.0.0.1:1", *argv])
    assert refused.value.code == 2
    assert "soundstage load: error" in capsys.readouterr().err


def test_values_of_headers_do_not_get_into_the_bundle() -> None:
    argv = ["--target", "http://h", "--header", "X-Token: hush", "--header=X-Other: hush"]
    command = cli.parse_args(argv).command
    assert "hush" not in command
    assert "--target http://h" in command


def test_a_dry_run_sends_nothing_and_a_live_run_asks_first(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "soundstage",
        "load",
        "--target",
        "https://api.example.invalid",
    ]
    command += ["--rate", "2", "--duration", "30s", "--budget", "60"]
    run = partial(
        subprocess.run, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path
    )
    planned = run([*command, "--dry-run"], timeout=60, check=False)
    assert planned.returncode == 0
    assert "2/s for 30 s: about 60 requests in 30 s" in planned.stdout
    assert "about 60 billable requests (generations); a budget of 60" in planned.stdout
    asked = run(command, timeout=60, check=False)
    assert asked.returncode == 2
    assert "--yes" in asked.stderr


@pytest.mark.timing
def test_shapes_of_some_exchanges_of_each_endpoint_are_observed(ran: Ran) -> None:
    document = ran.bundle.observed()
    assert document is not None
    rows = {(row["api"], row["endpoint"]) for row in ran.rows}
    for api, endpoint in rows:
        seen = document["apis"][api][endpoint]["counts"]
        # Two a second, of a run of about two seconds.
        assert 2 <= seen["exchanges//"] <= 8
        assert seen["whole//"] == seen["exchanges//"]
