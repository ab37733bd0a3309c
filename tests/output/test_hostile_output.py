"""Whatever others wrote, and wherever it stands: no command prints what drives a terminal or gives
an order to a service of continuous integration.
"""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import hostile_text
import pytest
from hostile_text import harms

from soundstage import cli

#: What a name of a file, of a run, or a word on the command line may be.
NAME = "odd \x1b[2J\x9b\n::error::x ##[error]y\u202e##vso[z]"
KEY = "key-0123456789abcdef"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs, a contract and saved answers of strangers."""
    folder = tmp_path_factory.mktemp("strangers")
    hostile_text.bundle(folder / "runs" / "one", day=1)
    hostile_text.bundle(folder / "runs" / "two", day=2)
    hostile_text.bundle(folder / "runs" / NAME, day=3)
    (folder / NAME).write_bytes(hostile_text.stream())
    (folder / "contracts").mkdir()
    hostile_text.contract(folder / "contracts")
    (folder / "replayed").mkdir()
    (folder / "replayed" / NAME).write_bytes(b"nothing")
    return folder


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with hostile_text.server() as address:
        yield address


def said(place: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """What a command prints in the folder of the strangers, and its exit code."""
    monkeypatch.chdir(place)
    # As `--schemas` leaves it, which would outlast the test.
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(place / "contracts"))
    out, err = io.StringIO(), io.StringIO()
    code = cli.run(words[0], list(words[1:]), out, err)
    return code, out.getvalue(), err.getvalue()


STREAM = ("--api", "v6", "--endpoint", "stream")
PRINTED = [
    ("lint", *STREAM, NAME),
    ("lint", *STREAM, "--shrink", NAME),
    ("lint", *STREAM, "--format", "json", NAME),
    ("report", "runs/one"),
    ("report", f"runs/{NAME}"),
    ("runs", "list"),
    ("runs", "list", "--format", "json"),
    ("runs", "show", "one"),
    ("runs", "trend", "--format", "json"),
    ("runs", "trend"),
    ("compare", "runs/one", "runs/two", "--force"),
    ("compare", "--fidelity", "runs/one", "runs/two"),
    ("schema", "--api", "hostile"),
    ("schema", "--api", "hostile", "--format", "mermaid"),
    ("schema", "--api", "hostile", "--format", "openapi"),
    ("schema", "--api", "hostile", "--format", "jsonschema", "--with-basis"),
    ("explain", "hostile/stream"),
    ("explain", "stage.order"),
    ("explain", "stage.order", "--format", "json"),
    ("explain", "--format", "markdown"),
    ("faults", "--list", "--api", "hostile"),
    ("load", "--target", f"http://127.0.0.1:1/{NAME}", "--dry-run"),
    ("record", "--target", f"http://127.0.0.1:1/{NAME}", "--out", "new", "--dry-run"),
]  # fmt: skip
REFUSED = [
    ("lint", f"no {NAME}"),
    ("report", f"no {NAME}"),
    ("runs", "show", f"no {NAME}"),
    ("runs", "tag", "one", NAME),
    ("runs", "pin", "one", "--as", NAME),
    ("compare", "runs/one", f"no {NAME}"),
    ("schema", "--api", NAME),
    ("schema", "--observed", f"no {NAME}"),
    ("explain", NAME),
    ("check", "--target", "emulator", "--config", f"no {NAME}"),
    ("check", "--target", "emulator", "--dry-run", "-k", NAME),
    ("load", "--target", "emulator", "--scenario", NAME, "--dry-run"),
    ("record", "--target", "emulator", "--out", NAME, "--api", NAME),
    ("emulate", "--replay", "replayed", "--port", "0"),
    ("emulate", "--accounts", f"no {NAME}", "--port", "0"),
]


@pytest.mark.parametrize("words", PRINTED, ids=range(len(PRINTED)))
@pytest.mark.proof
def test_what_is_printed_does_no_harm(place, monkeypatch, words):
    code, out, err = said(place, monkeypatch, *words)
    assert code in (0, 1, 4, 5), err
    assert out
    assert not harms(out)
    assert not harms(err)
    if "json" in words or "openapi" in words:
        for line in [out] if "\n " in out else out.splitlines():
            json.loads(line)


@pytest.mark.parametrize("words", REFUSED, ids=range(len(REFUSED)))
def test_a_refusal_is_one_harmless_line(place, monkeypatch, words):
    code, out, err = said(place, monkeypatch, *words)
    assert code in (2, 5, 6)
    assert not out
    assert not harms(err)
    assert 1 <= err.count("\n") <= 2, "one line, and one for what was skipped before it"


@pytest.mark.parametrize("form", ["html", "junit", "markdown", "json", "sarif", "annotations"])
def test_a_report_in_any_format_does_no_harm_and_is_the_same_in_a_file(place, monkeypatch, form):
    code, out, err = said(place, monkeypatch, "report", "runs/one", "--format", form)
    assert (code, err) == (0, "")
    if form == "annotations":
        # The orders are ours: three, each a line; those of others are broken up.
        broken, first, second = out.splitlines()
        assert broken.startswith("::error title=Soundstage::")
        assert first.startswith("::warning title=Soundstage%3A target::")
        assert second.startswith("::error title=")
        assert not harms(out.replace("::warning title", "").replace("::error title", ""))
    else:
        assert not harms(out)
    file = place / f"report.{form}"
    said(place, monkeypatch, "report", "runs/one", "--format", form, "--output", str(file))
    assert file.read_text() == out
    if form == "junit":
        ET.fromstring(out)
    if form in ("json", "sarif"):
        json.loads(out)


@pytest.mark.parametrize("form", ["html", "markdown", "json"])
def test_a_comparison_in_any_format_does_no_harm(place, monkeypatch, form):
    code, out, _ = said(
        place, monkeypatch, "compare", "runs/one", "runs/two", "--force", "--format", form
    )
    assert code in (0, 1, 3, 4)
    assert len(out) > 100
    assert not harms(out)


def run(place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """A program of its own, in the folder of the strangers."""
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=place,
        env={**environ, "SOUNDVERSE_API_KEY": KEY, **more},
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [("check", f"--no {NAME}"), (NAME,), ("lint", "--max-events", NAME, "x"), ("runs", NAME)],
    ids=range(4),
)
def test_a_wrong_word_is_told_in_one_harmless_line(place, words):
    done = run(place, "-m", "soundstage", *words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert not harms(done.stderr)


def test_a_bug_of_ours_is_told_without_harm_and_so_is_its_traceback(place, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError(f"said {hostile_text.ALL}")

    monkeypatch.setenv("SOUNDSTAGE_TRACEBACK", "1")
    monkeypatch.setattr("soundstage.commands.runs.run", fail)
    code, _, err = said(place, monkeypatch, "runs")
    assert code == 70
    assert "RuntimeError: said" in err
    assert not harms(err)


@pytest.mark.proof
def test_a_check_of_a_hostile_server_does_no_harm(place, url):
    target = ("--target", url, "--api", "v5", "--budget", "2", "--yes", "--verbose")
    done = run(place, "-m", "soundstage", "check", *target, "--out", "checked")
    assert done.returncode == 1, done.stderr
    assert b"\\x1b" in done.stdout, "it is shown, as an escape"
    assert not harms(done.stdout)
    assert not harms(done.stderr)
    for name in ("report.html", "junit.xml", "summary.md"):
        assert not harms((place / "checked" / name).read_bytes()), name
    again = run(
        place, "-m", "soundstage", "lint", *map(str, (place / "checked").rglob("e*.ndjson"))
    )
    assert again.returncode == 1
    assert not harms(again.stdout)


@pytest.mark.proof
def test_the_checks_in_a_pytest_of_somebody_else_do_no_harm(place, url):
    plugin = ("-p", "soundstage.pytest_plugin", "--import-mode=importlib", "--pyargs")
    target = ("--target", url, "--api", "v5", "--budget", "2", "--explore", "0", "--out", "tested")
    words = ("-m", "pytest", "-rA", *plugin, "soundstage.contracts", *target)
    done = run(place, *words, "--junit-xml", "tested.xml")
    assert done.returncode == 1, done.stdout
    assert b"\\x1b" in done.stdout
    assert not harms(done.stdout)
    assert not harms(done.stderr)
    assert not harms((place / "tested.xml").read_bytes())


@pytest.mark.proof
def test_a_load_of_a_hostile_server_does_no_harm(place, url):
    target = ("--target", url, "--budget", "9", "--yes", "--out", "loaded")
    words = ("load", *target, "--rate", "4", "--duration", "1s")
    done = run(place, "-m", "soundstage", *words, CI="1")
    assert done.returncode == 1, done.stderr
    assert not harms(done.stdout)
    assert not harms(done.stderr)


@pytest.mark.proof
def test_locust_prints_and_logs_without_harm(place, url):
    file = Path(cli.__file__).parents[2] / "loadtests" / "locustfile.py"
    users = ("--headless", "-u", "1", "-r", "1", "-t", "6s", "--soundstage-budget", "3")
    words = ("-m", "locust", "-f", str(file), "--host", url, *users)
    done = run(place, *words, "--soundstage-out", "locusts", "--logfile", "locust.log")
    assert b"stage.unknown" in done.stdout + done.stderr, done.stderr
    assert not harms(done.stdout)
    assert not harms(done.stderr)
    assert not harms((place / "locust.log").read_bytes())


@pytest.mark.proof
def test_pytest_keeps_its_colours_on_a_terminal_and_nobody_elses_come_through(place, url):
    ours, theirs = pty.openpty()
    words = ("check", "--target", url, "--api", "v5", "--budget", "2", "--explore", "0", "--yes")
    environ = {**os.environ, "SOUNDVERSE_API_KEY": KEY, "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "soundstage", *words, "--verbose", "--out", "coloured"],
        cwd=place, env=environ, stdin=theirs, stdout=theirs, stderr=theirs,
    ) as running:  # fmt: skip
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that nobody is at the other end
                break
            shown += piece
        os.close(ours)
    assert running.returncode == 1
    assert b"\x1b[31m" in shown
    plain = shown.decode().replace("\r\n", "\n")
    for colour in ("\x1b[0m", "\x1b[1m", *(f"\x1b[{number}m" for number in range(30, 38))):
        plain = plain.replace(colour, "")
    plain = plain.replace("\r", "")
    assert not harms(plain)
    assert "\\x1b" in plain
