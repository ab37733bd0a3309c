"""Chunks that were held back, told from what a transcript keeps; and not told from other files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.emulated import served
from tests.support.holding import Holding, holding

from soundstage import cli
from soundstage.contract import load
from soundstage.emulator.options import Options
from soundstage.exchange.client import Call
from soundstage.exchange.requests import sent_body, valid_body
from soundstage.exchange.session import open_session

RULE = "v6/stream/arrival/as_made"
HOLDS = [Holding(whole=True), Holding(octets=4_096), Holding(seconds=1.0)]
PASSES_ON = Holding()


def transcript(url: str) -> bytes:
    session = open_session(url)
    try:
        contract = load("v6")
        stream = contract.endpoints["stream"]
        call = Call(contract, stream, sent_body(stream, valid_body(contract, stream, 0)))
        return session.client.exchange(call).transcript(session.redactor).to_bytes()
    finally:
        session.close()


@pytest.fixture(scope="module")
def transcripts() -> Iterator[dict[Holding, bytes]]:
    """What was kept of a song behind each proxy. They are made at once: each is five seconds of
    waiting.
    """
    hows = [*HOLDS, PASSES_ON]
    with ExitStack() as stack, ThreadPoolExecutor(len(hows)) as threads:
        options = Options(port=0, profile="realistic", speed=14.0, seed=5)
        emulator = stack.enter_context(served(options))
        urls = [stack.enter_context(holding(emulator, how)) for how in hows]
        yield dict(zip(hows, threads.map(transcript, urls), strict=True))


def linted(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict:
    cli.main(["lint", "--format", "json", str(path), *options])
    found: dict = json.loads(capsys.readouterr().out)
    return found


def codes(found: dict) -> list[str]:
    return [each["code"] for each in found["violations"] if each["severity"] != "info"]


@pytest.mark.timing
@pytest.mark.parametrize("how", HOLDS, ids=str)
def test_what_a_proxy_held_back_is_found_in_the_transcript(
    transcripts: dict[Holding, bytes],
    how: Holding,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "held.ndjson"
    path.write_bytes(transcripts[how])
    found = linted(path, capsys)
    assert codes(found) == ["stream.buffered"]
    assert found["violations"][0]["rule"] == RULE
    assert found["verdict"] == "conforms"
    assert linted(path, capsys, "--strict")["verdict"] == "violates"


@pytest.mark.timing
def test_a_transcript_of_a_stream_is_in_order(
    transcripts: dict[Holding, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "streamed.ndjson"
    path.write_bytes(transcripts[PASSES_ON])
    found = linted(path, capsys)
    assert codes(found) == []
    assert "not_judged" not in found


def test_times_of_events_are_enough_to_tell_that_all_came_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(Options(port=0, profile="instant")) as url:
        rows = [json.loads(line) for line in transcript(url).splitlines()]
    for row in rows:
        if "raw" in row:
            row["t"] = 61.234567
    rows[-1]["end"].pop("arrivals", None)
    path = tmp_path / "old.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert codes(linted(path, capsys)) == ["stream.buffered"]
    for row in rows:
        if "raw" in row:
            row["t"] = 61
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = linted(path, capsys)
    assert (codes(found), found["not_judged"]) == ([], {RULE: "its times are only known to 61 s"})


def test_a_file_without_times_is_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(Options(port=0, profile="instant")) as url:
        rows = [json.loads(line) for line in transcript(url).splitlines()]
    path = tmp_path / "plain.sse"
    path.write_bytes(b"".join(base64.b64decode(row["raw"]) for row in rows if "raw" in row))
    found = linted(path, capsys)
    assert codes(found) == []
    assert found["not_judged"] == {RULE: "the file does not say when each chunk came"}


def test_arrivals_that_are_none_are_refused_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(Options(port=0, profile="instant")) as url:
        rows = [json.loads(line) for line in transcript(url).splitlines()]
    rows[-1]["end"]["arrivals"] = {"work": None, "moments": [[1, 2, "three", 4, 5, 6]]}
    path = tmp_path / "odd.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli.main(["lint", str(path)]) == 2
    assert "/end/arrivals is not as `soundstage` writes it" in capsys.readouterr().err
