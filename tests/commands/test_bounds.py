"""What a hostile target or file can make the commands hold, write and wait for."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from command_run import run_here
from hostile import STREAM, hostile, json_answer, pings, silent

from soundstage import cli
from soundstage.results.bundle import Bundle

MB = 2**20
START = {"status": "initializing", "chunkIndex": 0, "isComplete": False}
KEY = {"SOUNDVERSE_API_KEY": "sk-of-a-test-0123456789"}
ENVIRONMENT = {**os.environ, **KEY}


def soundstage(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "soundstage", *arguments]
    settings = {"capture_output": True, "text": True, "timeout": 180, "env": ENVIRONMENT, **more}
    return subprocess.run(command, check=False, **settings)  # type: ignore[call-overload]


def lint(file: Path, *more: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("lint", [*more, "--api", "v6", str(file)], out, err)
    assert err.getvalue() == ""
    return code, out.getvalue()


def rules_of(bundle: Path) -> list[dict]:
    return [json.loads(line) for line in (bundle / "rules.ndjson").read_text().splitlines()]


@pytest.mark.proof
def test_a_target_that_pings_for_ever_does_not_hold_a_check(tmp_path: Path) -> None:
    bundle = tmp_path / "run"
    with hostile(pings) as server:
        arguments = ("--api", "v6", "--timeout", "0.5", "--out", str(bundle))
        done = run_here("check", "--target", server.url, *arguments, env=KEY)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "limit of 0.5 s" in done.stderr
    run = Bundle.open(bundle).run
    assert (run["status"], run["verdict"]) == ("complete", "inconclusive")
    assert "cap.time" in run["reason"]
    rules = rules_of(bundle)
    assert "failed" not in {each["outcome"] for each in rules}
    streams = [each for each in rules if each["endpoint"] in ("stream", "sync", "status")]
    undecided = [each for each in streams if each["outcome"] == "inconclusive"]
    assert all("cap.time" in each["reason"] or "look up" in each["reason"] for each in undecided)
    assert (bundle / "report.html").is_file()


@pytest.mark.proof
def test_plain_pytest_has_the_same_limit_by_another_name(tmp_path: Path) -> None:
    with hostile(silent) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "contracts"),
                *("--target", server.url, "--api", "v6", "--out", str(tmp_path / "run")),
                *("--contract-timeout", "0.5"),
            ],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            env=ENVIRONMENT,
        )
    assert done.returncode == 4, done.stdout + done.stderr
    assert "cap.time" in Bundle.open(tmp_path / "run").run["reason"]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", "", "1e9"])
def test_a_limit_that_is_none_is_misuse(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["check", "--target", "emulator"], ["record", "--target", "emulator"]):
        with pytest.raises(SystemExit) as ended:
            cli.run(command[0], [*command[1:], "--timeout", seconds], io.StringIO(), io.StringIO())
        assert ended.value.code == 2
        assert "--timeout" in capsys.readouterr().err


def test_a_recording_ends_with_its_time(tmp_path: Path) -> None:
    with hostile(pings) as server:
        arguments = (
            "--api",
            "v6",
            "--count",
            "9",
            "--timeout",
            "0.5",
            "--out",
            str(tmp_path / "r"),
        )
        done = run_here("record", "--target", server.url, *arguments, env=KEY)
    assert done.returncode == 6, done.stdout + done.stderr
    assert "limit of 0.5 s" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "r").iterdir())) == 1, "what was cut is there to be looked at"


FLOODS = {
    "unknown fields": [{**START, **{f"extra{n}": n for n in range(100_000)}}],
    "unknown fields in every chunk": [
        {**START, "chunkIndex": n, **{f"e{n}_{k}": k for k in range(10)}} for n in range(2_000)
    ],
    "long names": [{**START, **{f"{n}" + "k" * 100_000: n for n in range(20)}}],
    "tracks": [{"status": "streaming", "version": n, "chunkIndex": n} for n in range(2_000)],
    "unknown stages": [{"status": f"stage{n}", "chunkIndex": n} for n in range(2_000)],
    "identifiers": [{"status": "running", "message_id": f"{n}" * 99} for n in range(2_000)],
    "wrong types": [{"status": [[n]] * 9, "chunkIndex": "x" * 9_999} for n in range(500)],
}


@pytest.mark.parametrize("chunks", FLOODS.values(), ids=FLOODS.keys())
@pytest.mark.proof
def test_what_lint_says_of_a_file_is_bounded_and_counts_everything(
    chunks: list[dict], tmp_path: Path
) -> None:
    file = tmp_path / "answer.sse"
    file.write_bytes(b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks))
    code, out = lint(file, "--endpoint", "stream")
    assert code == 1
    assert len(out) < 300_000
    _, text = lint(file, "--endpoint", "stream", "--format", "json")
    found = json.loads(text)["violations"]
    assert len(found) <= 300
    assert len(text) < 300_000


def test_lint_says_how_many_it_does_not_show(tmp_path: Path) -> None:
    file = tmp_path / "answer.sse"
    chunks = [{**START, "chunkIndex": n, "debug": 1} for n in range(300)]
    file.write_bytes(b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks))
    _, out = lint(file, "--endpoint", "stream")
    assert "debug is not documented (and 290 more of this kind)" in out


@pytest.mark.proof
def test_a_bundle_of_a_flood_is_small_counts_all_of_it_and_can_be_read(tmp_path: Path) -> None:
    flood = json.dumps({**START, **{f"extra{n}": n for n in range(100_000)}}).encode()
    bundle = tmp_path / "run"

    def answer(connection, path, server):
        body = STREAM + b"data: " + flood + b"\n\n"
        connection.sendall(body if "sync" not in path else json_answer(b'{"audio_data":[]}'))

    with hostile(answer) as server:
        arguments = ("--api", "v6", "--explore", "0", "--out", str(bundle))
        done = run_here("check", "--target", server.url, *arguments, env=KEY)
    assert done.returncode == 1, done.stdout + done.stderr
    written = [each for each in bundle.iterdir() if each.is_file()]
    assert sum(each.stat().st_size for each in written) < 2 * MB
    opened = Bundle.open(bundle)
    stream = [row for row in opened.exchanges() if row["endpoint"] == "stream" and not row["probe"]]
    assert [row["codes"]["field.undocumented"] for row in stream] == [100_000]
    rows = [row for row in opened.violations() if row["rule"] == "v6/stream/undocumented"]
    assert sum(row.get("times", 1) for row in rows) == 100_000
    rule = next(row for row in rules_of(bundle) if row["rule"] == "v6/stream/undocumented")
    assert rule["violations"] == 100_000
    again = run_here("report", str(bundle))
    assert again.returncode == 0
    assert "100,000" in again.stdout
    code, text = lint(bundle / stream[0]["transcript"], "--format", "json")
    assert code == 1
    assert sum(each.get("times", 1) for each in json.loads(text)["violations"]) >= 100_000


@pytest.mark.timing
def test_a_load_on_a_target_that_never_answers_ends_and_is_invalid(tmp_path: Path) -> None:
    bundle = tmp_path / "run"

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))

    with hostile(silent) as server:
        arguments = ("--api", "v6", "--endpoint", "stream", "--rate", "100", "--duration", "1s")
        done = soundstage(
            *("load", "--target", server.url, *arguments, "--arrivals", "constant"),
            *("--drain", "0s", "--out", str(bundle)),
            preexec_fn=few_files,
        )
    assert done.returncode == 6, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    run = Bundle.open(bundle).run
    assert run["totals"]["most_in_flight"] == 32
    assert run["totals"]["dropped"] == 68
    # On a busy machine it is void for a reason of its own, too.
    voids = [void["message"] for void in run["voids"]]
    assert any("dropped by the cap on exchanges in flight" in void for void in voids)
