"""What an API could send to hurt whoever reads about it: on a terminal, in CI, in a spreadsheet.

In a browser: test_browser.py.
"""

from __future__ import annotations

import html
import io
import json
import os
import pty
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from soundstage.reports.formats import annotations, junit, markdown, sarif, text
from soundstage.reports.run.findings import Report, read_report
from soundstage.results.bundle import Bundle

#: ESC (clear, title, hyperlink), C1, bidirectional, zero width, tag, NUL, bell, backspace, DEL.
TERMINAL = (
    "\x1b[2J\x1b]0;title\x07\x1b]8;;http://evil.example\x1b\\x \x9b31m \u202ereversed\u2066 "
    "\u200b\u2028\U000e0041 \x00\x08\x7f\r\nnew line"
)
FORMULAS = ['=HYPERLINK("evil.example";"x")', "+1+cmd|' C calc'!A0", "-2+3", "@SUM(1)"]
LONG = 10_000_000

V6 = {"title": "Generate Song (v6)", "sha256": "6" * 64}


@pytest.fixture
def hurtful(bundle: Callable[..., Path], runs: ModuleType) -> Callable[..., Path]:
    """A run in which `text` stands wherever an API, or a bundle from elsewhere, could put it."""

    def make(text: str) -> Path:
        # A line of a bundle is at most 16 MiB: there is room for one such text in each.
        short = text[:1000]
        row = runs.exchange(1, random.Random(1), reason=text)
        headlines = ["audio", "complete"]
        if len(text) < 10_000:
            headlines.append(text[:400])
            row["milestones"][text[:400]] = 0.2
            row["milestones_low"] = {text[:400]: 0.1}
            row["stages"][text] = [0.1, 0.1, 1]
            row["codes"][text] = 1
        return bundle(
            [row, runs.exchange(2, random.Random(2), outcome="timeout")],
            kind="load",
            rules=[
                runs.broken(runs.REQUIRED, text, text=short, source=short),
                runs.rule(runs.ORDER, "known", reason=text, violations=1),
                runs.rule("v6/stream/x/y", "inconclusive", reason=text),
            ],
            violations=[runs.violation(runs.REQUIRED, "field.missing", text)],
            finish={
                "verdict": "fail",
                "exit_code": 1,
                "reason": text,
                "voids": [{"kind": "target", "message": text}],
                "slos": [{**runs.slo("complete.p95<9s"), "slo": text, "reason": short}],
                "capacity": runs.capacity(slos=[text]),
            },
            command=text,
            contracts={
                "v6": {
                    **V6,
                    "headlines": {"stream": headlines},
                    "titles": {"stream": {"complete": text[:200]}},
                }
            },
            parameters={text: text} if len(text) < 10_000 else {"x": text},
        )

    return make


def read(path: Path) -> Report:
    return read_report(Bundle.open(path))


FORMATS: dict[str, Callable[[Report], str]] = {
    "junit": junit.render,
    "markdown": markdown.render,
    "sarif": lambda report: sarif.render([report]),
    "annotations": annotations.render,
}


def test_a_terminal_gets_nothing_to_act_on(hurtful: Any) -> None:
    ours, theirs = pty.openpty()
    path = hurtful(TERMINAL)
    command = [sys.executable, "-m", "soundstage", "report", str(path)]
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody is at the other end
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    assert running.wait(timeout=30) == 0
    text = said.decode("utf-8")
    assert text.startswith("FAIL  ")
    assert "\\x1b[2J" in text, "it is shown, as an escape"
    rest = set(text) - {"\r", "\n"}
    assert all(each.isprintable() for each in rest), [each for each in rest if ord(each) < 32]


@pytest.mark.parametrize("form", FORMATS)
def test_no_format_carries_a_control_or_bidirectional_character(hurtful: Any, form: str) -> None:
    said = FORMATS[form](read(hurtful(TERMINAL)))
    assert all(line.isprintable() for line in said.split("\n"))
    if form == "junit":
        ET.fromstring(said)
    if form == "sarif":
        json.loads(said)


def test_ten_megabytes_are_cut_in_every_format(hurtful: Any) -> None:
    path = hurtful("<&|`" * (LONG // 4))
    report = read(path)
    for form, render in FORMATS.items():
        assert len(render(report).encode()) < 100_000, form
    out = io.StringIO()
    text.print_summary(report, out)
    assert len(out.getvalue()) < 10_000


LINKS = (
    "[a](http://evil.example) ![i](https://evil.example/x.png) <http://evil.example> "
    "www.evil.example http://evil.example user@evil.example @everyone #1 !2 "
    "<img src=//evil.example> | `x` <!-- \\"
)


def test_markdown_makes_no_link_image_or_mention_of_what_others_wrote(hurtful: Any) -> None:
    said = markdown.render(read(hurtful(LINKS)))
    page = MarkdownIt("commonmark").enable("table").render(said)
    assert not re.search("<(a|img|script)[ >]", page)
    # Platforms look for these in the page that Markdown became, between elements.
    parts = [html.unescape(part) for part in re.split("<[^<>]*>", page)]
    assert any("everyone" in part for part in parts)
    for part in parts:
        assert not re.search(r"@\w|#\d|!\d|://|www\.", part.replace("evil.example", "")), part


def test_sarif_makes_no_link_of_what_others_wrote(hurtful: Any) -> None:
    said = sarif.render([read(hurtful(LINKS))])
    assert "](" not in said
    assert "[a]\\\\(http" in said


def test_an_annotation_is_one_order_whatever_others_wrote(hurtful: Any) -> None:
    text = "a\r\n::error::b%0A::error::c,title=d:e ##[error]f ##vso[g]"
    headline, *lines = annotations.render(read(hurtful(text))).splitlines()
    assert headline.startswith("::error title=Soundstage::Contract broken under load, against")
    assert len(lines) == 2
    for line in lines:
        head, _, rest = line.removeprefix("::").partition("::")
        assert re.fullmatch(r"(error|warning) (file=[^,:]*,line=\d+,)?title=[^,:]*", head), head
        assert "%250A" in rest
        assert "##[" not in line
        assert "##vso[" not in line
