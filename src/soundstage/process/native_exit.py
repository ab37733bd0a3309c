"""Keeps libraries in C from giving a verdict.

Some end the whole process with `exit(1)` when they get no memory (OpenBLAS does), past Python and
all of its exceptions; and 1 says that a contract is broken.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from soundstage.exit_codes import ExitCode

_armed = False


def guard() -> None:
    """From now on whoever calls C's `exit` ends the program with ENVIRONMENT. It ends with another
    code only by `leave`, which does for Python what its own end would have done.
    """
    global _armed
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        leave_at_once = ctypes.cast(libc._exit, ctypes.c_void_p)
        # The ABI of C++, which all of POSIX has: void (*)(void *), its argument, a library.
        _armed = not libc.__cxa_atexit(
            leave_at_once, ctypes.c_void_p(int(ExitCode.ENVIRONMENT)), None
        )
    except (ImportError, OSError, AttributeError):
        _armed = False  # there is no such thing here


def guarded() -> bool:
    """Whether the program must end by `leave`."""
    return _armed


def leave(code: int) -> NoReturn:
    """End the program with this code, as Python ends one."""
    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
