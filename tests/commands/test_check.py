"""`soundstage check` as a user runs it, against emulators that keep the contract or do not."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import httpx
import pytest
from command_run import CommandRun, run_here
from emulated import served

from soundstage import cli
from soundstage.emulator.options import Options

INSTANT = "--profile instant --seed 3"


def check(*arguments: str, env: dict[str, str] | None = None) -> CommandRun:
    return run_here("check", *arguments, env=env)


def failures(bundle: Path) -> dict[str, str]:
    """The test cases of junit.xml that failed, with their messages."""
    root = ET.parse(bundle / "junit.xml").getroot()
    return {
        case.attrib["name"]: case.find("failure").attrib["message"]
        for case in root.iter("testcase")
        if case.find("failure") is not None
    }


def test_a_faithful_target_passes_and_the_bundle_says_that_it_was_an_emulator(
    tmp_path: Path,
) -> None:
    bundle = tmp_path / "run"
    done = check(
        *("--target", "emulator", "--emulator-args", INSTANT),
        *("--explore", "0", "--out", str(bundle)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("PASS")
    assert "emulator" in done.stdout.splitlines()[0]
    run = json.loads((bundle / "run.json").read_bytes())
    assert (run["verdict"], run["target"]["kind"]) == ("pass", "emulator")
    assert failures(bundle) == {}
    suites = ET.parse(bundle / "junit.xml").getroot()
    assert "EMULATOR" in suites.attrib["name"]
    names = {case.attrib["name"] for case in suites.iter("testcase")}
    assert "v6/stream/order/uploading/after/completed" in names
    assert "v5/sync/field/audio_url/required" in names
    assert "emulator" in (bundle / "report.html").read_text()


@pytest.mark.proof
def test_four_generations_are_enough_for_both_versions(tmp_path: Path) -> None:
    with served(Options(profile="instant", seed=3)) as url:
        bundle = tmp_path / "run"
        done = check("--target", url, "--explore", "0", "--budget", "4", "--out", str(bundle))
    run = json.loads((bundle / "run.json").read_bytes())
    assert run["budget"] == {"limit": 4, "spent": 4}, done.stdout
    rules = [json.loads(line) for line in (bundle / "rules.ndjson").read_text().splitlines()]
    assert {r["outcome"] for r in rules if r["endpoint"] in ("stream", "sync")} == {
        "passed",
        "not_exercised",
    }


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (
            "field/streaming_ready/stream_url/missing",
            "v6/stream/streaming_ready/field/stream_url/required",
        ),
        ("order/validated-streaming/swapped", "v6/stream/order/streaming/after/validated"),
        ("truncated/after/running", "v6/stream/end/reached"),
    ],
)
@pytest.mark.proof
def test_a_broken_target_is_red_and_junit_names_the_rule(
    fault: str, rule: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "run"
    done = check(
        *("--target", "emulator", "--emulator-args", INSTANT, "--fault", fault),
        *("--explore", "0", "--api", "v6", "--out", str(bundle)),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert rule in failures(bundle)
    assert rule in done.stdout


def test_faults_need_an_emulator_that_is_started_here() -> None:
    done = check("--target", "http://127.0.0.1:1", "--fault", "track/lost")
    assert done.returncode == 2


@pytest.mark.parametrize("status", ["service_unavailable", "rate_limit"])
@pytest.mark.proof
def test_an_outage_is_inconclusive_and_never_red(status: str, tmp_path: Path) -> None:
    bundle = tmp_path / "run"
    done = check(
        *("--target", "emulator", "--emulator-args", f"{INSTANT} --error {status}"),
        *("--explore", "0", "--api", "v6", "--out", str(bundle)),
    )
    assert done.returncode == 6, done.stdout
    assert failures(bundle) == {}
    root = ET.parse(bundle / "junit.xml").getroot()
    skipped = {
        case.attrib["name"]: case.find("skipped").attrib["message"]
        for case in root.iter("testcase")
        if case.find("skipped") is not None
    }
    assert status in skipped["v6/stream/order/uploading/after/completed"]


def test_an_unreachable_target_is_one_clear_line() -> None:
    done = check("--target", "http://127.0.0.1:1")
    assert done.returncode == 6
    begun, said = done.stderr.splitlines()
    assert begun.startswith("soundstage check: checking http://127.0.0.1:1 (")
    assert "does not answer" in said


@pytest.mark.proof
def test_no_target_and_a_bad_target_are_wrong_usage() -> None:
    assert (check().returncode, check("--target", "ftp://x").returncode) == (2, 2)
    done = check("--target", "emulator", "--api", "v99")
    assert done.returncode == 2
    assert "v99" in done.stderr


def test_without_a_key_nothing_is_sent_to_a_target_that_is_no_emulator(raw_server) -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    server = raw_server([("send", answer), ("close",)])
    done = check("--target", server.url(""), env={"SOUNDVERSE_API_KEY": ""})
    assert done.returncode == 6
    assert "SOUNDVERSE_API_KEY" in done.stderr
    assert [request.method for request in server.requests] == ["GET"]


@pytest.mark.proof
def test_the_key_is_nowhere_in_the_bundle_or_the_output(tmp_path: Path) -> None:
    key = "sk-very-secret-0123456789"
    bundle = tmp_path / "run"
    done = check(
        *("--target", "emulator", "--api", "v6", "--explore", "0"),
        *("--emulator-args", f"{INSTANT} --error nsfw", "--out", str(bundle)),
        env={"SOUNDVERSE_API_KEY": key},
    )
    assert key not in done.stdout + done.stderr
    for file in bundle.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes(), file


@pytest.mark.proof
def test_json_output_is_the_run(tmp_path: Path) -> None:
    done = check(
        *("--target", "emulator", "--emulator-args", INSTANT, "--api", "v5"),
        *("--explore", "0", "--format", "json", "--out", str(tmp_path / "run")),
    )
    assert json.loads(done.stdout)["verdict"] == "pass"


@pytest.mark.proof
def test_plain_pytest_runs_the_same_checks(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "contracts", "-p", "no:cacheprovider"]
    with served(Options(profile="instant", seed=3)) as url:
        options = ["--target", url, "--explore", "0", "--api", "v6", "--out", str(tmp_path / "run")]
        done = subprocess.run(
            [*command, *options], cwd=root, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stdout
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["verdict"] == "pass"


@pytest.mark.proof
def test_plain_pytest_without_a_target_says_so_in_one_line() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "contracts", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 4
    assert "need --target URL" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_help_and_unknown_commands_are_answered_without_a_process() -> None:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as stopped:
        cli.run("check", ["--help"], out, err)
    assert stopped.value.code == 0
    assert cli.main(["no-such-command"]) == 2


@pytest.mark.proof
def test_ctrl_c_while_a_song_is_made_ends_at_once_and_leaves_a_readable_bundle(
    tmp_path: Path,
) -> None:
    with served(Options(speed=1, seed=1)) as url:
        bundle = tmp_path / "run"
        command = [sys.executable, "-m", "soundstage", "check", "--target", url, "--api", "v6"]
        with subprocess.Popen(
            [*command, "--out", str(bundle)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            while "running" not in _generations(url):
                assert running.poll() is None
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=20)
    assert running.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert json.loads((bundle / "run.json").read_bytes())["status"] == "interrupted"


def _generations(url: str) -> str:
    """Says "running" once the emulator has billed a generation."""
    return "running" if httpx.get(f"{url}/_emulator/health").json()["charges"] else ""
