"""Asks a person before money is spent."""

from __future__ import annotations

import sys
from typing import TextIO

from soundstage.errors import UsageError


def ask(plan: str, stderr: TextIO) -> None:
    """Show what would be sent and spent, in lines, and wait for a yes.

    Raises UsageError where the answer is another, or nobody is there to give one.
    """
    if not (sys.stdin.isatty() and stderr.isatty()):
        raise UsageError("a live run asks before it spends; where nobody can answer, give --yes")
    print(plan, file=stderr)
    print("send it? [y/N] ", end="", file=stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was sent")
