"""What is known of a run while it runs, for whoever looks on: a terminal, or Prometheus.

    board = Board(run, duration_s); ...; now = board.now()

It hears every row as it is counted, wherever its exchange was made, so it shows the same for one
process and for many. Its memory does not grow with the run.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soundstage.loadtests.generator.lateness import Lateness
from soundstage.results import verdicts

if TYPE_CHECKING:
    from soundstage.loadtests.run.load_run import LoadRun

_SECOND_NS = 1_000_000_000
#: Rates are those of the last so many seconds.
_LAST_S = 5.0
#: At most so many different stages, milestones or codes are told apart; names are bounded, too.
MOST_NAMES = 100
OTHERS = "(others)"
ORDERS = (0.5, 0.95, 0.99)

Place = tuple[str, str]


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


@dataclass(frozen=True, slots=True)
class Line:
    """One milestone of one endpoint: `n` exchanges counted, `reached` got there; seconds."""

    api: str
    endpoint: str
    milestone: str
    n: int
    reached: int
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ObjectiveNow:
    """How an objective stands: the share that did well, the share that must, and the verdict that
    it would get now. `share` is None for a number of violations, then `events` is that.
    """

    text: str
    where: str
    n: int
    share: float | None
    required: float
    events: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Now:
    """The state of a run. Rates are arrivals a second: `due` as the scenario says, `asked` and
    `started` over the last seconds; `ended` exchanges a second.
    """

    elapsed_s: float
    duration_s: float
    draining: bool
    due: float | None
    asked: float
    started: float
    ended: float
    in_flight: int
    done: int
    outcomes: Mapping[str, int]
    violating: int
    codes: Mapping[str, int]
    stages: Mapping[str, Mapping[str, int]]
    lines: tuple[Line, ...]
    objectives: tuple[ObjectiveNow, ...]
    lag_p99_s: float
    late_p99_s: float
    cpu_share: float
    steal_share: float | None
    invalid: str | None
    budget: tuple[int, int | None]
    workers: int | None


class Board:
    """Listens to the rows of a run that is open, and sums up when asked. `duration_s`: how long its
    arrivals come, warm-up included.
    """

    def __init__(self, run: LoadRun, duration_s: float) -> None:
        self.run = run
        self.duration_s = duration_s
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.measured: Counter[Place] = Counter()
        self.stages: dict[str, Counter[str]] = {}
        self.times: dict[tuple[str, str, str], MilestoneTimes] = {}
        self._seen: deque[tuple[float, int, int, int]] = deque()
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
            times = self.times.get((api, endpoint, name))
            if times is None:
                if len(self.times) >= MOST_NAMES:
                    continue
                times = self.times[api, endpoint, name] = MilestoneTimes()
            times.add(seconds + late_s)

    def now(self) -> Now:
        """How the run stands."""
        run, recording = self.run, self.run.recording
        elapsed, load = max(0.0, run.elapsed_s), run.loaded()
        asked, started, ended = self._rates(load.asked, load.started, recording.done)
        return Now(
            elapsed_s=elapsed,
            duration_s=self.duration_s,
            draining=run.stopping.is_set(),
            due=run.due(elapsed),
            asked=asked,
            started=started,
            ended=ended,
            in_flight=run.in_flight,
            done=recording.done,
            outcomes=dict(recording.outcomes),
            violating=recording.violating,
            codes=dict(recording.codes.most_common(8)),
            stages=self.stages,
            lines=self._lines(),
            objectives=tuple(map(_standing, recording.scorecard.tallies)),
            lag_p99_s=load.lags.quantile(0.99),
            late_p99_s=load.late.quantile(0.99),
            cpu_share=run.cpu_share(),
            steal_share=load.steal,
            invalid=run.why_invalid(),
            budget=(run.spent(), run.session.budget.limit),
            workers=len(run.workers() or ()) or None,
        )

    def _lines(self) -> tuple[Line, ...]:
        found = []
        for (api, endpoint, name), times in self.times.items():
            n = self.measured[api, endpoint]
            values = tuple(times.quantile(order, n) for order in ORDERS)
            found.append(Line(api, endpoint, name, n, times.reached.n, values))
        return tuple(sorted(found, key=lambda line: (line.api, line.endpoint, line.quantiles[0])))

    def _rates(self, asked: int, started: int, ended: int) -> tuple[float, float, float]:
        now = (time.monotonic(), asked, started, ended)
        self._seen.append(now)
        while len(self._seen) > 2 and self._seen[1][0] <= now[0] - _LAST_S:
            self._seen.popleft()
        first = self._seen[0]
        passed = now[0] - first[0]
        if passed <= 0:
            return 0.0, 0.0, 0.0
        rates = [(last - before) / passed for last, before in zip(now[1:], first[1:], strict=True)]
        return rates[0], rates[1], rates[2]


def _standing(tally: verdicts.ObjectiveTally) -> ObjectiveNow:
    slo = tally.objective.slo
    of_it = tally.objective
    return ObjectiveNow(
        text=slo.text,
        where=" ".join(name for name in (of_it.api, of_it.endpoint) if name),
        n=tally.n,
        share=None if slo.kind == "count" else (tally.good / tally.n if tally.n else 0.0),
        required=0.0 if slo.kind == "count" else verdicts.required(slo),
        events=tally.events,
        verdict=verdicts.verdict(tally),
    )
