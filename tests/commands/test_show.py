"""`soundstage show`: which exchanges it lists, and one of them as a timeline."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from soundstage import cli
from soundstage.contract import load
from soundstage.emulator.options import Options
from soundstage.emulator.service.server import running
from soundstage.generation import walk
from soundstage.results.bundle import Bundle
from soundstage.saved.transcript import Transcript

V6 = load("v6")
EXAMPLES = Path(__file__).parents[2] / "examples" / "contracts"
HOSTILE = "\x1b[31mred\x1b[0m \u202egnp.exe </td><script>alert(1)</script> ::error::x"


def show(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("show", [str(each) for each in words], out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A check of an emulator that loses a track."""
    out = tmp_path_factory.mktemp("shown") / "run"
    words = ["--target", "emulator", "--emulator-args", "--profile instant --seed 4"]
    words += ["--fault", "track/lost", "--api", "v6", "--explore", "0", "--out", str(out)]
    assert cli.run("check", words, io.StringIO(), io.StringIO()) == 1
    return out


def violating(bundle: Path) -> dict[str, Any]:
    return next(each for each in Bundle.open(bundle).exchanges() if each["verdict"] == "violates")


def test_the_list_begins_with_what_violates_and_says_what_to_type_next(broken: Path) -> None:
    code, out, err = show(broken, "--limit", 3)
    worst = violating(broken)["id"]
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[1].startswith(worst)
    assert "violates" in lines[1]
    assert "track.missing" in lines[1]
    assert lines[1].endswith("transcript")
    assert "1 violate the contract" in out
    assert " more (--limit 0 shows all)" in out
    assert lines[-1] == f"next: soundstage show {broken} {worst}"


def test_the_list_can_be_narrowed_and_is_the_same_as_json(broken: Path) -> None:
    worst = violating(broken)["id"]
    for words in (["--failed"], ["--code", "track"], ["--code", "track.missing"]):
        code, out, _ = show(broken, "--format", "json", "--limit", 0, *words)
        found = json.loads(out)
        assert code == 0
        assert [each["id"] for each in found["exchanges"]] == [worst], words
    found = json.loads(show(broken, "--format", "json", "--endpoint", "sync")[1])
    assert {each["endpoint"] for each in found["exchanges"]} == {"sync"}
    code, _, err = show(broken, "--api", "v5")
    assert code == 5
    assert "no exchange of --api v5; there are v6" in err


def test_one_exchange_is_a_timeline_with_what_broke_and_what_never_came(broken: Path) -> None:
    row = violating(broken)
    code, out, err = show(broken, row["id"])
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split()[:4] == [row["id"], "v6", "stream:", "violates"]
    assert "  asked   POST http://127.0.0.1:" in out
    assert "  answer  200 OK after " in out
    assert "times count from when the request was due" in out
    chunks = [line for line in lines if '  {"' in line and "asked" not in line][1:]
    assert len(chunks) == row["events"]
    assert "initializing" in chunks[0]
    assert "end: the answer came whole" in out
    assert "✗ error track.missing: track " in out
    assert "expected: Each of the tracks 1 and 2 is delivered." in out
    assert "never came: streaming_ready (track " in out
    assert "next: soundstage explain track.missing" in out
    assert "\x1b" not in out, "no colours in a pipe"
    assert "any-key" not in out
    assert "Authorization" not in out


def test_a_broken_field_is_marked_at_its_chunk_with_what_was_received(tmp_path: Path) -> None:
    made = stream()
    made[3]["chunkIndex"] = "three"
    file = tmp_path / "t.ndjson"
    file.write_bytes(transcript([json.dumps(each).encode() for each in made]))
    code, out, _ = show(file)
    assert code == 0
    lines = out.splitlines()
    at = next(
        n for n, line in enumerate(lines) if line.lstrip().startswith("✗") and '"three"' in line
    )
    assert "✗ error field.type" in lines[at + 1]
    assert "at /chunkIndex" in lines[at + 1]
    assert lines[at + 2].strip().startswith("expected: ")
    assert lines[at + 3].strip() == 'received: "three"'
    assert "times count from when the request was sent" in out


@pytest.mark.parametrize("how", ["id", "number", "file", "path"])
def test_an_exchange_is_found_by_what_people_call_it(broken: Path, how: str) -> None:
    row = violating(broken)
    file = row["transcript"].partition("/")[2]
    words = {
        "id": [broken, row["id"]],
        "number": [broken, int(row["id"][1:])],
        "file": [broken, file],
        "path": [broken / row["transcript"]],
    }[how]
    code, out, err = show(*words)
    assert code == 0, err
    assert out.startswith(f"{row['id']}  v6 stream: violates")


def test_who_conforms_is_shown_by_its_row(broken: Path) -> None:
    rows = Bundle.open(broken).exchanges()
    row = next(each for each in rows if each["verdict"] == "conforms" and not each["probe"])
    code, out, _ = show(broken, row["id"])
    assert code == 0
    assert "it conforms: its bytes were not kept" in out
    assert any(line.split()[-1:] == ["complete"] for line in out.splitlines())


def test_a_wrong_name_is_answered_by_the_nearest(broken: Path) -> None:
    code, _, err = show(broken, "e0")
    assert code == 2
    assert "several exchanges begin so: e00" in err
    code, _, err = show(broken, "e00x001")
    assert (code, "did you mean e000" in err) == (2, True), err
    code, _, err = show(broken.parent / "none")
    assert (code, "no such folder" in err) == (2, True)


def test_all_of_it_is_every_chunk_as_indented_json(broken: Path) -> None:
    out = show(broken, violating(broken)["id"], "--full")[1]
    assert '          "status": "initializing",' in out
    assert "…" not in out


def test_the_body_alone_is_json_for_a_pipe(broken: Path) -> None:
    code, out, _ = show(broken, violating(broken)["id"], "--body")
    assert code == 0
    assert json.loads(out)["prompt"].startswith("[redacted ")


def test_as_json_it_holds_row_violations_and_story_and_no_base64(broken: Path) -> None:
    row = violating(broken)
    found = json.loads(show(broken, row["id"], "--format", "json")[1])
    assert found["row"]["id"] == row["id"]
    assert found["violations"]
    assert found["story"]["steps"][0]["stage"] == "initializing"
    assert json.loads(found["story"]["steps"][0]["text"])["chunkIndex"] == 0
    assert "data" not in found["story"]["steps"][0]


# --- files, whole and broken ----------------------------------------------------------------------


def stream() -> list[dict[str, Any]]:
    rng = random.Random(4)
    made = list(walk.payloads(V6, walk.plan(V6, rng), walk.random_story(rng), rng))
    return [{**chunk, "chunkIndex": number} for number, chunk in enumerate(made)]


def transcript(events: list[bytes], **end: Any) -> bytes:
    asked = {"method": "POST", "url": "http://127.0.0.1:1/v6/generate/song", "body": {}}
    header = {"api": "v6", "endpoint": "stream", "request": asked}
    header["response"] = {"status": 200, "headers": [["Content-Type", "text/event-stream"]]}
    last = {"kind": "complete", "fault_of": None, "message": "", "cut": None, **end}
    pieces = [(0.5 * n, b"data: " + event + b"\n\n", False) for n, event in enumerate(events)]
    return Transcript(header, pieces, last).to_bytes()


WHOLE = [json.dumps(each).encode() for each in stream()]


def test_a_transcript_that_breaks_off_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "t.ndjson"
    raw = transcript(WHOLE)
    file.write_bytes(raw[: raw.index(b'{"t":2.0') + 30])
    code, out, _ = show(file)
    assert code == 0
    assert "inconclusive (transcript.incomplete)" in out.splitlines()[0]
    assert [line.split()[0] for line in out.splitlines() if '  {"' in line] == [
        *("0.0", "500", "1.00", "1.50")
    ]
    assert "end: the transcript breaks off here" in out
    assert "had not come by then: " in out


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"kind": "reset", "fault_of": "api", "message": "by the peer"}, "was reset (by the peer)"),
        ({"kind": "idle_timeout", "fault_of": "harness"}, "nothing more came: we stopped waiting"),
        ({"kind": "truncated", "fault_of": "api"}, "closed the connection before the answer was"),
        ({"kind": "cap", "fault_of": "harness", "cut": "cap.memory"}, "(cap.memory)"),
    ],
)
def test_how_it_ended_stands_in_words(tmp_path: Path, end: dict[str, Any], words: str) -> None:
    file = tmp_path / "t.ndjson"
    file.write_bytes(transcript(WHOLE[:5], **end))
    out = show(file)[1]
    assert words in next(line for line in out.splitlines() if " end: " in line)


def test_hostile_text_drives_no_terminal(tmp_path: Path) -> None:
    made = [json.dumps({**each, "song_name": HOSTILE}).encode() for each in stream()[:3]]
    file = tmp_path / "t.ndjson"
    file.write_bytes(transcript([*made, HOSTILE.encode(), b"\xff\xfe\x00"], message=HOSTILE))
    for words in ([file], [file, "--full"], [file, "--format", "json"]):
        code, out, _ = show(*words)
        assert code == 0
        assert all(line.isprintable() for line in out.split("\n"))
        assert "\n::error::" not in out
        assert "gnp.exe" in out


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_for_terminals_and_for_those_who_want_them(broken: Path, no_color: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "soundstage", "show", str(broken), violating(broken)["id"]]
    env = {**os.environ, "NO_COLOR": no_color}
    started = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65_536):
            said += piece
    except OSError:  # how Linux says that nobody is at the other end
        pass
    os.close(ours)
    assert started.wait(timeout=60) == 0
    assert (b"\x1b[" in said) is not bool(no_color)
    assert b"track.missing" in said


def test_a_reader_that_goes_away_is_no_error(broken: Path) -> None:
    command = f"{sys.executable} -m soundstage show {broken} {violating(broken)['id']} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_long_exchange_is_shown_around_what_broke_and_counts_the_rest(tmp_path: Path) -> None:
    made = stream()
    running = next(each for each in made if each["status"] == "running")
    at = made.index(running) + 1
    made[at:at] = [dict(running) for _ in range(500)]
    made = [{**each, "chunkIndex": number} for number, each in enumerate(made)]
    made[300]["song_name"] = 5
    file = tmp_path / "t.ndjson"
    file.write_bytes(transcript([json.dumps(each).encode() for each in made]))
    out = show(file)[1]
    assert len(out.splitlines()) < 100
    assert "✗ error field.type" in out
    assert "chunks: running x2" in out
    assert show(file, "--full")[1].count('"chunkIndex"') == len(made)


def test_jobs_are_shown_by_their_looks(tmp_path: Path) -> None:
    look = {"request": {"method": "GET", "url": "http://h/status/1"}, "response": {"status": 200}}
    rows = [
        {"transcript": 2, "api": "none", "endpoint": "job", "request": {"url": "http://h/jobs"}},
        {"t": 0.1, "raw": base64.b64encode(b'{"id":"1"}').decode()},
        {"end": {"kind": "complete", "fault_of": None, "message": "", "cut": None, "t": 0.1}},
        {"look": {**look, "t": 1.0}},
        {"t": 1.1, "raw": base64.b64encode(b'{"state":"queued"}').decode()},
        {"end": {"kind": "complete", "fault_of": None, "message": "", "cut": None, "t": 1.1}},
        {"over": {"cut": "job.not_done", "t": 2.0}},
    ]
    file = tmp_path / "job.ndjson"
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    code, out, _ = show(file)
    assert code == 0
    assert "no contract fits it" in out
    assert 'look 0 · 200  {"state":"queued"}' in out
    assert "nobody looked at the job any longer (job.not_done)" in out


def test_a_job_whose_state_breaks_a_rule_is_marked_at_that_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(EXAMPLES))
    options = Options(
        apis=("songs",), profile="instant", faults=("status.field/working/progress/boolean",)
    )
    out = io.StringIO()
    with running(options) as emulator:
        words = ["--target", emulator.url, "--api", "songs", "--endpoint", "job"]
        assert cli.run("record", [*words, "--out", str(tmp_path / "r")], out, out) == 0
    code, told, _ = show(tmp_path / "r" / "001-songs-job.ndjson")
    lines = told.splitlines()
    assert code == 0
    looks = [line for line in lines if "look " in line and " · 200 · " in line]
    assert looks
    assert looks[-1].split(" · ")[-1].startswith("done")
    broken = [n for n, line in enumerate(lines) if "progress is true, of type boolean" in line]
    assert all(" · working" in lines[n - 1] for n in broken)
    assert len(broken) == sum(" · working" in line for line in looks)


@pytest.mark.parametrize(
    ("raw", "says"),
    [(b"", "nothing"), (b'{"transcript":1}\nno json\n', "not JSON"), (b"\x7fELF\x02", "")],
)
def test_what_holds_no_exchange_is_a_wrong_usage(tmp_path: Path, raw: bytes, says: str) -> None:
    file = tmp_path / "t.ndjson"
    file.write_bytes(raw)
    code, out, err = show(file)
    if raw:
        assert code == 2, out
        assert says in err
        assert err.count("\n") == 1
