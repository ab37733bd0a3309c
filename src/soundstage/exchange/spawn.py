"""Starts an emulator of our own in another process, for `--target emulator`.

Nothing of the emulator is imported here: it is run like any other program.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Final

from soundstage.contract import load_sound
from soundstage.errors import EmulatorOptionsError, TargetError
from soundstage.exchange.budget import is_loopback
from soundstage.output.outgoing import KEY_VARIABLE
from soundstage.process import lifeline

#: The target that stands for an emulator of our own, started for the run.
EMULATOR = "emulator"
#: What plans say of billable requests to such a target.
FREE_HERE: Final = "none is billed here"
_READY = "listening on "
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_TAIL_BYTES = 2000


def is_free(target: str) -> bool:
    """Whether nothing that goes to a target can cost money, as far as can be told without asking
    it: an emulator of our own, or anything on this machine.
    """
    return target == EMULATOR or is_loopback(target)


@contextmanager
def spawned_emulator(
    arguments: Iterable[str],
    apis: Iterable[str] = (),
    *,
    left_out: Collection[str] = (),
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[str]:
    """An emulator on a free port of this machine, with these options of `soundstage emulate`;
    yields its base URL and stops it at the end. It serves `apis`, where the options do not say
    which; none: all that are understood but those that are `left_out`, as it would refuse them.
    `meanwhile` is called while it gets ready: what is to be loaded anyway costs no time there.

    Raises TargetError, with what it said, if it does not get ready; EmulatorOptionsError if these
    are no options of it.
    """
    arguments = list(arguments)
    if _logs_unseen(arguments):
        raise EmulatorOptionsError(
            "--emulator-args: --log needs a file, since nobody sees what the emulator of a run "
            "prints: write --log FILE"
        )
    # It ends with us, however we end; and imports nothing from the folder that we are in.
    program = [sys.executable, "-P", "-m", "soundstage", "emulate", lifeline.OPTION]
    command = [*program, "--port", "0", *arguments, *_served(arguments, apis, left_out)]
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            # It takes any key, and has no use for the user's.
            env={name: value for name, value in os.environ.items() if name != KEY_VARIABLE},
            # Ctrl-C is for us: what is in flight must still be answered while we drain.
            process_group=0,
        )
        assert child.stdout is not None
        try:
            if meanwhile is not None:
                meanwhile()
            with child.stdout:
                url = _announced(child.stdout)
                if url is None:
                    _stop(child)
                    complaints.seek(0)
                    said = complaints.read()[-_TAIL_BYTES:].decode(errors="replace").strip()
                    last = said.splitlines()[-1] if said else "it said nothing"
                    wrong = child.returncode == EmulatorOptionsError.exit_code
                    kind = EmulatorOptionsError if wrong else TargetError
                    raise kind(f"the emulator did not start: {last}")
                yield url
        finally:
            _stop(child)


def _served(arguments: list[str], apis: Iterable[str], left_out: Collection[str]) -> list[str]:
    """What keeps a contract that is broken, or that nobody could keep, from stopping a run that
    asks for another one.
    """
    if any(word.partition("=")[0] == "--api" for word in arguments):
        return []
    wanted = list(dict.fromkeys(apis))
    if not wanted:
        sound, broken = load_sound()
        wanted = [api for api in sound if api not in left_out] if broken or left_out else []
    return [word for api in wanted for word in ("--api", api)]


def _logs_unseen(arguments: list[str]) -> bool:
    """Whether the options ask for a log on standard error."""
    following = [*arguments, "--"][1:]
    return any(
        word in ("--log=-", "--log=")
        or (word == "--log" and (after == "-" or after.startswith("--")))
        for word, after in zip(arguments, following, strict=True)
    )


def _announced(stdout: IO[bytes]) -> str | None:
    """The URL that the child prints when it is ready; None if it ends or takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while b"\n" not in said:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            part = os.read(stdout.fileno(), 4096)
            if not part:
                return None
            said += part
    line = said.decode(errors="replace").splitlines()[0]
    return line.removeprefix(_READY).strip() if line.startswith(_READY) else None


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    if child.poll() is not None:
        return
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
