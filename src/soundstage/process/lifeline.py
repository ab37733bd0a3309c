"""Ends a program together with the one that started it, however that one ended.

Who starts it gives it a pipe as standard input. No program can be killed so hard that the kernel
would not close its end of a pipe; one that is merely stopped keeps it.
"""

from __future__ import annotations

import _thread
import os
import signal
from contextlib import suppress
from os import read
from time import sleep  # Locust replaces it where it lives, and this thread is none of its own
from typing import Final

#: The option of every command that asks for it.
OPTION: Final = "--until-eof"
#: A program that is asked to stop gets so long to do so in order, in seconds.
_GRACE_S: Final = 5.0


def hold() -> None:
    """Stop this program when its standard input ends. Nothing else can read that from now on."""
    life = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # Below `threading`: gevent, which Locust brings, mends the locks that are held while it patches
    # the process only if it finds no other thread there, and the import under way would never end.
    _thread.start_new_thread(_watch, (life,))


def _watch(life: int) -> None:
    with suppress(OSError):
        while read(life, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(_GRACE_S)
    os._exit(128 + signal.SIGTERM)
