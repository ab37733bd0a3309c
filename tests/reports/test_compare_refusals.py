"""Runs that cannot be compared, and words that make no comparison."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest
from compare_calls import Make, as_json, change, compare

from soundstage import cli
from soundstage.reports.compare.comparability import REASONS
from soundstage.results.bundle import EXCHANGES

_TARGET = {"url": "http://127.0.0.1:1", "kind": "emulator", "profile": "realistic", "speed": 100}


_HELD = {"api": "v6", "endpoint": "stream", "streams": 9, "held": 9}
DIFFERENT: list[tuple[str, dict[str, Any]]] = [
    ("rate", {"parameters": {"rate": 6, "duration": "30s"}}),
    ("scenario", {"parameters": {"rate": 5, "duration": "30s", "scenario": "spike"}}),
    ("workload", {"parameters": {"rate": 5, "duration": "30s", "corpus": "songs.txt"}}),
    ("target", {"target": {**_TARGET, "kind": "live", "seed": 7}}),
    ("profile", {"target": {**_TARGET, "profile": "slow", "seed": 7}}),
    ("profile", {"target": {**_TARGET, "speed": 10, "seed": 7}}),
    ("client", {"versions": {"soundstage": "0.2.0", "python": "3.11.7", "locust": "2.40.0"}}),
    ("contract", {"contracts": {"v6": {"title": "Generate Song (v6)", "sha256": "0" * 64}}}),
    ("clock", {"clock": {"source": "userspace", "stepped": False}}),
    ("clock", {"clock": {"source": "kernel", "stepped": True}}),
    ("generator", {"voids": [{"kind": "generator", "message": "1 of 9 requests late"}]}),
    ("incomplete", {"status": "interrupted"}),
    ("budget", {"voids": [{"kind": "budget", "message": "spent"}]}),
    ("buffered", {"totals": {"held_back": [_HELD]}}),
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
