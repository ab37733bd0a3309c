"""The smallest stream that shows a finding, as reports show it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from soundstage.contract import load
from soundstage.generation import walk
from soundstage.reports.formats import html, junit, markdown
from soundstage.reports.run.findings import Report, read_report
from soundstage.reports.story.evidence import (
    CHUNK_LIMIT,
    ShrinkAllowance,
    Smallest,
    bounded,
    pretty,
    smallest,
)
from soundstage.results.bundle import Bundle
from soundstage.saved.transcript import Transcript

Make = Callable[..., Path]
V6 = load("v6")
ORDER = "v6/stream/order/uploading/after/completed"
FIELD = "v6/stream/running/field/progress/type"


def chunks() -> list[dict[str, Any]]:
    """A v6 stream without its completed, in which a field of the first running is hostile."""
    rng = random.Random(4)
    steps = walk.plan(V6, rng)
    made = list(walk.payloads(V6, steps, walk.random_story(rng), rng))
    kept = [chunk for step, chunk in zip(steps, made, strict=True) if step.stage != "completed"]
    running = next(chunk for chunk in kept if chunk["status"] == "running")
    running["progress"] = "</pre><script>alert(1)</script>\u202e`|x"
    return [{**chunk, "chunkIndex": number} for number, chunk in enumerate(kept)]


def transcript(events: list[bytes]) -> bytes:
    asked = {"method": "POST", "url": "http://127.0.0.1:1/v6/generate/song", "body": {}}
    header = {"api": "v6", "endpoint": "stream", "request": asked}
    header["response"] = {"status": 200, "headers": []}
    end = {"kind": "complete", "fault_of": None, "message": "", "cut": None}
    pieces = [(0.1, b"data: " + event + b"\n\n", False) for event in events]
    return Transcript(header, pieces, end).to_bytes()


RAW = transcript([json.dumps(chunk).encode() for chunk in chunks()])


def shown(rule: str, raw: bytes = RAW, **which: Any) -> Smallest | None:
    return smallest(V6, "stream", rule, which.get("chunk"), "e000001", raw)


@pytest.fixture
def found(bundle: Make, runs: Any) -> Report:
    """A run whose bundle holds the transcript."""
    row = runs.exchange(1, random.Random(1), transcript="transcripts/e000001.ndjson")
    rules = [
        runs.broken(ORDER, "uploading of track 1 came before completed"),
        runs.broken(FIELD, "progress is a string"),
        runs.broken("v6/stream/http/body", "the connection was reset"),
    ]
    path = bundle([row], rules=rules, transcripts=["e000001"])
    (path / "transcripts" / "e000001.ndjson").write_bytes(RAW)
    return read_report(Bundle.open(path))


def test_a_finding_carries_the_chunks_the_trace_and_what_was_due() -> None:
    one = shown(ORDER)
    assert one is not None
    assert one.minimal
    assert (one.kept, one.hidden) == (len(one.chunks), 0)
    assert [chunk.here for chunk in one.chunks] == [False] * (one.kept - 1) + [True]
    assert one.expected == "uploading comes after completed for each track."
    assert "completed" in one.due
    assert one.sentence == f"{one.kept} of {one.events} chunks are enough to show it"
    assert next(each.label for each in one.trace if each.here).startswith("uploading")
    assert '  "status": "uploading",' in one.chunks[-1].lines


def test_the_page_and_the_summary_show_it_and_take_no_string_at_its_word(found: Report) -> None:
    page, text = html.render(found), markdown.render(found)
    assert page.count("Smallest stream that shows it") == 2
    assert text.count("<details><summary>Smallest stream that shows") == 2
    for report in (page, text):
        assert "Still due there" in report
        assert "Stages seen" in report
        assert "<script" not in report
        assert "\u202e" not in report
    assert '<pre tabindex="0" class="here"><b>chunk ' in page
    assert "<mark>uploading (" in page
    assert "1 of " in page
    assert "is enough to show it" in page
    assert len(page.encode()) < 300_000


def test_junit_shows_it_where_ci_servers_print_it_and_a_line_to_ask_again(found: Report) -> None:
    root = ET.fromstring(junit.render(found))
    case = next(each for each in root.iter("testcase") if each.get("name") == ORDER)
    output = case.findtext("system-out") or ""
    assert "smallest stream that shows it, in exchange e000001:" in output
    assert "still due there: " in output
    assert "completed" in output
    assert '"status": "uploading"' in output
    assert "curl -N -X POST 'http://127.0.0.1:1/v6/generate/song'" in output
    assert case.get("status") == "steady"


def test_a_rule_that_is_not_about_events_has_no_smallest_stream(found: Report) -> None:
    kept = {rule.id: rule.smallest is not None for rule in found.rules}
    assert kept == {ORDER: True, FIELD: True, "v6/stream/http/body": False}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b'{"made":"up"}\n',
        b'{"transcript":1}\nno json\n',
        transcript([]),
        transcript([b"<html>"]),
    ],
)
def test_a_transcript_that_does_not_show_it_is_no_evidence(raw: bytes) -> None:
    assert shown(ORDER, raw) is None


def test_other_endpoints_and_unknown_rules_have_none() -> None:
    assert smallest(V6, "sync", ORDER, None, "e1", RAW) is None
    assert smallest(V6, "absent", ORDER, None, "e1", RAW) is None
    assert shown("v6/stream/absent") is None


def test_many_chunks_are_cut_in_the_middle_and_counted() -> None:
    made = chunks()
    whole = [json.dumps(chunk).encode() for chunk in made]
    one = shown("v6/stream/times/completed", transcript(whole))
    if one is not None:
        assert one.kept == len(one.chunks) + one.hidden
        assert len(one.chunks) <= CHUNK_LIMIT


def test_what_is_no_json_is_shown_as_it_is_and_what_is_long_is_cut() -> None:
    assert pretty(b'{"a": \xff\x1b[31m') == ('{"a": \\xff\\x1b[31m',)
    lines = pretty(json.dumps(list(range(100))).encode(), most=10)
    assert len(lines) == 10
    assert lines[-1] == "… 93 more lines"
    assert len(pretty(b'"' + b"x" * 5000 + b'"')[0]) < 300
    assert pretty(b"[" * 100_000)
    assert bounded(["a"], 1) == ("a",)


def test_what_all_findings_of_a_report_may_take_is_bounded_and_short_streams_are_shown_anyway() -> (
    None
):
    def ask(raw: bytes, purse: ShrinkAllowance) -> Smallest | None:
        return smallest(
            V6, "stream", "v6/stream/running/field/message_id/required", 0, "e1", raw, purse
        )

    flood = transcript([b'{"status":"running","isComplete":false,"chunkIndex":0}'] * 400)
    short = transcript([b'{"status":"running","isComplete":false,"chunkIndex":0}'] * 4)
    rich, poor = ShrinkAllowance(), ShrinkAllowance(0)
    before = rich.left
    ask(flood, rich)
    assert rich.left < before - 400
    assert ask(flood, poor) is None
    assert ask(short, poor) is not None
