"""What somebody reads who has read nothing else: the defect, the reason once, words with units, no
quantile that so few values do not tell, and notes that are no violations.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from soundstage.reports.formats import annotations, html, junit, markdown
from soundstage.reports.formats.as_json import to_json
from soundstage.reports.formats.text import print_summary
from soundstage.reports.run.about import about
from soundstage.reports.run.findings import Report, read_report
from soundstage.reports.run.legend import legend
from soundstage.reports.words import budget_words, reason_words
from soundstage.results.bundle import Bundle
from soundstage.results.quantiles import tells

Make = Callable[..., Path]
KINDS = {"v6": {"title": "v6", "sha256": "6" * 64, "kinds": {"stream": "stream"}}}
PYTHON = re.compile(r"\b(?:None|True|False)\b|\{'|\['")


def read(path: Path) -> Report:
    return read_report(Bundle.open(path))


def text(report: Report) -> str:
    out = io.StringIO()
    print_summary(report, out)
    return out.getvalue()


def every_format(report: Report) -> dict[str, str]:
    return {
        "text": text(report),
        "html": html.render(report),
        "markdown": unescape(markdown.render(report)),
        "junit": junit.render(report),
        "annotations": annotations.render(report),
        "json": str(to_json(report)),
    }


@pytest.fixture
def broken(bundle: Make, runs: Any) -> Report:
    """A red check as of before reasons had words: its reason is that of a test case of pytest."""
    name = "v6/stream/times/streaming_ready"
    said = "streaming_ready of track 2 never came"
    return read(
        bundle(
            [runs.exchange(n, random.Random(n)) for n in range(13)],
            rules=[runs.broken(name, said, exchanges=13, violations=13)],
            violations=[
                runs.violation(name, "stage.missing", said, f"e{n:06d}") for n in range(13)
            ],
            finish={
                "verdict": "fail",
                "exit_code": 1,
                "reason": "test_requests.py::test_explored_requests[v6]: e000353: running came",
            },
            contracts=KINDS,
        )
    )


def test_a_red_check_begins_with_what_is_wrong_and_in_how_many_streams(broken: Report) -> None:
    said = "streaming_ready of track 2 never came: 13 of 13 streams"
    assert broken.headline.detail == said
    for name, document in every_format(broken).items():
        assert said in document, name
        assert "test_explored_requests" not in document.replace(str(broken.run["reason"]), ""), name
    assert "test_requests" not in text(broken)


def test_the_title_of_a_finding_is_the_defect_and_what_is_asked_stands_below(
    broken: Report,
) -> None:
    page = html.render(broken)
    what = '<span class="what">streaming_ready of track 2 never came</span>'
    assert page.index(what) < page.index("Asked: The times streaming_ready rule of v6 holds.")


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_notes_are_no_violations_and_stand_last(bundle: Make, runs: Any, verdict: str) -> None:
    name, said = "v6/stream/completion/last", "isComplete is false on the last chunk"
    note = {**runs.violation(name, "stream.not_closed", said), "severity": "info"}
    noted = runs.rule(name, violations=1, severity="info")
    bad = [runs.broken(runs.ORDER, "out of order")] if verdict == "fail" else []
    row = runs.exchange(1, random.Random(1), codes={"stream.not_closed": 1})
    finish = {"verdict": verdict, "exit_code": int(verdict == "fail")}
    report = read(bundle([row], rules=[noted, *bad], violations=[note], finish=finish))
    assert "violation" not in text(report)
    assert text(report).rstrip().splitlines()[-2:] == [
        "notes, none of which breaks the contract:",
        f"  {said}: 1 of 4 exchanges",
    ]
    page = html.render(report)
    assert page.index('id="run"') < page.index('id="notes"') < page.index(f">{said}</span>")
    assert "stream.not_closed" not in page[: page.index('id="notes"')]


def test_a_run_that_measures_nothing_says_why_once(bundle: Make, runs: Any) -> None:
    why = "the load generator was saturated: 99% late"
    slo = runs.slo("v6.complete.p95<90s", verdict="inconclusive", reason=why)
    report = read(
        bundle(
            [runs.exchange(n, random.Random(n)) for n in range(30)],
            kind="load",
            finish={
                "verdict": "invalid",
                "exit_code": 6,
                "reason": why,
                "voids": [{"kind": "generator", "message": why}],
                "slos": [slo],
            },
        )
    )
    for name, document in every_format(report).items():
        if name not in ("json", "junit"):  # data, and a case and its output
            assert document.count("saturated") == 1, name
    case = ET.fromstring(junit.render(report)).find("testsuite/testcase/error")
    assert case is not None
    assert why in (case.get("message") or "")
    assert case.text is None


@pytest.mark.parametrize(("order", "least"), [(0.5, 2), (0.9, 10), (0.95, 20), (0.99, 100)])
def test_a_quantile_is_told_from_where_it_is_not_the_largest_value(
    order: float, least: int
) -> None:
    assert tells(order, least)
    assert not tells(order, least - 1)


@pytest.mark.parametrize(
    ("many", "told"), [(1, []), (19, [50]), (20, [50, 95]), (100, [50, 95, 99])]
)
def test_no_format_prints_a_quantile_of_too_few(
    bundle: Make, runs: Any, many: int, told: list[int]
) -> None:
    rows = [runs.exchange(n, random.Random(n)) for n in range(many)]
    report = read(bundle(rows, rules=runs.contract_rules(), kind="load", finish={}))
    (line,) = [each for each in text(report).splitlines() if each.startswith("  TTC")]
    assert [int(each) for each in re.findall(r"p(\d\d) ", line)] == told
    if many == 1:
        assert line.endswith("(one exchange)")
    (row,) = [each for each in markdown.render(report).splitlines() if "| TTC |" in each]
    cells = [each.strip() for each in row.split("|")[-4:-1]]
    assert [each != "–" for each in cells] == [True, 95 in told, 99 in told]
    quantiles = to_json(report)["summary"]["endpoints"][0]["milestones"]["complete"]
    assert quantiles["from_intended"]["p99"]["seconds"] is not None


PARAMETERS: dict[str, Any] = {
    "scenario": "steady",
    "loop": "open",
    "rate": 4.0,
    "phases": ["1/s for 5 s", "4/s for 10 s"],
    "arrivals": "poisson",
    "users": None,
    "duration_s": 15.0,
    "warmup_s": 0.0,
    "timeout_s": 3600.0,
    "mixture": {"v6.stream": 0.75, "v6.sync": 0.25},
    "corpus": {"file": "p.txt", "entries": 3, "sha256": "a" * 64},
    "probe_playback": 0.1,
    "of_another_time": True,
    "grace_ms": 1500,
    "nested": {"a": None, "b": [1, False, {"c": {"d": 1}}]},
    "<b>": "<script>\u202e",
}
TOTALS: dict[str, Any] = {
    "arrivals_asked": 25,
    "arrivals_started": 25,
    "dropped": 0,
    "late_starts": 0,
    "late_p99_ms": 2.234,
    "outcomes": {"ok": 24, "timeout": 1},
    "cpu_share": 0.0148,
    "found_no_room": 0,
    "seconds": 99.477,
    "steal_share": None,
}


def test_a_run_is_told_about_in_words_and_units() -> None:
    said = dict(about({"parameters": PARAMETERS, "totals": TOTALS}))
    assert said["Rate"] == "4 requests a second"
    assert said["Phases"] == "1/s for 5 s, then 4/s for 10 s"
    assert said["Duration"] == "15 s"
    assert said["Warm-up"] == "none"
    assert said["Longest answer"] == "1 h"
    assert said["Requests"] == "75.0% to v6.stream, 25.0% to v6.sync"
    assert said["Prompts from"] == f"p.txt, 3 entries (sha256 {'a' * 16}…)"
    assert said["Arrivals"] == "25 came due, 25 started, none dropped"
    assert said["Late starts"] == "0 of 25 requests", "25 values tell no p99"
    assert said["Outcomes"] == "24 ok, 1 timeout"
    assert said["CPU of the generator"] == "1.5% of one core"
    assert "Users" not in said
    assert "Cut for lack of memory" not in said
    assert said["Of another time"] == "yes"
    assert said["Grace"] == "1.50 s"
    assert said["Nested"] == "a none, b 1, no, …"
    for term, words in said.items():
        assert not PYTHON.search(f"{term} {words}"), term
        assert f"{term}{words}".isprintable(), term


@pytest.mark.parametrize("value", [None, True, -1, 1e400, "x", [], {}, [None], {"a": {}}])
def test_values_of_another_type_than_ours_are_shown_as_they_can_be(value: Any) -> None:
    run = {"parameters": dict.fromkeys(PARAMETERS, value), "totals": dict.fromkeys(TOTALS, value)}
    for term, words in about(run):
        assert not PYTHON.search(words), term


@pytest.mark.parametrize(
    ("kind", "budget", "words"),
    [
        ("emulator", (None, 25), "nothing was charged for 25 generations: an emulator is free"),
        ("emulator", (None, 0), "nothing was charged: an emulator is free"),
        ("live", (10, 4), "4 billable requests spent of 10"),
        ("local", (None, 1), "1 billable request spent"),
    ],
)
def test_what_a_run_cost_depends_on_its_target(
    kind: str, budget: tuple[int | None, int], words: str
) -> None:
    limit, spent = budget
    run = {"target": {"kind": kind}, "budget": {"limit": limit, "spent": spent}}
    assert budget_words(run) == words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "http.429: Too Many Requests",
            "the target answered with 429 Too Many Requests [http.429]",
        ),
        ("api.rate_limit", "the API refused: rate limit [api.rate_limit]"),
        ("budget.spent: all 4 are used", "the budget: all 4 are used [budget.spent]"),
        ("the load generator was saturated", "the load generator was saturated"),
        ("SLO v6.complete.p95<30s: 93 s", "SLO v6.complete.p95<30s: 93 s"),
    ],
)
def test_a_reason_is_said_in_words_and_keeps_its_code(reason: str, words: str) -> None:
    assert reason_words(reason) == words


def test_times_of_junit_add_up_to_the_run(bundle: Make, runs: Any) -> None:
    rules = [runs.rule(f"v6/stream/x/{n}", seconds=0.25) for n in range(3)]
    path = bundle([runs.exchange(1, random.Random(1))], rules=rules)
    report = read(path)
    report.run["finished"] = report.run["created"][:17] + "59.999Z"  # type: ignore[index]
    report.run["created"] = report.run["created"][:17] + "50.000Z"  # type: ignore[index]
    root = ET.fromstring(junit.render(report))
    times = {case.get("name"): float(case.get("time", "nan")) for case in root.iter("testcase")}
    assert times["v6/stream/x/0"] == 0.25
    assert sum(times.values()) == pytest.approx(9.999)
    assert float(root.get("time", "nan")) == pytest.approx(9.999)
    assert all(suite.get("timestamp") for suite in root.iter("testsuite"))
    assert not [each for each in root.iter() if "hostname" in each.attrib]


def test_the_words_that_a_report_uses_are_explained_in_it(bundle: Make, runs: Any) -> None:
    rules = [*runs.contract_rules(), runs.rule("v6/stream/a/b", "not_exercised", reason="none")]
    rows = [runs.exchange(n, random.Random(n)) for n in range(3)]
    rows.append({**runs.exchange(9, random.Random(9)), "probe": True})
    report = read(bundle(rows, rules=rules, kind="load"))
    words = dict(legend(report))
    assert {"not exercised", "exchange", "probe", "TTSR", "audio", "TTC", "p50, p95"} <= set(words)
    assert words["TTSR"].endswith("until streaming ready")
    assert "warm-up" not in words
    page = html.render(report)
    for word, meaning in words.items():
        assert f"<dt>{word}</dt><dd>{meaning}</dd>" in page


def test_a_check_of_an_emulator_has_the_contract_first_and_folds_its_times(
    bundle: Make, runs: Any
) -> None:
    rows = [runs.exchange(n, random.Random(n)) for n in range(3)]
    places = ('id="findings"', 'id="contract"', 'id="times"', 'id="charts"', 'id="run"')
    page = html.render(read(bundle(rows, rules=runs.contract_rules())))
    assert sorted(places, key=page.index) == list(places)
    assert page.index('class="fold"') < page.index('id="times"')
    live = html.render(read(bundle(rows, rules=runs.contract_rules(), target="live")))
    assert 'class="fold"' not in live
