"""`soundstage lint --shrink`: the smallest part of a stream that shows each violation."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest

from soundstage import cli
from soundstage.contract import load
from soundstage.generation import walk

V6 = load("v6")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A v6 stream whose third chunk was lost, and whose first track number is unknown."""
    rng = random.Random(4)
    steps = walk.plan(V6, rng)
    chunks = list(walk.payloads(V6, steps, walk.random_story(rng), rng))
    del chunks[2]
    chunks[3]["note"] = "\x1b[31m"
    path = tmp_path_factory.mktemp("lint") / "broken.sse"
    path.write_bytes(b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks))
    return path


def linted(*argv: object) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("lint", [str(each) for each in argv], out, err)
    assert err.getvalue() == ""
    return code, out.getvalue()


def test_text_shows_chunks_trace_and_what_was_due(broken: Path) -> None:
    code, plain = linted(broken)
    shrunk_code, text = linted("--shrink", broken)
    assert code == shrunk_code == 1
    assert text.startswith(plain)
    assert "smallest stream that shows index.gap (v6/stream/index/consecutive):" in text
    part = text.partition("shows index.gap")[2].partition("smallest stream")[0]
    assert "\n      chunk 1: {" in part
    assert "\n    > chunk 2: {" in part
    assert "    2 of " in part
    assert "asked: chunkIndex goes up by 1 with every chunk." in part
    assert "stages seen: initializing, validated, >> " in part
    assert "still due there: streaming, " in text
    assert "\x1b" not in text


def test_json_has_shrunk_only_when_asked(broken: Path) -> None:
    assert "shrunk" not in json.loads(linted("--format", "json", broken)[1])
    row = json.loads(linted("--format", "json", "--shrink", broken)[1])
    kinds = {(each["code"], each["rule"]) for each in row["violations"]}
    assert {(each["code"], each["rule"]) for each in row["shrunk"]} == kinds
    for each in row["shrunk"]:
        assert each["minimal"]
        assert len(each["kept"]) == len(each["chunks"])
        assert each["chunk"] is None or each["chunk"] in each["kept"]
        assert each["expected"]
        assert each["trace"].startswith("initializing, ")


def test_what_conforms_or_is_no_stream_has_nothing_to_shrink(tmp_path: Path) -> None:
    printed = Path(__file__).parents[2] / "schemas" / "v6" / "examples" / "sync.json"
    assert linted("--shrink", printed)[1] == linted(printed)[1]
    page = tmp_path / "page.html"
    page.write_text("<html>")
    told = ("--api", "v6", "--endpoint", "stream")
    row = json.loads(linted("--shrink", "--format", "json", *told, page)[1])
    assert row["shrunk"] == []
