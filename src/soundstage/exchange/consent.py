"""Asks a person before money is spent, or a key sent to where nobody but a file says."""

from __future__ import annotations

import sys
from typing import TextIO

from soundstage.errors import UsageError
from soundstage.output.streams import say


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


def ask_where(url: str, named_by: str, option: str, stderr: TextIO | None) -> None:
    """Say that only the file `named_by` names a target, and wait for a yes. `option` is how to name
    it oneself.

    Raises UsageError where the answer is another, or nobody is there to give one.
    """
    only = f"only {named_by} names {url}, and your key would be sent there"
    if stderr is None or not (sys.stdin.isatty() and stderr.isatty()):
        raise UsageError(f"{only}; if it may be, say so with {option} {url}")
    say(only, stderr)
    print("send your key there? [y/N] ", end="", file=stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was sent")
