"""A check that is stopped in the milliseconds around the beginning of its bundle, to the line: the
signal is sent by the program itself, at that place.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

#: Runs a command, and sends itself a signal right after the named function has returned.
_STOPPED_AFTER = """
import os, signal, sys
from importlib import import_module
from soundstage import cli

module, owner, name = sys.argv[1].rpartition(":")[0], *sys.argv[1].rpartition(":")[2].split(".")
holder = getattr(import_module(module), owner)
plain = getattr(holder, name)

def stopped(*given, **named):
    made = plain(*given, **named)
    os.kill(os.getpid(), signal.SIGINT)
    return made

setattr(holder, name, stopped)
sys.argv = ["soundstage", *sys.argv[2:]]
sys.exit(cli.main())
"""


@pytest.mark.proof
@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("soundstage.results.writer:BundleWriter.create", "interrupted"),
        ("soundstage.results.writer:BundleWriter.finish", "complete"),
    ],
)
def test_a_check_that_is_stopped_as_its_bundle_begins_or_ends_leaves_a_report(
    place: str, status: str, tmp_path: Path
) -> None:
    words = ["check", "--target", "emulator", "--api", "v5", "--explore", "0", "-k", "framing"]
    ran = subprocess.run(
        [sys.executable, "-c", _STOPPED_AFTER, place, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 130, ran.stderr
    (bundle,) = (tmp_path / "runs").iterdir()
    assert json.loads((bundle / "run.json").read_text())["status"] == status
    assert (bundle / "report.html").exists()
    assert f"interrupted; what was judged is in {bundle.relative_to(tmp_path)}" in ran.stderr


@pytest.mark.proof
@pytest.mark.parametrize("said", ["n\n", "\x03"])
def test_who_says_no_to_the_costs_leaves_no_bundle(said: str, tmp_path: Path) -> None:
    """A rehearsal asks as a live run does, on a terminal."""
    ours, theirs = pty.openpty()
    words = ["check", "--target", "emulator", "--api", "v5", "--treat-as-live", "--budget", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "soundstage", *words],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_the_terminal,
    ) as program:
        os.close(theirs)
        shown = b""
        while b"send it? [y/N]" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, said.encode())
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:
                break
        code = program.wait(timeout=30)
    os.close(ours)
    assert code == (2 if said == "n\n" else 130), shown
    assert not (tmp_path / "runs").exists()


def _take_the_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
