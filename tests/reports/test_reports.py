"""HTML, JUnit, Markdown, JSON and text from bundles that the writer wrote."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from soundstage.errors import UsageError
from soundstage.reports import cli
from soundstage.reports.formats import html, junit, markdown
from soundstage.reports.formats.all_formats import FILES
from soundstage.reports.run.findings import Report, read_report
from soundstage.results.bundle import EXCHANGES, Bundle

Make = Callable[..., Path]


def report(path: Path) -> Report:
    return read_report(Bundle.open(path))


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run(cli.parse_args([str(one) for one in argv]), out, err)
    return code, out.getvalue(), err.getvalue()


class Page(HTMLParser):
    """Collects what a page would ask a network for, and what it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.requests: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "style" or name.startswith("on"):
                raise AssertionError(f"<{tag} {name}>: the page's policy forbids it")
            if name in ("src", "srcset", "data", "poster", "background"):
                self.requests.append(value or "")
            if name == "href":
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_without_a_format_all_reports_land_in_the_bundle(check_bundle: Path) -> None:
    code, out, err = run(check_bundle)
    assert (code, err) == (0, "")
    assert {"junit.xml", "summary.md", "report.html"} <= {p.name for p in check_bundle.iterdir()}
    assert not list(check_bundle.glob(".*"))
    assert out.startswith("FAIL  Contract broken, against the emulator — proves nothing about")
    assert "v5 stream: ok 1 (100%)\n  TTSR   n/a\n" in out
    assert re.search(r"  TTSR   p50 +[0-9.]+ m?s  \(n = 3\)", out)
    assert "  ✗ “version” is missing in streaming_ready: 3 times in 1 of 2 exchanges\n" in out
    assert "v6/stream/streaming_ready/field/version/required [field.missing]" in out
    assert "field.missing" in out
    assert out.endswith(f"report: {check_bundle / 'report.html'}\n")


def test_the_page_gives_verdict_findings_and_charts(check_bundle: Path) -> None:
    text = html.render(report(check_bundle))
    page = Page(text)
    assert page.tags.count("h1") == 1
    words = " ".join(page.text.split())
    assert "Contract broken Against the emulator — proves nothing about the live API" in words
    assert "Every streaming_ready chunk carries “version”, 1 or 2." in words
    assert "v6/stream/streaming_ready/field/version/required" in words
    assert "exchange e000001, chunk 5, at /stream_url" in words
    assert "transcripts/e000001.ndjson" in page.links
    assert "waived until 2026-12-31" in words
    assert "the API answered 503" in words
    assert {"matrix", "waterfall-v6-stream", "ecdf-v6-stream", "ecdf-v5-sync"} <= set(page.ids)
    assert "timeline" not in page.ids
    assert len(page.ids) == len(set(page.ids))
    # Most are drawn a second time, for a narrow screen.
    drawn = page.tags.count("svg") - text.count('class="narrow"')
    assert drawn == page.tags.count("figure")
    assert page.tags.count("svg") == text.count('role="img"')
    assert text.count('<details class="data">') == page.tags.count("figure")
    assert page.requests == []
    assert {"script", "link", "img", "iframe"}.isdisjoint(page.tags)
    assert len(text.encode()) < 300_000


def test_every_anchor_of_the_page_leads_somewhere(check_bundle: Path) -> None:
    page = Page(html.render(report(check_bundle)))
    inner = {link[1:] for link in page.links if link.startswith("#")}
    assert inner
    assert inner <= set(page.ids)


def test_a_load_run_of_two_thousand_fits_and_shows_its_load(load_bundle: Path) -> None:
    text = html.render(report(load_bundle))
    # With each chart twice, for a wide screen and for a narrow one.
    assert len(text.encode()) < 350_000
    assert "timeline" in Page(text).ids
    assert "∞" in text
    assert ">nan" not in text
    code, out, _ = run(load_bundle)
    assert code == 0
    assert "never got there" in out
    assert "nan" not in out


def test_junit_has_a_case_for_each_rule(check_bundle: Path) -> None:
    root = ET.fromstring(junit.render(report(check_bundle)))
    assert root.get("name") == "Soundstage contract check against the EMULATOR"
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert len(cases) == len(report(check_bundle).rules) + 1
    broken = cases["v6/stream/streaming_ready/field/version/required"]
    assert broken.get("classname") == "soundstage.v6.stream"
    failure = broken.find("failure")
    assert failure is not None
    assert failure.get("type") == "field.missing"
    said = "“version” is missing in streaming_ready: 3 times in 1 of 2 exchanges"
    assert failure.get("message") == said
    assert "asked: " in (failure.text or "")
    assert "(documented, Generate Song (v6)" in (failure.text or "")
    assert "- e000001 chunk 5 /stream_url:" in (failure.text or "")

    def skipped(name: str) -> str | None:
        found = cases[name].find("skipped")
        return None if found is None else found.get("message")

    assert skipped("v5/sync/field/status/required") == "inconclusive: the API answered 503"
    assert skipped("v5/stream/track/both") == "not exercised: v5 has one track"
    assert skipped("v5/stream/final/field/status/value") == (
        "known and waived: waived until 2026-12-31"
    )
    warned = cases["v6/stream/running/field/status/value"]
    assert warned.find("failure") is None
    assert (warned.findtext("system-out") or "").startswith("warning:")
    assert [root.get(name) for name in ("tests", "failures", "errors")] == [
        str(len(cases)),
        "3",
        "0",
    ]
    assert sum(int(suite.get("skipped", "0")) for suite in root) == 3
    suite = root.findall("testsuite")[1]
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["target.kind"] == "emulator"
    assert properties["contract.v6.sha256"] == "6" * 64
    assert properties["run"] == "check"


def test_markdown_leads_with_the_verdict_and_the_target(check_bundle: Path) -> None:
    text = markdown.render(report(check_bundle))
    assert text.startswith("## ❌ Contract broken\n\nAgainst **the emulator** — **proves nothing")
    assert "| v5 stream | 1 ok | TTSR | n/a | n/a | n/a |" in text
    assert "| ❌ | **“version” is missing in streaming&#95;ready** | 3 times in 1 of 2" in text
    assert "<code>v6/stream/streaming&#95;ready/field/version/required</code> |" in text


def test_json_is_run_json_with_its_summary(check_bundle: Path, load_bundle: Path) -> None:
    code, out, _ = run(check_bundle, "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert (found["verdict"], found["exit_code"]) == ("fail", 1)
    endpoints = {(one["api"], one["endpoint"]): one for one in found["summary"]["endpoints"]}
    assert endpoints["v6", "stream"]["milestones"]["streaming_ready"]["n"] == 3
    many = json.loads(run(load_bundle, check_bundle, "--format", "json")[1])
    assert [one["kind"] for one in many] == ["load", "check"]
    late = many[0]["summary"]["endpoints"][0]["milestones"]["complete"]["from_intended"]["p99"]
    assert late["seconds"] is None


@pytest.mark.parametrize("target", ["emulator", "local", "live"])
def test_every_report_names_the_kind_of_target(bundle: Make, runs: Any, target: str) -> None:
    path = bundle([runs.exchange(1, random.Random(1))], rules=runs.contract_rules(), target=target)
    words = {"emulator": "the emulator", "local": "a local server", "live": "the live API"}[target]
    for text in (html.render(report(path)), markdown.render(report(path)), run(path)[1]):
        assert words in text
    root = ET.fromstring(junit.render(report(path)))
    assert words.split(" ", 1)[1].upper() in (root.get("name") or "")


def test_an_empty_run_is_no_pass(bundle: Make) -> None:
    path = bundle()
    code, out, err = run(path)
    assert code == 5
    assert out.startswith("INCONCLUSIVE  No data")
    assert "no data" in err
    assert "Nothing was recorded" in (path / "report.html").read_text("utf-8")
    root = ET.parse(path / "junit.xml").getroot()
    assert root.get("errors") == "1"


def test_one_exchange_draws(bundle: Make, runs: Any) -> None:
    text = html.render(report(bundle([runs.exchange(1, random.Random(1))])))
    assert "NaN" not in text
    assert "waterfall-v6-stream" in text


def test_a_run_in_which_all_failed_shows_infinity(bundle: Make, runs: Any) -> None:
    rng = random.Random(1)
    rows = [runs.exchange(n, rng, outcome="timeout", milestones={}, stages={}) for n in range(20)]
    path = bundle(
        rows,
        rules=[
            {**rule, "outcome": "inconclusive", "reason": "the API answered 503"}
            for rule in runs.contract_rules()
        ],
        finish={
            "verdict": "inconclusive",
            "exit_code": 6,
            "reason": "the target answered 503",
            "voids": [{"kind": "target", "message": "503 to 20 of 20"}],
        },
    )
    code, out, _ = run(path)
    assert code == 0
    assert out.startswith("INCONCLUSIVE  This run cannot tell, against the emulator")
    assert "target: 503 to 20 of 20" in out
    assert re.search(r"TTSR +p50 +∞ +p95 +∞  \(n = 20, 20 never got there\)", out)
    text = (path / "report.html").read_text("utf-8")
    assert "no exchange got there" in text
    assert text.index("503 to 20 of 20") < text.index('id="findings"')
    root = ET.parse(path / "junit.xml").getroot()
    assert root.get("failures") == root.get("errors") == "0"
    assert sum(int(suite.get("skipped", "0")) for suite in root) == int(root.get("tests", "0"))


def test_a_killed_run_is_reported_as_far_as_it_came(bundle: Make, runs: Any) -> None:
    rng = random.Random(1)
    path = bundle(
        [runs.exchange(n, rng) for n in range(20)],
        violations=[runs.violation(runs.ORDER, "stage.order", "out of order")] * 5,
        finish={},
    )
    place = path / EXCHANGES
    place.write_bytes(place.read_bytes()[:-20])
    code, out, _ = run(path)
    assert code == 0
    assert out.startswith("INCOMPLETE  The run did not come to its end")
    assert "1 file of the bundle ended inside a row" in out
    assert "✗ out of order: 5 times in 1 exchange\n" in out
    root = ET.parse(path / "junit.xml").getroot()
    assert root.get("errors") == "1"
    assert root.get("failures") == "1"


def test_hostile_text_hurts_no_report(bundle: Make, runs: Any) -> None:
    name = runs.REQUIRED
    row = runs.exchange(1, random.Random(1), reason=runs.HOSTILE)
    row["stages"][runs.HOSTILE] = [0.1, 0.1, 1]
    row["codes"][runs.HOSTILE] = 1
    rules = [
        runs.broken(name, runs.HOSTILE, text=runs.HOSTILE, source=runs.HOSTILE),
        runs.rule("v6/stream/x/y", "inconclusive", reason=runs.HOSTILE),
    ]
    path = bundle(
        [row],
        rules=rules,
        violations=[runs.violation(name, "field.missing", runs.HOSTILE)],
        finish={"verdict": "fail", "exit_code": 1, "reason": runs.HOSTILE},
        command=runs.HOSTILE,
        parameters={runs.HOSTILE: runs.HOSTILE},
    )
    _, out, _ = run(path)
    outputs = {file: (path / file).read_text("utf-8") for file in FILES}
    for text in (out, *outputs.values()):
        assert "".join(text.split("\n")).isprintable()
        assert "\\u202e" in text or "&#92;u202e" in text
    page = Page(outputs["report.html"])
    assert {"script", "img"}.isdisjoint(page.tags)
    assert page.requests == []
    assert not [link for link in page.links if not link.startswith(("#", "transcripts/"))]
    ET.fromstring(outputs["junit.xml"])
    broken = [line for line in outputs["summary.md"].splitlines() if "❌ |" in line]
    assert len(broken) == 1
    assert broken[0].count("|") == 6
    for sign in ("<script", "<img", "@everyone", "`", "](", "http:"):
        assert sign not in outputs["summary.md"]


def test_endless_findings_are_bounded_and_counted(bundle: Make, runs: Any) -> None:
    rules = [runs.broken(f"v6/stream/s{n}/field/x", "y" * 5000) for n in range(3000)]
    path = bundle(rules=rules, finish={"verdict": "fail", "exit_code": 1})
    run(path)
    page = (path / "report.html").read_text("utf-8")
    assert len(page.encode()) < 1_500_000
    assert "and 2940 more rules" in page
    summary = (path / "summary.md").read_text("utf-8")
    assert len(summary.encode()) < 60_000
    assert "and 2,950 more rules" in summary


def test_a_transcript_that_is_not_there_is_not_linked(bundle: Make, runs: Any) -> None:
    row = runs.exchange(1, random.Random(1), transcript="../../etc/passwd")
    path = bundle([row], rules=[runs.broken(runs.REQUIRED, "missing")])
    assert "passwd" not in html.render(report(path))


def test_output_goes_where_it_is_asked(check_bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "out.md"
    assert run(check_bundle, "--format", "markdown", "--output", place) == (0, "", "")
    assert place.read_text("utf-8") == run(check_bundle, "--format", "markdown")[1]
    assert not (check_bundle / "summary.md").exists()
    assert run(check_bundle, "--format", "junit")[1].startswith("<?xml")
    assert run(check_bundle, "--format", "html", "--output", "-")[1].startswith("<!doctype html>")


def test_wrong_use_is_refused(
    check_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="takes one bundle"):
        run(check_bundle, check_bundle, "--format", "html")
    with pytest.raises(UsageError, match="cannot write"):
        run(check_bundle, "--format", "json", "--output", tmp_path / "none" / "x")
    with pytest.raises(SystemExit) as stopped:
        cli.parse_args(["x", "--output", "y"])
    assert stopped.value.code == 2
    with pytest.raises(SystemExit) as stopped:
        cli.parse_args(["--help"])
    assert stopped.value.code == 0
    assert "examples:\n  soundstage report runs/" in capsys.readouterr().out
