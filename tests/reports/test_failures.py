"""Why exchanges failed, as every report says it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from soundstage.reports.formats import html, markdown
from soundstage.reports.formats.as_json import to_json
from soundstage.reports.formats.text import print_summary
from soundstage.reports.run.failure_reasons import reason_words, short_reason
from soundstage.reports.run.failures import SHOWN, Failures
from soundstage.reports.run.findings import Report, read_report
from soundstage.reports.run.load_answer import load_answer
from soundstage.reports.run.summary import summarise
from soundstage.reports.run.wall_clock import WallClock, wall_clock
from soundstage.results.bundle import Bundle


def read(path: Path) -> Report:
    return read_report(Bundle.open(path))


def said(report: Report) -> str:
    out = io.StringIO()
    print_summary(report, out)
    return out.getvalue()


@pytest.fixture
def mixed(bundle: Callable[..., Path], runs: ModuleType) -> Callable[..., Path]:
    """A load of 100: six 502, four 429, three resets, a timeout, one cut; warm-up: two 502."""

    def make(**facts: Any) -> Path:
        rng = random.Random(3)
        gateway = {"outcome": "refused", "http_status": 502, "reason": "http.502"}
        limit = {"outcome": "refused", "http_status": 429, "reason": "api.rate_limit"}
        reset = {
            "outcome": "transport",
            "reason": None,
            "verdict": "violates",
            "codes": {"stream.truncated": 1, "http.reset": 1},
        }
        silent = {"outcome": "timeout", "reason": "harness.idle_timeout"}
        cut = {"outcome": "censored", "reason": "harness.cancelled"}
        kinds = [gateway] * 6 + [limit] * 4 + [reset] * 3 + [silent, cut]
        rows = []
        for number in range(100):
            kind = kinds[number - 60] if 60 <= number < 75 else {}
            rows.append(
                runs.exchange(
                    number + 1,
                    rng,
                    at=float(number),
                    ended=0.5,
                    **{"outcome": "ok", **kind},
                )
            )
        rows += [runs.exchange(200 + n, rng, at=0.1, warmup=True, **gateway) for n in range(2)]
        rows[60]["transcript"] = "transcripts/e000061.ndjson"
        rows[66]["transcript"] = "transcripts/e000067-gone.ndjson"
        how = {"kind": "load", "transcripts": ["e000061"], "rules": [], **facts}
        return bundle(rows, **how)

    return make


def test_429_and_502_are_told_apart_with_when_and_an_example(mixed: Any) -> None:
    failed = read(mixed()).summary.failures
    assert failed is not None
    assert [(one.title, one.reason, one.count, one.first, one.last) for one in failed.kinds] == [
        ("502 Bad Gateway", "http.502", 6, 60.5002, 65.5002),
        ("429 Too Many Requests", "api.rate_limit", 4, 66.5002, 69.5002),
        ("connection reset", "http.reset", 3, 70.5002, 72.5002),
        ("silent too long", "harness.idle_timeout", 1, 73.5002, 73.5002),
        ("cut by the end", "harness.cancelled", 1, 74.5002, 74.5002),
    ]
    assert (failed.total, failed.of, failed.unknown, failed.warmup) == (14, 100, 1, 2)
    assert failed.kinds[0].share == "6.0%"
    assert failed.kinds[0].transcript == "transcripts/e000061.ndjson"
    assert failed.kinds[1].example == "e000067"
    assert failed.kinds[1].transcript is None, "the bundle does not hold it"


def test_the_failures_add_up_to_what_did_not_end_well(mixed: Any) -> None:
    summary = read(mixed()).summary
    assert summary.failures is not None
    (group,) = summary.groups
    bad = sum(number for outcome, number in group.outcomes.items() if outcome != "ok")
    assert summary.failures.total + summary.failures.unknown == bad


def test_every_report_says_why(mixed: Any) -> None:
    path = mixed()
    report = read(path)
    first = wall_clock(report.run).at(60.5)
    page = html.render(report)
    assert "14 of 100 exchanges failed (14.0%): 6 × 502 Bad Gateway" in page
    assert '<a href="transcripts/e000061.ndjson">e000061</a>' in page
    assert f"soundstage show {path.name} e000061" in page
    assert f"{first} <small>60.5 s</small>" in page
    assert page.index('id="failures"') < page.index('id="times"') < page.index('id="findings"')
    text = said(report)
    assert "failures: 14 of 100 exchanges (14.0%), times in UTC" in text
    assert "502 Bad Gateway (http.502)" in text
    assert f"soundstage show {path} e000061" in text
    table = markdown.render(report)
    assert "| 429 Too Many Requests | refused by the API&#58; rate limit" in table
    kinds = to_json(report)["summary"]["failures"]["kinds"]
    assert json.loads(json.dumps(kinds))[1]["status"] == 429
    assert kinds[1]["first"]["seconds"] == 66.5002
    assert kinds[1]["first"]["at"].endswith("Z")


def test_of_a_run_without_failures_nothing_is_said(
    bundle: Callable[..., Path], runs: ModuleType
) -> None:
    report = read(bundle([runs.exchange(1, random.Random(1))], kind="load"))
    assert report.summary.failures is None
    assert 'id="failures"' not in html.render(report)
    assert "no exchange failed" in html.render(report)
    assert "failures" not in said(report)
    assert "failures" not in to_json(report)["summary"]


def test_a_request_that_was_to_be_refused_and_was_is_no_failure(runs: ModuleType) -> None:
    rng = random.Random(1)
    refused = runs.exchange(
        1, rng, outcome="refused", http_status=401, probe=True, reason=None, verdict="conforms"
    )
    outage = {**refused, "id": "e2", "reason": "http.503", "http_status": 503}
    assert summarise([refused]).failures is None
    found = summarise([refused, outage]).failures
    assert found is not None
    assert [(one.title, one.count, one.of) for one in found.kinds] == [
        ("503 Service Unavailable", 1, 2)
    ]


def test_kinds_without_number_are_cut_and_counted(runs: ModuleType) -> None:
    rows = [
        runs.exchange(n, random.Random(n), outcome="failed", reason=f"{runs.HOSTILE[:60]} {n}")
        for n in range(SHOWN + 12)
    ]
    failed = summarise(rows).failures
    assert failed is not None
    assert (len(failed.kinds), failed.more, failed.more_exchanges) == (SHOWN, 12, 12)
    assert not any("\x1b" in one.reason + one.title for one in failed.kinds)


def test_hostile_reasons_are_only_text(mixed: Any, runs: ModuleType) -> None:
    path = mixed()
    bundle = Bundle.open(path)
    rows = [{**row, "reason": runs.HOSTILE} for row in bundle.exchanges()]
    report = read(path)
    (report,) = [
        Report(
            run=report.run,
            headline=report.headline,
            voids=(),
            summary=summarise(rows),
            rules=(),
            transcripts=(),
        )
    ]
    assert report.summary.failures is not None
    assert "<script>" not in html.render(report)
    assert "<script" not in markdown.render(report)
    assert "\x1b" not in said(report)


@pytest.mark.parametrize(
    ("outcome", "status", "reason", "name", "words"),
    [
        ("refused", 503, "http.503", "503 Service Unavailable", "a gateway or proxy"),
        ("refused", 401, "http.401", "401 Unauthorized", "does not print"),
        ("refused", 402, "api.insufficient_balance", "402 Payment", "insufficient balance"),
        ("transport", None, "environment.tls", "TLS failed", "handshake"),
        ("transport", None, "environment.unreachable", "unreachable", "DNS"),
        ("transport", 200, "http.truncated", "answer cut short", "ended before the body was over"),
        ("failed", 200, "stream.truncated", "stream ended early", "before its last chunk"),
        ("cut", 200, "cap.events", "cap.events", "a limit of Soundstage"),
        ("dropped", None, "generator.max_in_flight", "never sent", "in flight"),
        ("failed", 200, "json.syntax", "json.syntax", "not JSON"),
        ("failed", 200, "no.such_reason", "no.such_reason", ""),
    ],
)
def test_reasons_are_told_in_words(
    outcome: str, status: int | None, reason: str, name: str, words: str
) -> None:
    assert short_reason(outcome, status, reason).startswith(name)
    assert words in reason_words(status, reason)


def test_a_load_page_answers_on_its_first_screen(mixed: Any, runs: ModuleType) -> None:
    answer = load_answer(read(mixed()))
    assert answer is not None
    assert answer.held == ""
    assert answer.ask == "--slo 'streaming_ready.p95<8s'"
    assert answer.failed.startswith(
        "14 of 100 exchanges failed (14.0%): 6 × 502 Bad Gateway, 4 × 429"
    )
    assert [(one.words, one.anchor) for one in answer.looks] == [
        ("the failures: most are “502 Bad Gateway” of v6 stream", "failures")
    ]
    slos = [runs.slo("complete.p95<2s"), runs.slo("complete.p95<9s", "pass")]
    missed = load_answer(
        read(mixed(finish={"verdict": "fail", "exit_code": 3, "reason": None, "slos": slos}))
    )
    assert missed is not None
    assert missed.held == "1 of 2 objectives met"
    assert [one.anchor for one in missed.looks] == ["failures", "charts"]


def test_the_time_of_day_names_the_day_where_it_is_another() -> None:
    clock = WallClock(datetime(2026, 12, 31, 23, 59, 58, 250_000, UTC))
    assert clock.at(0.5) == "23:59:58"
    assert clock.at(0.5, tenths=True) == "23:59:58.7"
    assert clock.at(2) == "01-01 00:00:00"
    assert clock.instant(2) == "2027-01-01T00:00:00.250Z"
    for never in (float("inf"), float("nan"), 1e300):
        assert clock.at(never) == "–"
        assert clock.instant(never) is None


def test_the_clock_counts_from_the_moment_that_rows_count_from() -> None:
    run = {"created": "2026-11-21T08:36:15.000Z", "began": "2026-11-21T08:36:17.500Z"}
    assert wall_clock(run).at(0.5) == "08:36:18"
    assert wall_clock({"created": run["created"]}).at(0.5) == "08:36:15"


def test_a_sentence_names_the_most_frequent_and_counts_the_rest(mixed: Any) -> None:
    failed = read(mixed()).summary.failures
    assert isinstance(failed, Failures)
    assert failed.sentence == (
        "14 of 100 exchanges failed (14.0%): 6 × 502 Bad Gateway, 4 × 429 Too Many Requests,"
        " 3 × connection reset, 1 × silent too long"
    )
