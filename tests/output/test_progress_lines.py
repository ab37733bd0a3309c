"""Progress in lines, and what keeps a reader who takes nothing from holding up the work."""

from __future__ import annotations

import fcntl
import io
import os
import threading
from pathlib import Path

import pytest

from soundstage.output.progress_lines import pause_after, repeated, say_at_once
from soundstage.output.terminal_writer import TerminalWriter, draws_pictures


def test_lines_come_often_at_first_and_rarely_later() -> None:
    elapsed, moments = 0.0, []
    while elapsed < 3600:
        elapsed += pause_after(elapsed)
        moments.append(elapsed)
    assert moments[:3] == [2.0, 4.0, 6.0]
    gaps = [after - before for before, after in zip([0.0, *moments], moments, strict=False)]
    assert max(gap for gap, at in zip(gaps, moments, strict=True) if at <= 30) <= 2.4
    assert max(gap for gap, at in zip(gaps, moments, strict=True) if at <= 300) <= 6
    assert gaps[-1] == 60
    assert len(moments) < 200, "an hour is no flood"


@pytest.mark.parametrize("elapsed", [0.0, 0.3, 1.0, 1.7, 1.99, 2.0])
def test_a_view_that_begins_late_is_not_silent_for_longer(elapsed: float) -> None:
    assert 0.4 <= pause_after(elapsed) <= 2.4


def test_work_is_repeated_until_the_block_ends() -> None:
    twice = threading.Semaphore(0)
    with repeated(lambda: 0.0, twice.release):
        assert twice.acquire(timeout=5)
        assert twice.acquire(timeout=5)
    while twice.acquire(blocking=False):
        pass
    assert not twice.acquire(timeout=0.02), "and not after it"


def test_a_place_that_is_gone_ends_the_lines_and_not_the_work() -> None:
    tried = threading.Event()

    def fails() -> None:
        tried.set()
        raise BrokenPipeError

    with repeated(lambda: 0.0, fails):
        assert tried.wait(5)


def test_a_writer_waits_for_nobody_who_takes_nothing() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb") as reader, open(theirs, "w") as pipe:
        held = fcntl.fcntl(theirs, 1032)  # F_GETPIPE_SZ: what a pipe holds
        writer = TerminalWriter(pipe)
        writer.write("x" * (held + 10))
        writer.flush()
        assert not writer.free
        writer.write("kept")
        writer.flush()
        assert not writer.free, "and what comes meanwhile waits, too"
        assert reader.read(held + 10) == b"x" * (held + 10)
        writer.close()
        assert writer.free
        assert reader.read(4) == b"kept"


def test_what_is_written_goes_to_the_file_that_was_there_at_first(tmp_path: Path) -> None:
    """pytest puts another one in its place while a check runs."""
    with (tmp_path / "log").open("w") as log, (tmp_path / "other").open("w") as other:
        writer = TerminalWriter(log)
        os.dup2(other.fileno(), log.fileno())
        writer.write("here")
        writer.flush()
        writer.close()
    assert (tmp_path / "log").read_text() == "here"
    assert (tmp_path / "other").read_text() == ""


def test_a_line_that_nobody_takes_is_not_said() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb"), open(theirs, "w") as pipe:
        os.set_blocking(theirs, False)
        os.write(theirs, b"x" * fcntl.fcntl(theirs, 1032))
        os.set_blocking(theirs, True)
        say_at_once("nobody waits for this", pipe)
    said = io.StringIO()
    say_at_once("what is no file\ntakes all", said)
    assert said.getvalue() == "what is no file\\ntakes all\n"


def test_a_picture_is_drawn_on_a_terminal_that_can_move_its_cursor() -> None:
    ours, theirs = os.openpty()
    try:
        with open(theirs, "w", closefd=False) as terminal:
            assert draws_pictures(terminal, {"TERM": "xterm"})
            assert not draws_pictures(terminal, {"TERM": "dumb"})
        assert not draws_pictures(io.StringIO(), {"TERM": "xterm"})
    finally:
        os.close(ours)
        os.close(theirs)
