"""Reports and comparisons of times that are known by polling: ranges, and no verdict in between."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_rows import RUN
from hypothesis import given, settings
from hypothesis import strategies as st

from soundstage.reports import cli
from soundstage.reports.compare import cli as compare_cli
from soundstage.reports.compare import fidelity
from soundstage.reports.compare.calibration import calibrate
from soundstage.reports.decision.arms import EndpointSeries, read_run
from soundstage.reports.decision.gate_outcomes import GateOutcome, judge
from soundstage.reports.decision.gates import Gate, Pairing, Rules
from soundstage.reports.run.summary import summarise
from soundstage.reports.words import between, resolution_words
from soundstage.results.bundle import Bundle, BundleWriter
from soundstage.results.polling import Resolution

CONTRACT = {
    "title": "Songs as jobs",
    "sha256": "0" * 64,
    "milestones": {"job": ["queued", "song_there", "complete"]},
    "headlines": {"job": ["song_there", "complete"]},
    "titles": {"job": {"complete": "TTD"}},
}


def job(number: int, low: float, high: float, *, lows: bool = True, **more: Any) -> dict[str, Any]:
    """A row of a job that was polled until it was complete."""
    ends = (
        {"milestones_low": {"song_there": high / 2 - (high - low), "complete": low}} if lows else {}
    )
    return {
        "id": f"e{number}",
        "scenario": "load",
        "api": "a",
        "endpoint": "job",
        "intended_ns": number * 100_000_000,
        "started_ns": number * 100_000_000,
        "outcome": "ok",
        "verdict": "conforms",
        "http_status": 200,
        "milestones": {"accepted": 0.01, "song_there": high / 2, "complete": high},
        **ends,
        "stages": {"done": [high, high, 1]},
        "codes": {},
        **more,
    }


def jobs(
    seed: int, many: int = 120, gap: float = 1.0, scale: float = 1.0, **more: Any
) -> list[dict[str, Any]]:
    """Jobs that are polled every `gap` seconds and take about 4 s."""
    rng = random.Random(seed)
    rows = []
    for number in range(many):
        high = scale * 4.0 * math.exp(rng.gauss(0, 0.02))
        polls = {"count": 4, "first": 0.5, "last": high - 0.1, "longest_gap": gap}
        rows.append(job(number, max(0.0, high - gap), high, polls=polls, **more))
    return rows


def bundle(folder: Path, rows: list[dict[str, Any]], **facts: Any) -> Path:
    run = {**RUN, "kind": "load", "contracts": {"a": CONTRACT}, "seed": 1, **facts}
    with BundleWriter.create(folder, run) as writer:
        for row in rows:
            writer.exchange(row)
        writer.finish(verdict="pass", exit_code=0, reason=None, rules=[])
    return folder


def report(path: Path, form: str) -> str:
    out = io.StringIO()
    argv = [str(path)] if form == "text" else [str(path), "--format", form, "--output", "-"]
    cli.run(cli.parse_args(argv), out, io.StringIO())
    return out.getvalue()


def compared(base: Path, candidate: Path, form: str = "text", *more: str) -> tuple[int, str]:
    out = io.StringIO()
    argv = [str(base), str(candidate), "--force", "--format", form, *more]
    code = compare_cli.run(compare_cli.parse_args(argv), out, io.StringIO())
    return code, out.getvalue()


def without(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key not in names} for row in rows]


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        ("4.10 s", "5.10 s", "4.10 to 5.10 s"),
        ("950.0 ms", "1.20 s", "950.0 ms to 1.20 s"),
        ("4.10 s", "∞", "4.10 s to ∞"),
        ("4.10 s", "4.10 s", "4.10 s"),
    ],
)
def test_both_ends_of_a_time_are_said_once_where_they_are_the_same(low, high, said):
    assert between(low, high) == said


def test_the_resolution_is_said_with_the_number_of_polls():
    assert resolution_words(Resolution(1.0, 1.2, 412, 100, 1.3)) == (
        "times by polling: known to within 1.00 s (median), 1.20 s at most; "
        "412 polls of 100 exchanges, at most 1.30 s apart"
    )
    assert resolution_words(Resolution(math.nan, math.nan, 1, 1, 0.0)) == (
        "times by polling: exact; 1 poll of 1 exchange"
    )


# --- one run --------------------------------------------------------------------------------------


def test_quantiles_are_told_of_all_low_and_of_all_high_ends():
    (group,) = summarise([job(n, float(n), n + 1.5) for n in range(1, 101)]).groups
    one = group.milestone("complete")
    assert one is not None
    assert one.low is not None
    assert [each.value for each in one.intended] == [51.5, 91.5, 96.5, 100.5]
    assert [each.value for each in one.low.intended] == [50.0, 90.0, 95.0, 99.0]
    assert one.said(0) == "50.0 to 51.5 s"
    assert one.bounds(0) == (one.low.intended[0].low, one.intended[0].high)
    accepted = group.milestone("accepted")
    assert accepted is not None
    assert accepted.low is None, "that one is exact"


def test_every_format_says_ranges_and_once_how_well_times_are_known(tmp_path):
    path = bundle(tmp_path / "run", [job(n, 4.0, 5.0) for n in range(20)])
    text = report(path, "text")
    assert "  TTD    p50 4.00 to 5.00 s" in text
    assert "  song there p50 1.50 to 2.50 s" in text
    for form in ("text", "markdown", "html"):
        said = report(path, form).replace("&#40;", "(").replace("&#41;", ")")
        assert said.count("known to within") == 1, form
        assert "4.00 to 5.00 s" in said
        assert "4.50 s" not in said, "nobody has seen the middle"
    page = report(path, "html")
    assert '">song there</abbr><br>p50 · p95</th>' in page
    assert "TTD</abbr> <small>complete</small>" in page


def test_json_keeps_both_ends_and_the_polls(tmp_path):
    path = bundle(tmp_path / "run", jobs(1, gap=0.5))
    (endpoint,) = json.loads(report(path, "json"))["summary"]["endpoints"]
    assert endpoint["polling"]["polls"] == 480
    assert endpoint["polling"]["resolution_most"] == pytest.approx(0.5)
    complete = endpoint["milestones"]["complete"]
    high, low = complete["from_intended"]["p50"], complete["low_ends"]["from_intended"]["p50"]
    assert high["seconds"] - low["seconds"] == pytest.approx(0.5)
    assert "low_ends" not in endpoint["milestones"]["accepted"]


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_ends_that_are_one_give_the_bytes_of_no_low_ends_at_all(tmp_path, form):
    plain = without(jobs(1, many=30), "polls", "milestones_low")
    same = [
        {**row, "milestones_low": {k: v for k, v in row["milestones"].items() if k != "accepted"}}
        for row in plain
    ]
    made = []
    for name, rows in (("one", plain), ("two", same)):
        path = bundle(tmp_path / name / "run", rows, created="2026-01-01T08:00:00.000Z")
        run = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**run, "finished": run["created"]}))
        made.append(report(path, form).replace(str(path), "run"))
    assert made[0] == made[1]


# --- comparisons ----------------------------------------------------------------------------------

PAIRING = Pairing("a", "job", ("complete",))
GATE = Gate(PAIRING, "complete", 0.5)


def series(lows: np.ndarray, highs: np.ndarray, *, exact: bool = False) -> EndpointSeries:
    times, n = {"complete": np.sort(highs)}, len(highs)
    if exact:
        return EndpointSeries(n, times, {"ok": n}, {})
    known = Resolution(1.0, float((highs - lows).max()), n, n, 1.0)
    return EndpointSeries(n, times, {"ok": n}, {}, {"complete": np.sort(lows)}, known)


def judged(
    base: list[EndpointSeries], candidate: list[EndpointSeries], **rules: Any
) -> GateOutcome:
    place = PAIRING.place
    (outcome,) = judge([GATE], {place: base}, {place: candidate}, Rules(**rules))
    return outcome


def arm(rng: np.random.Generator, gap: float, slower: float = 1.0, n: int = 200) -> EndpointSeries:
    highs = slower * rng.lognormal(math.log(4.0), 0.05, n)
    return series(np.maximum(0.001, highs - gap), highs)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize(
    ("gap", "slower", "said"),
    [
        (0.01, 1.0, "pass"),
        (0.01, 1.5, "fail"),
        (1.0, 1.0, "inconclusive"),
        (1.0, 2.5, "fail"),
        (1.0, 0.5, "pass"),
    ],
)
def test_a_gate_decides_only_where_both_cases_agree(runs, gap, slower, said):
    rng = np.random.default_rng(5)
    outcome = judged(
        [arm(rng, gap) for _ in range(runs)], [arm(rng, gap, slower) for _ in range(runs)]
    )
    assert outcome.verdict == said
    assert outcome.best is not None
    assert outcome.best.change.value < outcome.change.value
    assert outcome.widest.low == outcome.best.change.low
    if said == "inconclusive":
        assert outcome.need is not None
        assert outcome.need.count is None
        assert outcome.need.text == (
            "times by polling are known to within 1.00 s at most, and the margin lies in between: "
            "polls closer together would decide"
        )


def test_where_both_cases_cannot_tell_more_exchanges_are_asked_for():
    rng = np.random.default_rng(5)
    outcome = judged([arm(rng, 0.001, n=30)], [arm(rng, 0.001, 1.07, n=30)])
    assert outcome.verdict == "inconclusive"
    assert outcome.need is not None
    assert outcome.need.unit == "exchange"


def test_a_polled_arm_is_compared_with_one_that_is_exact():
    rng = np.random.default_rng(5)
    highs = rng.lognormal(math.log(4.0), 0.05, 200)
    exact = [series(highs, highs, exact=True)]
    assert judged([arm(rng, 1.0)], exact).verdict == "inconclusive"
    outcome = judged(exact, [arm(rng, 1.0)])
    assert outcome.verdict == "pass", "it is no slower even at its high ends"
    assert outcome.best is not None
    assert outcome.best.base == outcome.base


times = st.lists(st.floats(0.01, 100.0), min_size=8, max_size=60)
widths = st.floats(0.0, 50.0)


@settings(max_examples=60, deadline=None)
@given(times, times, widths, widths)
def test_the_verdict_is_that_of_both_pairings_of_ends_or_inconclusive(one, other, a, b):
    base, candidate = np.sort(one), np.sort(other)
    ends = [(np.maximum(0.0, base - a), base), (np.maximum(0.0, candidate - b), candidate)]

    def said(left: np.ndarray, right: np.ndarray) -> str:
        return judged([series(left, left, exact=True)], [series(right, right, exact=True)]).verdict

    cases = {said(ends[0][1], ends[1][0]), said(ends[0][0], ends[1][1])}
    expected = cases.pop() if len(cases) == 1 else "inconclusive"
    assert judged([series(*ends[0])], [series(*ends[1])]).verdict == expected


@settings(max_examples=60, deadline=None)
@given(times, times)
def test_an_outcome_of_ends_that_are_one_is_that_of_exact_times(one, other):
    arms = np.sort(one), np.sort(other)
    polled = judged(*([series(each, each)] for each in arms))
    exact = judged(*([series(each, each, exact=True)] for each in arms))
    assert polled.verdict == exact.verdict
    assert (polled.base, polled.candidate) == (exact.base, exact.candidate)
    assert str(polled.change) == str(exact.change), "nan is like nan"


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_comparisons_say_ranges_and_how_well_times_are_known(tmp_path, form):
    paths = [bundle(tmp_path / str(seed), jobs(seed)) for seed in (1, 2)]
    code, said = compared(paths[0], paths[1], form)
    assert code == 4
    if form == "json":
        found = json.loads(said)
        gate = next(each for each in found["gates"] if each["gate"] == "a.job.complete.p50")
        assert gate["best"]["change"]["value"] < 1 < gate["change"]["value"]
        assert [each["arm"] for each in found["polling"]] == ["base", "candidate"]
        return
    plain = said.replace("&#40;", "(").replace("&#41;", ")")
    assert plain.count("known to within 1.00 s (median)") == 2, "once an arm"
    assert "polls closer together would decide" in plain
    assert "a job TTD p50" in plain
    assert "stages that moved" not in plain, "of their lengths one end alone is known"
    assert ("up to 1" in plain) is (form != "markdown")


def test_ends_that_are_one_are_compared_to_the_byte_as_no_low_ends_at_all(tmp_path):
    made = []
    for name in ("exact", "same"):
        paths = []
        for seed in (1, 2):
            rows = without(jobs(seed), "polls", "milestones_low")
            if name == "same":
                rows = [{**row, "milestones_low": row["milestones"]} for row in rows]
            day = f"2026-01-0{seed}T08:00:00.000Z"
            paths.append(bundle(tmp_path / name / str(seed), rows, created=day))
        said = [compared(*paths, form)[1] for form in ("text", "markdown", "html", "json")]
        made.append([each.replace(f"/{name}/", "/run/") for each in said])
    assert made[0] == made[1]


def test_gates_by_default_are_the_headline_milestones_of_the_bundle(tmp_path):
    paths = [bundle(tmp_path / str(seed), jobs(seed)) for seed in (1, 2)]
    found = json.loads(compared(paths[0], paths[1], "json")[1])
    assert [gate["gate"] for gate in found["gates"]] == [
        *(f"a.job.{name}.p{q}" for name in ("song_there", "complete") for q in (50, 95)),
        "a.job.error_rate",
    ]


def test_a_calibration_counts_pairs_that_polling_cannot_tell_as_inconclusive(tmp_path):
    from soundstage.reports.decision.arms import Arm

    paths = [bundle(tmp_path / str(seed), jobs(seed)) for seed in range(4)]
    runs = Arm.of(read_run(Bundle.open(path)) for path in paths)
    (noise,) = calibrate(runs, [GATE], 0.1, 0.05).gates
    assert noise.verdicts == {"pass": 0, "inconclusive": 6, "fail": 0}


@pytest.mark.parametrize(
    ("scale", "gap", "said"),
    [(1.0, 0.01, "near"), (3.0, 0.01, "far"), (1.0, 3.0, "unclear"), (3.0, 1.0, "far")],
)
def test_a_stand_in_is_far_or_near_only_if_it_is_so_at_both_ends(tmp_path, scale, gap, said):
    paths = [
        bundle(tmp_path / "live", jobs(1, gap=gap)),
        bundle(tmp_path / "emulated", jobs(2, gap=gap, scale=scale)),
    ]
    arms = [read_run(Bundle.open(path)) for path in paths]
    (endpoint,) = fidelity.fidelity(arms[0], arms[1]).endpoints
    row = next(each for each in endpoint.rows if each.what == "TTD p50")
    assert row.verdict == said
    assert row.live_low is not None
    assert row.live_low < row.live
