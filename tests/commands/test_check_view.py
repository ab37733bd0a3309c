"""What `soundstage check` shows while it works: on a terminal, in a pipe, in pytest's output."""

from __future__ import annotations

import fcntl
import io
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emulated import served
from rich.console import Console

from soundstage.commands.checking import check_view
from soundstage.contract import load
from soundstage.emulator.options import Options
from soundstage.exchange.budget import Budget
from soundstage.exchange.exchange import Call
from soundstage.exchange.patience import Patience
from soundstage.gate.progress import Progress

V6 = load("v6")
RULES = sum(1 for _ in V6.rules)
#: Whatever moves the cursor or sets a colour (ECMA-48, 5.4).
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
QUICK = """
import sys
from soundstage.output import progress_lines
progress_lines._PERIODS = ((0.0, 0.05),)
from soundstage.cli import main
sys.exit(main(sys.argv[1:]))
"""
IN_PYTEST = """
import sys
import pytest
import soundstage.pytest_plugin as plugin
plugin._TELL_S = 0.05
sys.exit(pytest.main(sys.argv[1:], plugins=[plugin]))
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with served(Options(profile="instant", seed=3)) as url:
        yield url


@pytest.fixture(scope="module")
def unhurried() -> Iterator[str]:
    """An emulator whose songs take about half a second."""
    with served(Options(speed=120, seed=3)) as url:
        yield url


def drawn(progress: Progress, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(check_view.picture(progress, "http://127.0.0.1:8000"))
    return console.file.getvalue()  # type: ignore[attr-defined]


def waiting() -> tuple[Progress, list[float]]:
    """The progress of a gate, and its clock as a list of one number."""
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    budget = Budget(4, free=False)
    budget.take()
    progress.within(budget, Budget(None, free=True), Patience(3600, pytest.fail))
    progress.rules = 282
    return progress, now


def test_the_picture_shows_rules_exchanges_songs_budget_and_time() -> None:
    progress, now = waiting()
    progress.decide(broken=True)
    with progress.sending(Call(V6, V6.endpoints["stream"])) as call:
        assert call.on_stage is not None
        call.on_stage("streaming_ready", 2)
        now[0] += 43
        said = drawn(progress)
    assert [" ".join(line.split()) for line in said.splitlines()] == [
        "checking http://127.0.0.1:8000 43 s 60:00 min left of --timeout",
        "rules 1 of 282 rules decided 1 broken",
        "sent 0 exchanges budget 1 of 4 spent",
        "v6 stream streaming_ready (track 2), 43 s",
    ]


def test_a_narrow_window_cuts_rows_and_breaks_none() -> None:
    progress, now = waiting()
    with progress.sending(Call(V6, V6.endpoints["stream"])) as call:
        assert call.on_stage is not None
        call.on_stage("streaming_ready", "\x1b]0;mine\x07[bold]x\r")
        now[0] += 43
        said = drawn(progress, width=24)
    lines = said.splitlines()
    assert len(lines) == 4
    assert all(len(line) <= 24 for line in lines)
    assert not set("\x1b\x07\r") & set(said)


def test_many_exchanges_are_counted_where_they_have_no_row() -> None:
    progress, now = waiting()
    begun = [progress.sending(Call(V6, V6.endpoints["stream"])) for _ in range(11)]
    for each in begun:
        each.__enter__()
    now[0] += 2
    said = drawn(progress)
    assert said.count("v6 stream") == 8
    assert "and 3 more" in said


def test_a_password_in_a_target_is_not_said_before_it_is_refused() -> None:
    said = io.StringIO()
    check_view.begun("http://me:hunter2000@127.0.0.1:1/x?key=hunter3000", ["v6"], said)
    assert said.getvalue() == (
        f"soundstage check: checking http://127.0.0.1:1 (v6): {RULES} rules …\n"
    )


def check(*words: str, code: str | None = None, **variables: str) -> subprocess.Popen[bytes]:
    """`soundstage check --api v6 --explore 0 WORDS…` with pipes."""
    program = ["-m", "soundstage"] if code is None else ["-c", code]
    return subprocess.Popen(
        [sys.executable, *program, "check", "--api", "v6", "--explore", "0", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SOUNDVERSE_API_KEY": "", **variables},
    )


def test_in_a_pipe_the_first_line_says_what_is_checked_and_the_last_what_it_came_to(
    emulator: str, tmp_path: Path
) -> None:
    process = check("--target", emulator, "--out", str(tmp_path / "run"), "--format", "json")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err.decode()
    first, *between, last = err.decode().splitlines()
    assert first == f"soundstage check: checking {emulator} (v6): {RULES} rules …"
    assert all(re.match(r"soundstage check: \d+ s · ", each) for each in between)
    assert f"{RULES} of {RULES} rules decided" in last
    assert b"\x1b" not in err
    assert out.startswith(b"{"), "standard output is as it was"
    assert out.count(b"\n") == 1


@pytest.mark.proof
def test_in_a_pipe_lines_say_how_far_each_song_is(unhurried: str, tmp_path: Path) -> None:
    words = ["--target", unhurried, "--treat-as-live", "--budget", "2", "--yes"]
    slow = QUICK.replace(
        "from soundstage.cli", "from soundstage.gate import progress_words\n"
        "progress_words.WORTH_READING_S = 0.0\nfrom soundstage.cli"
    )  # fmt: skip
    process = check(*words, "--out", str(tmp_path / "run"), code=slow)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err.decode()
    said = err.decode()
    assert "budget 2 of 2 spent" in said
    assert re.search(r"v6 stream: streaming_ready \(track [12]\), 0 s", said)
    assert "v6 sync: waits for its answer, 0 s" in said


def on_terminal(
    words: list[str],
    *,
    seen: Callable[[str], bool] = lambda shown: False,
    **variables: str,
) -> tuple[int, str]:
    """Run a check on a terminal of its own; its exit code, and what was shown. Ctrl-C is typed as
    soon as `seen` says so.
    """
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "soundstage", "check", "--api", "v6", "--explore", "0", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "SOUNDVERSE_API_KEY": "", "TERM": "xterm-256color", **variables},
    )
    os.close(theirs)
    shown, stopped = b"", False
    deadline = time.monotonic() + 100
    try:
        while time.monotonic() < deadline:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not stopped and seen(shown.decode(errors="replace")):
                process.send_signal(signal.SIGINT)
                stopped = True
        return process.wait(timeout=30), shown.decode(errors="replace")
    finally:
        process.kill()
        os.close(ours)


@pytest.mark.proof
def test_on_a_terminal_the_picture_is_gone_when_the_report_comes(
    unhurried: str, tmp_path: Path
) -> None:
    words = ["--target", unhurried, "--out", str(tmp_path / "run")]
    code, shown = on_terminal(words, NO_COLOR="")
    assert code == 0, shown
    before, report = shown.split("PASS  Contract kept")
    assert f"of {RULES} rules decided" in before
    assert before.endswith("\x1b[2K"), "the last that is done to the picture is to wipe it"
    assert "\x1b[2m" in before
    assert not CONTROL.search(report)
    assert "\x1b[?25l" not in shown, "the cursor of a program that is killed would stay hidden"


@pytest.mark.proof
def test_no_colour_is_shown_where_none_is_wanted(emulator: str, tmp_path: Path) -> None:
    """But the picture is (https://no-color.org)."""
    _, shown = on_terminal(["--target", emulator, "--out", str(tmp_path / "run")], NO_COLOR="1")
    assert "\x1b[2K" in shown
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shown)


@pytest.mark.proof
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(emulator: str, tmp_path: Path) -> None:
    _, shown = on_terminal(["--target", emulator, "--out", str(tmp_path / "run")], TERM="dumb")
    assert not CONTROL.search(shown)
    assert f"{RULES} of {RULES} rules decided" in shown


@pytest.mark.proof
def test_ctrl_c_leaves_a_clean_terminal_and_a_report_of_what_there_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with served(Options(speed=2, seed=3)) as url:
        words = ["--target", url, "--treat-as-live", "--budget", "2", "--yes"]
        code, shown = on_terminal(
            [*words, "--out", str(folder)], seen=lambda shown: "v6 stream" in CONTROL.sub("", shown)
        )
    assert code == 130, shown
    before, after = shown.split("INCOMPLETE  ")
    assert before.endswith("\x1b[2K")
    assert not CONTROL.search(after)
    assert f"interrupted; what was judged is in {folder}" in after.replace("\r\n", "\n")
    assert (folder / "report.html").is_file()


@pytest.mark.proof
def test_pytest_says_how_far_the_songs_are(unhurried: str, tmp_path: Path) -> None:
    words = ["--pyargs", "soundstage.contracts", "--target", unhurried, "--api", "v6", "-q"]
    words += ["--explore", "0", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    done = subprocess.run(
        [sys.executable, "-c", IN_PYTEST, *words, "--out", str(tmp_path / "run")],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^0 s · 0 exchanges · 1 more known to come · ", done.stdout, re.MULTILINE)
