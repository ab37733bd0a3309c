"""Signals that ask a command to stop: SIGINT (Ctrl-C), SIGTERM, SIGHUP (its terminal is closed).

The first one interrupts whatever runs, as Ctrl-C does in any Python program, so that what was
judged can still be reported; another one ends the program at once. One that was ignored when the
program started stays ignored (`nohup`).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from soundstage.exit_codes import ExitCode

#: Of a signal that comes twice within so many seconds the second is an echo: programs that start
#: others pass on what the terminal has sent to all of them.
_ECHO_S = 0.25
#: After so many seconds an interruption that got lost is made again.
_AGAIN_S = 0.001
_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "its terminal was closed"}


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by the first signal."""


class _SignalsHeard:
    """What has been heard so far. `held`: somebody will look for it soon; `over`: the program has
    said its last word.
    """

    first: int | None = None
    at = 0.0
    held = False
    over = False


def signals() -> tuple[signal.Signals, ...]:
    """The signals that ask to stop, but for those that are ignored."""
    known = (getattr(signal, name, None) for name in _WORDS)
    return tuple(
        each for each in known if each is not None and signal.getsignal(each) != signal.SIG_IGN
    )


def install() -> None:
    """Interrupt this program, from now on, when it is asked to stop. For the main thread only."""
    for each in signals():
        signal.signal(each, _interrupt)
    sys.unraisablehook = _mend
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _interrupt_again)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started here do not hear Ctrl-C or the end of the terminal, which are told
    to all of a terminal's programs: they are for us.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def over() -> None:
    """The exit code is known and everything is written: a signal now has nothing to wait for."""
    _SignalsHeard.over = True


def hear(signum: int) -> str:
    """Note a signal, for handlers other than the one that `install` sets. Gives "first", "echo"
    for one that says the same again, or "again" for one that means: at once.
    """
    now = time.monotonic()
    if _SignalsHeard.first is None:
        _SignalsHeard.first, _SignalsHeard.at = signum, now
        return "first"
    # A terminal that closes is told to a program by the kernel and by the shell.
    hung_up = signal.Signals(signum).name == "SIGHUP"
    return "echo" if hung_up or now - _SignalsHeard.at < _ECHO_S else "again"


@contextmanager
def held() -> Iterator[None]:
    """The first signal interrupts nothing here: whoever is about to listen asks at the end whether
    one was `heard`. For what takes no longer than a moment.
    """
    _SignalsHeard.held = True
    try:
        yield
    finally:
        _SignalsHeard.held = False


@contextmanager
def heeded() -> Iterator[None]:
    """In the midst of `held`: here the first signal interrupts after all, also one that has come
    before. Elsewhere it changes nothing.
    """
    before = _SignalsHeard.held
    _SignalsHeard.held = False
    try:
        if before and _SignalsHeard.first is not None:
            raise Stopped
        yield
    finally:
        _SignalsHeard.held = before


def heard() -> int | None:
    """The first signal that was heard; None if none was."""
    return _SignalsHeard.first


def code(signum: int | None = None) -> int:
    """The exit code for a signal; without one, for the first that was heard, or Ctrl-C."""
    number = signum or _SignalsHeard.first
    return int(ExitCode.INTERRUPTED) if number is None else 128 + number


def words() -> str:
    """What happened, in words."""
    number = _SignalsHeard.first
    return _WORDS["SIGINT" if number is None else signal.Signals(number).name]


def _interrupt(signum: int, _: FrameType | None) -> None:
    if _SignalsHeard.over:
        _leave(signum)
    match hear(signum):
        case "first":
            if not _SignalsHeard.held:
                raise Stopped
        case "again":
            _leave(_SignalsHeard.first or signum)


def _leave(signum: int) -> NoReturn:
    os._exit(code(signum))


def _mend(lost: sys.UnraisableHookArgs) -> None:
    """An interruption that came while Python cleaned up behind something (an import, a weak
    reference) is not raised there but lost: it is made once more.
    """
    if not isinstance(lost.exc_value, Stopped):
        sys.__unraisablehook__(lost)
    elif hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)


def _interrupt_again(*_: object) -> None:
    if not _SignalsHeard.over:
        raise Stopped
