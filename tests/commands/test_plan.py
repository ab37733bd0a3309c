"""What a check says that it will send is what it then sends; and only one process ever pays."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from emulated import served

from soundstage import cli
from soundstage.emulator.options import Options

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with served(Options(profile="instant")) as url:
        yield url


def charges(url: str) -> int:
    """What the emulator's own books say."""
    return int(httpx.get(f"{url}/_emulator/health").json()["charges"])


@pytest.mark.parametrize(
    "options",
    [
        "--api v6 --budget 2",
        "--api v6 --budget 1",
        "--api v6 --budget 2 --explore 1 --explore-budget 900",
        "--api v5 --budget 2 --explore 2 --explore-budget 900 --seed 7",
        "--api v6 --budget 2 --explore 3 --explore-budget 40",
        "--api v6 --budget 2 --explore 2",
    ],
)
@pytest.mark.proof
def test_the_plan_counts_what_is_then_sent(options: str, emulator: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-of-the-user-0123")
    bundle = tmp_path / "run"
    live = ["--target", emulator, "--treat-as-live", "--key-file", str(tmp_path / "key")]
    plan, said = io.StringIO(), io.StringIO()
    assert cli.run("check", [*live, *options.split(), "--dry-run"], plan, said) == 0
    cli.run("check", [*live, *options.split(), "--yes", "--out", str(bundle)], said, said)
    planned = re.search(r"^(\d+) billable requests", plan.getvalue(), re.MULTILINE)
    budget = json.loads((bundle / "run.json").read_bytes())["budget"]
    assert planned is not None, plan.getvalue()
    assert int(planned[1]) == budget["spent"], plan.getvalue() + said.getvalue()
    counted = re.search(r"\((\d+) that Schemathesis thinks of, (\d+) unusual", plan.getvalue())
    if counted is not None and budget["limit"] > 900:
        lines = gzip.decompress((bundle / "exchanges.ndjson.gz").read_bytes()).splitlines()
        rows = map(json.loads, lines)
        scenarios = Counter(row["scenario"] for row in rows)
        assert int(counted[1]) + int(counted[2]) == scenarios["explored"]


@pytest.mark.parametrize("spread", [["-n", "4"], ["-n", "1"], ["--dist", "load", "--tx", "popen"]])
@pytest.mark.proof
def test_checks_that_are_spread_over_processes_are_refused_before_anything_is_sent(
    spread: list[str], emulator: str, tmp_path: Path
) -> None:
    before = charges(emulator)
    command = [sys.executable, "-m", "pytest", "contracts", "-q", "-p", "no:cacheprovider"]
    options = ["--target", emulator, "--budget", "2", "--explore", "0", "--api", "v6"]
    done = subprocess.run(
        [*command, *options, *spread, "--out", str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "contract checks run in one process" in done.stdout + done.stderr
    assert charges(emulator) == before
    assert not (tmp_path / "run").exists()


def test_a_plan_of_a_host_that_may_cost_money_says_what_is_not_sent(tmp_path: Path) -> None:
    said = io.StringIO()
    options = ["--target", "https://api.example.invalid", "--api", "v6", "--explore", "1"]
    assert cli.run("check", [*options, "--dry-run", "--budget", "9"], said, said) == 0
    assert "none of these billable requests is sent without --explore-budget N" in said.getvalue()
    assert "2 billable requests, a budget of 9" in said.getvalue()
    assert cli.run("check", [*options, "--dry-run", "-k", "index"], said, said) == 0
    assert "at most 2 billable requests, no budget: without --budget N none" in said.getvalue()
