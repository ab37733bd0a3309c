"""Objectives, scenarios and configuration as the users of `soundstage load` meet them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from shlex import split

import pytest

from soundstage.loadtests.schedule.recorded_arrivals import read_moments
from soundstage.results.bundle import Bundle

from .conftest import Ran, load, start


def slos(ran: Ran) -> dict[str, str]:
    return {entry["slo"]: entry["verdict"] for entry in ran.bundle.run["slos"]}


_MET = (
    "v6.streaming_ready.p50<20s",
    "violations==0",
    "ok_rate>=50%",
    "goodput(streaming_ready<=20s, complete<=30s, no_violation)>=50%",
)


@pytest.fixture(scope="module")
def met(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run whose objectives are all met."""
    options = [*split("--rate 30 --duration 1s"), *(w for text in _MET for w in ("--slo", text))]
    return load(tmp_path_factory.mktemp("met"), "--target", emulator, *options)


@pytest.mark.timing
def test_objectives_that_are_met_pass_and_stand_in_the_bundle_and_the_summary(met: Ran) -> None:
    ran = met
    assert ran.code == 0, ran.err
    assert slos(ran) == dict.fromkeys(_MET, "pass")
    first = ran.bundle.run["slos"][0]
    assert (first["api"], first["endpoint"], first["unit"]) == ("v6", "stream", "s")
    assert first["low"] <= first["value"] <= first["high"] < 20
    assert "SLO pass: v6.streaming_ready.p50<20s at v6 stream" in ran.out


@pytest.mark.timing
def test_an_objective_that_is_missed_exits_with_3_and_says_which(
    emulator: str, tmp_path: Path
) -> None:
    options = ["--slo", "v5.complete.p50<1ms", "--slo", "violations==0"]
    ran = load(tmp_path, "--target", emulator, *split("--rate 30 --duration 1s"), *options)
    assert ran.code == 3, ran.err
    run = ran.bundle.run
    assert (run["verdict"], run["exit_code"], run["status"]) == ("fail", 3, "complete")
    assert run["reason"].startswith("SLO v5.complete.p50<1ms")
    assert slos(ran) == {"v5.complete.p50<1ms": "fail", "violations==0": "pass"}
    assert ran.out.startswith("FAIL")


@pytest.mark.timing
def test_too_few_exchanges_are_inconclusive_and_say_how_many_would_do(
    emulator: str, tmp_path: Path
) -> None:
    options = [*split("--rate 20 --duration 1s --api v6"), "--slo", "complete.p99<30s"]
    ran = load(tmp_path, "--target", emulator, *options, "--on-inconclusive", "warn")
    assert ran.code == 0, ran.err
    assert ran.bundle.run["exit_code"] == 4
    assert ran.bundle.run["verdict"] == "inconclusive"
    (entry,) = ran.bundle.run["slos"]
    assert entry["n"] + entry["more"] == 368, "what p99 takes"
    assert "inconclusive at best: it takes 368 exchanges" in ran.err


def test_a_broken_contract_outranks_an_objective_that_is_missed(broken: Ran) -> None:
    ran = broken
    assert ran.code == 1, ran.err
    found = slos(ran)
    assert found["violations==0"] == found["complete.p50<1ms"] == "fail"
    assert found["violations(field.missing)<=1000000"] == "pass"
    assert ran.rows[0]["errors"]["field.missing"] == 1


def test_a_misspelt_objective_is_one_line_and_nothing_is_sent(
    emulator: str, tmp_path: Path
) -> None:
    ran = load(tmp_path, "--target", emulator, "--slo", "v6.streaming_redy.p95<30s")
    assert ran.code == 2
    assert "did you mean streaming_ready?" in ran.err
    assert ran.err.count("\n") == 1
    assert not ran.folder.exists()


@pytest.mark.timing
def test_a_hopeless_run_is_stopped_early(emulator: str, tmp_path: Path) -> None:
    options = split("--rate 40 --duration 60s --api v5 --endpoint sync --slo complete.p50<1ms")
    ran = load(tmp_path, "--target", emulator, *options, "--abort-on-hopeless")
    assert ran.code == 3, ran.err
    (entry,) = ran.bundle.run["slos"]
    assert entry["reason"].startswith("given up: ")
    assert ran.bundle.run["totals"]["arrivals_asked"] < 1200


@pytest.mark.timing
def test_a_scenario_that_comes_along_runs_on_the_target_of_soundstage_toml(
    emulator: str, tmp_path: Path
) -> None:
    (tmp_path / "soundstage.toml").write_text(
        f'[target]\nurl = "{emulator}"\napi = ["v5"]\nbudget = 30\n'
    )
    ran = load(tmp_path, *split("--scenario smoke --rate 8 --duration 1s"))
    assert ran.code == 0, ran.err
    run = ran.bundle.run
    assert run["parameters"]["scenario"] == "smoke"
    assert run["budget"] == {"limit": 30, "spent": 8}
    assert slos(ran) == {"violations==0": "pass", "error_rate==0%": "pass"}
    assert {(row["api"], row["scenario"]) for row in ran.rows} == {("v5", "smoke")}
    gaps = [b - a for a, b in pairwise(sorted(row["intended_ns"] for row in ran.rows))]
    assert gaps == [125_000_000] * 7, "smoke asks for even arrivals"


def test_the_scenarios_are_listed_without_locust() -> None:
    code = (
        "import sys\nfrom soundstage.cli import main\n"
        "assert main(['load', '--list-scenarios']) == 0\n"
        "assert not {'locust', 'gevent', 'scipy', 'numpy'} & sys.modules.keys()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for name in ("smoke", "steady", "ramp", "spike", "soak"):
        assert f"\n{name} " in f"\n{ran.stdout}"


@pytest.mark.timing
def test_a_file_names_phases_mixture_and_corpus(emulator: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("A waltz about beetroot\nA march about celery\n")
    (tmp_path / "my.toml").write_text(
        'corpus = "prompts.txt"\nslo = ["violations==0"]\narrivals = "constant"\n'
        '[[traffic]]\napi = "v6"\nweight = 3\n[[traffic]]\napi = "v5"\nendpoint = "sync"\n'
        '[[phase]]\nkind = "steps"\nrates = [8, 16]\neach = "500ms"\n'
    )
    ran = load(tmp_path, "--target", emulator, "--scenario", str(tmp_path / "my.toml"))
    assert ran.code == 0, ran.err
    places = [(row["api"], row["endpoint"]) for row in ran.rows]
    assert places.count(("v6", "stream")) == 9
    assert places.count(("v5", "sync")) == 3
    parameters = ran.bundle.run["parameters"]
    assert parameters["phases"] == ["8/s for 500 ms", "16/s for 500 ms"]
    assert parameters["mixture"] == {"v6.stream": 0.75, "v5.sync": 0.25}
    assert parameters["corpus"]["entries"] == 2
    with urllib.request.urlopen(f"{emulator}/_emulator/journal") as answer:
        journal = answer.read().decode()
    assert "A waltz about beetroot" in journal
    assert "A march about celery" in journal


@pytest.mark.timing
def test_a_run_can_be_replayed(met: Ran, emulator: str, tmp_path: Path) -> None:
    again = load(tmp_path, "--target", emulator, "--replay", str(met.folder))
    assert again.code == 0, again.err
    asked = [sorted(row["intended_ns"] for row in ran.rows) for ran in (met, again)]
    assert len(asked[0]) > 5
    # Moments go through seconds as floating point numbers.
    assert asked[1] == pytest.approx(asked[0], abs=2)
    assert read_moments(met.folder) == pytest.approx([at / 1e9 for at in asked[0]])


def test_a_live_run_without_a_budget_sends_nothing(tmp_path: Path) -> None:
    ran = load(tmp_path, "--target", "http://192.0.2.1:9", "--dry-run", "--scenario", "soak")
    assert ran.code == 0
    assert "billable requests (generations); no budget" in ran.out
    assert not ran.folder.exists()


@pytest.mark.timing
def test_the_capacity_of_a_queue_is_searched_and_stands_in_the_bundle(tmp_path: Path) -> None:
    """Four slots of 80 ms each, exponential: at most 50/s. How near the answer comes is tested in
    virtual time (test_search.py) and measured (docs/explanation/how-capacity-is-found.md): this
    machine is shared.
    """
    target = ["--target", "emulator", "--emulator-args", "--profile mmc --speed 25 --seed 1"]
    options = split("--api v6 --endpoint sync --find-capacity --rate 40 --exchanges 40")
    options += split("--confirm 0 --precision 50% --warmup 400ms --slo complete.p50<240ms")
    ran = load(tmp_path, *target, *options)
    capacity = ran.bundle.run["capacity"]
    assert ran.code == 0, (ran.err, capacity["reason"])
    assert capacity["verdict"] == "found"
    assert 20 <= capacity["rate"] < 80
    rates = [trial["rate"] for trial in capacity["trials"]]
    assert rates[0] == 40
    assert all(trial["exchanges"] >= 20 for trial in capacity["trials"])
    curve = {t["rate"]: t["quantiles"]["v6.sync.complete"]["p50"] for t in capacity["trials"]}
    assert curve[max(curve)] > 0.24 > curve[min(curve)]
    assert f"capacity: holds {capacity['rate']:.3g} arrivals a second, fails at " in ran.out
    assert len(ran.out.splitlines()) > len(rates)


@pytest.mark.timing
@pytest.mark.proof
def test_an_interrupted_search_keeps_what_is_known(emulator: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = split("--api v6 --endpoint sync --find-capacity --rate 20 --exchanges 10")
    options += split("--duration 500ms --warmup 0 --confirm 0 --slo ok_rate>=5%")
    command = ("-m", "soundstage", "load", "--target", emulator, *options, "--out", str(folder))
    process = start(*command, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not folder.is_dir() or sum(1 for _ in Bundle.open(folder).exchanges()) < 15:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    run = Bundle.open(folder).run
    assert run["status"] == "interrupted"
    assert run["capacity"]["verdict"] == "unfinished"
    assert run["capacity"]["rate"] >= 20
    assert run["capacity"]["trials"][0]["rate"] == 20
    assert "capacity: holds at least " in out


def test_a_search_says_beforehand_what_it_may_cost(tmp_path: Path) -> None:
    options = split("--api v6 --find-capacity --rate 0.1 --slo complete.p95<2m --budget 9")
    ran = load(tmp_path, "--target", "http://192.0.2.1:9", "--dry-run", *options)
    assert ran.code == 0, ran.err
    assert "if it is about 0.13/s: " in ran.out
    assert "a budget of 9" in ran.out
    assert load(tmp_path, "--target", "http://192.0.2.1:9", "--find-capacity").code == 2
