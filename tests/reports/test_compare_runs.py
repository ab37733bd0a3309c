"""`soundstage compare` on real load runs against the emulator: the same thing again, one stage
slower by 30%, and one field gone.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from saturation import saturated

from soundstage import cli

#: Of the catalogue (`soundstage faults --list`).
GONE = "field/streaming_ready/stream_url/missing"
#: `running` takes half of the whole, and each song the same number of chunks: so short a run has
#: little else to tell a change from chance.
RUNNING_S, CHUNKS = 8.0, {"6": 1}
SPEED, RATE, SECONDS = 250, 60, 3
TRIES = 3
#: Only the whole time is asked for, and 5%: 30% of a half is 15%.
ASKED = ("--gate", "complete.p50", "--margin", "5%", "--allow", "profile")


def profile(path: Path, running_s: float) -> Path:
    """The realistic profile with a `running` of this median."""
    data = json.loads(files("soundstage.emulator.pace").joinpath("profiles.json").read_bytes())
    made = data["realistic"]
    made["stages"]["running"] = {"median": running_s, "sigma": 0.2}
    made["chunks"] = {"running": CHUNKS}
    path.write_text(json.dumps(made))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The bundle of a short load run: "base", "same", "slow" or "gone". Made once each."""
    folder = tmp_path_factory.mktemp("runs")
    usual = profile(folder / "usual.json", RUNNING_S)
    slow = profile(folder / "slow.json", RUNNING_S * 1.3)
    arguments = {
        "base": f"--seed 1 --profile {usual}",
        "same": f"--seed 2 --profile {usual}",
        "slow": f"--seed 3 --profile {slow}",
        "gone": f"--seed 4 --profile {usual} --fault {GONE}",
    }

    def run(name: str) -> Path:
        path = folder / name
        if not path.exists():
            words = ["load", "--target", "emulator", "--api", "v6", "--rate", str(RATE)]
            words += ["--emulator-args", f"--speed {SPEED} {arguments[name]}"]
            words += ["--duration", f"{SECONDS}s", "--seed", "5", "--out", str(path)]
            for _ in range(TRIES):
                done = subprocess.run(
                    [sys.executable, "-m", "soundstage", *words],
                    capture_output=True,
                    text=True,
                    timeout=100,
                    check=False,
                )
                if not saturated(path):
                    break
                # Something else had the CPU: the run says so itself, and is no run.
                shutil.rmtree(path)
            assert done.returncode == (1 if name == "gone" else 0), done.stdout + done.stderr
        return path

    return run


def compared(base: Path, candidate: Path) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    words = [str(base), str(candidate), *ASKED, "--format", "json"]
    code = cli.run("compare", words, out, err)
    assert out.getvalue(), err.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue())
    assert document["exit_code"] == code
    return document


@pytest.mark.timing
@pytest.mark.proof
def test_the_same_thing_again_is_no_worse_or_inconclusive(runs: Callable[[str], Path]):
    found = compared(runs("base"), runs("same"))
    assert found["verdict"] in ("pass", "inconclusive"), found["title"]
    assert found["allowed"] == []
    assert found["drift"] == []


@pytest.mark.timing
@pytest.mark.proof
def test_running_slower_by_a_third_is_slower_and_names_running(runs: Callable[[str], Path]):
    found = compared(runs("base"), runs("slow"))
    assert found["verdict"] == "slower", found["gates"]
    assert [each["reason"] for each in found["allowed"]] == ["profile"]
    assert "running" in found["detail"]
    (running,) = (each for each in found["stages"] if each["stage"] == "running")
    assert 1.15 < running["change"]["value"] < 1.45
    assert found["rules"] == []


@pytest.mark.timing
@pytest.mark.proof
def test_a_field_that_is_gone_breaks_the_contract(runs: Callable[[str], Path]):
    found = compared(runs("base"), runs("gone"))
    assert found["verdict"] == "contract broken"
    assert found["exit_code"] == 1
    (rule,) = (each for each in found["rules"] if "/stream_url/" in each["rule"])
    assert rule["kind"] == "broken"
    assert rule["base"][0] == 0
    assert rule["candidate"][0] == rule["candidate"][1] > 100
    gone = [each for each in found["drift"] if each["effect"] == "breaking"]
    assert gone
    assert gone[0]["path"] == "/stream_url"
    assert gone[0]["verdict"] == "drift"
    assert gone[0]["evidence"]["candidate"][0] == 0
