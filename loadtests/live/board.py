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
from soundstage.loadtests.live.heard import Heard
from soundstage.results.listening.listened import BY_LISTENING
from soundstage.results.milestone_names import MilestoneNames, common_order, milestone_names
from soundstage.results.row_facts import earliest_since_intended, since_intended

if TYPE_CHECKING:  # a run imports Locust, which patches the sockets of the whole process
    from soundstage.loadtests.run.load_run import LoadRun

#: Rates are those between now and so many looks before, which come a second apart.
_LOOKS = 5
#: At most so many different stages, milestones or codes are told apart; names are bounded, too.
MOST_NAMES = 100
OTHERS = "(others)"


class Board:
    """Listens to the rows of a run that is open. `duration_s`: how long its arrivals come, warm-up
    included. `outcomes` by (api, endpoint, outcome), `measured` exchanges by (api, endpoint),
    `stages` chunks by (api, stage), `times` from the intended start by (api, endpoint, milestone):
    of those exchanges that got there. Of times that are known by polling these are the high ends;
    `lows` has the low ones, once any is not its high end. `heard`: what listeners met.
    `names` by (api, endpoint) say what milestones are called, and which are the headline.
    """

    def __init__(
        self,
        run: LoadRun,
        duration_s: float,
        names: Mapping[tuple[str, str], MilestoneNames] | None = None,
    ) -> None:
        self.run = run
        self.names = names or {}
        self.duration_s = duration_s
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.measured: Counter[tuple[str, str]] = Counter()
        self.stages: Counter[tuple[str, str]] = Counter()
        self.times: dict[tuple[str, str, str], Lateness] = {}
        self.lows: dict[tuple[str, str, str], Lateness] = {}
        self.heard = Heard()
        self._looks: deque[tuple[float, int, int]] = deque(maxlen=_LOOKS + 1)
        run.recording.watchers.append(self.add)

    @classmethod
    def of(cls, run: LoadRun, duration_s: float) -> Board:
        """One with the names of what `run` loads, by the contracts in its bundle."""
        places = [(contract.api, endpoint.name) for contract, endpoint in run.traffic.places]
        names = {place: milestone_names(run.bundle.run, *place) for place in places}
        return cls(run, duration_s, names)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row of exchanges.ndjson.gz."""
        api, endpoint, outcome = row["api"], row["endpoint"], row["outcome"]
        self.outcomes[api, endpoint, outcome] += 1
        if outcome == "dropped":
            return
        for name, times in row["stages"].items():
            stage = name.partition("#")[0]
            known = (api, stage) in self.stages or len(self.stages) < MOST_NAMES
            self.stages[api, stage if known else OTHERS] += times[2]
        if row.get("warmup"):
            return
        self.measured[api, endpoint] += 1
        self.heard.add(row)
        for name in row["milestones"]:
            place = (api, endpoint, name)
            seconds = since_intended(row, name)
            if seconds is not None and (place in self.times or len(self.times) < MOST_NAMES):
                times = self.times.setdefault(place, Lateness())
                low = earliest_since_intended(row, name)
                if low is not None and (low < seconds or place in self.lows):
                    self.lows.setdefault(place, times.copy()).add(low)
                times.add(seconds)

    def asked(self, place: tuple[str, str, str]) -> int:
        """How many measured exchanges tell of a milestone: all, or those that were listened to."""
        counted = self.heard.asked if place[2] in BY_LISTENING else self.measured
        return counted[place[:2]]

    def label(self, place: tuple[str, str, str]) -> str:
        """How a milestone of an endpoint is called."""
        return self.names.get(place[:2], MilestoneNames()).label(place[2])

    def quantiles(self, place: tuple[str, str, str], order: float) -> tuple[float, float]:
        """Both ends of a quantile, which are one where all times are exact."""
        high = self.quantile(place, order)
        return (self._of(self.lows[place], place, order) if place in self.lows else high), high

    def quantile(self, place: tuple[str, str, str], order: float) -> float:
        """The value of rank ceil(n p) of the times to a milestone, within half a percent; of the n
        exchanges that were measured, those that never got there count as +inf.
        """
        return self._of(self.times[place], place, order)

    def _of(self, reached: Lateness, place: tuple[str, str, str], order: float) -> float:
        n = self.asked(place)
        rank = max(1, math.ceil(round(order * n, 9)))
        return reached.quantile(rank / reached.n) if rank <= reached.n else math.inf

    def headline(self) -> tuple[str, float, float] | None:
        """How the milestone to show in a line is called, the first headline that was reached, with
        both ends of the median of those that got there.
        """
        for name in common_order(each.headline for each in self.names.values()):
            places = [place for place in self.times if place[2] == name]
            if places:
                highs = sum((self.times[place] for place in places), Lateness())
                lows = sum((self.lows.get(at, self.times[at]) for at in places), Lateness())
                return self.label(places[0]), lows.quantile(0.5), highs.quantile(0.5)
        return None

    def rates(self) -> tuple[float, float]:
        """How many exchanges were started and how many ended each second, over the last looks."""
        self._looks.append((time.monotonic(), self.run.loaded().started, self.run.recording.done))
        (then, started, ended), (now, started_now, ended_now) = self._looks[0], self._looks[-1]
        if now <= then:
            return 0.0, 0.0
        return (started_now - started) / (now - then), (ended_now - ended) / (now - then)
