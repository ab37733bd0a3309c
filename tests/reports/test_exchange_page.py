"""The exchange beneath a finding of a page: which rows it has, how long it may be, whose words."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soundstage.contract import load
from soundstage.generation import walk
from soundstage.reports.formats import html as page
from soundstage.reports.formats.exchange_page import ROOM, ROWS, timelines
from soundstage.reports.run.findings import read_report
from soundstage.reports.story.exchange_story import ExchangeStory, story_of
from soundstage.reports.story.story_window import LeftOut, window
from soundstage.results.bundle import Bundle
from soundstage.saved import transcript as transcripts
from soundstage.saved.transcript import Transcript

Make = Callable[..., Path]
V6 = load("v6")
FIELD = "v6/stream/running/field/progress/type"
HOSTILE = "</td></table><script>alert(1)</script>\u202e\x1b[31m`|x"


def chunks(running: int = 0, **changes: Any) -> list[dict[str, Any]]:
    """A v6 stream with so many more chunks of running, the last of which has the `changes`."""
    rng = random.Random(4)
    made = list(walk.payloads(V6, walk.plan(V6, rng), walk.random_story(rng), rng))
    at = next(n for n, each in enumerate(made) if each["status"] == "running")
    made[at:at] = [dict(made[at]) for _ in range(running)]
    made[at + running] |= changes
    return [{**chunk, "chunkIndex": number} for number, chunk in enumerate(made)]


def transcript(made: list[dict[str, Any]]) -> bytes:
    asked = {"method": "POST", "url": "http://127.0.0.1:1/v6/generate/song", "body": {}}
    header = {"api": "v6", "endpoint": "stream", "request": asked}
    header["response"] = {"status": 200, "reason": "OK", "headers": []}
    end = {"kind": "complete", "fault_of": None, "message": "", "cut": None, "t": 9.0}
    pieces = [
        (0.1 * number, b"data: " + json.dumps(each).encode() + b"\n\n", False)
        for number, each in enumerate(made)
    ]
    return Transcript(header, pieces, end).to_bytes()


def story(made: list[dict[str, Any]]) -> ExchangeStory:
    return story_of(transcripts.read(transcript(made), "t"), [V6])


@pytest.fixture
def shown(bundle: Make, runs: Any) -> Callable[[list[dict[str, Any]]], str]:
    """The page of a run in which one exchange, due 3 s before it was sent, broke a field."""

    def make(made: list[dict[str, Any]]) -> str:
        row = runs.exchange(1, random.Random(1), late=3.0, transcript="transcripts/e000001.ndjson")
        wrong = next(
            n for n, each in enumerate(made) if not isinstance(each.get("progress", 0), int)
        )
        rules = [runs.broken(FIELD, "progress is a string")]
        rules[0]["evidence"][0]["chunk"] = wrong
        path = bundle([row], rules=rules, transcripts=["e000001"])
        (path / "transcripts" / "e000001.ndjson").write_bytes(transcript(made))
        return page.render(read_report(Bundle.open(path)))

    return make


def rows(told: str) -> list[str]:
    table = told.partition('<details class="more exchange">')[2].partition("</table>")[0]
    return re.findall(r"<tr class=.*?</tr>", table, re.DOTALL)


def test_a_finding_has_its_exchange_with_the_break_at_its_chunk(shown: Any) -> None:
    told = shown(chunks(progress="fast"))
    found = rows(told)
    here = [each for each in found if 'class="failed here"' in each]
    assert len(here) == 1
    for words in ("✗ field.type", "expected: ", "received: ", "fast", "running"):
        assert words in here[0], words
    assert ">3.00 s<" in found[0], "times count from when it was due"
    assert "the answer came whole" in found[-1]
    assert '<a href="transcripts/e000001.ndjson">' in told
    assert "soundstage show " in told
    assert "Smallest stream that shows it" in told


def test_a_long_exchange_is_cut_around_the_break_and_counted(shown: Any) -> None:
    found = rows(shown(chunks(300, progress="fast")))
    assert len(found) <= ROWS + 8
    assert any('class="failed here"' in each for each in found)
    assert any("running x" in each and "…" in each for each in found)
    assert "initializing" in found[0]


def test_no_string_is_taken_at_its_word(shown: Any) -> None:
    told = shown(chunks(progress="fast", song_name=HOSTILE))
    assert "<script" not in told
    assert "\u202e" not in told
    assert "\x1b" not in told
    assert "alert(1)" in html.unescape(told)


def test_chunks_of_a_megabyte_do_not_make_the_page_large(shown: Any) -> None:
    told = shown(chunks(100, progress="fast", song_name='"' * 1_000_000))
    assert len(told.encode()) < ROOM + 200_000


def test_all_tables_of_a_page_have_room_for_so_much(shown: Any) -> None:
    from dataclasses import dataclass

    from soundstage.reports.story.evidence import ShownExchange

    @dataclass
    class Finding:
        id: str
        shown: ShownExchange

    wide = story([{**each, "song_name": "x" * 900} for each in chunks(50, progress="fast")])
    findings: Any = [
        Finding(str(number), ShownExchange("e1", wide, 0.0, 50, "soundstage show b e1"))
        for number in range(200)
    ]
    found = timelines(findings)
    assert 0 < len(found) < 200
    assert list(found) == [str(number) for number in range(len(found))], "the worst come first"


def test_a_window_has_the_ends_the_place_asked_for_and_counts_the_rest() -> None:
    steps = story(chunks(200)).steps
    got = list(window(steps, most=9, here=100))
    numbers = [each.number for each in got if not isinstance(each, LeftOut)]
    assert len(numbers) == 9
    assert {0, 99, 100, 101, len(steps) - 1} <= set(numbers)
    assert numbers == sorted(numbers)
    left = sum(each.many for each in got if isinstance(each, LeftOut))
    assert left + len(numbers) == len(steps)
    assert list(window(steps[:5], most=9)) == list(steps[:5])


def test_what_judging_the_transcript_does_not_find_stands_there_all_the_same() -> None:
    made = transcripts.read(transcript(chunks()), "t")
    also = {
        "code": "asset.gone",
        "severity": "error",
        "chunk": 1,
        "path": "/album_art",
        "message": "404",
        "rule": "v6/stream/validated/asset/album_art",
    }
    found = story_of(made, [V6], also=[also])
    assert [each.code for each in found.steps[1].breaks] == ["asset.gone"]
    assert found.steps[1].breaks[0].received is not None


def test_without_its_contract_an_exchange_is_still_a_timeline() -> None:
    found = story_of(transcripts.read(transcript(chunks()), "t"), [])
    assert (found.verdict, found.breaks) == (None, ())
    assert [each.stage for each in found.steps] == [None] * len(chunks())
    assert found.steps[3].t == pytest.approx(0.3)


def test_without_its_contract_what_broke_in_a_look_stands_at_that_look() -> None:
    header = {"request": {"method": "GET", "url": "http://h/1"}, "response": {"status": 200}}
    look = Transcript({**header, "t": 1.0}, [(1.1, b'{"progress":true}', False)], {"t": 1.1})
    whole = Transcript({**header, "api": "x", "endpoint": "job"}, [(0.1, b"{}", False)], {"t": 0.1})
    whole.looks, whole.over = [look], {"cut": None, "t": 2.0}
    row = {"code": "field.type", "chunk": 0, "path": "/progress", "rule": "x/status/field/progress"}
    found = story_of(whole, [], [row])
    assert [(each.kind, bool(each.breaks)) for each in found.steps] == [
        ("body", False),
        ("look", True),
    ]
    assert found.steps[1].breaks[0].received == "true"
