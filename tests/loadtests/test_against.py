"""`soundstage load --against`: a run that ends once its gates are decided."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from shlex import split
from typing import Any

import orjson
import pytest

from soundstage import cli
from soundstage.loadtests.load_options import parse_args

from .conftest import Ran, load

GATES = "--gate v6.stream.complete.p50 --gate v6.stream.streaming_ready.p50"
#: Songs of which one stage takes a second or so, far more than this machine adds.
_PROFILE = {"default": {"constant": 0.2}, "first": {"constant": 0.1}}


def profile(folder: Path, name: str, median_s: float) -> Path:
    place = folder / f"{name}.json"
    stages = {"validated": {"median": median_s, "sigma": 0.3}}
    place.write_text(json.dumps({**_PROFILE, "description": name, "stages": stages}))
    return place


def emulated(folder: Path, name: str, median_s: float, seed: int) -> str:
    return f"--speed 100 --seed {seed} --profile {profile(folder, name, median_s)}"


def refused(*words: str) -> str:
    """What the command says of options that do not go together."""
    errors = io.StringIO()
    code = cli.run("load", ["--target", "emulator", *words], io.StringIO(), errors)
    assert code == 2, errors.getvalue()
    return errors.getvalue()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run of 200 songs, to compare with."""
    folder = tmp_path_factory.mktemp("against")
    words = split("--target emulator --api v6 --rate 20 --duration 10s --arrivals constant")
    return load(folder, *words, "--emulator-args", emulated(folder, "usual", 60.0, 1))


# --- what goes together ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--gate complete.p50", "--gate is for --against BASELINE"),
        ("--pause-at-looks", "--pause-at-looks is for --against BASELINE"),
        ("--against x --users 3", "--users does not go with --against"),
        ("--against x --duration 3s", "--duration does not go with --against"),
        ("--against x --find-capacity", "--find-capacity does not go with --against"),
        ("--against emulator --processes 2", "no --processes"),
        ("--against x --against-budget 5", "are for a baseline that is a URL"),
        (
            "--against http://127.0.0.1:1 --against-args x",
            "--against-args is for --against emulator",
        ),
        ("--looks 3 --users 2", "--looks takes songs by their schedule"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_a_line(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_args(["--target", "emulator", *split(words)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_looks_without_anything_to_look_at_are_refused():
    assert "--looks is for --against BASELINE, or for objectives" in refused("--looks", "5")


def test_a_base_that_is_not_there_is_named_with_what_makes_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "soundstage runs pin latest --as baseline" in refused("--against", "baseline")


def test_a_reason_to_allow_that_there_is_not_is_answered_with_those_that_there_are():
    assert "--allow profil: no such reason" in refused("--against", "x", "--allow", "profil")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A base of thirty songs, made up."""
    from soundstage.results.bundle import BundleWriter

    rng = random.Random(1)
    facts: dict[str, Any] = {
        "kind": "load",
        "command": "soundstage load",
        "target": {"url": "http://127.0.0.1:1", "kind": "emulator"},
        "machine": {"system": "Linux", "cpus": 2, "python": "3.11.7"},
        "budget": {"limit": None, "spent": 0},
        "clock": {"source": "kernel", "stepped": False},
        "parameters": {"rate": 1.0, "loop": "open"},
    }
    with BundleWriter.create(tmp_path / "small", facts) as writer:
        for number in range(30):
            writer.exchange(
                {
                    "id": f"e{number:06d}",
                    "scenario": "load",
                    "api": "v6",
                    "endpoint": "stream",
                    "intended_ns": number * 10**9,
                    "started_ns": number * 10**9,
                    "outcome": "ok",
                    "verdict": "conforms",
                    "milestones": {"complete": rng.lognormvariate(4, 0.3)},
                    "stages": {},
                    "codes": {},
                }
            )
        writer.finish(verdict="pass", exit_code=0, reason=None, rules=[])
    return tmp_path / "small"


def test_a_base_that_is_too_small_to_decide_is_refused_before_anything_is_sent(small: Path):
    words = ["--api", "v6", "--rate", "1", "--dry-run", "--against", str(small)]
    said = refused(*words, "--gate", "v6.stream.complete.p95")
    assert "it has 30 songs of v6 stream, and v6.stream.complete.p95 takes 1" in said
    assert "at a level of 99.75%" in said
    assert said.count("\n") == 1


def test_the_plan_says_looks_levels_and_how_many_songs(small: Path):
    out = io.StringIO()
    words = ["--target", "emulator", "--api", "v6", "--rate", "1", "--dry-run"]
    gate = ["--gate", "v6.stream.complete.p50", "--looks", "4", "--most", "300"]
    assert cli.run("load", [*words, *gate, "--against", str(small)], out, out) == 0
    said = out.getvalue()
    assert "looks at 40, 78, 150, 300 songs an arm, each interval 99.375%" in said
    for shift in ("+0%", "+20%", "+50%"):
        assert f"if it is {shift} slower: " in said
    assert "in 95% of runs), decided with" in said
    assert "at the most: 300 songs" in said


def test_the_plan_of_a_target_that_nobody_asked_yet_says_what_it_assumes():
    out = io.StringIO()
    words = ["--target", "emulator", "--api", "v6", "--rate", "1", "--dry-run"]
    assert cli.run("load", [*words, "--against", "emulator", *split(GATES)], out, out) == 0
    assert "assumed are 60 s each, sigma 0.3" in out.getvalue()
    assert "at the most: 1,000 songs an arm" in out.getvalue()


@pytest.mark.parametrize("other", ["", "--against-key-file other.key"])
def test_the_plan_says_when_two_hosts_get_one_key(other):
    out = io.StringIO()
    words = split("--target https://one.example --budget 50 --api v6 --rate 1 --dry-run")
    words += split(f"--against https://two.example --against-budget 60 {GATES} {other}")
    assert cli.run("load", words, out, out) == 0
    said = "https://two.example gets the key of the target (--against-key-file names another)"
    assert (said in out.getvalue()) == (not other)


# --- as it goes -----------------------------------------------------------------------------------


@pytest.mark.timing
@pytest.mark.proof
def test_a_slower_candidate_ends_the_run_and_what_was_in_flight_is_kept(base: Ran, tmp_path):
    words = split(f"--target emulator --api v6 --rate 20 --arrivals constant {GATES}")
    words += ["--against", str(base.folder), "--allow", "profile,generator"]
    ran = load(tmp_path, *words, "--emulator-args", emulated(tmp_path, "slow", 96.0, 2))
    assert ran.code == 3, ran.out + ran.err
    run = ran.bundle.run
    looks = run["looks"]
    assert (looks["verdict"], run["verdict"]) == ("fail", "fail")
    assert looks["songs"] <= 120
    assert run["reason"].startswith(
        f"gates failed with {looks['songs']} songs, {looks['sent']} sent"
    )
    rows = sorted(ran.rows, key=lambda row: row["intended_ns"])
    after = [row for row in rows if row.get("after_decision")]
    assert len(rows) >= looks["sent"] > looks["songs"]
    assert after, "what was in flight is drained, and marked"
    assert all(row["outcome"] == "ok" for row in rows)
    assert not {row["id"] for row in after} & {row["id"] for row in rows[: looks["songs"]]}
    for name in ("report.html", "summary.md", "junit.xml"):
        assert "v6 stream TTC p50" in (ran.folder / name).read_text()


@pytest.mark.timing
@pytest.mark.proof
def test_an_equal_candidate_passes_or_is_undecided_with_its_numbers(base: Ran, tmp_path):
    words = split(f"--target emulator --api v6 --rate 20 --arrivals constant {GATES}")
    words += ["--against", str(base.folder), "--most", "200", "--allow", "profile,generator"]
    ran = load(tmp_path, *words, "--emulator-args", emulated(tmp_path, "same", 60.0, 3))
    assert ran.code in (0, 4), ran.out + ran.err
    looks = ran.bundle.run["looks"]
    assert looks["verdict"] == ("pass" if ran.code == 0 else "inconclusive")
    assert looks["taken"][-1]["n"] == 200 or looks["songs"] is not None


@pytest.mark.timing
@pytest.mark.proof
def test_two_targets_are_asked_in_pairs_and_leave_two_runs_that_compare(tmp_path):
    words = split(f"--target emulator --api v6 --rate 10 {GATES} --pause-at-looks --allow profile")
    words += ["--emulator-args", emulated(tmp_path, "slow", 96.0, 2), "--against", "emulator"]
    ran = load(tmp_path, *words, "--against-args", emulated(tmp_path, "usual", 60.0, 1))
    assert ran.code == 3, ran.out + ran.err
    other = ran.folder.with_name(f"{ran.folder.name}-base")
    both = [ran.bundle.run, orjson.loads((other / "run.json").read_bytes())]
    assert [run["pair"]["arm"] for run in both] == ["candidate", "base"]
    assert both[0]["pair"]["id"] == both[1]["pair"]["id"]
    looks = both[0]["looks"]
    assert looks["sent"] == looks["songs"], "no song is sent while a look waits"
    rows = [
        sorted(row["intended_ns"] for row in Ran(0, "", "", each).rows)
        for each in (ran.folder, other)
    ]
    assert rows[0] == rows[1], "each pair was due at the same moment"
    out = io.StringIO()
    again = [str(other), str(ran.folder), "--allow", "profile,generator", *split(GATES)]
    code = cli.run("compare", [*again, "--format", "json", "--no-page"], out, out)
    assert code == 3, out.getvalue()
    found = json.loads(out.getvalue())["looks"]
    assert (found["verdict"], found["songs"]) == (looks["verdict"], looks["songs"])


@pytest.mark.timing
@pytest.mark.proof
def test_a_run_that_is_not_comparable_sends_nothing(base: Ran, tmp_path):
    words = split(f"--target emulator --api v6 --rate 7 {GATES} --against {base.folder}")
    words += ["--allow", "generator"]
    ran = load(tmp_path, *words, "--emulator-args", emulated(tmp_path, "other", 60.0, 3))
    assert ran.code == 6
    assert "not comparable with " in ran.err
    assert " against 7.0" in ran.err
    assert "profile: usual@" in ran.err
    assert "--allow rate,profile" in ran.err
    assert not ran.folder.exists()


@pytest.mark.timing
@pytest.mark.proof
def test_several_processes_are_looked_at_as_one(base: Ran, tmp_path):
    words = split(f"--target emulator --api v6 --rate 20 --arrivals constant {GATES} --processes 2")
    words += ["--against", str(base.folder), "--allow", "profile,generator"]
    ran = load(tmp_path, *words, "--emulator-args", emulated(tmp_path, "slow", 96.0, 2))
    assert ran.code == 3, ran.out + ran.err
    looks = ran.bundle.run["looks"]
    first = sorted(ran.rows, key=lambda row: row["intended_ns"])[: looks["songs"]]
    assert not any(row.get("after_decision") for row in first)


@pytest.mark.timing
@pytest.mark.proof
def test_objectives_end_a_run_at_the_look_that_decides_them(tmp_path, emulator: str):
    words = split("--api v6 --rate 30 --duration 20s --looks 6")
    slos = ["--slo", "complete.p50<60s", "--slo", "violations==0"]
    ran = load(tmp_path, "--target", emulator, *words, *slos)
    assert ran.code == 0, ran.out + ran.err
    timed, counted = ran.bundle.run["slos"]
    assert timed["level"] == pytest.approx(1 - 0.05 / 6)
    assert timed["n"] == 40
    assert counted["n"] == len(ran.rows) < 200


@pytest.mark.timing
@pytest.mark.proof
def test_a_base_that_can_give_no_more_ends_both(tmp_path, emulator: str):
    words = split(f"--target emulator --api v6 --rate 10 --allow profile {GATES}")
    words += ["--emulator-args", "--speed 200 --seed 1", "--against", emulator]
    ran = load(tmp_path, *words, "--against-budget", "5")
    assert ran.code in (4, 6), ran.out + ran.err  # 6: this machine was busy
    assert len(ran.rows) < 30
    voids = [void["message"] for void in ran.bundle.run["voids"]]
    assert "base: the budget of 5 billable requests is spent" in voids
    other = ran.folder.with_name(f"{ran.folder.name}-base")
    assert orjson.loads((other / "run.json").read_bytes())["budget"]["spent"] == 5
