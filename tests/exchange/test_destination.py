"""A key goes to a contract's host, to this machine, and to where the user says: nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from command_run import run_here

from soundstage.contract import load, load_all
from soundstage.errors import UsageError
from soundstage.exchange import consent, destination
from soundstage.exchange.target import KEY_VARIABLE
from soundstage.wire.url import parse_target

ROOT = Path(__file__).parents[2]
OWN = load("v6").base_url
HOST = parse_target(OWN).host
KEY = "sk-live-0123456789abcdef"
#: Nothing listens there, and nothing is sent there (RFC 5737).
ELSEWHERE = "https://192.0.2.1"


@pytest.mark.parametrize(
    "url",
    [
        OWN, OWN.upper().replace("HTTPS", "https"), f"https://{HOST}:443/base/path", f"https://{HOST}/",
        "http://localhost:8000", "http://127.0.0.1:1", "http://[::1]:9", "https://127.8.9.1/x",
    ],
)  # fmt: skip
def test_a_contracts_own_host_and_this_machine_are_trusted_whoever_names_them(url):
    assert destination.is_trusted(url, load_all().values())


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}", f"https://{HOST}:8443", f"https://{HOST}.evil.example", f"https://{HOST}.",
        f"https://evil.example/{HOST}", f"https://evil.example?{HOST}", f"https://evil.example#{HOST}",
        f"https://x.{HOST}", "https://" + HOST.replace("o", "\u043e", 1), "https://" + HOST[:-1],
        "http://localhost.evil.example", "http://127.0.0.1.nip.io", "http://0.0.0.0:80",
        "http://[::ffff:10.0.0.1]", "http://2130706433", "http://127.1", "http://0x7f.1", ELSEWHERE,
    ],
)  # fmt: skip
def test_a_host_that_only_looks_like_one_of_them_is_not(url):
    assert not destination.is_trusted(url, load_all().values())


@pytest.mark.parametrize(
    "url",
    [f"https://{HOST}@evil.example", "//evil.example", "https://", "https://[", "https://a\tb"],
)
def test_what_is_no_base_url_is_refused_by_its_file(url, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with pytest.raises(UsageError, match=r"^soundstage.toml: .*the URL"):
        destination.confirm(
            url, Path("soundstage.toml"), option="--target", key_file=None, stderr=sys.stderr
        )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--target", "x"], True), (["--target=x"], True), (["-q", "tests"], False),
        (["--targets", "x"], False), (["x--target"], False), ([], False),
    ],
)  # fmt: skip
def test_an_option_is_found_among_words(words, says):
    assert destination.says(words, "--target") is says


def test_a_short_option_is_found_with_its_value():
    assert destination.says(["-Hhttp://a"], "-H", "--host")
    assert not destination.says(["--headless"], "-H", "--host")


def run(folder, *argv, key=KEY, **environ):
    """A command in a folder, with a key in the environment and nobody to answer."""
    environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
    environment |= {"PYTHONPATH": "", **environ}
    if key is not None:
        environment[KEY_VARIABLE] = key
    return subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(folder, *words, key=KEY):
    """`soundstage WORDS…`, in the same way."""
    return run_here(*words, folder=folder, env={KEY_VARIABLE: key or ""})


@pytest.fixture
def cloned(tmp_path):
    (tmp_path / "soundstage.toml").write_text(f'[target]\nurl = "{ELSEWHERE}"\nbudget = 9\n')
    return tmp_path


@pytest.mark.parametrize(
    "argv",
    [
        ["check", "--yes"],
        ["check", "--yes", "--config", "soundstage.toml"],
        ["load", "--yes", "--rate", "1", "--duration", "1s"],
        ["load", "--yes", "--scenario", "smoke"],
    ],
    ids=" ".join,
)
def test_a_target_that_only_the_file_names_gets_no_key_where_nobody_can_answer(cloned, argv):
    done = run(cloned, "soundstage", *argv)
    assert done.returncode == 2, done.stderr
    assert f"only soundstage.toml names {ELSEWHERE}/" in done.stderr
    assert f"--target {ELSEWHERE}" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert not (cloned / "runs").exists()


def test_a_key_file_and_a_secret_header_are_asked_about_like_a_key(cloned):
    (cloned / "key").write_text(KEY)
    assert told(cloned, "check", "--key-file", "key", key=None).returncode == 2
    header = ["--header", "Cookie: sid=1"]
    done = told(cloned, "check", *header, key=None)
    assert done.returncode == 2
    assert "only soundstage.toml" in done.stderr


def test_without_a_key_there_is_nothing_to_ask(tmp_path):
    (tmp_path / "soundstage.toml").write_text('[target]\nurl = "https://localhost.invalid"\n')
    done = told(tmp_path, "check", key=None)
    assert done.returncode == 6, done.stderr
    assert "only soundstage.toml" not in done.stderr


def test_a_flag_that_names_the_target_is_enough(cloned):
    done = told(cloned, "check", "--target", "http://127.0.0.1:1", "--budget", "0")
    assert done.returncode == 6
    assert "does not answer" in done.stderr


def test_the_file_may_name_this_machine_and_the_emulator(tmp_path):
    (tmp_path / "soundstage.toml").write_text('[target]\nurl = "http://127.0.0.1:1"\n')
    done = told(tmp_path, "check")
    assert (done.returncode, "does not answer" in done.stderr) == (6, True), done.stderr


@pytest.mark.proof
def test_a_target_from_a_file_of_pytest_is_refused_and_one_from_the_command_line_is_not(tmp_path):
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = --target {ELSEWHERE}\n")
    checks = ["pytest", "-q", "-p", "soundstage.pytest_plugin", "--pyargs", "soundstage.contracts"]
    done = run(tmp_path, *checks)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert f"--target {ELSEWHERE}" in said
    named = run(tmp_path, *checks, "--target", "http://127.0.0.1:1")
    assert "does not answer" in named.stdout + named.stderr
    outside = run(tmp_path, *checks, PYTEST_ADDOPTS="--target http://127.0.0.1:1")
    assert "does not answer" in outside.stdout + outside.stderr


@pytest.mark.proof
def test_a_host_that_only_locusts_file_names_is_refused_and_one_that_is_named_is_not(tmp_path):
    (tmp_path / "locust.conf").write_text(f"host = {ELSEWHERE}\nheadless = true\nusers = 1\n")
    locust = ["locust", "-f", str(ROOT / "loadtests/locustfile.py")]
    done = run(tmp_path, *locust)
    assert done.returncode == 2, done.stderr
    assert f"--host {ELSEWHERE}" in done.stderr
    named = run(tmp_path, *locust, "--host", "http://127.0.0.1:1")
    assert named.returncode == 6
    assert "does not answer" in named.stderr


@pytest.mark.parametrize(("answer", "sent"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_the_user_is_asked_and_sees_the_host(answer, sent, monkeypatch):
    here, there = pty.openpty()
    with os.fdopen(there, "r+b", buffering=0) as terminal:
        reader = os.fdopen(os.dup(there), "r")
        monkeypatch.setattr(sys, "stdin", reader)
        os.write(here, answer.encode())
        with os.fdopen(os.dup(there), "w") as stderr:
            if sent:
                consent.ask_where("https://evil.example/", "soundstage.toml", "--target", stderr)
            else:
                with pytest.raises(UsageError, match="nothing was sent"):
                    consent.ask_where("https://evil.example/", "a.toml", "--target", stderr)
        reader.close()
        said = b""
        while b"https://evil.example/" not in said:  # the terminal gives it piece by piece
            said += os.read(here, 4096)
        assert not terminal.closed
    os.close(here)
