"""`soundstage lint` on what people really have: whose fault it is, and the exit code."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.saved_files import GOOD, HEAD, broken, chunks, entry, events, har

from soundstage import cli

SYNC = (Path(__file__).parents[2] / "schemas" / "v6" / "examples" / "sync.json").read_bytes()
LIMIT = b'{"success": false, "message": "Rate limits have been passed for the user."}'
VERBOSE = b"> POST /v6/generate/song HTTP/1.1\n> \n< HTTP/2 200\n< content-type: text/html\n< \n"
TOLD = ("--api", "v6", "--endpoint", "stream")
PAGE = {"size": 30, "mimeType": "text/html", "text": "<html><title>Sign in</title>"}
HTML = [{"name": "content-type", "value": "text/html"}]


def linted(tmp_path: Path, *files: bytes, options: Any = ()) -> tuple[int, str, str]:
    names = []
    for number, raw in enumerate(files):
        path = tmp_path / f"{number}"
        path.write_bytes(raw)
        names.append(str(path))
    out, err = io.StringIO(), io.StringIO()
    code = cli.run("lint", [*options, *names], out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("raw", "code", "says"),
    [
        (GOOD.decode().encode("utf-16"), 0, "(in the file: UTF-16)"),
        (broken().decode().encode("utf-16"), 1, "(in the file: UTF-16)"),
        (SYNC.decode().encode("utf-16"), 0, "v6 sync, json (in the file: UTF-16)"),
        (gzip.compress(broken(), mtime=0), 1, "(in the file: gzip)"),
        (gzip.compress(GOOD, mtime=0)[:-40], 4, "file.truncated: the file breaks off inside"),
        (HEAD + GOOD, 0, "(in the file: a response head)"),
        (HEAD.replace(b"event-stream", b"plain") + GOOD, 1, "[http.content_type]"),
        (HEAD.replace(b"event-stream", b"html") + GOOD, 1, "[http.content_type]"),
        (HEAD.replace(b"\r\n\r\n", b"\r\ncontent-length: 99999\r\n\r\n") + GOOD[:600], 4,
         "file.shorter_than_announced"),
        (HEAD.replace(b"\r\n\r\n", b"\r\ncontent-length: 99999\r\n\r\n") + GOOD, 0, "conforms"),
        (HEAD.replace(b"200 OK", b"502 Bad Gateway") + b"<html>", 4, "http.502: Bad Gateway"),
        (HEAD.replace(b"200 OK", b"429 Too Many Requests") + LIMIT, 0, "v6 error"),
        (HEAD, 4, "file.no_body: the file holds the head and no body"),
        (VERBOSE + b"<html>\n", 1, "violates: v6 stream"),
        (b"".join(b"api-1  | " + line + b"\n" for line in broken().split(b"\n")[:-1]), 1,
         "(in the file: “api-1  |” before each line)"),
    ],
)  # fmt: skip
def test_what_was_saved_is_judged_as_what_it_is(
    tmp_path: Path, raw: bytes, code: int, says: str
) -> None:
    got, out, err = linted(tmp_path, raw)
    assert (got, err) == (code, "")
    assert says in out


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "like an empty file: save the response itself: curl -sN"),
        (b"\n\r\n", "like nothing but blank lines"),
        (b"<html></html>", "like a page of HTML or XML"),
        (HEAD.replace(b"event-stream", b"html") + b"<html>", "like a page of HTML or XML"),
        (bytes(range(256)) * 4, "like binary data"),
        (b"cb(" + SYNC + b");", "like JSONP"),
        (b")]}'\n" + SYNC, "like JSON behind a guard"),
        (json.dumps(GOOD.decode()).encode(), "like a response written as one JSON string"),
        (b'{"response": ' + SYNC + b"}", "save what is under 'response' alone"),
        (b'{"status": 200, "body": "data: {}"}', "save what is under 'body' alone"),
        (b'{"info": {}, "item": []}', "like a Postman collection"),
        (b'{"_type": "export", "resources": []}', "like an Insomnia export"),
        (b'{"a": 1}\n{"a": 2}\n', "like lines of JSON with 'a'"),
        (b'{"a": 1, "b', "like JSON that breaks off"),
        (b'data: {"id": 1, "choices": []}\n\n', "like an event stream of id, choices"),
        (b"{ isComplete: false, status: 'x' }\n", "like objects as a program prints them"),
        (b"bash: curl: command not found\n", "like what a shell said"),
        (b"2026-11-26 10:00:00 INFO started\nstopped\n", "like lines of a log"),
        (b"Type,Name,Count\n", "like text that begins with 'Type,Name,Count'"),
        (b"$ curl ...\n" + GOOD, "chunks of v6 are in it, but it looks like an event stream with"),
        (json.dumps(chunks()).encode(), "has the chunks of v6, but not as they are sent (sse)"),
        ("\n".join(map(json.dumps, chunks())).encode(), "has the chunks of v6, but not as"),
        (GOOD.replace(b"\n\n", b"\n"), "without the blank lines between them"),
        (GOOD.replace(b"\n\n", b"\r\n"), "without the blank lines between them"),
    ],
)
def test_what_nobody_says_is_a_response_is_never_the_apis_fault(
    tmp_path: Path, raw: bytes, says: str
) -> None:
    code, out, err = linted(tmp_path, raw)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "raw",
    [b"<html></html>", b"Internal Server Error\n", json.dumps(chunks()).encode(), b"",
     GOOD.replace(b"\n\n", b"\n"), b'data: {"id": 1, "choices": []}\n\n'],
)  # fmt: skip
def test_what_the_user_says_is_a_response_is_judged(tmp_path: Path, raw: bytes) -> None:
    code, out, err = linted(tmp_path, raw, options=TOLD)
    assert (code, err) == (1, "")
    assert "violates: v6 stream" in out


@pytest.mark.parametrize(
    "raw",
    [GOOD[:900], GOOD.replace(b"data: ", b"data: data: "), GOOD.replace(b'"', b"'"),
     GOOD.replace(b"\n\n", b"\n", 1), GOOD[:-1], SYNC[: len(SYNC) * 2 // 3], broken(),
     events(chunks()[3:])],
)  # fmt: skip
def test_a_broken_response_is_still_known_and_violates(tmp_path: Path, raw: bytes) -> None:
    code, out, err = linted(tmp_path, raw)
    assert (code, err) == (1, "")
    assert "violates: took it for v6" in out


@pytest.mark.parametrize(
    ("one", "code", "says"),
    [
        (entry(), 0, "conforms"),
        (entry(headers=HTML, content=PAGE), 1, "[framing.unexpected]"),
        (entry(headers=HTML, content=PAGE, status=502), 4, "http.502"),
        (entry(headers=HTML, content=PAGE, status=524), 4, "http.524"),
        (entry(headers=[{"name": "content-type", "value": "text/plain"}]), 1,
         "[http.content_type]"),
        (entry(headers=[], content={"text": GOOD.decode()}), 0, "conforms"),
        (entry(content={"text": GOOD.decode(), "mimeType": "x-unknown"}), 0, "conforms"),
        (entry(content={"size": 0, "text": ""}), 4, "archive.no_body: the archive holds no body"),
        (entry(content={"size": 0}, status=404), 4, "archive.no_body"),
        (entry(content={"text": GOOD[:600].decode(), "size": 5000}), 4, "archive.cut_body"),
        (entry(content={"text": GOOD[:600].decode(), "size": 600}), 1, "[stream.truncated]"),
        (entry(content={"text": GOOD[:600].decode()}, _error="net::ERR_ABORTED"), 4,
         "archive.client_error: the client broke off: net::ERR_ABORTED"),
        (entry(_error="net::ERR_ABORTED"), 0, "conforms"),
        (entry(content={"text": broken()[:600].decode()}, _error="net::ERR_ABORTED"), 1,
         "[field.missing]"),
        (entry(content={"text": GOOD[:600].decode()}, _error="net::ERR_CONNECTION_RESET"), 1,
         "[http.reset]"),
        (entry(content={}, status=0, _error="net::ERR_NAME_NOT_RESOLVED"), 4,
         "archive.client_error"),
        (entry(content={}, status=0), 4, "archive.no_answer"),
        (entry(content={}, status=304), 4, "archive.not_modified"),
        (entry(content={}, status=302), 1, "[http.redirect]"),
        (entry(content={}, status=307), 4, "harness.redirect"),
        (entry(status="200"), 0, "conforms"),
    ],
)  # fmt: skip
def test_every_entry_of_the_contract_is_judged(
    tmp_path: Path, one: Any, code: int, says: str
) -> None:
    got, out, err = linted(tmp_path, har(one))
    assert (got, err) == (code, "")
    assert says in out


def test_an_odd_entry_is_named_and_the_rest_is_judged(tmp_path: Path) -> None:
    elsewhere = {**entry(), "request": {"method": "POST", "url": "https://[REDACTED]/collect"}}
    code, out, err = linted(tmp_path, har(None, elsewhere, entry()))
    assert code == 0
    assert out == f"{tmp_path}/0#2: conforms: v6 stream, sse, {len(chunks())} events\n"
    assert err.splitlines() == [
        f"soundstage lint: {tmp_path}/0#0: skipped: it is null, no object",
        f"soundstage lint: {tmp_path}/0#1: skipped: its URL is none",
    ]


def test_an_archive_without_an_answer_of_the_contract_is_no_data(tmp_path: Path) -> None:
    preflight = {**entry(status=204), "request": {"method": "OPTIONS", "url": "/v6/generate/song"}}
    for options in ((), ("--api", "v6"), ("--endpoint", "sync")):
        code, _, err = linted(tmp_path, har(preflight, "odd"), options=options)
        assert code == 5
        assert err.endswith(" (1 of 2 were skipped)\n")
    assert linted(tmp_path, har(entry()), options=("--endpoint", "sync"))[0] == 5
    assert linted(tmp_path, har(entry()), options=("--api", "v5"))[0] == 5


def test_one_bad_file_does_not_take_the_verdicts_of_the_others(tmp_path: Path) -> None:
    code, out, err = linted(
        tmp_path, b"", broken(), gzip.compress(GOOD, mtime=0)[:20] + b"\xff" * 9, GOOD
    )
    assert code == 2
    assert re.findall(r"^\S+: (violates|conforms): took", out, re.MULTILINE) == [
        "violates",
        "conforms",
    ]
    assert len(err.splitlines()) == 2
    assert all(line.startswith("soundstage lint: ") for line in err.splitlines())
    _, out, _ = linted(tmp_path, b"", GOOD, options=("--format", "json"))
    assert [json.loads(line)["verdict"] for line in out.splitlines()] == ["conforms"]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ((GOOD, broken(), har()), 1),
        ((GOOD, har()), 5),
        ((GOOD, har(entry(content={}))), 4),
        ((har(), har(entry(content={}))), 5),
        ((b"", har(), broken()), 2),
    ],
)
def test_the_worst_of_several_files_decides(tmp_path: Path, files: Any, code: int) -> None:
    assert linted(tmp_path, *files)[0] == code


def test_json_says_what_was_undone_only_where_something_was(tmp_path: Path) -> None:
    _, out, _ = linted(tmp_path, GOOD, gzip.compress(GOOD, mtime=0), options=("--format", "json"))
    plain, packed = map(json.loads, out.splitlines())
    assert "in_file" not in plain
    assert packed["in_file"] == ["gzip"]


def test_of_two_content_types_the_last_counts_as_in_a_live_answer(tmp_path: Path) -> None:
    twice = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Type: text/html\r\n\r\n") + GOOD
    assert linted(tmp_path, twice)[0] == 1
    other = HEAD.replace(b"\r\n", b"\r\nContent-Type: text/html\r\n", 1) + GOOD
    assert linted(tmp_path, other)[0] == 0


def test_hostile_names_in_an_archive_do_not_reach_the_terminal(tmp_path: Path) -> None:
    raw = har(entry(content={"text": GOOD[:600].decode()}, _error="\x1b[31m\u202eevil"))
    code, out, err = linted(tmp_path, raw)
    assert code == 4
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", out + err)
