"""What is counted of a run for whoever looks on: a terminal, or Prometheus.

It hears every row as it is counted, wherever its exchange was made, so it shows the same for one
process and for many. Its memory does not grow with the run. It draws nothing.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from soundstage.loadtests.generator.lateness import Lateness

if TYPE_CHECKING:  # a run imports Locust, which patches the sockets of the whole process
    from soundstage.loadtests.run.load_run import LoadRun

_SECOND_NS = 1_000_000_000
#: Rates are those of the last so many seconds.
_LAST_S = 5.0
#: At most so many different stages, milestones or codes are told apart; names are bounded, too.
MOST_NAMES = 100
OTHERS = "(others)"


class MilestoneTimes:
    """How long one endpoint's exchanges took to a milestone, in seconds from the intended start.
    Of `n` exchanges that counted, those that never got there count as +inf.
    """

    __slots__ = ("reached", "sum")

    def __init__(self) -> None:
        self.reached = Lateness()
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one that got there."""
        self.reached.add(seconds)
        self.sum += seconds

    def quantile(self, order: float, n: int) -> float:
        """The value of rank ceil(n p) of all `n`, within half a percent; +inf for never."""
        rank = max(1, math.ceil(round(order * n, 9)))
        if rank > self.reached.n:
            return math.inf
        return self.reached.quantile(rank / self.reached.n)


class Board:
    """Listens to the rows of a run that is open. `duration_s`: how long its arrivals come, warm-up
    included. `outcomes` by (api, endpoint, outcome), `measured` exchanges by (api, endpoint),
    `stages` chunks by api and stage, `times` by (api, endpoint, milestone).
    """

    def __init__(self, run: LoadRun, duration_s: float) -> None:
        self.run = run
        self.duration_s = duration_s
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.measured: Counter[tuple[str, str]] = Counter()
        self.stages: dict[str, Counter[str]] = {}
        self.times: dict[tuple[str, str, str], MilestoneTimes] = {}
        self._seen: deque[tuple[float, int, int]] = deque()
        run.recording.watchers.append(self.add)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row of exchanges.ndjson.gz."""
        api, endpoint, outcome = row["api"], row["endpoint"], row["outcome"]
        self.outcomes[api, endpoint, outcome] += 1
        if outcome == "dropped":
            return
        stages = self.stages.setdefault(api, Counter())
        for name, times in row["stages"].items():
            stage = name.partition("#")[0]
            known = stage in stages or len(stages) < MOST_NAMES
            stages[stage if known else OTHERS] += times[2]
        if row.get("warmup"):
            return
        self.measured[api, endpoint] += 1
        late_s = (row["started_ns"] - row["intended_ns"]) / _SECOND_NS
        for name, seconds in row["milestones"].items():
            found = self.times.get((api, endpoint, name))
            if found is None:
                if len(self.times) >= MOST_NAMES:
                    continue
                found = self.times[api, endpoint, name] = MilestoneTimes()
            found.add(seconds + late_s)

    def rates(self) -> tuple[float, float]:
        """How many exchanges were started and how many ended each second, over the last few."""
        started, ended = self.run.loaded().started, self.run.recording.done
        now = time.monotonic()
        self._seen.append((now, started, ended))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _LAST_S:
            self._seen.popleft()
        before = self._seen[0]
        passed = now - before[0]
        if passed <= 0:
            return 0.0, 0.0
        return (started - before[1]) / passed, (ended - before[2]) / passed
