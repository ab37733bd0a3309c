"""`soundstage compare` on made-up bundles: its verdicts, its exit codes, and what it refuses."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from compare_calls import REQUIRED, Make, as_json, change, compare

from soundstage.reports.compare.cli import parse_args
from soundstage.reports.decision import gates


def test_two_runs_of_the_same_thing_pass_or_cannot_tell(load: Make):
    code, out, _ = compare(load("a", seed=1), load("b", seed=2))
    assert code in (0, 4)
    assert out.startswith(("PASS", "INCONCLUSIVE"))
    assert "proves nothing about the live API" in out.splitlines()[0]
    assert "stages that take" not in out


def test_a_large_enough_sample_of_the_same_thing_passes(load: Make):
    words = ("--gate", "complete.p50", "--margin", "20%")
    found = as_json(load("a", seed=1, n=500), load("b", seed=2, n=500), *words)
    assert (found["verdict"], found["exit_code"]) == ("pass", 0)
    assert found["gates"][0]["verdict"] == "pass"


def test_a_slow_down_fails_and_names_the_stage_that_moved(load: Make):
    code, out, _ = compare(load("a", seed=1), load("b", seed=2, slower={"running": 3.0}))
    assert code == 3
    assert out.startswith("FAIL  Slower: v6 stream TTSR p50 +")
    told = [line.strip() for line in out.splitlines()]
    (why,) = (line for line in told if line.startswith("why ") and "TTSR" in line)
    assert re.fullmatch(
        r"why +(of )?\+[\d.]+ m?s in v6 stream TTSR p50(,| come of) .*running.* \(.* → .*\).*", why
    )


@pytest.mark.parametrize("stage", ["validated", "running", "completed"])
def test_the_stage_that_moved_is_the_one_that_was_slowed(load: Make, stage: str):
    factor = {"validated": 20.0, "running": 3.0, "completed": 4.0}[stage]
    found = as_json(load("a", seed=1), load("b", seed=2, slower={stage: factor}), "--margin", "5%")
    assert found["verdict"] == "slower"
    assert [each["stage"] for each in found["stages"] if each["moved"]] == [stage]


def test_a_faster_candidate_passes_and_is_called_better(load: Make):
    code, out, _ = compare(load("a", seed=1, slower={"running": 4.0}), load("b", seed=2))
    assert code == 0
    assert out.startswith("PASS  No worse, and better: v6 stream TTSR p50 -")


def test_a_contract_break_outranks_a_slow_down(load: Make):
    slow = load("b", seed=2, slower={"running": 3.0}, broken=(REQUIRED,))
    code, out, _ = compare(load("a", seed=1), slow)
    assert code == 1
    assert out.startswith("FAIL  Contract broken: 1 rule, against")
    assert REQUIRED in out.splitlines()[1]
    assert "also worse  v6 stream TTSR p50" in out.splitlines()[2]
    assert "ship it?    No: clients may break" in out


def test_what_was_broken_before_is_shown_and_breaks_nothing(load: Make):
    found = as_json(
        load("a", seed=1, n=500, broken=(REQUIRED,)),
        load("b", seed=2, n=500, broken=(REQUIRED,)),
        "--gate",
        "complete.p50",
        "--margin",
        "20%",
    )
    assert found["exit_code"] == 0
    assert [(each["rule"], each["kind"]) for each in found["rules"]] == [(REQUIRED, "still")]


def test_a_rule_that_is_kept_again_is_good_news(load: Make):
    found = as_json(load("a", seed=1, broken=(REQUIRED,)), load("b", seed=2), "--force")
    assert found["verdict"] != "contract broken"
    assert [(each["kind"], each["base"], each["candidate"]) for each in found["rules"]] == [
        ("kept", [9, 250], [0, 250])
    ]


def test_failures_fail_even_if_the_times_of_the_others_do_not(load: Make):
    found = as_json(
        load("a", seed=1, n=400), load("b", seed=2, n=400, outcomes=("ok",) * 9 + ("timeout",))
    )
    assert found["verdict"] == "slower"
    (rate,) = (each for each in found["gates"] if each["kind"] == "rate")
    assert (rate["gate"], rate["verdict"]) == ("v6.stream.error_rate", "fail")


def test_too_few_exchanges_are_inconclusive_and_say_how_many_would_decide(load: Make):
    words = (load("a", seed=1, n=40), load("b", seed=2, n=40))
    code, out, _ = compare(*words)
    assert code == 4
    assert "more exchanges an arm would decide" in out
    assert compare(*words, "--on-inconclusive", "warn")[0] == 0


def test_one_gate_that_is_named_is_the_only_one_beside_the_guard(load: Make):
    found = as_json(load("a", seed=1), load("b", seed=2), "--gate", "v6.stream.complete.p50")
    assert [(each["gate"], each["guard"]) for each in found["gates"]] == [
        ("v6.stream.complete.p50", False),
        ("v6.stream.error_rate", True),
    ]


def test_check_runs_are_compared_by_their_contract_alone(tmp_path: Path, runs: ModuleType):
    base = runs.check_run(tmp_path / "a")
    rng = random.Random(1)
    good = runs.write(
        tmp_path / "b",
        [
            runs.exchange(n, rng, api=api, endpoint=endpoint)
            for n, (api, endpoint) in enumerate(
                (("v6", "stream"), ("v5", "stream"), ("v5", "sync"), ("v6", "sync"))
            )
        ],
        rules=runs.contract_rules(),
    )
    assert as_json(base, good)["gates"] == []
    code, out, _ = compare(good, base)
    assert code == 1
    assert "Contract broken: 2 rules" in out


def test_runs_made_by_turns_are_compared_in_pairs(load: Make):
    words = []
    for number in range(4):
        for arm, slower in (("a", None), ("b", {"running": 3.0})):
            hour = f"2026-11-21T{2 * number + (arm == 'b'):02}:00:00Z"
            seed = 2 * number + (arm == "b")
            words.append(load(f"{arm}{number}", seed=seed, slower=slower, created=hour))
    base, candidate = (",".join(map(str, words[side::2])) for side in (0, 1))
    found = as_json(base, candidate)
    assert found["paired"]
    assert found["verdict"] == "slower"
    assert {each["method"] for each in found["gates"] if each["kind"] == "quantile"} == {"pairs"}
    assert len(found["base"]) == len(found["candidate"]) == 4
    repeated = as_json(*(w for p in words[0::2] for w in ("--base", p)), "--candidate", candidate)
    assert repeated["gates"] == found["gates"]


def test_runs_made_one_arm_after_the_other_are_no_pairs(load: Make):
    hours = iter(f"2026-11-21T{hour:02}:00:00Z" for hour in range(6))
    a = [load(f"a{n}", seed=n, created=next(hours)) for n in range(3)]
    b = [load(f"b{n}", seed=9 + n, created=next(hours)) for n in range(3)]
    found = as_json(",".join(map(str, a)), ",".join(map(str, b)))
    assert not found["paired"]
    assert found["gates"][0]["method"] == "runs"


def test_a_folder_of_runs_is_a_set_of_runs(load: Make, tmp_path: Path):
    for name in ("one/x", "one/y", "two/x"):
        load(name, seed=len(name) + ord(name[-1]))
    found = as_json(tmp_path / "one", tmp_path / "two")
    assert [each["id"] for each in found["base"]] == ["x", "y"]


def test_two_versions_of_the_api_have_nothing_in_common(load: Make):
    old = load("old", seed=1, api="v5", n=300, parameters={"apis": ["v5"], "rate": 5})
    new = load("new", seed=2, api="v6", n=300, parameters={"apis": ["v6"], "rate": 5})
    found = as_json(old, new)
    assert found["verdict"] == "not comparable"
    assert {each["reason"] for each in found["refused"]} == {"workload"}
    assert "only the base has exchanges of v5 stream" in compare(old, new)[1]
    code, _, err = compare(old, new, "--force")
    assert code == 5
    assert "nothing in common" in err


def test_fidelity_is_asked_for_through_the_same_command(load: Make):
    code, out, err = compare("--fidelity", load("a", seed=1), load("b", seed=2))
    assert (code, err) == (0, "")
    assert out.startswith("fidelity: near")


def test_all_formats_say_the_same(load: Make, tmp_path: Path):
    words = load("a", seed=1), load("b", seed=2, slower={"running": 3.0})
    page = tmp_path / "x.html"
    code, out, _ = compare(*words, "--format", "html", "--out", page)
    assert code == 3
    title = out.splitlines()[0].removeprefix("FAIL  ").partition(", against")[0]
    assert title in page.read_text(encoding="utf-8")
    assert len(page.read_bytes()) < 300_000
    markdown = compare(*words, "--format", "markdown")[1]
    assert markdown.startswith("## ❌ Slower")
    assert "| gate | base | candidate | change | interval | verdict |" in markdown
    assert "running" in markdown
    assert as_json(*words)["title"] == title


def test_the_text_has_the_verdict_then_what_voids_then_gates_stages_and_contract(load: Make):
    base, candidate = load("a", seed=1), load("b", seed=2, slower={"running": 3.0})
    change(candidate, parameters={"rate": 9, "duration": "30s"})
    out = compare(base, candidate, "--allow", "rate")[1]
    places = [
        out.index(word)
        for word in ("FAIL", "why ", "allowed, rate", "gates:", "where +", "rules:", "all times")
    ]
    assert places == sorted(places)


def test_the_command_as_a_process_gives_its_exit_code(load: Make):
    words = [str(load("a", seed=1)), str(load("b", seed=2, broken=(REQUIRED,)))]
    done = subprocess.run(
        [sys.executable, "-m", "soundstage", "compare", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("FAIL  Contract broken")


def test_help_starts_without_heavy_libraries():
    script = (
        "import sys; from soundstage.cli import main\n"
        "try: main(['compare', '--help'])\n"
        "except SystemExit: pass\n"
        "bad = {'numpy', 'scipy', 'jinja2', 'jsonschema', 'locust'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "exit codes: 0 no worse" in done.stdout


def test_the_help_names_the_levels_that_gates_are_held_to(capsys):
    with pytest.raises(SystemExit):
        parse_args(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for level in (gates.MARGIN, gates.RATE_MARGIN, gates.ALPHA):
        assert f"(default {level:.0%})" in said
