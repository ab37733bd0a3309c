"""`soundstage record`: what it saves, what it says, and what it never sends or keeps."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from soundstage import cli
from soundstage.commands import record
from soundstage.contract import available
from soundstage.saved import transcript

SCHEMA = json.loads(
    resources.files("soundstage.results").joinpath("transcript.schema.json").read_bytes()
)
KEY = "sk-recorded-0123456789"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def recorded(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("record", [str(each) for each in argv], out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Both endpoints of every version, twice, with the emulator."""
    folder = tmp_path_factory.mktemp("recordings")
    code, out, err = recorded(
        *("--target", "emulator", "--emulator-args", "--profile instant --seed 3"),
        *("--endpoint", "stream", "--endpoint", "sync", "--count", 2, "--out", folder),
    )
    assert (code, err) == (0, "")
    return folder, out


def test_every_exchange_becomes_a_file_and_a_line(recordings: tuple[Path, str]) -> None:
    folder, out = recordings
    kinds = [f"{api}-{kind}" for api in available() for kind in ("stream", "sync")] * 2
    names = [f"{number:03}-{kind}.ndjson" for number, kind in enumerate(kinds, start=1)]
    assert sorted(each.name for each in folder.iterdir()) == names
    lines = out.splitlines()
    assert [Path(line.split()[-1]).name for line in lines] == names
    assert all(line.startswith("conforms") and " s " in line for line in lines)


def test_every_line_of_a_transcript_meets_the_schema(recordings: tuple[Path, str]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for path in recordings[0].iterdir():
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        for row in rows:
            validator.validate(row)
        assert "transcript" in rows[0]
        assert "end" in rows[-1]
        assert rows[0]["response"]["t"] <= rows[1]["t"]
        assert all("raw" in row for row in rows[1:-1])


@pytest.mark.parametrize(
    "row",
    [
        {"transcript": 2, "request": {"method": "GET", "url": "/"}, "response": {}},
        {"t": 1, "raw": "no base64"},
        {"t": -1, "raw": ""},
        {"end": {"kind": "bored", "fault_of": None, "message": "", "cut": None}},
        {"hello": 1},
    ],
)
def test_the_schema_refuses_what_is_no_line_of_a_transcript(row: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(row)


def test_the_example_in_the_docs_meets_the_schema_and_is_read() -> None:
    docs = (Path(__file__).parents[2] / "docs/how-to/transcripts.md").read_text("utf-8")
    example = docs.rpartition('```json\n{"transcript"')[2].partition("```")[0]
    text = '{"transcript"' + example
    for line in text.splitlines():
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(line))
    read = transcript.read(text.encode(), "docs")
    assert read.header["api"] in available()
    assert read.end is not None
    assert read.end["kind"] == "complete"


def test_lint_agrees_with_what_was_said_when_it_was_recorded(
    recordings: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(path) for path in sorted(recordings[0].iterdir())]
    assert cli.main(["lint", "--format", "json", *paths]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [f"{row['api']}-{row['endpoint']}" for row in rows] == [
        Path(path).stem.partition("-")[2] for path in paths
    ]


def test_a_recording_can_be_recorded_again_from_its_replay(
    recordings: tuple[Path, str], tmp_path: Path
) -> None:
    code, out, err = recorded(
        *("--target", "emulator", "--emulator-args", f"--replay {recordings[0]} --speed 1000"),
        # What has been taken out once is not to be counted again.
        *("--endpoint", "stream", "--endpoint", "sync", "--format", "json", "--keep-private"),
        *("--out", tmp_path),
    )
    assert (code, err) == (0, "")
    assert {json.loads(line)["verdict"] for line in out.splitlines()} == {"conforms"}

    def body(path: Path) -> bytes:
        return b"".join(raw for _, raw, _ in transcript.read(path.read_bytes(), "").pieces)

    for path in tmp_path.iterdir():
        kind = path.name.partition("-")[2]
        assert body(path) == body(min(recordings[0].glob(f"*-{kind}")))


def song_server(raw_server: Callable[..., Any], answer: bytes) -> Any:
    return raw_server([("send", NOT_FOUND)], [("send", answer)], repeat=True)


def test_keys_and_private_values_are_not_kept_unless_asked_for(
    raw_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDVERSE_API_KEY", KEY)
    body = tmp_path / "body.json"
    body.write_text('{"prompt": "my secret love song"}')
    echo = f'{{"success": true, "key": "{KEY}", "prompt": "my secret love song"}}'.encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: s=1\r\n"
    answer = head + b"content-length: %d\r\n\r\n" % len(echo) + echo
    for number, options in enumerate(([], ["--keep-private"])):
        server = song_server(raw_server, answer)
        code, out, _ = recorded(
            *("--target", server.url(""), "--api", "v6", "--endpoint", "sync"),
            *("--body", body, "--header", "X-Staging: hush-hush", "--out", tmp_path / str(number)),
            *options,
        )
        assert code == 0
        assert out.startswith("violates (")
        assert server.requests[1].body == b'{"prompt":"my secret love song"}'
        (path,) = (tmp_path / str(number)).iterdir()
        text = path.read_text()
        raw = base64.b64decode(json.loads(text.splitlines()[1])["raw"]).decode()
        assert KEY not in text + raw + out
        assert "hush-hush" not in text
        assert "s=1" not in text
        assert ("love song" in text + raw) is bool(options)


def test_a_budget_that_does_not_cover_all_is_refused_before_anything_is_sent(
    raw_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDVERSE_API_KEY", KEY)
    server = song_server(raw_server, NOT_FOUND)
    code, out, err = recorded(
        *("--target", server.url(""), "--api", "v6", "--count", 3, "--budget", 2),
        *("--out", tmp_path),
    )
    assert (code, out) == (6, "")
    assert "3 billable requests" in err
    assert "--budget 3" in err
    assert [each.method for each in server.requests] == ["GET"]


def test_no_answer_and_a_refusal_are_saved_and_exit_with_6(
    raw_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDVERSE_API_KEY", KEY)
    server = song_server(raw_server, NOT_FOUND.replace(b"404 Not Found", b"503 Busy"))
    code, out, err = recorded("--target", server.url(""), "--api", "v6", "--out", tmp_path / "a")
    assert code == 6
    assert "inconclusive (http.503)" in out
    assert "refused with 503" in err
    assert len(list((tmp_path / "a").iterdir())) == 1
    code, _, err = recorded("--target", "http://127.0.0.1:9", "--out", tmp_path / "b")
    assert code == 6
    assert "does not answer" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--out", "x"], "--target is needed"),
        (["--target", "emulator"], "--out DIR is needed"),
        (["--target", "emulator", "--out", "{full}"], "not empty"),
        (["--target", "emulator", "--out", "{new}", "--body", "absent.json"], "absent.json"),
        (["--target", "emulator", "--out", "{new}", "--api", "v99"], "no contract for 'v99'"),
        (["--target", "emulator", "--out", "{new}", "--header", "x"], "NAME: VALUE"),
    ],
)
def test_wrong_usage_is_one_clear_line(tmp_path: Path, argv: list[str], says: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    places = {"full": tmp_path / "full", "new": tmp_path / "new"}
    code, _, err = recorded(*(each.format(**places) for each in argv))
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_a_budget_below_zero_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        record.parse_args(["--target", "emulator", "--out", "x", "--budget", "-1"])
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert "0 or more" in err
    assert err.count("\n") == 1


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        record.parse_args(["--help"])
    assert stopped.value.code == 0
    assert "soundstage record --target emulator --out recordings" in capsys.readouterr().out


def test_a_dry_run_sends_nothing_and_says_what_it_would() -> None:
    argv = [
        "--target",
        "https://api.example.invalid",
        "--out",
        "never",
        "--count",
        "3",
        "--dry-run",
    ]
    out = io.StringIO()
    assert record.run(record.parse_args([*argv, "--count", "3"]), out, io.StringIO()) == 0
    assert "3 x POST /v6/generate/song (v6 stream)" in out.getvalue()
    assert "6 billable requests, no budget" in out.getvalue()
