"""Serves an emulator, by one process or several, until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

from soundstage.emulator import workers
from soundstage.emulator.address import bound, url_of
from soundstage.emulator.app import Emulator
from soundstage.emulator.options import Options
from soundstage.emulator.server import run
from soundstage.errors import UsageError

try:
    import fcntl
except ImportError:  # not on every platform
    fcntl = None  # type: ignore[assignment]

#: What the command prints, with the URL after it, when the emulator can be used.
READY: Final = "listening on "


def serve(options: Options, ready: Callable[[str], None], stderr: TextIO | None = None) -> None:
    """Serve until a signal asks to stop; `ready` gets the base URL once requests are answered. What
    becomes of workers is told on `stderr`.

    Raises UsageError for options that make no sense, TargetError if the address cannot be had.
    """
    # Workers must agree on the seed; one that is drawn is drawn here.
    if options.seed is None:
        options = replace(options, seed=secrets.randbits(32))
    with claimed(options.state):
        if options.workers > 1:
            workers.serve(options, ready, stderr)
            return
        emulator = Emulator(options)
        with bound(options.host, options.port) as listening:
            url = url_of(listening)
            run(emulator, listening, lambda: ready(url))


@contextlib.contextmanager
def claimed(path: Path | None) -> Iterator[None]:
    """Keep a state file to this emulator: another would give back what this one holds. Raises
    UsageError if it is in use. The claim ends with the process, however that ends.
    """
    if path is None or fcntl is None:
        yield
        return
    try:
        # In a folder that others may write to, the lock may have been put there by them: a link is
        # not followed, nothing is cut off, nothing is waited for.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        claim = os.fdopen(os.open(f"{path}.lock", flags, 0o666), "r+b", buffering=0)
    except (OSError, ValueError) as error:
        raise UsageError(f"the state file {path} cannot be used: {error}") from error
    with claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"the state file {path} is in use by another emulator") from error
        yield
