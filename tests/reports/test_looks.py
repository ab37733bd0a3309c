"""Looks: named in advance, at the first songs by intended start, each at its share of the level."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import orjson
import pytest

from soundstage import cli
from soundstage.errors import UsageError
from soundstage.reports.decision.arms import EndpointSeries
from soundstage.reports.decision.first_songs import FirstSongs, RecordedSongs
from soundstage.reports.decision.gates import Gate, Pairing, Rules
from soundstage.reports.decision.looks import Looking, LookPlan, look_sizes
from soundstage.reports.decision.looks_taken import to_json
from soundstage.reports.run.looks_told import looks_told
from soundstage.results.bundle import Bundle

Make = Callable[..., Path]
PAIRING = Pairing("v6", "stream", ("complete",))
P50 = Gate(PAIRING, "complete", 0.5)
P95 = Gate(PAIRING, "complete", 0.95)
GUARD = Gate(PAIRING, "error_rate", None, guard=True)


def arm(n: int, factor: float = 1.0, *, bad: int = 0, seed: int = 1) -> dict[Any, Any]:
    times = np.sort(np.random.default_rng(seed).lognormal(0.0, 0.3, n) * factor)
    outcomes = {"ok": n - bad, "failed": bad}
    return {PAIRING.place: [EndpointSeries(n, {"complete": times}, outcomes, {})]}


def looked(
    factor: float, *gates: Gate, sizes: tuple[int, ...] = (40, 100, 400), bad: int = 0, **how: Any
) -> Looking:
    looking = Looking(gates, LookPlan(sizes, Rules(), **how))
    while (size := looking.next_size) is not None:
        looking.take(arm(size, seed=1), arm(size, factor, bad=bad, seed=2))
    return looking


# --- what is named in advance ---------------------------------------------------------------------


def test_looks_are_few_and_the_same_factor_apart():
    assert look_sizes(1000) == (40, 57, 82, 120, 170, 240, 340, 490, 700, 1000)
    assert look_sizes(1000, 3) == (40, 200, 1000)
    assert look_sizes(500, 1) == (500,)
    assert look_sizes(20) == (20,)


def test_more_looks_than_fit_are_refused_with_how_many_do():
    with pytest.raises(UsageError, match=r"--looks 90: up to 100 songs there is room for \d+"):
        look_sizes(100, 90)
    for looks, most in ((0, 100), (101, 1000), (None, 0), (None, 1_000_000)):
        with pytest.raises(UsageError):
            look_sizes(most, looks)


def test_the_error_is_shared_by_all_looks_and_all_gates():
    plan = LookPlan(look_sizes(1000), Rules(alpha=0.05))
    assert plan.level(3) == pytest.approx(1 - 0.05 / (10 * 3))
    looking = looked(1.5, P50, P95, GUARD)
    levels = [each.level for look in looking.looks for each in look.outcomes.values()]
    assert levels == pytest.approx([1 - 0.05 / (3 * 3)] * len(levels))


# --- when it ends ---------------------------------------------------------------------------------


def test_it_ends_with_the_first_gate_that_fails():
    looking = looked(1.6, P50, P95, GUARD)
    assert (looking.verdict, looking.verdict_of(P50), looking.verdict_of(P95)) == (
        "fail",
        "fail",
        "inconclusive",
    )
    assert len(looking.looks) < 3
    assert looking.deciding is looking.looks[-1]


def test_asked_for_every_gate_it_goes_on_until_all_are_decided():
    looking = looked(1.6, P50, P95, GUARD, every_gate=True)
    assert (looking.verdict_of(P50), looking.verdict_of(P95)) == ("fail", "fail")
    assert looking.decided[P50.name].n < looking.decided[P95.name].n


def test_a_guard_fails_or_is_not_waited_for():
    quiet = looked(0.8, P50, GUARD)
    assert quiet.verdict == "pass"
    assert quiet.verdict_of(GUARD) == "pass"
    assert quiet.deciding is not None
    failing = looked(1.0, P95, GUARD, bad=39)
    assert failing.verdict_of(GUARD) == "fail"
    assert len(failing.looks) == 1


def test_what_a_look_decided_stays_decided():
    looking = Looking([P50], LookPlan((40, 400), Rules(), every_gate=True))
    looking.take(arm(40), arm(40, 2.0, seed=2))
    assert looking.over
    two = Looking([P50, P95], LookPlan((40, 400), Rules(), every_gate=True))
    two.take(arm(40), arm(40, 2.0, seed=2))
    two.take(arm(400), arm(400, 1.0, seed=2))
    assert two.looks[1].outcomes[P50.name].verdict != "fail"
    assert two.verdict_of(P50) == "fail"


def test_an_equal_candidate_is_undecided_at_the_most_and_says_so():
    looking = looked(1.09, P50, GUARD)
    assert looking.verdict == "inconclusive"
    assert looking.over
    assert looking.deciding is None
    said = to_json(looking, {"run": "base", "target": "emulator"})
    assert said["reason"].startswith("undecided with 400 songs, the most")
    told = looks_told(said)
    assert told is not None
    assert told.songs is None
    assert told.answer == said["reason"]


def test_an_endpoint_without_songs_at_a_look_cannot_tell_yet():
    looking = Looking([P50], LookPlan((40, 400)))
    assert looking.take(arm(40), {}).outcomes == {}
    assert looking.verdict == "inconclusive"


# --- who is looked at -----------------------------------------------------------------------------


def row(number: int, seconds: float, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "api": "v6",
        "endpoint": "stream",
        "outcome": "ok",
        "verdict": "conforms",
        "intended_ns": number * 10**9,
        "started_ns": number * 10**9,
        "milestones": {"complete": seconds},
        "stages": {},
        "codes": {},
        "ended": seconds,
        **changes,
    }


def test_a_look_takes_the_first_by_intended_start_and_not_the_first_to_end():
    rng = random.Random(3)
    times = [rng.uniform(10, 100) for _ in range(50)]
    rows = [row(number, seconds) for number, seconds in enumerate(times)]
    by_end = sorted(rows, key=lambda each: each["started_ns"] / 1e9 + each["ended"])
    songs = RecordedSongs(by_end, 20)
    assert [each["id"] for each in songs.rows] == [f"e{number}" for number in range(20)]
    assert songs.n == 50
    assert songs.when_ended(20) == max(n + times[n] for n in range(20))
    assert songs.sent_by(30.5) == 31


def test_warm_up_probes_and_what_was_never_sent_are_no_songs():
    rows = [
        row(0, 1.0, warmup=True),
        row(1, 1.0, probe=True),
        row(2, 1.0, outcome="dropped"),
        row(3, 1.0),
    ]
    assert [each["id"] for each in RecordedSongs(rows, 10).rows] == ["e3"]


def test_a_song_that_never_got_there_counts_as_never():
    songs = FirstSongs({("v6", "stream"): ["complete"]})
    songs.add(row(0, 1.0))
    songs.add(row(1, 1.0, outcome="timeout", milestones={}))
    (series,) = songs.series()["v6", "stream"]
    assert list(series.times["complete"]) == [1.0, np.inf]
    assert series.errors == 1


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path, runs: ModuleType) -> Make:
    """Makes a load run of songs a second apart, `slower` by a factor."""

    def make(name: str, *, seed: int, n: int = 400, slower: float = 1.0, **facts: Any) -> Path:
        rng = random.Random(seed)
        rows = [runs.exchange(number + 1, rng, at=float(number)) for number in range(n)]
        for each in rows:
            each["milestones"] = {
                name: at * slower for name, at in each["milestones"].items() if at is not None
            }
        path: Path = runs.write(
            tmp_path / name, rows, kind="load", rules=runs.contract_rules(), **facts
        )
        return path

    return make


def compare(*words: object) -> tuple[int, str]:
    out = io.StringIO()
    code = cli.run("compare", [*map(str, words), "--gate", "v6.stream.complete.p50"], out, out)
    return code, out.getvalue()


def as_json(*words: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(compare(*words, "--format", "json", "--no-page")[1])
    return document


def test_a_slower_run_is_decided_with_few_of_its_songs(made: Make):
    base, slow = made("base", seed=1), made("slow", seed=2, slower=1.6)
    code, out = compare(base, slow, "--looks", 6)
    assert code == 3, out
    assert "looks: decided with 40 songs an arm" in out
    page = next(slow.glob("compare-*.html")).read_text()
    assert 'id="looks-v6-stream-ttc-p50"' in page
    assert "decided with 40 songs an arm".capitalize() in page
    assert "**Looks**" in compare(base, slow, "--looks", 6, "--format", "markdown")[1]


def test_json_has_each_look_and_what_was_sent_by_then(made: Make):
    looks = as_json(made("base", seed=1), made("slow", seed=2, slower=1.6), "--looks", 6)["looks"]
    assert looks["sizes"][0] == 40
    assert looks["sizes"][-1] == 400
    assert looks["songs"] == 40
    assert looks["sent"] > 40
    gate = looks["gates"][0]
    assert (gate["gate"], gate["verdict"]) == ("v6.stream.complete.p50", "fail")
    assert gate["looks"][0]["n_base"] == 400, "a base that is there is taken whole"
    assert gate["looks"][0]["n_candidate"] == 40


def test_runs_that_came_in_pairs_are_looked_at_in_pairs(made: Make):
    pair = [{"pair": {"id": "p", "arm": arm}} for arm in ("base", "candidate")]
    base, slow = made("base", seed=1, **pair[0]), made("slow", seed=2, slower=1.6, **pair[1])
    gate = as_json(base, slow, "--looks", 6)["looks"]["gates"][0]
    assert gate["looks"][0]["n_base"] == 40


def test_a_candidate_that_ended_by_looks_is_judged_at_them(made: Make):
    base, slow = made("base", seed=1), made("slow", seed=2, slower=1.6)
    facts = orjson.loads((slow / "run.json").read_bytes())
    taken = as_json(base, slow, "--looks", 2)["looks"]
    (slow / "run.json").write_bytes(orjson.dumps({**facts, "looks": taken}))
    assert Bundle.open(slow).run["looks"]["sizes"] == [40, 400]
    assert as_json(base, slow)["looks"]["sizes"] == [40, 400], "it ended where it was decided"
    assert as_json(base, slow, "--looks", 3)["looks"]["sizes"] == [40, 130, 400]
    assert "looks" not in as_json(slow, base), "only a candidate that ended by looks has any"


def test_too_few_songs_for_a_look_are_inconclusive(made: Make):
    base = made("base", seed=1)
    code, out = compare(base, made("short", seed=2, n=30), "--looks", 3, "--most", 400)
    assert code == 4
    assert "no look was taken: it takes 40 songs" in out


def test_looks_take_one_run_an_arm_and_their_options_need_them(made: Make):
    one, two, three = (made(str(seed), seed=seed) for seed in (1, 2, 3))
    code, out = compare(f"{one},{two}", three, "--looks", 3)
    assert code == 2
    assert "--looks takes one run an arm, not 2" in out
    with pytest.raises(SystemExit):
        compare(one, two, "--most", 100)


def test_a_report_shows_the_looks_of_its_run(made: Make, tmp_path: Path):
    base, slow = made("base", seed=1), made("slow", seed=2, slower=1.6)
    looks = as_json(base, slow, "--looks", 6)["looks"]
    facts = orjson.loads((slow / "run.json").read_bytes())
    ended = {"verdict": "fail", "exit_code": 3, "reason": f"gates {looks['reason']}"}
    (slow / "run.json").write_bytes(orjson.dumps({**facts, **ended, "looks": looks}))
    out = io.StringIO()
    assert cli.run("report", [str(slow)], out, out) == 0
    assert "FAIL  Slower, or worse, than its base" in out.getvalue()
    assert "looks: decided with 40 songs an arm" in out.getvalue()
    assert 'id="looks"' in (slow / "report.html").read_text()
    assert "**Looks**" in (slow / "summary.md").read_text()
    junit = (slow / "junit.xml").read_text()
    assert 'classname="soundstage.gates" name="v6 stream TTC p50"' in junit
    assert "<failure" in junit
