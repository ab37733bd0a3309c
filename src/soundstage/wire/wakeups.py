"""Being called when a socket can be read, instead of waiting for it.

An event loop that owns the process (gevent's hub under Locust) can call a function whenever bytes
are there. So nobody waits: at thousands of streams each waiting greenlet would take some eight
kilobytes of stack, and two switches and a vain system call for each event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Wakeups(Protocol):
    """Those of one socket, from when they are made."""

    def stop(self) -> None:
        """No more calls; from anywhere, once."""


#: Makes those of a file descriptor, which must be non-blocking: the loop calls the function
#: whenever the descriptor can be read. It must neither wait nor raise.
WakeupsOf = Callable[[int, Callable[[], object]], Wakeups]
