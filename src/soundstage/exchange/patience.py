"""How long a command waits for a target in all, whatever each exchange may take by itself.

A server that pings for ever holds an exchange to its own deadline, and the next, and the next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from soundstage.errors import BudgetError

#: Why an exchange was cut, or never made, once the time was over.
REASON: Final = "cap.time"
#: More than a week is no limit, in seconds.
LONGEST_TIMEOUT_S: Final = 604_800.0
#: So often what is in flight is cut then: something may just have been about to start.
_AGAIN_S: Final = 0.25


class TimeUpError(BudgetError):
    """Nothing more is sent: the time for it is over, or was wasted too often."""


class Patience:
    """`seconds` of time (None: any number), from when it is first asked for (`check`): nobody's
    patience is tried before. When they are over, `cut` is called, from another thread and until
    the context is left: it must end what is in flight. `option` is how the user gives the seconds.
    """

    def __init__(
        self, seconds: float | None, cut: Callable[[], None], *, option: str = "--timeout"
    ) -> None:
        self.seconds = seconds
        self.option = option
        self._over = False
        self._begun_s: float | None = None
        self._cut = cut
        self._left = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def over(self) -> bool:
        """Whether the time is over."""
        return self._over

    def left_s(self) -> float | None:
        """How many seconds are left; None where there is no limit."""
        if self.seconds is None or self._begun_s is None:
            return self.seconds
        return max(0.0, self._begun_s + self.seconds - time.monotonic())

    @property
    def words(self) -> str:
        """What became of the time, in words."""
        return f"the limit of {self.seconds:g} s for all of it was over ({self.option})"

    def check(self) -> None:
        """To be called before each request. Raises TimeUpError once the time is over."""
        if self._over:
            raise TimeUpError(self.words)
        with self._lock:
            if self._thread is None and self.seconds is not None:
                self._begun_s = time.monotonic()
                self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)
                self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()

    def _watch(self) -> None:
        wait = self.seconds
        while not self._left.wait(wait):
            self._over, wait = True, _AGAIN_S
            self._cut()
