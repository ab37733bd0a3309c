"""What falls to each worker of a run: arrivals, budget, room in flight. Fixed when the run begins.

Nobody takes over the share of a worker that is lost: its run is void anyway, and what is missing
can be told to the last arrival.
"""

from __future__ import annotations

from collections.abc import Callable

from soundstage.errors import BudgetError
from soundstage.exchange.budget import Budget


def owner(number: int, many: int) -> int:
    """The place (from 0) of the worker that takes arrival `number` of a schedule that `many` go
    through: of as many arrivals in a row as there are workers each takes one.
    """
    return (number + _turn(number // many)) % many


def share(whole: int, place: int, many: int) -> int:
    """What falls to the one at `place` (from 0) of so many, if `whole` is dealt out to them."""
    return whole // many + (place < whole % many)


def _turn(block: int) -> int:
    """By how much a block of arrivals is turned, so that a mixture that repeats does not send the
    same kind of request to the same worker over and over (a multiplicative hash: Knuth, The Art of
    Computer Programming, 6.4).
    """
    return (block * 2_654_435_769 & 0xFFFF_FFFF) >> 16


class ShareBudget(Budget):
    """A worker's share of the budget `whole` of a run. `own` counts what the worker itself was
    given to spend, and raises BudgetError at its end.
    """

    def __init__(self, limit: int, whole: int, own: Callable[[], None] | None = None) -> None:
        super().__init__(limit, free=False)
        self._whole = whole
        self._own = own

    def take(self) -> None:
        if self.left == 0:
            raise BudgetError(f"the budget of {self._whole} billable requests is spent")
        if self._own is not None:
            self._own()
        super().take()
