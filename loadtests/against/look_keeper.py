"""Looks at the gates of a run while it goes, and ends it once they are decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import gevent.event
import scipy.special  # noqa: F401 - not in the midst of a run

from soundstage.loadtests.against.asked_comparison import AskedComparison
from soundstage.loadtests.against.settled_songs import SettledSongs
from soundstage.loadtests.run.load_run import LoadRun
from soundstage.reports.decision.first_songs import FirstSongs
from soundstage.reports.decision.looks import Looking, Series, TakenLook
from soundstage.reports.decision.looks_taken import to_json

_SECOND_NS = 1_000_000_000


class _ArmSongs:
    """The songs of one run, and how many of them have been looked at."""

    def __init__(self, run: LoadRun, asked: AskedComparison) -> None:
        self.run = run
        self.settled = SettledSongs(run.recording.measured_from_ns)
        self.first = FirstSongs(asked.expected)

    def has(self, size: int) -> bool:
        return self.first.n + len(self.settled.ready) >= size

    def of(self, size: int) -> Series:
        while self.first.n < size:
            self.first.add(self.settled.ready.popleft())
        return self.first.series()


class LookKeeper:
    """Hears the rows of a run and, where the base is asked in pairs with it, those of `base`; takes
    each look once it can, and stops both at the end. `on_look` is told of each.
    """

    def __init__(
        self,
        asked: AskedComparison,
        run: LoadRun,
        base: LoadRun | None = None,
        on_look: Callable[[Looking, TakenLook], None] | None = None,
    ) -> None:
        self.asked = asked
        self.looking = Looking(asked.gates, asked.plan)
        self._run, self._base = run, base
        self._on_look = on_look
        self._arms = [_ArmSongs(each, asked) for each in (run, base) if each is not None]
        self._whole: Series = {}
        if asked.base is not None:
            self._whole = {place: asked.base.series(place) for place in asked.base.places()}
        #: Set while nothing is known to be under way.
        self._quiet = gevent.event.Event()
        for arm in self._arms:
            arm.run.recording.watchers.append(self._hearing(arm))

    def expect_all(self, moments: Iterable[float]) -> None:
        """All arrivals are known beforehand: others send them."""
        for moment in moments:
            self._expect(moment)

    def paced(self, moments: Iterable[float]) -> Iterator[float]:
        """The arrivals of a schedule as they are to be sent: later where a run pauses at looks."""
        warmup_s = self._run.options.scenario.warmup_s
        sizes, songs, shift = set(self.asked.plan.sizes), 0, 0.0
        for moment in moments:
            if self.asked.pause and songs in sizes:
                self._wait_for_quiet()
                shift = max(shift, self._run.elapsed_s - moment)
            if self._run.stopping.is_set():
                return
            songs += moment >= warmup_s
            self._expect(moment + shift)
            yield moment + shift

    def to_json(self) -> dict[str, Any]:
        """What run.json says of the looks (`looks`)."""
        return to_json(self.looking, self._against())

    def _against(self) -> dict[str, Any]:
        if self._base is not None:
            run = self._base.bundle.run
            return {"run": run["id"], "target": run["target"]["kind"]}
        assert self.asked.base is not None
        first = self.asked.base.runs[0]
        return {"run": first.id, "target": first.facts["target"]["kind"]}

    # ------------------------------------------------------------------ as rows come

    def _expect(self, moment: float) -> None:
        self._quiet.clear()
        for arm in self._arms:
            arm.settled.expect(int(moment * _SECOND_NS))

    def _wait_for_quiet(self) -> None:
        while not self._quiet.wait(0.5):
            if self._run.stopping.is_set():
                return

    def _hearing(self, arm: _ArmSongs) -> Callable[[Mapping[str, Any]], None]:
        def heard(row: Mapping[str, Any]) -> None:
            if self.looking.over:
                return
            arm.settled.add(row)
            self._look()
            if all(each.settled.quiet for each in self._arms):
                self._quiet.set()

        return heard

    def _look(self) -> None:
        while (size := self.looking.next_size) is not None:
            if not all(arm.has(size) for arm in self._arms):
                return
            candidate, *rest = [arm.of(size) for arm in self._arms]
            base = rest[0] if rest else self._whole
            elapsed_s = self._run.elapsed_s
            sent = self._arms[0].settled.sent_by(int(elapsed_s * _SECOND_NS))
            look = self.looking.take(base, candidate, sent=sent, seconds=elapsed_s)
            if self._on_look is not None:
                self._on_look(self.looking, look)
        for arm in self._arms:
            arm.run.recording.decided = self.looking.is_decided
            arm.run.stop()


def in_pairs(
    runs: Sequence[LoadRun], moments: Iterable[float], shuffled: Callable[[list[int]], list[int]]
) -> None:
    """Send the same request to each of these runs at each moment, in an order of its own, until the
    first of them is stopping. They began at the same time.
    """
    lead = runs[0]
    for moment in moments:
        due = lead.recording.epoch_ns + int(moment * _SECOND_NS)
        calls = [run.traffic.call(run.traffic.next_number(), due) for run in runs]
        if not lead.wait_until(due):
            return
        for which in shuffled(list(range(len(runs)))):
            runs[which].ask(calls[which])
        gevent.sleep(0)
