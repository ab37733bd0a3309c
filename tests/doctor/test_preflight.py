"""Before a run that costs money: the cheap part of the doctor, at a live target alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import RawServer, RecordedRequest
from tests.support.asking_doctor import JSON, KEY, answer, as_the_api
from tests.support.command_run import CommandRun, run_here

Host = Callable[..., RawServer]
GALLERY = Path(__file__).parents[2] / "examples/contracts"


def live(server: RawServer) -> str:
    """The server at an address that is none of loopback by its letters: a live target."""
    return f"http://0.0.0.0:{server.port}"


def check(target: str, *words: str) -> CommandRun:
    words = ("--target", target, "--api", "v5", "--budget", "4", "--yes", *words)
    return run_here("check", *words, env={"SOUNDVERSE_API_KEY": KEY})


def load(target: str, *words: str) -> CommandRun:
    """In a process of its own: Locust patches the one that it is in."""
    words = ("--target", target, "--api", "v5", "--budget", "4", "--yes", *words)
    ran = subprocess.run(
        [sys.executable, "-m", "soundstage", "load", "--rate", "5", "--duration", "1s", *words],
        env={**os.environ, "SOUNDVERSE_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return CommandRun(ran.returncode, ran.stdout, ran.stderr)


def record(target: str, *words: str) -> CommandRun:
    words = ("--target", target, "--api", "v5", "--budget", "4", "--yes", *words)
    return run_here("record", "--out", "saved", *words, env={"SOUNDVERSE_API_KEY": KEY})


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # `--schemas` sets it for the whole process.
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", "")


@pytest.mark.parametrize("run", [check, record])
@pytest.mark.parametrize(
    ("says", "words"),
    [
        (answer(503, "text/html", b"<html>down</html>"), "503 Service Unavailable"),
        (answer(404, JSON, b'{"error":"no route"}'), "404 or its like to all of /v5/"),
        (answer(200, "text/html", b"<html>Welcome</html>"), "an HTML page"),
        (answer(301, JSON, b"", "Location: https://elsewhere.example/"), "elsewhere.example"),
    ],
)
def test_a_run_that_could_measure_nothing_ends_before_it_costs(
    run: Callable[..., CommandRun], says: bytes, words: str, host: Host, tmp_path: Path
) -> None:
    server = host(says)
    ran = run(live(server))
    assert ran.returncode == 6
    last = ran.stderr.splitlines()[-1]
    assert words in last
    assert "nothing was sent that costs money; `soundstage doctor` tells more" in last
    assert not (tmp_path / "runs").exists()
    assert not any("authorization" in each.headers for each in server.requests)


@pytest.mark.proof
def test_a_load_run_that_could_measure_nothing_ends_before_it_costs(
    host: Host, tmp_path: Path
) -> None:
    server = host(answer(503, "text/html", b"<html>down</html>"))
    ran = load(live(server))
    assert ran.returncode == 6
    last = ran.stderr.splitlines()[-1]
    assert "503 Service Unavailable" in last
    assert "nothing was sent that costs money" in last
    assert not (tmp_path / "runs").exists()
    assert not any("authorization" in each.headers for each in server.requests)


def test_nobody_there_is_said_with_what_to_do(host: Host) -> None:
    server = host(as_the_api)
    server.stop()
    ran = check(live(server))
    assert ran.returncode == 6
    assert "refused the connection" in ran.stderr.splitlines()[-1]


def of_a_dead_key(request: RecordedRequest) -> bytes:
    """Refuses whatever is asked of an address of the API."""
    if request.method == "GET" and not request.target.startswith("/status"):
        return answer(404, JSON, b'{"detail":"Not Found"}')
    return answer(401, JSON, b'{"detail":"Missing or invalid API key"}')


def test_a_dead_key_is_warned_of_where_only_our_reading_says_that_it_can_be_asked(
    host: Host,
) -> None:
    server = host(of_a_dead_key, paid=True)
    ran = run_here(
        *("check", "--target", server.url(""), "--treat-as-live", "--api", "v6", "--budget", "1"),
        *("--yes", "-k", "framing"),
        env={"SOUNDVERSE_API_KEY": KEY},
    )
    assert "with the key is answered with 401; that v6 has it is our reading" in ran.stderr
    assert any(
        each.method == "POST" and "authorization" in each.headers for each in server.requests
    )


def test_pytest_says_what_a_run_is_warned_of(host: Host) -> None:
    server = host(of_a_dead_key, paid=True)
    words = [str(GALLERY.parents[1] / "contracts"), "--out", "run", "-k", "framing"]
    words += ["--target", live(server), "--api", "v6", "--budget", "1"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        env={**os.environ, "SOUNDVERSE_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "contract checks: http, not https: the key goes over the network" in ran.stdout
    assert KEY not in ran.stdout + ran.stderr


def test_a_dry_run_asks_nothing(host: Host) -> None:
    server = host(as_the_api)
    assert check(live(server), "--dry-run").returncode == 0
    dry = ("load", "--target", live(server), "--rate", "5", "--duration", "1s", "--dry-run")
    assert run_here(*dry).returncode == 0
    assert server.requests == []


def test_this_machine_is_not_asked_before_a_run(host: Host) -> None:
    """What is found there costs nothing, and the run itself says it."""
    server = host(answer(503, "text/html", b"<html>down</html>"), paid=True)
    ran = check(server.url(""), "-k", "framing")
    assert ran.returncode == 6
    assert "soundstage doctor" not in ran.stderr


def test_a_rehearsal_asks_as_a_live_run_does(host: Host) -> None:
    server = host(answer(503, "text/html", b"<html>down</html>"))
    ran = check(server.url(""), "--treat-as-live")
    assert ran.returncode == 6
    assert "nothing was sent that costs money" in ran.stderr


@pytest.mark.parametrize(
    ("everywhere", "words"), [(True, "403 to everything, with the key"), (False, "the key is not")]
)
def test_a_key_that_a_documented_endpoint_refuses_ends_a_run_before_it_costs(
    everywhere: bool, words: str, host: Host
) -> None:
    """The gallery's pictures have a status endpoint on their page."""
    forbidden = answer(403, JSON, b'{"message":"Forbidden"}')

    def says(request: RecordedRequest) -> bytes:
        nobodys = not request.target.startswith("/v1/")
        return answer(404, JSON, b"{}") if nobodys and not everywhere else forbidden

    server = host(says)
    ran = run_here(
        *("check", "--schemas", str(GALLERY), "--target", server.url(""), "--api", "pictures"),
        *("--treat-as-live", "--budget", "1", "--yes"),
        env={"SOUNDVERSE_API_KEY": KEY},
    )
    assert ran.returncode == 6, ran.stderr
    assert words in ran.stderr.splitlines()[-1]
    assert "nothing was sent that costs money" in ran.stderr
