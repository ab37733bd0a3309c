"""The folders of contracts that a user adds: put where every process of a run finds them.

Contracts are read by the command, by its workers and by an emulator that it starts, so that the
option becomes a variable of the environment, which all of them have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from soundstage.errors import UsageError

#: The option, of every command and of pytest.
OPTION: Final = "--schemas"
_VARIABLE: Final = "SOUNDSTAGE_SCHEMAS"


def add(folders: Iterable[str]) -> None:
    """Add folders of contracts before those that there are. Raises UsageError for what is none."""
    absolute = []
    for folder in folders:
        if not folder:
            raise UsageError(f"{OPTION}: name a folder of contracts")
        if not os.path.isdir(folder):
            raise UsageError(f"{OPTION} {folder}: no such folder")
        absolute.append(os.path.abspath(folder))
        if os.pathsep in absolute[-1]:
            why = f"{os.pathsep!r} stands between folders in {_VARIABLE}"
            raise UsageError(f"{OPTION} {absolute[-1]}: {why}: name a folder without it")
    if absolute:
        before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = os.pathsep.join([*absolute, *([before] if before else [])])


def now() -> str | None:
    """What the variable is, for `restore`."""
    return os.environ.get(_VARIABLE)


def restore(value: str | None) -> None:
    """Make the variable what it was."""
    os.environ.pop(_VARIABLE, None)
    if value is not None:
        os.environ[_VARIABLE] = value
