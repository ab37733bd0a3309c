"""What a check says that it will send is what it then sends; and only one process ever pays."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from emulated import served

from soundstage import cli
from soundstage.contract import load
from soundstage.contracts.check_requests import explored
from soundstage.contracts.explored_requests import explore
from soundstage.emulator.options import Options

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with served(Options(profile="instant")) as url:
        yield url


def charges(url: str) -> int:
    """What the emulator's own books say."""
    return int(httpx.get(f"{url}/_emulator/health").json()["charges"])


def sent(url: str, folder: Path, *words: str) -> tuple[re.Match[str], dict, list[dict], int]:
    """What the plan of a check says, its run.json and exchanges, and the billable requests that
    the emulator got.
    """
    plan, said = io.StringIO(), io.StringIO()
    assert cli.run("check", ["--target", url, *words, "--dry-run"], plan, said) == 0, (
        said.getvalue()
    )
    httpx.delete(f"{url}/_emulator/journal").raise_for_status()
    cli.run("check", ["--target", url, *words, "--yes", "--out", str(folder)], said, said)
    counted = re.search(r"^(\d+) requests, (\d+) of them billable", plan.getvalue(), re.MULTILINE)
    assert counted is not None, plan.getvalue()
    rows = gzip.decompress((folder / "exchanges.ndjson.gz").read_bytes()).splitlines()
    run = json.loads((folder / "run.json").read_bytes())
    return counted, run, [json.loads(row) for row in rows], paid_for(url)


def paid_for(url: str) -> int:
    """The POSTs with a key that stand in the emulator's journal."""
    found = httpx.get(f"{url}/_emulator/journal", params={"method": "POST", "limit": 1000})
    return sum(entry["account"] is not None for entry in found.json()["entries"])


LIVE = "--treat-as-live --budget 9"


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--api v6 --explore 0",
        "--api v5 --explore 1 --seed 7",
        "--explore 5 --parallel 3",
        "--api v6 --explore 33 -k request",
        "-k v6/stream/index",
        f"{LIVE}",
        f"--api v6 {LIVE} --explore 5 --explore-budget 900",
        f"--api v5 {LIVE} --explore 3 --explore-budget 40",
        f"{LIVE} --explore 2 --explore-budget 7 --parallel 8",
        f"--api v6 {LIVE} --explore 2",
        "--api v6 --treat-as-live --budget 1",
    ],
)
@pytest.mark.proof
def test_the_plan_counts_what_is_then_sent(options: str, emulator: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-of-the-user-0123")
    words = [*shlex.split(options), "--key-file", str(tmp_path / "key")]
    planned, run, rows, arrived = sent(emulator, tmp_path / "run", *words)
    requests, billable = map(int, planned.groups())
    assert (requests, billable) == (len(rows), run["budget"]["spent"])
    assert sum(row["billed"] for row in rows) == billable
    # Of keys that it does not know the journal does not say that there was one.
    assert arrived == billable if "--treat-as-live" in options else arrived <= billable


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


def test_a_plan_of_a_host_that_may_cost_money_says_what_is_not_sent() -> None:
    said = io.StringIO()
    options = ["--target", "https://api.example.invalid", "--api", "v6", "--explore", "1"]
    assert cli.run("check", [*options, "--dry-run", "--budget", "9"], said, said) == 0
    assert "is sent without --explore-budget N" in said.getvalue()
    assert "2 of them billable, a budget of 9" in said.getvalue()
    assert cli.run("check", [*options, "--dry-run", "-k", "index"], said, said) == 0
    assert "0 of them billable, no budget: without --budget N none" in said.getvalue()


def test_at_most_so_many_requests_are_thought_of_and_no_two_alike() -> None:
    contract = load("v6")
    for many in (0, 1, 2, 7, 20, 60):
        made = explore(contract, many, seed=3)
        of_each = Counter(each.endpoint.name for each in made)
        assert set(of_each.values()) <= {many}, many
        assert len({(e.endpoint.name, e.body, e.method, e.content_type) for e in made}) == len(made)
        assert made == explore(contract, many, seed=3)
    made = [(each.endpoint.name, each.body) for each in explore(contract, 20, seed=3)]
    assert made != [(each.endpoint.name, each.body) for each in explore(contract, 20, seed=4)]


def test_exploration_has_of_everything_some() -> None:
    contract = load("v6")
    calls = explored(contract, 20, seed=0)
    of_stream = [call for call in calls if call.endpoint.name == "stream"]
    assert any(not call.expect_error for call in of_stream), "what the contract allows"
    assert len({call.broken_rule for call in of_stream}) > 4, "what it does not"
    assert any(call.method != "POST" for call in of_stream), "other methods"


def test_what_is_explored_does_not_depend_on_what_else_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "{more}from soundstage.contract import load\n"
        "from soundstage.contracts.explored_requests import explore\n"
        "print([(e.endpoint.name, e.body, e.method) for e in explore(load('v6'), 30, 1)])\n"
    )
    (tmp_path / "others.py").write_text(
        "".join(f"A{n} = 1{n}717; B{n} = 'word{n}'\n" for n in range(99))
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", script.format(more=more), str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for more, seed in (("", "1"), ("import others\n", "2"))
    ]
    assert printed[0] == printed[1]
