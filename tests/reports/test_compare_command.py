"""`soundstage compare` on made-up bundles: its verdicts, its exit codes, and what it refuses."""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from soundstage import cli
from soundstage.reports.compare import arms, gates
from soundstage.reports.compare.cli import parse_args
from soundstage.reports.compare.comparability import REASONS
from soundstage.results.bundle import EXCHANGES

REQUIRED = "v6/stream/streaming_ready/field/version/required"
Make = Callable[..., Path]


@pytest.fixture
def load(tmp_path: Path, runs: ModuleType) -> Make:
    """Makes a load run: `load("name", seed=1, slower={"running": 2.0}, …facts of run.json)`."""

    def make(
        name: str,
        *,
        seed: int,
        n: int = 250,
        slower: dict[str, float] | None = None,
        outcomes: tuple[str, ...] = ("ok",),
        broken: tuple[str, ...] = (),
        api: str = "v6",
        created: str | None = None,
        **facts: Any,
    ) -> Path:
        rng = random.Random(seed)
        rows = []
        for number in range(n):
            row = runs.exchange(
                number + 1, rng, api=api, at=number / 5, outcome=rng.choice(outcomes)
            )
            for stage, factor in (slower or {}).items():
                delay(row, stage, factor)
            rows.append(row)
        rules = [
            runs.broken(row["rule"], "“version” is missing", violations=9, exchanges=n)
            if row["rule"] in broken
            else {**row, "exchanges": n}
            for row in runs.contract_rules()
            if row["api"] == api
        ]
        violations = [
            runs.violation(rule, "field.missing", "“version” is missing", f"e{number:06d}")
            for rule in broken
            for number in range(1, 10)
        ]
        path: Path = runs.write(
            tmp_path / name, rows, kind="load", rules=rules, violations=violations, **facts
        )
        if created is not None:
            change(path, created=created)
        return path

    return make


def delay(row: dict[str, Any], stage: str, factor: float) -> None:
    """Make a stage take `factor` times as long: it and all that follow come later."""
    stages = row["stages"]
    if stage not in stages:
        return
    first, last, _ = stages[stage]
    before = max((each[1] for each in stages.values() if each[0] < first), default=0.0)
    later = (last - before) * (factor - 1)
    for name, (begin, end, times) in stages.items():
        if name == stage:
            stages[name] = [begin, end + later, times]
        elif begin > first:
            stages[name] = [begin + later, end + later, times]
    for name, moment in row["milestones"].items():
        if moment is not None and moment > first:
            row["milestones"][name] = moment + later


def change(path: Path, **facts: Any) -> None:
    place = path / "run.json"
    place.write_bytes(orjson.dumps({**orjson.loads(place.read_bytes()), **facts}))


def compare(*words: object) -> tuple[int, str, str]:
    """Run the command; its exit code, what it printed, and what it complained of."""
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("compare", [str(word) for word in words], out, err)
    return code, out.getvalue(), err.getvalue()


def as_json(*words: object) -> dict[str, Any]:
    code, out, err = compare(*words, "--format", "json")
    assert out, err
    document: dict[str, Any] = json.loads(out)
    assert document["exit_code"] == code
    return document


# --- verdicts -------------------------------------------------------------------------------------


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


# --- several runs, pairs, versions ----------------------------------------------------------------


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


# --- what is refused ------------------------------------------------------------------------------

_TARGET = {"url": "http://127.0.0.1:1", "kind": "emulator", "profile": "realistic", "speed": 100}
HELD = {"api": "v6", "endpoint": "stream", "streams": 20, "held": 20}
DIFFERENT: list[tuple[str, dict[str, Any]]] = [
    ("rate", {"parameters": {"rate": 6, "duration": "30s"}}),
    ("scenario", {"parameters": {"rate": 5, "duration": "30s", "scenario": "spike"}}),
    ("workload", {"parameters": {"rate": 5, "duration": "30s", "corpus": "songs.txt"}}),
    ("target", {"target": {**_TARGET, "kind": "live", "seed": 7}}),
    ("profile", {"target": {**_TARGET, "profile": "slow", "seed": 7}}),
    ("profile", {"target": {**_TARGET, "speed": 10, "seed": 7}}),
    ("client", {"versions": {"soundstage": "0.2.0", "python": "3.11.7", "locust": "2.40.0"}}),
    ("contract", {"contracts": {"v6": {"title": "Generate Song (v6)", "sha256": "0" * 64}}}),
    ("buffered", {"totals": {"held_back": [HELD]}}),
    ("clock", {"clock": {"source": "userspace", "stepped": False}}),
    ("clock", {"clock": {"source": "kernel", "stepped": True}}),
    ("generator", {"voids": [{"kind": "generator", "message": "1 of 9 requests late"}]}),
    ("incomplete", {"status": "interrupted"}),
    ("budget", {"voids": [{"kind": "budget", "message": "spent"}]}),
    ("kind", {"kind": "check"}),
]


@pytest.mark.parametrize(("reason", "facts"), DIFFERENT, ids=lambda each: str(each)[:60])
def test_runs_that_are_not_comparable_are_refused_with_the_reason(
    load: Make, reason: str, facts: dict[str, Any]
):
    base, candidate = load("a", seed=1), load("b", seed=2)
    change(candidate, **facts)
    found = as_json(base, candidate)
    assert (found["verdict"], found["exit_code"]) == ("not comparable", 6)
    assert {each["reason"] for each in found["refused"]} == {reason}
    assert found["gates"] == []
    code, out, _ = compare(base, candidate)
    assert code == 6
    (message,) = (each["message"] for each in found["refused"])
    assert out.startswith(f"INVALID  Not comparable: {message}, against")
    assert out.count(message) == 1, "the reason is said once"
    allowed = as_json(base, candidate, "--allow", reason)
    assert allowed["verdict"] != "not comparable"
    assert {each["reason"] for each in allowed["allowed"]} == {reason}
    assert as_json(base, candidate, "--force")["allowed"] == allowed["allowed"]


def test_every_reason_that_is_documented_can_come(load: Make):
    assert {reason for reason, _ in DIFFERENT} == set(REASONS)


def test_all_reasons_are_told_at_once_and_each_must_be_allowed(load: Make):
    base, candidate = load("a", seed=1), load("b", seed=2)
    change(candidate, parameters={"rate": 9, "scenario": "spike", "duration": "30s"})
    assert {each["reason"] for each in as_json(base, candidate)["refused"]} == {"rate", "scenario"}
    assert compare(base, candidate, "--allow", "rate")[0] == 6
    assert compare(base, candidate, "--allow", "rate,scenario")[0] in (0, 4)


def test_a_longer_run_at_the_same_rate_is_comparable(load: Make):
    """An inconclusive comparison asks for more exchanges: they must be welcome."""
    phases = [{"phases": [f"5/s for {s} s"], "rate": 5, "duration_s": s} for s in (80, 240)]
    a = load("a", seed=1, parameters=phases[0])
    b = load("b", seed=2, n=500, parameters=phases[1])
    found = as_json(a, b)
    assert found["refused"] == []
    assert any("not equally long" in note for note in found["notes"])


def test_a_run_in_which_no_option_said_the_rate_is_judged_by_its_arrivals(load: Make):
    a, b = load("a", seed=1, parameters={}), load("b", seed=2, parameters={})
    assert as_json(a, b)["refused"] == []
    rows = [json.loads(line) for line in lines(b)]
    for row in rows:
        row["intended_ns"] //= 2
        row["started_ns"] //= 2
    import gzip

    (b / EXCHANGES).write_bytes(gzip.compress(b"".join(orjson.dumps(r) + b"\n" for r in rows)))
    assert [each["reason"] for each in as_json(a, b)["refused"]] == ["rate"]


def lines(path: Path) -> list[bytes]:
    import gzip

    return gzip.decompress((path / EXCHANGES).read_bytes()).splitlines()


def test_a_run_that_was_killed_is_refused_as_incomplete(
    load: Make, tmp_path: Path, runs: ModuleType
):
    killed = runs.write(
        tmp_path / "killed",
        [runs.exchange(n, random.Random(n)) for n in range(50)],
        kind="load",
        finish={},
    )
    found = as_json(load("a", seed=1), killed)
    assert {each["reason"] for each in found["refused"]} == {"incomplete"}


def test_the_same_run_twice_is_refused(load: Make):
    a = load("a", seed=1)
    code, _, err = compare(a, a)
    assert code == 2
    assert "given twice" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{a}", "{b}", "--allow", "weather"], "no such reason; there are kind, workload"),
        (["{a}", "{b}", "--gate", "complet.p50"], "did you mean v6.stream.complete.p50"),
        (["{a}", "nowhere"], "nowhere"),
        (["{a}", "{b}", "--calibration", "nowhere.json"], "nowhere.json: cannot read"),
        (["{a}", "{b}", "--out", "/nowhere/x.html"], "cannot write"),
        (["--calibrate", "{a}", "{b}"], "2 runs"),
    ],
)
def test_misuse_is_one_clear_line(load: Make, words: list[str], said: str):
    names = {"a": load("a", seed=1), "b": load("b", seed=2)}
    code, _, err = compare(*(word.format(**names) for word in words))
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["a"],
        ["a", "b", "c"],
        ["a", "--base", "b", "--candidate", "c"],
        ["--base", "b"],
        ["a", "b", "--margin", "-1"],
        ["a", "b", "--alpha", "60%"],
        ["a", "--calibrate", "b"],
        ["--calibrate", "a", "--fidelity", "a", "b"],
        ["--calibrate", "a", "--format", "html"],
        ["--fidelity", "a", "b", "--format", "html"],
    ],
    ids=" ".join,
)
def test_words_that_make_no_comparison_are_wrong_usage(words: list[str], capsys: Any):
    with pytest.raises(SystemExit) as stopped:
        compare(*words)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_empty_run_has_no_data(load: Make, tmp_path: Path, runs: ModuleType):
    empty = runs.write(tmp_path / "empty", [], kind="load")
    assert compare(load("a", seed=1), empty)[0] == 5


def test_a_pinned_run_is_known_by_its_name(
    load: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    load("runs/first", seed=1)
    load("runs/second", seed=2, slower={"running": 3.0})
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    assert cli.run("runs", ["pin", "first", "--as", "baseline"], out, out) == 0, out.getvalue()
    found = as_json("baseline", "second")
    assert found["verdict"] == "slower"
    assert [each["id"] for each in found["base"]] == ["first"]
    code, _, err = compare("baseline", "third")
    assert code == 2
    assert "third" in err


def test_fidelity_is_asked_for_through_the_same_command(load: Make):
    code, out, err = compare("--fidelity", load("a", seed=1), load("b", seed=2))
    assert (code, err) == (0, "")
    assert out.startswith("fidelity: near")


# --- formats, calibration, size -------------------------------------------------------------------


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


def test_calibration_measures_the_noise_and_a_comparison_shows_and_uses_it(
    load: Make, tmp_path: Path
):
    same = [
        load(f"same{n}", seed=n, n=200, slower={"running": factor})
        for n, factor in enumerate((1.0, 3.5, 1.2, 3.0, 2.0))
    ]
    kept = tmp_path / "noise.json"
    gate = ("--gate", "complete.p50")
    code, out, _ = compare("--calibrate", *same, *gate, "--out", kept)
    assert code == 0
    assert "v6.stream.complete.p50: two runs of the same thing differ by" in out
    (noise,) = json.loads(kept.read_text())["gates"]
    assert noise["noise"] > 0.02
    assert sum(noise["verdicts"].values()) == 10
    found = noise["detectable"]
    assert found["1"] > found["10"] > 0.10
    words = load("x", seed=21), load("y", seed=22, slower={"running": 3.0})
    bare, aware = as_json(*words, *gate), as_json(*words, *gate, "--calibration", kept)
    assert bare["gates"][0]["verdict"] == "fail"
    assert aware["gates"][0]["verdict"] == "inconclusive"
    assert aware["calibration"]["gates"][0]["noise"] == noise["noise"]
    text = compare(*words, *gate, "--calibration", kept)[1]
    assert "noise of this environment, from A/A runs:" in text


def test_a_calibration_finds_the_noise_that_was_put_in(load: Make, runs: ModuleType):
    import numpy as np

    from soundstage.reports.compare.calibration import calibrate
    from soundstage.reports.compare.comparison import CompareOptions, gates_of

    (arm,) = arms.read_arms([[load(f"r{n}", seed=n, n=60) for n in range(3)]])
    rng = np.random.default_rng(3)
    gates = gates_of(arm, CompareOptions(("complete.p50",)))
    found = []
    for _ in range(20):
        made = arms.Arm(
            tuple(
                arms.ArmRun(
                    run.path,
                    run.facts,
                    {
                        ("v6", "stream"): arms.EndpointSeries(
                            400,
                            {"complete": np.sort(rng.lognormal(rng.normal(0, 0.05), 0.3, 400))},
                            {"ok": 400},
                            {},
                        )
                    },
                    {},
                    5.0,
                    0,
                )
                for run in arm.runs * 4
            )
        )
        (one,) = calibrate(made, gates, 0.10, 0.05).gates
        found.append((one.noise, one.sampling))
    noise, sampling = np.mean(found, axis=0)
    assert noise == pytest.approx(0.05, abs=0.01)
    assert sampling == pytest.approx(1.2533 * 0.3 / 20, rel=0.15)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "runs": 3}'])
def test_a_damaged_calibration_is_refused(load: Make, tmp_path: Path, text: str):
    place = tmp_path / "noise.json"
    place.write_text(text)
    code, _, err = compare(load("a", seed=1), load("b", seed=2), "--calibration", place)
    assert code == 2
    assert str(place) in err


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
