"""Objectives that are looked at while a run goes, so that it ends once all are decided.

The looks are named in advance and share the 95% of each objective (Bonferroni), as those of gates
do (`reports/decision/looks`): what is met or missed at one look is so for good. A look takes the
first songs by intended start, once all have ended. That holds for songs that do not depend on each
other: where queues build up, the first songs of a run are not like those that come later, so nobody
gets this who did not ask for it (docs/explanation/how-a-gate-decides.md has figures).

A number of violations is counted to the end, whatever the looks say: it decides nothing before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from locust.env import Environment

from soundstage.loadtests.against.objective_plan import level_of
from soundstage.loadtests.against.settled_songs import SettledSongs
from soundstage.loadtests.run import users
from soundstage.loadtests.run.load_run import LoadRun
from soundstage.reports.decision.looks import look_sizes
from soundstage.results import verdicts
from soundstage.results.objective_tally import ObjectiveTally
from soundstage.results.verdicts import Scorecard

_SECOND_NS = 1_000_000_000


class ObjectiveLooks:
    """Hears the rows of a run; looks at its objectives after so many songs (`sizes`), and ends the
    run once one is missed or all are met, if it `stops` it. What it saw last becomes the run's.
    """

    def __init__(self, run: LoadRun, sizes: Iterable[int], *, stops: bool = True) -> None:
        self.sizes = tuple(sizes)
        self.taken = 0
        self._run, self._stops = run, stops
        self._level = level_of(len(self.sizes))
        self._settled = SettledSongs(run.recording.measured_from_ns)
        whole = run.recording.scorecard.tallies
        self._card = Scorecard(tally.objective for tally in whole)
        self._place_of = {id(tally): place for place, tally in enumerate(whole)}
        self._seen = 0
        self._entries = self._card.results()
        run.recording.watchers.append(self._heard)
        run.looked_at = self._entry

    def expecting(self, moments: Iterable[float]) -> Iterator[float]:
        """The arrivals of a schedule, as they are sent."""
        for moment in moments:
            self._settled.expect(int(moment * _SECOND_NS))
            yield moment

    def _heard(self, row: Mapping[str, Any]) -> None:
        if self._run.recording.decided:
            return
        self._settled.add(row)
        ready = self._settled.ready
        while ready and self.taken < len(self.sizes) and not self._run.recording.decided:
            self._card.add(ready.popleft())
            self._seen += 1
            if self._seen == self.sizes[self.taken]:
                self._look()

    def _look(self) -> None:
        self.taken += 1
        self._entries = [verdicts.result(tally, self._level) for tally in self._card.tallies]
        timed = [each for each in self._entries if each["kind"] != "count"]
        said = verdicts.overall(timed)
        if self._stops and timed and said != verdicts.INCONCLUSIVE:
            self._run.recording.decided = True
            self._run.stop()

    def _entry(self, tally: ObjectiveTally) -> dict[str, Any]:
        """The entry of an objective of the run, given as its tally."""
        if tally.objective.slo.kind == "count":
            return verdicts.result(tally)
        return self._entries[self._place_of[id(tally)]]


def stop_at(load: LoadRun, environment: Environment, songs: int, looks: int) -> None:
    """Let a run of so many songs end at the first of so many looks that decides its objectives."""
    schedule = load.options.scenario.schedule
    looked = ObjectiveLooks(load, look_sizes(max(1, songs), looks))
    moments = looked.expecting(schedule())
    if load.by_workers:
        for _ in moments:  # others send them, and their rows come here
            pass
    else:
        users.attach(environment, load, lambda: moments)
