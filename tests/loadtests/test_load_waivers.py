"""Known findings and severities in a load run: the same answer as in a check, whoever sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from saturation import ended, saturated

from soundstage.exchange.spawn import spawned_emulator

RULE = "v6/stream/streaming_ready/field/stream_url/required"
WAIVER = f'[[waiver]]\nrule = "{RULE}"\ncode = "field.missing"\nreason = "ticket 7"\nuntil = {{}}\n'
UNUSED = '[[waiver]]\nrule = "v6/stream/index/start"\ncode = "index.start"\nreason = "r"\n'


@pytest.fixture(scope="module")
def faulty() -> Iterator[str]:
    arguments = ["--profile", "instant", "--fault", "field/streaming_ready/stream_url/missing"]
    with spawned_emulator(arguments) as url:
        yield url


def load(folder: Path, url: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "soundstage", "load", "--target", url, "--api", "v6"]
    return subprocess.run(
        [*command, "--rate", "10", "--duration", "1s", "--out", "run", *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SOUNDVERSE_API_KEY": ""},
    )


def told(folder: Path) -> tuple[dict, dict]:
    """run.json, and the row of the rule."""
    rows = map(json.loads, (folder / "run" / "rules.ndjson").read_text().splitlines())
    run = json.loads((folder / "run" / "run.json").read_bytes())
    return run, next(row for row in rows if row["rule"] == RULE)


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.proof
def test_a_waived_finding_does_not_fail_a_load_run_whoever_sends(
    processes: str, faulty: str, tmp_path: Path
) -> None:
    text = WAIVER.format("2999-01-01") + UNUSED + "until = 2999-01-01\n"
    (tmp_path / "soundstage.toml").write_text(text)
    slos = ["--slo", "violations==0", "--slo", "violation_rate<=99%"]
    done = load(tmp_path, faulty, "--processes", processes, *slos)
    run, rule = told(tmp_path)
    assert ended(done.returncode, tmp_path / "run"), done.stdout + done.stderr
    assert rule["outcome"] == "known"
    assert "ticket 7" in rule["reason"]
    assert rule["violations"] > 0
    assert (run["totals"]["violating"], run["slos"][0]["value"]) == (0, 0)
    assert "unused waiver: index.start v6/stream/index/start" in done.stdout


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.proof
def test_an_expired_waiver_fails_a_load_run_again_and_says_so(
    processes: str, faulty: str, tmp_path: Path
) -> None:
    (tmp_path / "soundstage.toml").write_text(WAIVER.format("2020-01-01"))
    done = load(tmp_path, faulty, "--processes", processes, "--slo", "violations==0")
    run, rule = told(tmp_path)
    assert (done.returncode, rule["outcome"]) == (1, "failed"), done.stdout + done.stderr
    assert "has expired" in rule["reason"]
    assert run["slos"][0]["verdict"] == "fail" or saturated(tmp_path / "run")


@pytest.mark.proof
def test_a_lowered_severity_warns_under_load_and_a_raised_one_fails(
    faulty: str, tmp_path: Path
) -> None:
    file = tmp_path / "soundstage.toml"
    file.write_text(f'[severity]\n"{RULE}" = "warning"\n')
    done = load(tmp_path, faulty)
    assert ended(done.returncode, tmp_path / "run"), done.stdout
    assert told(tmp_path)[1]["outcome"] == "warned"
    (tmp_path / "run").rename(tmp_path / "before")
    # Only worth an info by itself: that no chunk says that it is the last.
    file.write_text(f'[severity]\n"{RULE}" = "info"\n"v6/stream/completion/last" = "error"\n')
    done = load(tmp_path, faulty, "--rate", "20")
    assert done.returncode == 1, done.stdout
    assert "v6/stream/completion/last" in done.stdout
