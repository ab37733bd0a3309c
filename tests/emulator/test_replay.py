"""Record, replay, lint: the same bytes, the same end, the same verdict. On real sockets."""

from __future__ import annotations

import base64
import gzip
import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from soundstage.commands import emulate
from soundstage.commands.lint import lint
from soundstage.conformance.judge import Caps
from soundstage.contract import load, load_all
from soundstage.emulator.http.replies import Reply
from soundstage.emulator.replay.recordings import find
from soundstage.emulator.replay.replay import Replay
from soundstage.errors import NoDataError, UsageError
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.session import open_session
from soundstage.exchange.spawn import spawned_emulator
from soundstage.generation import walk
from soundstage.saved.transcript import Transcript

CONTRACTS = list(load_all().values())
V6 = load("v6")
BODY = {"prompt": "A slow waltz"}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: 7\r\n"
REQUEST = b"POST /v6/generate/song HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def song(end: bytes = b"\n\n") -> list[bytes]:
    rng = random.Random(5)
    steps = walk.plan(V6, rng)
    chunks = walk.payloads(V6, steps, walk.random_story(rng), rng)
    return [b"data: " + json.dumps(chunk).encode() + end for chunk in chunks]


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


SONG = song()
WHOLE = b"".join(SONG)
TE = HEAD + b"transfer-encoding: chunked\r\n\r\n"
#: What a server does after it has read the request, and what is said of the answer.
ANSWERS: dict[str, tuple[list[tuple[Any, ...]], str]] = {
    "whole, in chunks": ([("send", TE + chunked(*SONG) + b"0\r\n\r\n")], "conforms"),
    "whole, with a length": (
        [("send", HEAD + b"content-length: %d\r\n\r\n" % len(WHOLE) + WHOLE)],
        "conforms",
    ),
    "whole, ended by the connection": ([("send", HEAD + b"\r\n" + WHOLE)], "conforms"),
    "CRLF, comments, an id": (
        [("send", TE + chunked(b": hello\r\n\r\nid: 1\r\n", *song(b"\r\n\r\n")) + b"0\r\n\r\n")],
        "conforms",
    ),
    "cut between chunks": ([("send", TE + chunked(*SONG[:4]))], "violates"),
    "shorter than its length": (
        [("send", HEAD + b"content-length: %d\r\n\r\n" % len(WHOLE) + WHOLE[:900])],
        "violates",
    ),
    "reset": ([("send", TE + chunked(*SONG[:4])), ("sleep", 0.1), ("rst",)], "violates"),
    "a malformed chunk": ([("send", TE + chunked(*SONG[:4]) + b"zz\r\n")], "violates"),
    "gzip that ends too early": (
        [("send", HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(WHOLE)[:-30])],
        "violates",
    ),
    "no blank line at the end": (
        [("send", TE + chunked(*SONG[:-1], SONG[-1][:-1]) + b"0\r\n\r\n")],
        "violates",
    ),
    "broken UTF-8, NaN and an empty event": (
        [
            (
                "send",
                TE
                + chunked(*SONG[:2], b"data: \xff\xfe\n\n", b'data: {"a": NaN}\n\n', b"data:\n\n")
                + b"0\r\n\r\n",
            )
        ],
        "violates",
    ),
    "chunks out of order": (
        [("send", TE + chunked(*SONG[:3], SONG[-1], *SONG[3:-1]) + b"0\r\n\r\n")],
        "violates",
    ),
    "no stream": (
        [("send", b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>busy</html>")],
        "violates",
    ),
    "a redirect": (
        [("send", b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")],
        "violates",
    ),
    "nothing at all": ([("send", HEAD + b"content-length: 0\r\n\r\n")], "violates"),
    "no content": ([("send", b"HTTP/1.1 204 No Content\r\n\r\n")], "violates"),
    "refused": (
        [
            (
                "send",
                (
                    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n"
                    b"retry-after: 9\r\ncontent-length: 76\r\n\r\n"
                    b'{"success": false, "message": "Rate limits have been passed for the user."}\n'
                ),
            )
        ],
        "inconclusive",
    ),
}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDVERSE_API_KEY", "key-for-tests")


def asked(url: str, endpoint: str = "stream", **options: Any) -> tuple[Exchange, bytes]:
    """One exchange with what is at `url`, and its transcript."""
    session = open_session(url, **options)
    try:
        exchange = session.client.exchange(Call(V6, V6.endpoints[endpoint], BODY))
        return exchange, exchange.transcript(session.redactor).to_bytes()
    finally:
        session.close()


@contextmanager
def replayed(place: Path, *arguments: str) -> Iterator[str]:
    with spawned_emulator(["--replay", str(place), *arguments]) as url:
        yield url


def story(exchange: Exchange) -> list[tuple[str, str, int | None, str]]:
    return [(each.code, each.rule, each.chunk, each.path) for each in exchange.violations]


def saved(folder: Path, name: str, header: dict[str, Any], *pieces: tuple[float, bytes]) -> Path:
    """A made-up transcript of a v6 stream."""
    whole = {
        "request": {"method": "POST", "url": "https://staging.example/base/v6/generate/song"},
        "response": {"status": 200, "headers": [["content-type", "text/event-stream"]]},
        **header,
    }
    end = {"kind": "complete", "fault_of": None, "message": "", "cut": None}
    path = folder / name
    path.write_bytes(Transcript(whole, [(t, raw, False) for t, raw in pieces], end).to_bytes())
    return path


@pytest.mark.parametrize("keep_private", [True, False])
def test_a_replayed_answer_has_the_bytes_the_end_and_the_verdict_of_the_recorded_one(
    raw_server: Callable[..., Any], tmp_path: Path, keep_private: bool
) -> None:
    originals: dict[str, Exchange] = {}
    for number, (name, (steps, _)) in enumerate(ANSWERS.items()):
        server = raw_server([("send", NOT_FOUND)], steps)
        originals[name], text = asked(server.url(""), keep_private=keep_private)
        (tmp_path / f"{number:02}.ndjson").write_bytes(text)
    with replayed(tmp_path) as url:
        again = {name: asked(url) for name in ANSWERS}
    for number, (name, (_, verdict)) in enumerate(ANSWERS.items()):
        first, (second, text) = originals[name], again[name]
        assert first.verdict == verdict, name
        assert (second.verdict, second.reason) == (first.verdict, first.reason), name
        assert story(second) == story(first), name
        assert second.outcome == first.outcome, name
        assert first.end is not None
        assert second.end is not None
        assert second.end.kind == first.end.kind, name
        bodies = [b"".join(raw for _, raw, _ in each.pieces) for each in (first, second)]
        assert bodies[0] == bodies[1] or not keep_private, name
        assert second.response.status == first.response.status
        kept = dict(first.response.headers).get("x-request-id")
        assert dict(second.response.headers).get("x-request-id") == kept
        # The transcripts say so, too, whether of the original or of the replay.
        for raw in ((tmp_path / f"{number:02}.ndjson").read_bytes(), text):
            judge = lint(raw, name, CONTRACTS, None, Caps()).judge
            assert (judge.verdict(), judge.reason) == (first.verdict, first.reason), name
            found = [(each.code, each.rule, each.chunk, each.path) for each in judge.violations]
            assert found == story(first), name


def test_chunks_come_at_their_recorded_times_divided_by_the_speed(tmp_path: Path) -> None:
    times = [0.1 + 0.1 * number for number in range(len(SONG))]
    saved(tmp_path, "a.ndjson", {}, *zip(times, SONG, strict=True))
    with replayed(tmp_path, "--speed", "2", "--loop") as url:
        exchange, _ = asked(url)
    seen = [(at - exchange.started_ns) / 1e9 for at, _, _ in exchange.pieces]
    late = [after - before / 2 for before, after in zip(times, seen, strict=True)]
    assert min(late) >= 0
    assert sorted(late)[len(late) // 2] < 0.1, late
    assert exchange.verdict == "conforms"


def test_recordings_take_turns_and_begin_again_only_with_loop(tmp_path: Path) -> None:
    for number in range(2):
        header = {"response": {"status": 200 + number, "headers": []}}
        saved(tmp_path, f"{number}.ndjson", header)
    path = "/v6/generate/song"
    with replayed(tmp_path) as url:
        statuses = [httpx.post(url + path, json=BODY).status_code for _ in range(3)]
        spent = httpx.post(url + path, json=BODY).json()
        assert statuses == [200, 201, 503]
        assert "--loop" in spent["detail"]
    with replayed(tmp_path, "--loop") as url:
        # The documented path and the recorded one are served, each in its turn.
        assert [httpx.post(url + path).status_code for _ in range(3)] == [200, 201, 200]
        assert httpx.post(f"{url}/base{path}").status_code == 200


def test_what_was_not_recorded_is_404_and_health_says_replay(tmp_path: Path) -> None:
    saved(tmp_path, "a.ndjson", {})
    with replayed(tmp_path, "--speed", "3") as url:
        for method, path in (("GET", "/v6/generate/song"), ("POST", "/v5/x"), ("GET", "/")):
            answer = httpx.request(method, url + path)
            assert answer.status_code == 404
            assert path in answer.json()["detail"]
        health = httpx.get(f"{url}/_emulator/health").json()
        assert (health["emulator"], health["replay"], health["speed"]) == ("soundstage", True, 3)
        assert "POST /v6/generate/song (1)" in health["recordings"]
        big = httpx.post(f"{url}/v6/generate/song", content=b"x" * 2_000_000)
        assert big.status_code == 200


def test_an_answer_whose_end_is_not_known_is_left_open(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.ndjson", {}, (0.0, SONG[0]))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    with replayed(tmp_path) as url:
        exchange, _ = asked(url, idle_timeout_s=0.3)
    assert (exchange.verdict, exchange.outcome) == ("inconclusive", "timeout")
    assert [raw for _, raw, _ in exchange.pieces] == [SONG[0]]


def test_a_client_that_sends_nonsense_or_goes_away_disturbs_nobody(tmp_path: Path) -> None:
    saved(tmp_path, "a.ndjson", {}, (5.0, SONG[0]))
    with replayed(tmp_path, "--loop") as url:
        port = int(url.rpartition(":")[2])
        for data in (b"\x00\x01 nonsense\r\n\r\n", b"POST /v6/generate/song HTTP/1.1\r\n\r\n", b""):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(data)
        assert httpx.get(f"{url}/_emulator/health").status_code == 200


def test_a_signal_ends_a_replay_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    saved(tmp_path, "a.ndjson", {}, (0.0, SONG[0]), (60.0, SONG[1]))
    with replayed(tmp_path) as url:
        stream = httpx.stream("POST", f"{url}/v6/generate/song")
        answer = stream.__enter__()
        assert next(answer.iter_raw())
        began = time.monotonic()
    assert time.monotonic() - began < 3
    answer.close()


@pytest.mark.parametrize("behind", [REQUEST, b"\0 no request\r\n\r\n", b"POST /v6"])
def test_what_comes_behind_a_request_is_not_answered_and_holds_nothing_up(
    tmp_path: Path, behind: bytes
) -> None:
    saved(tmp_path, "a.ndjson", {}, (0.0, SONG[0]))
    with replayed(tmp_path, "--loop") as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10) as sock:
            sock.sendall(REQUEST + behind)
            answer = b"".join(iter(lambda: sock.recv(65_536), b""))
        began = time.monotonic()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(chunked(SONG[0]) + b"0\r\n\r\n")
    assert time.monotonic() - began < 1  # an answer that is not over would be waited for


def har_entry(number: int, body: bytes, **content: Any) -> dict[str, Any]:
    encoded = {"text": base64.b64encode(body).decode(), "encoding": "base64"}
    return {
        "startedDateTime": "2026-11-21T09:00:00Z",
        "time": 120,
        "request": {
            "method": "POST",
            "url": f"https://api.soundverse.ai/v6/generate/song?n={number}",
            "headers": [{"name": "Authorization", "value": "Bearer secret"}],
        },
        "response": {
            "status": 200,
            "statusText": "OK",
            "headers": [
                {"name": "content-type", "value": "text/event-stream; charset=utf-8"},
                {"name": "content-encoding", "value": "br"},
            ],
            "content": {
                "mimeType": "text/event-stream",
                "size": len(body),
                **encoded,
                **content,
            },
        },
        "timings": {"send": 1, "wait": 40.5, "receive": 80},
    }


def har_file(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "saved.har"
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    return path


def test_a_har_file_is_linted_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from soundstage import cli

    other = har_entry(9, b"{}", mimeType="application/json")
    other["request"]["url"] = "https://elsewhere.example/metrics"
    image = har_entry(9, b"GIF", mimeType="image/gif")
    plain = har_entry(1, b"", text=WHOLE.decode(), encoding=None)
    cut = har_entry(2, b"".join(SONG[:3]))
    dropped = har_entry(3, b"")
    del dropped["response"]["content"]["text"]
    dropped["response"]["content"]["size"] = 999
    path = har_file(tmp_path, har_entry(0, WHOLE), other, image, plain, cut, dropped)
    assert cli.main(["lint", "--format", "json", str(path)]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["file"].rpartition("#")[2], row["verdict"]) for row in rows] == [
        ("0", "conforms"),
        ("2", "violates"),  # whatever its media type, it answers the contract's endpoint
        ("3", "conforms"),
        ("4", "violates"),
        ("5", "inconclusive"),
    ]
    assert rows[3]["violations"][0]["code"] == "stream.truncated"
    with replayed(path) as url:
        for row in rows[:4]:
            exchange, _ = asked(url)
            assert exchange.verdict == row["verdict"]
            if row["framing"] is not None:
                assert exchange.milestones["first_chunk"] >= 0.0405
        assert httpx.post(f"{url}/v6/generate/song").status_code == 503


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"log": 1}', "log.entries"),
        ('{"log": {"entries": [{"request": {}, "response": {}}', "not a HAR file"),
    ],
)
def test_a_har_file_that_is_none_is_refused_with_the_place(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "broken.har"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        find(path, CONTRACTS)


def test_the_transcripts_of_a_run_bundle_are_replayed(tmp_path: Path) -> None:
    (tmp_path / "transcripts").mkdir()
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "rules.ndjson").write_text("{}\n")
    saved(tmp_path / "transcripts", "e000001.ndjson", {})
    assert len(find(tmp_path, CONTRACTS).recordings) == 1


def test_the_status_of_a_generation_is_linted_and_replayed_at_its_own_path(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/status/generation/m-1"
    header = {
        "api": "v6",
        "endpoint": "status",
        "request": {"method": "GET", "url": url},
        "response": {"status": 200, "headers": [["content-type", "application/json"]]},
    }
    path = saved(tmp_path, "a.ndjson", header, (0.0, b'{"status": "running"}'))
    linted = lint(path.read_bytes(), "a", CONTRACTS, None, Caps())
    assert (linted.contract.api, linted.endpoint) == ("v6", "status")
    assert linted.judge.verdict() == "conforms"
    served = Replay(find(tmp_path, CONTRACTS).recordings)
    assert served.paths() == ["GET /status/generation/m-1 (1)"]
    assert isinstance(served.next("GET", "/status/generation/other"), Reply)


def test_a_place_without_anything_to_replay_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="nothing to replay"):
        find(tmp_path, CONTRACTS)
    (tmp_path / "a.ndjson").write_text('{"hello": 1}\n')
    with pytest.raises(UsageError, match=r"a\.ndjson: neither a transcript nor a HAR file"):
        find(tmp_path, CONTRACTS)
    with pytest.raises(UsageError, match="No such file"):
        find(tmp_path / "absent", CONTRACTS)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"response": {"status": 99, "headers": []}}, "no status"),
        ({"response": {"status": 200, "headers": [], "t": -1}}, "no time"),
        ({"response": None}, "neither what was asked"),
    ],
)
def test_a_transcript_that_cannot_be_served_is_refused(
    tmp_path: Path, header: dict[str, Any], says: str
) -> None:
    saved(tmp_path, "a.ndjson", header)
    with pytest.raises(UsageError, match=says):
        find(tmp_path, CONTRACTS)


def test_a_recorded_header_cannot_smuggle_another(tmp_path: Path) -> None:
    headers = [["x-a", "1\r\nset-cookie: b"], ["bad name", "1"], ["transfer-encoding", "chunked"]]
    saved(tmp_path, "a.ndjson", {"response": {"status": 200, "headers": headers}})
    (recording,) = find(tmp_path, CONTRACTS).recordings
    assert recording.headers == (("x-a", "1  set-cookie: b"),)


@pytest.mark.parametrize("argv", [["--loop"], ["--replay=.", "--error=nsfw"]])
def test_what_does_not_go_with_replay_is_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        emulate.parse_args(argv)
    assert stopped.value.code == 2


def test_turns_are_counted_by_method_and_path(tmp_path: Path) -> None:
    saved(tmp_path, "a.ndjson", {})
    served = Replay(find(tmp_path, CONTRACTS).recordings)
    answers = [served.next(method, "/v6/generate/song") for method in ("PUT", "POST")]
    assert isinstance(answers[0], Reply)
    assert not isinstance(answers[1], Reply)
