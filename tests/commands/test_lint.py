"""`soundstage lint`: as a function, and as a process as people call it."""

from __future__ import annotations

import io
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_run import run_here
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundstage.cli import main
from soundstage.commands import lint
from soundstage.contract import load
from soundstage.errors import UsageError
from soundstage.generation import walk
from soundstage.saved.transcript import Transcript

ROOT = Path(__file__).parents[2]


def body(api="v6", seed=1, edit=None):
    contract, rng = load(api), random.Random(seed)
    chunks = walk.payloads(contract, walk.plan(contract, rng), walk.random_story(rng), rng)
    if edit is not None:
        edit(chunks)
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def broken(chunks):
    del chunks[1]["isComplete"]


def ended_early(chunks):
    chunks[2:] = [{**chunks[1], "chunkIndex": 2, "error": "no GPU"}]


def unusual(chunks):
    chunks[1]["mood"] = "happy"


@pytest.fixture
def saved(tmp_path):
    def save(content, name="stream.sse"):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return save


def run(*arguments):
    stdout, stderr = io.StringIO(), io.StringIO()
    code = lint.run(lint.parse_args(list(arguments)), stdout, stderr)
    assert stderr.getvalue() == ""
    return code, stdout.getvalue()


def found(*arguments):
    code, text = run("--format", "json", *arguments)
    return code, [json.loads(line) for line in text.splitlines()]


RATE = b'{"success": false, "message": "Rate limits have been passed for the user."}'


@pytest.mark.parametrize(
    ("raw", "arguments", "code", "took"),
    [
        (RATE, (), 0, "took it for v6 error"),
        (RATE, ("--endpoint", "stream"), 4, "took it for v6 stream"),
        (RATE, ("--endpoint", "sync"), 4, "took it for v6 sync"),
        (RATE, ("--api", "v5", "--endpoint", "stream"), 4, "v5 stream"),
        (b"data: " + RATE + b"\n\n", (), 4, "took it for v6 stream"),
        (b"HTTP/2 200\r\ncontent-type: application/json\r\n\r\n" + RATE, (), 4, "v6 stream"),
        (b"HTTP/2 429\r\ncontent-type: application/json\r\n\r\n" + RATE, (), 0, "v6 error"),
        (b'{"ok": true}', ("--api", "v6", "--endpoint", "stream"), 1, "violates"),
    ],
)
def test_a_printed_error_where_something_else_was_due_is_a_refusal(
    tmp_path, raw, arguments, code, took
):
    file = tmp_path / "answer"
    file.write_bytes(raw)
    status, printed = run(str(file), *arguments)
    assert status == code
    assert took in printed
    assert ("api.rate_limit" in printed) is (code == 4)


def test_a_stream_that_conforms_is_one_line(saved):
    file = saved(body())
    code, text = run(file)
    assert code == 0
    assert re.fullmatch(
        re.escape(file) + r": conforms: took it for v6 stream, sse, \d+ events",
        text.splitlines()[-1],
    )


def test_a_violation_is_shown_like_a_compilers(saved):
    file = saved(body(edit=broken))
    code, text = run(file)
    assert code == 1
    lines = text.splitlines()
    at = lines.index(f"{file}: chunk 1 /isComplete: error: isComplete is missing [field.missing]")
    assert lines[at + 1] == (
        "    rule v6/stream/validated/field/isComplete/required: "
        "In a chunk of validated, isComplete is present."
    )
    assert lines[at + 2] == (
        "    documented: Generate Song (v6) > Stages of Streaming Response > Validation"
    )
    assert lines[-1].startswith(f"{file}: violates: took it for v6 stream")


def test_json_is_one_object_a_file_with_exact_keys(saved):
    files = [
        saved(body()),
        saved(body(edit=broken), "b.sse"),
        saved(body(edit=ended_early), "c.sse"),
    ]
    code, objects = found(*files)
    assert code == 1
    assert [each["file"] for each in objects] == files
    for each in objects:
        assert list(each) == [
            "file",
            "api",
            "endpoint",
            "verdict",
            "reason",
            "framing",
            "violations",
            "not_judged",
        ]
        assert each["not_judged"] == {
            "v6/stream/arrival/as_made": "the file does not say when each chunk came"
        }
        assert (each["api"], each["endpoint"], each["framing"]) == ("v6", "stream", "sse")
        for violation in each["violations"]:
            compared = [name for name in ("expected", "received") if name in violation]
            assert len(compared) in (0, 2)
            always = ["code", "severity", "chunk", "path", "message", "rule"]
            assert list(violation) == [*always, *compared]
    assert [(each["verdict"], each["reason"]) for each in objects] == [
        ("conforms", None),
        ("violates", None),
        ("inconclusive", "stream.failed"),
    ]
    assert objects[1]["violations"][0] == {
        "code": "field.missing",
        "severity": "error",
        "chunk": 1,
        "path": "/isComplete",
        "message": "isComplete is missing",
        "rule": "v6/stream/validated/field/isComplete/required",
        "expected": "a boolean",
        "received": "nothing: it is missing",
    }


@pytest.mark.parametrize(
    ("edits", "options", "code"),
    [
        ([None], [], 0),
        ([broken], [], 1),
        ([ended_early], [], 4),
        ([ended_early], ["--on-inconclusive", "warn"], 0),
        ([None, ended_early], [], 4),
        ([ended_early, broken, None], [], 1),
        ([ended_early, broken], ["--on-inconclusive", "warn"], 1),
        ([unusual], [], 0),
        ([unusual], ["--strict"], 1),
        ([None], ["--strict"], 0),
        ([None], ["--max-events", "3"], 4),
        ([broken], ["--max-events", "3"], 1),
    ],
)
def test_the_exit_code_follows_from_the_verdicts(saved, edits, options, code):
    files = [saved(body(edit=edit), f"{number}.sse") for number, edit in enumerate(edits)]
    assert run(*options, *files)[0] == code
    assert found(*options, *files)[0] == code


def test_what_a_failure_said_and_what_cut_it_short_is_shown(saved):
    assert "inconclusive (stream.failed: no GPU): took it" in run(saved(body(edit=ended_early)))[1]
    assert "inconclusive (cap.events): took it" in run("--max-events", "3", saved(body()))[1]


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_every_printed_payload_is_recognised_and_conforms(saved, api):
    contract = load(api)
    for example in contract.examples:
        kind = example.of.partition(":")[0]
        if kind == "request":
            continue
        text = json.dumps(example.payload, indent=2).encode()
        if kind == "stage":
            _, (one,) = found(saved(b"data: " + json.dumps(example.payload).encode() + b"\n\n"))
            assert (one["api"], one["endpoint"]) == (api, "stream"), example.file
            continue
        for content in (text, text + b"\n", json.dumps(example.payload).encode()):
            code, (one,) = found(saved(content, "answer.json"))
            expected = "sync" if kind == "response" else "error"
            assert (one["endpoint"], one["verdict"], code) == (expected, "conforms", 0), (
                example.file
            )
            if kind == "response":
                assert one["api"] == api


def test_what_fits_two_versions_says_so(saved):
    text = json.dumps(load("v6").errors.named("nsfw").body).encode()
    assert "took it for v6 error (fits v5 as well), json" in run(saved(text))[1]
    assert run("--api", "v5", saved(text))[1].endswith(": conforms: took it for v5 error, json\n")


def test_what_was_told_is_not_called_a_guess(saved):
    code, text = run("--api", "v6", "--endpoint", "stream", saved(body()))
    assert code == 0
    assert ": conforms: v6 stream, sse, " in text
    code, objects = found("--api", "v6", "--endpoint", "sync", saved(body()))
    assert code == 1
    assert (objects[0]["endpoint"], objects[0]["violations"][0]["code"]) == ("sync", "json.syntax")


def test_v5_streams_are_recognised_in_both_framings(saved):
    events = body("v5")
    lines = b"".join(event[6:] + b"\n" for event in events.split(b"\n\n") if event)
    for content, framing in ((events, "sse"), (lines, "lines")):
        code, (one,) = found(saved(content))
        assert (code, one["api"], one["framing"]) == (0, "v5", framing)


@pytest.mark.parametrize(
    ("content", "code", "codes"),
    [
        (b"", 1, ["stream.truncated"]),
        (b"\n", 1, ["framing.unexpected"]),
        (b": comment\n\n", 1, ["stream.truncated"]),
        (bytes(range(256)) * 4, 1, ["framing.unexpected"]),
        (b"<!doctype html><html></html>", 1, ["framing.unexpected"]),
        (b"\xef\xbb\xbf", 1, ["stream.truncated"]),
        (b"data: {", 1, ["framing.unterminated", "stream.truncated"]),
    ],
)
def test_what_is_no_answer_at_all_violates_where_an_answer_is_due(saved, content, code, codes):
    file = saved(content)
    result, (one,) = found("--api", "v6", "--endpoint", "stream", file)
    assert (result, [each["code"] for each in one["violations"]]) == (code, codes)
    # Where nobody says that it is an answer, it is none.
    with pytest.raises(UsageError, match=re.escape(f"{file}: looks like no answer of v5 or v6")):
        run(file)


def test_a_file_larger_than_the_cap_is_inconclusive(saved, monkeypatch):
    monkeypatch.setattr(lint, "_LARGEST", 500)
    code, (one,) = found(saved(body()))
    assert (code, one["verdict"], one["reason"]) == (4, "inconclusive", "cap.exchange_bytes")


def test_a_file_that_cannot_be_read_is_a_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match=re.escape(str(tmp_path / "none.sse"))):
        run(str(tmp_path / "none.sse"))


def test_an_unknown_version_is_a_wrong_usage_that_names_what_there_is(saved, capsys):
    assert main(["lint", "--api", "v9", saved(body())]) == 2
    assert capsys.readouterr().err == ("soundstage lint: no contract for 'v9': there are v5, v6\n")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--endpoint", "weather", "f"], ["--format", "xml", "f"], ["--max-events", "0", "f"],
     ["--max-events", "x", "f"], ["--nonsense", "f"]],
)  # fmt: skip
def test_wrong_arguments_end_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        lint.parse_args(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("soundstage lint: error: ")
    assert said.endswith("(`soundstage lint --help` shows what there is)\n")
    assert said.count("\n") == 1


HOSTILE = "\x1b[31m\u202eevil\u2066\x07\r\n"


def test_hostile_strings_do_not_reach_the_terminal(saved, tmp_path):
    def edit(chunks):
        chunks[1]["song_name"] = HOSTILE
        chunks[2]["status"] = HOSTILE
        chunks[3][HOSTILE] = 1
        chunks[4]["album_art"] = HOSTILE
        chunks[5:] = [{**chunks[1], "error": HOSTILE, "chunkIndex": 5}]

    for options in ([], ["--strict"], ["--max-events", "3"]):
        file = saved(body(edit=edit), "evil\u202e.sse")
        text = run(*options, file)[1]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
        assert all(line.startswith((str(tmp_path), "    ")) for line in text.splitlines())
    _, (one,) = found(saved(body(edit=edit)))
    assert any("evil" in violation["path"] for violation in one["violations"])


def transcript(content, *, status=200, end="closed", cut=None, fault=None, **header):
    head = {"status": status, "headers": [["Content-Type", "text/event-stream"]]}
    return Transcript(
        {"api": "v6", "endpoint": "stream", "response": head, **header},
        [(0.1, content, False)],
        {"kind": end, "fault_of": fault, "message": "why", "cut": cut, "t": 1.0},
    ).to_bytes()


@pytest.mark.parametrize(
    ("content", "code", "verdict", "reason"),
    [
        (transcript(body()), 0, "conforms", None),
        (transcript(body(edit=broken)), 1, "violates", None),
        (transcript(body()[:400], end="idle_timeout", fault="harness"), 4, "inconclusive",
         "harness.idle_timeout"),
        (transcript(b"", end="refused", fault="environment"), 4, "inconclusive",
         "environment.refused"),
        (transcript(body()[:400], end="cap", fault="harness", cut="cap.events"), 4, "inconclusive",
         "cap.events"),
        (transcript(b"{}", status=503), 4, "inconclusive", "http.503"),
        (transcript(b"{}", status=404), 1, "violates", None),
        (transcript(body(), end="truncated", fault="api"), 1, "violates", None),
        (transcript(body(), end="something new"), 0, "conforms", None),
        (transcript(body()).rsplit(b'{"end"', 1)[0], 4, "inconclusive", "transcript.incomplete"),
        (transcript(b'{"detail": "x"}', status=422, expect="error"), 0, "conforms", None),
    ],
)  # fmt: skip
def test_a_transcript_is_judged_as_the_exchange_was(saved, content, code, verdict, reason):
    result, (one,) = found(saved(content, "t.ndjson"))
    assert (result, one["verdict"], one["reason"]) == (code, verdict, reason)
    assert one["api"] == "v6"


def test_a_transcript_names_its_version_and_endpoint_and_can_be_overruled(saved):
    file = saved(transcript(body("v5"), api="v5"), "t.ndjson")
    assert ": conforms: v5 stream, sse" in run(file)[1]
    assert found("--api", "v6", file)[1][0]["api"] == "v6"
    assert found("--endpoint", "error", file)[1][0]["endpoint"] == "error"
    unknown = saved(transcript(body(), api="v9", endpoint="nothing"), "u.ndjson")
    assert found(unknown)[1][0]["api"] == "v6"


def test_a_broken_transcript_is_a_wrong_usage(saved):
    with pytest.raises(UsageError, match=r"t\.ndjson:2: not an event"):
        run(saved(b'{"transcript":1}\n{"t":1}\n', "t.ndjson"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.binary(max_size=80) | st.binary(max_size=60).map(lambda b: b'{"transcript":1' + b)
)
def test_no_file_is_our_bug(saved, content):
    file = saved(content, "junk")
    told = ["--api", "v6", "--endpoint", "stream", file]
    for arguments in ([file], told, ["--endpoint", "sync", file], ["--endpoint", "error", file]):
        try:
            assert run(*arguments)[0] in (0, 1, 4)
        except UsageError as error:
            said = str(error)
        else:
            said = f"{file}:"
        assert said.startswith(f"{file}:")
        assert "\n" not in said


# --- as a process

COMMAND = [sys.executable, "-m", "soundstage", "lint"]


@pytest.mark.proof
def test_it_reads_a_pipe():
    for content, code in ((body(), 0), (body(edit=broken), 1)):
        done = subprocess.run([*COMMAND, "-"], input=content, capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (code, b"")
        assert done.stdout.startswith(b"-: ")
    done = subprocess.run([*COMMAND, "-"], input=b"", capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"-: looks like no answer of v5 or v6, but like an empty file" in done.stderr


def test_a_missing_file_is_one_clear_line_and_2(tmp_path):
    done = subprocess.run([*COMMAND, "none.sse"], capture_output=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"soundstage lint: none.sse: No such file or directory\n"


@pytest.mark.proof
def test_a_reader_that_goes_away_is_no_error(saved):
    def edit(chunks):
        for chunk in chunks:
            del chunk["isComplete"]

    files = [saved(body(edit=edit))] * 200
    process = subprocess.Popen([*COMMAND, *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) in (0, 1)


def test_output_that_the_locale_cannot_show_is_no_crash(saved):
    def edit(chunks):
        chunks[1]["status"] = "é😀\u202e"

    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for extra in ([], ["--format", "json"]):
        done = subprocess.run(
            [*COMMAND, *extra, saved(body(edit=edit))],
            capture_output=True,
            env=environment,
            timeout=60,
        )
        assert done.returncode == 1, done.stderr
        assert b"Traceback" not in done.stderr


def test_help_has_examples():
    done = run_here("lint", "--help")
    assert done.returncode == 0
    assert "examples:\n  soundstage lint stream.sse" in done.stdout
    assert "v5, v6" in done.stdout
