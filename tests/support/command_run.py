"""A command run in this process, as a program would run it: two seconds of CPU less than a process,
for tests to which the process itself is all the same.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

import pytest

from soundstage import cli


class CommandRun(NamedTuple):
    """What a command ended with, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_here(
    *words: str, folder: Path | None = None, env: dict[str, str] | None = None
) -> CommandRun:
    """Run `soundstage WORDS…` in `folder`, with these variables beside those that there are.
    Nobody can be asked anything.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr("sys.stdin", io.StringIO())
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        if folder is not None:
            patch.chdir(folder)
        try:
            code = cli.main(list(words))
        except SystemExit as ended:
            code = int(str(ended.code))
    return CommandRun(code, out.getvalue(), err.getvalue())
