"""A budget that several workers share: granted in small lots, each worker spends its own.

What a worker was granted and did not say it spent counts as spent if the worker is lost: it may
have been. So the budget holds whatever happens, and at worst a little of it is left over.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent.event

from soundstage.errors import BudgetError, TargetError
from soundstage.exchange.budget import Budget

#: A lot is at most so many requests, and at most this part of what is left for each worker.
MOST = 50
_PART = 4
#: So long a worker waits for a lot.
_PATIENCE_S = 15.0


class LeasedBudget(Budget):
    """A worker's part of a budget. `ask` asks the master for a lot; `grant` is called with it.
    `own` counts what the worker itself was given to spend, and raises BudgetError at its end.
    """

    def __init__(
        self, limit: int, ask: Callable[[], None], own: Callable[[], None] | None = None
    ) -> None:
        super().__init__(limit, free=False)
        self._ask = ask
        self._own = own
        self._lot = 0
        self._last = 0
        self._asking = False
        self._over = False
        self._come = gevent.event.Event()

    @property
    def left(self) -> int | None:
        """What is left of the lots so far, if no more will come; else at least one."""
        return self._lot if self._over else max(1, self._lot)

    def grant(self, many: int) -> None:
        """Another lot has come; 0: there is none left."""
        self._asking = False
        self._over = many == 0
        self._lot += many
        self._last = many
        self._come.set()

    def take(self) -> None:
        """See `Budget.take`; waits for a lot if there is none. Raises TargetError, too, if the
        master does not answer.
        """
        while self._lot == 0:
            if self._over:
                raise BudgetError(f"the budget of {self.limit} billable requests is spent")
            self._come.clear()
            self._want()
            if not self._come.wait(_PATIENCE_S):
                raise TargetError("the master grants no budget: it does not answer")
        if self._own is not None:
            self._own()
        self._lot -= 1
        self.spent += 1
        # Large lots are followed by the next before they are used up, so that nobody waits.
        if self._last > 1 and self._lot <= self._last // 2 and not self._over:
            self._want()

    def _want(self) -> None:
        if not self._asking:
            self._asking = True
            self._ask()


class Lender:
    """The master's side: of `limit`, how much it has granted to whom, and what they spent."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.granted: dict[str, int] = {}

    @property
    def left(self) -> int:
        return max(0, self.limit - sum(self.granted.values()))

    def lend(self, worker: str, workers: int) -> int:
        """The size of the next lot for one of so many workers; 0 once nothing is left."""
        lot = min(self.left, max(1, min(MOST, self.left // (_PART * max(1, workers)))))
        self.granted[worker] = self.granted.get(worker, 0) + lot
        return lot

    def returned(self, worker: str, spent: int) -> None:
        """A worker has ended, and spent so much of what it was granted: the rest is back."""
        self.granted[worker] = min(self.granted.get(worker, 0), spent)
