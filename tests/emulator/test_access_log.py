"""The access log: what a line says, what never stands in one, and that nobody waits for it."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulated import running as as_a_process
from emulated import served

from soundstage import cli
from soundstage.contract import load
from soundstage.emulator import Options
from soundstage.emulator.http import access_log
from soundstage.emulator.http.access_log import AccessLog
from soundstage.errors import EmulatorOptionsError
from soundstage.exchange.spawn import spawned_emulator
from soundstage.output.line_outlet import LineOutlet

V6 = load("v6")
STREAM, SYNC = "/v6/generate/song", "/v6/generate/song/sync"
KEY = "a-key-that-is-secret"
HEADERS = {"Authorization": f"Bearer {KEY}"}
PROMPT = "a song about a secret"


def logged(file: Path, options: Options, calls: list[tuple[str, str, dict[str, object]]]) -> str:
    """The log of an emulator that got these requests, as (method, path, more)."""
    with served(options) as url:
        for method, path, more in calls:
            asked: Any = {"headers": HEADERS, **more}
            with suppress(httpx.TransportError):  # a fault that was asked for
                httpx.request(method, url + path, **asked)
    return file.read_text()


def options(file: Path, form: str = "text") -> Options:
    return Options(profile="instant", seed=1, log=str(file), log_format=form)


CALLS: list[tuple[str, str, dict[str, object]]] = [
    ("POST", STREAM, {"json": {"prompt": PROMPT}}),
    ("POST", SYNC, {"json": {"prompt": PROMPT, "lyrics": 1}}),
    ("POST", STREAM, {"json": {"prompt": PROMPT},
                      "headers": {**HEADERS, "Soundstage-Fault": "wire/reset"}}),
    ("GET", "/nothing", {}),
]  # fmt: skip


def test_a_line_says_what_was_asked_and_what_came_of_it(tmp_path: Path) -> None:
    lines = logged(tmp_path / "log", options(tmp_path / "log"), CALLS).splitlines()
    assert len(lines) == len(CALLS)
    begin = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 127\.0\.0\.1:\d+ "
    for line, rest in zip(
        lines,
        [
            rf'"POST {STREAM} HTTP/1\.1" 200 \d+B \d+\.\d+s v6/stream id=\w+ chunks=\d+',
            rf'"POST {SYNC} HTTP/1\.1" 422 \d+B .* v6/sync refused=wrong_types: lyrics: .*',
            rf'"POST {STREAM} HTTP/1\.1" 200 \d+B .* v6/stream id=\w+ chunks=\d+ fault=wire/reset',
            r'"GET /nothing HTTP/1\.1" 404 \d+B .* refused=not_found: no such path; .*',
        ],
        strict=True,
    ):
        assert re.fullmatch(begin + rest, line), line


def test_lines_of_json_say_the_same(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    rows = [json.loads(line) for line in logged(file, options(file, "json"), CALLS).splitlines()]
    assert [row["status"] for row in rows] == [200, 422, 200, 404]
    first = rows[0]
    assert first.keys() == {
        "time", "client", "method", "path", "version", "status", "bytes", "seconds", "endpoint",
        "id", "chunks",
    }  # fmt: skip
    assert (first["method"], first["path"], first["endpoint"]) == ("POST", STREAM, "v6/stream")
    assert rows[1]["refused"] == "wrong_types"
    assert rows[2]["fault"] == "wire/reset"


def test_bytes_are_those_of_the_body(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with served(options(file, "json")) as url:
        answer = httpx.post(url + STREAM, json={"prompt": PROMPT}, headers=HEADERS)
    assert json.loads(file.read_text())["bytes"] == len(answer.content)


@pytest.mark.parametrize("form", access_log.FORMATS)
def test_no_key_and_no_prompt_stands_in_it(tmp_path: Path, form: str) -> None:
    calls = [
        *CALLS,
        ("GET", f"/status/generation/{KEY}", {}),
        ("GET", f"/nothing?key={KEY}", {}),
        ("POST", STREAM, {"json": {KEY: KEY, "prompt": [KEY]}}),
        ("POST", SYNC, {"json": {"prompt": "nsfw-test-word " + PROMPT}}),
    ]
    text = logged(tmp_path / "log", options(tmp_path / "log", form), calls)
    assert len(text.splitlines()) == len(calls)
    assert KEY not in text
    assert PROMPT not in text


@pytest.mark.parametrize("form", access_log.FORMATS)
def test_nothing_that_is_sent_ends_a_line_or_drives_a_terminal(tmp_path: Path, form: str) -> None:
    file = tmp_path / "log"
    with served(options(file, form)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        turned = b"/\xe2\x80\xae\xc2\x9b1m"
        for path in (b"/%0d%0aPOST%20/x", b'/"%20200%201B', turned, b"/" + b"x" * 5000):
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(
                    b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n"
                    b"Authorization: Bearer \x1b[31m\r\nConnection: close\r\n\r\n"
                )
                while connection.recv(65536):
                    pass
    text = file.read_text()
    assert len(text.splitlines()) == len(text.split("\n")) - 1 == 4
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(len, text.splitlines())) < 2_000


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "log"
    logged(file, options(file), CALLS[:1])
    assert len(logged(file, options(file), CALLS[:1]).splitlines()) == 2


def test_a_file_that_cannot_be_written_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["emulate", "--port", "0", "--log", str(tmp_path)]) == 2
    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1
    assert str(tmp_path) in said
    with pytest.raises(SystemExit) as ended:
        cli.main(["emulate", "--log-format", "json"])
    assert ended.value.code == 2
    assert "--log-format needs --log" in capfd.readouterr().err


def test_a_reader_that_stops_reading_keeps_nobody_waiting() -> None:
    """Neither the answers nor the end; what had no room is counted."""
    reading, writing = os.pipe()
    log = AccessLog(LineOutlet(writing))
    scope = {"method": "GET", "path": "/" + "x" * 200, "headers": [], "client": ("h", 1)}
    for _ in range(access_log.MOST_WAITING + 3_000):
        mine = dict(scope)
        log.begin(mine, None)  # type: ignore[arg-type]
        log.end(mine)
    assert len(log._waiting) <= access_log.MOST_WAITING
    log.close()
    assert not log._thread.is_alive()  # type: ignore[union-attr]
    os.close(writing)
    os.close(reading)


def test_lines_that_had_no_room_are_counted_when_there_is_room_again() -> None:
    reading, writing = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        while part := os.read(reading, 65536):
            got.append(part)

    log = AccessLog(LineOutlet(writing))
    many = access_log.MOST_WAITING + 3_000
    for _ in range(many):
        mine = {"method": "GET", "path": "/x", "headers": [], "client": ("h", 1)}
        log.begin(mine, None)  # type: ignore[arg-type]
        log.end(mine)
    reader = threading.Thread(target=read)
    reader.start()
    log.close()
    os.close(writing)
    reader.join(20)
    os.close(reading)
    lines = b"".join(got).decode().splitlines()
    lost = sum(int(line.partition("lost=")[2]) for line in lines if "lost=" in line)
    assert lost + sum("lost=" not in line for line in lines) == many


def test_a_reader_that_has_gone_ends_the_log_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outlet = LineOutlet(writing)
    outlet.write("a line\n", lambda: True)
    outlet.write("another\n", lambda: True)
    assert outlet.failure is None
    os.close(writing)


@pytest.mark.proof
def test_it_goes_to_standard_error_and_the_emulator_ends_as_ever() -> None:
    with as_a_process(Options(profile="instant", seed=1, log="-")) as emulator:
        httpx.post(emulator.url + STREAM, json={"prompt": PROMPT}, headers=HEADERS)
        _, said = emulator.stop()
    assert f'"POST {STREAM} HTTP/1.1" 200' in said
    assert emulator.parent.returncode == 0


@pytest.mark.proof
def test_a_replay_has_one_too(tmp_path: Path) -> None:
    import subprocess
    import sys

    file = tmp_path / "log"
    words = ["--replay", "examples/contracts/songs/saved", "--port", "0", "--log", str(file)]
    program = [sys.executable, "-m", "soundstage", "emulate", *words]
    environ = {**os.environ, "SOUNDSTAGE_CONTRACTS": "examples/contracts"}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().removeprefix("listening on ").strip()
        httpx.post(f"{url}/nothing", headers=HEADERS)
        child.terminate()
    assert '"POST /nothing HTTP/1.1" 404' in file.read_text()


@pytest.mark.parametrize(
    "words", [["--log"], ["--log", "--seed", "1"], ["--log=-"], ["--log", "-"]]
)
def test_the_emulator_of_a_run_logs_to_a_file_alone(words: list[str]) -> None:
    with pytest.raises(EmulatorOptionsError, match="--log FILE"), spawned_emulator(words):
        pass


@pytest.mark.proof
def test_the_emulator_of_a_run_logs_to_its_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with spawned_emulator(["--profile", "instant", "--log", str(file)]) as url:
        httpx.post(url + STREAM, json={"prompt": PROMPT}, headers=HEADERS)
    assert f'"POST {STREAM} HTTP/1.1" 200' in file.read_text()
