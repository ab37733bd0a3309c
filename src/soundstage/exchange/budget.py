"""What a run may spend. Live generations cost money, so they are counted before they are sent."""

from __future__ import annotations

import ipaddress
import threading
from urllib.parse import urlsplit

from soundstage.errors import BudgetError


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine: localhost, 127.0.0.0/8 or ::1. No name is looked up."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # no URL at all: whoever asks it says so
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Budget:
    """Counts billable requests. `limit` None means: any number where that is `free` (on this
    machine, or where no key of the user's goes), and none elsewhere; `option` is how a limit is
    given.
    """

    def __init__(self, limit: int | None, *, free: bool, option: str = "--budget") -> None:
        self.option = option
        self.limit = limit
        self.spent = 0
        self.free = free
        self._lock = threading.Lock()

    @property
    def left(self) -> int | None:
        """How many billable requests may still be sent; None for no limit."""
        if self.limit is None:
            return None if self.free else 0
        return max(0, self.limit - self.spent)

    def take(self) -> None:
        """Count one billable request, before it is sent.

        Raises BudgetError if none is left; the request must then not be sent.
        """
        with self._lock:
            if self.left == 0:
                if self.limit is None:
                    raise BudgetError(
                        "no budget: a billable request to a host that is not this machine needs "
                        f"{self.option} N (generations that may be paid for)",
                        missing=True,
                    )
                raise BudgetError(
                    f"the budget of {self.limit} billable requests is spent",
                    missing=self.limit == 0,
                )
            self.spent += 1

    def give_back(self) -> None:
        """Take back one request that was counted and is known to have cost nothing."""
        with self._lock:
            self.spent -= 1
