"""How far the clocks of two machines are apart, by question and answer.

The answer came about half-way between asking and hearing it (Cristian 1989, Probabilistic clock
synchronization). It says when a worker begins, and stands in the bundle; no milestone depends on
it, as each is measured on one machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

#: So often is asked; the fastest answer counts.
ROUNDS = 8
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Offset:
    """What must be added to our monotonic clock to get theirs, wrong by at most `error_ns`; ns."""

    ns: int
    error_ns: int

    @property
    def of_start(self) -> int:
        """The offset to reckon with: none, where it cannot be told from none."""
        return 0 if abs(self.ns) <= self.error_ns else self.ns


def measure(ask: Callable[[float], int | None], rounds: int = ROUNDS) -> Offset | None:
    """Ask a few times; `ask(timeout in seconds)` returns their monotonic ns, or None if nobody
    answers. None if nobody ever did.
    """
    best: Offset | None = None
    for _ in range(rounds):
        before = time.monotonic_ns()
        answer = ask(_PATIENCE_S)
        half = (time.monotonic_ns() - before + 1) // 2
        if answer is not None and (best is None or half < best.error_ns):
            best = Offset(answer - (before + half), half)
    return best
