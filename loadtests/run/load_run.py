"""One load run while it goes on, whoever drives it: `soundstage load` or Locust.

Starts exchanges, counts those in flight, drains or cuts them at the end. `run_setup` makes one,
`run_end` finishes its bundle.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
import gevent.event

from soundstage.errors import SoundstageError, TargetError
from soundstage.exchange.client import Call
from soundstage.exchange.session import Session
from soundstage.loadtests.generator.lag import LagMeter, Load, Sample, why_invalid
from soundstage.loadtests.generator.sockets import most_sockets
from soundstage.loadtests.run import hopeless
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.flight import Flight
from soundstage.loadtests.run.flights import Flights
from soundstage.loadtests.run.locust_statistics import forget_old_seconds
from soundstage.loadtests.run.playback_probe import Probes, most_players
from soundstage.loadtests.run.rows import RowRecorder
from soundstage.loadtests.run.run_bill import RunBill
from soundstage.loadtests.schedule.arrivals import rate_at
from soundstage.loadtests.schedule.traffic import Traffic
from soundstage.results.bundle import BundleWriter
from soundstage.results.objective_tally import ObjectiveTally

_SECOND_NS = 1_000_000_000
#: A schedule begins this long after it is asked for, so that its driver is there in time.
LEAD_S = 0.05
_EXPIRE_S = 0.5
#: How long what is in flight gets once somebody has interrupted the run.
INTERRUPT_DRAIN_S = 5.0
#: Objectives that can no longer be met are looked for this often.
_LOOK_S = 0.5


class LoadRun:
    """A run that is open. `begin`, then `start` exchanges or `drive` a schedule, then `drain`, and
    `run_end.conclude` it.

    `stopping` is set once no further request may start. `failure` is what stopped it, if that was
    neither the schedule's end nor somebody's wish; `stopped_by` the signal by which somebody wished
    it. `unwritten`: why the bundle could not be finished.
    """

    #: Whether others send the load, and this run only takes what comes of it.
    by_workers = False

    def __init__(
        self,
        session: Session,
        traffic: Traffic,
        recording: RowRecorder,
        options: LoadOptions,
        bundle: BundleWriter | None,
    ) -> None:
        self.session = session
        self.traffic = traffic
        self.recording = recording
        self.options = options
        self._bundle = bundle
        self.stopping = gevent.event.Event()
        self.interrupted = False
        self.stopped_by: int | None = None
        self.unwritten: TargetError | None = None
        self.failure: BaseException | None = None
        self.asked = 0
        self.given_up: tuple[ObjectiveTally, hopeless.Hopeless] | None = None
        self.capacity: dict[str, Any] | None = None
        self.looks: dict[str, Any] | None = None
        #: What became of an objective, where it was looked at while the run went.
        self.looked_at: Callable[[ObjectiveTally], dict[str, Any]] | None = None
        #: A run that is sent beside this one, and ends with it; what else voids this one.
        self.beside: LoadRun | None = None
        self.further_voids: list[dict[str, str]] = []
        self.meter = LagMeter(self._second)
        self.bill = RunBill(session, {each.api: each for each in traffic.contracts})
        recording.watchers.append(self.bill.add)
        self._cutting = gevent.event.Event()
        self._halt = self.stopping
        self._background: list[gevent.Greenlet[..., None]] = []
        self._before = (0, 0)
        self._stepped = False
        share = options.probe_playback
        self._probes = None
        if share and not self.by_workers:
            self._probes = Probes(session, share, options.start_buffer_s)
        self.flights = Flights(session, recording, self._probes, self._fail)
        open_loop = options.scenario.users is None
        self._phases = options.scenario.warmed() if open_loop else []

    @property
    def bundle(self) -> BundleWriter:
        """The bundle of this run; on a worker there is none, its master writes it."""
        assert self._bundle is not None
        return self._bundle

    @property
    def in_flight(self) -> int:
        return len(self.flights)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run's beginning; 0 where it has not begun."""
        if not self.recording.epoch_ns:
            return 0.0
        return (time.monotonic_ns() - self.recording.epoch_ns) / _SECOND_NS

    def begin(self, lead_s: float = 0.0, *, at_ns: int | None = None) -> None:
        """The run begins `lead_s` from now, or has begun or will begin at `at_ns` (monotonic); the
        generator is watched from here on.
        """
        if at_ns is None:
            at_ns = time.monotonic_ns() + int(lead_s * _SECOND_NS)
        self.recording.epoch_ns = at_ns
        if self._bundle is not None:
            self._bundle.began((at_ns - time.monotonic_ns()) / _SECOND_NS)
        self.meter.start()
        self._background.append(gevent.spawn(self._expire))

    def planned(self) -> Counter[tuple[str, str]]:
        """How many exchanges of an open loop will be measured, by (api, endpoint)."""
        scenario = self.options.scenario
        first = whole = 0
        for moment in scenario.schedule():
            first += moment < scenario.warmup_s
            whole += 1
        return self.traffic.planned(first, whole)

    def out_of_reach(self, planned: Mapping[tuple[str, str], int]) -> list[str]:
        """The objectives that so few exchanges can never show to be met, in words."""
        return hopeless.out_of_reach(self.recording.scorecard.tallies, planned)

    def give_up_when_hopeless(self, planned: Mapping[tuple[str, str], int] | None) -> None:
        """Stop the run once an objective can no longer be met; `planned` as in `hopeless.first`."""
        self._background.append(gevent.spawn(self._look, planned))

    def drive(self, moments: Iterable[float], halt: gevent.event.Event | None = None) -> None:
        """Start a request at each of these moments (seconds since the beginning), whatever the
        target does, until they end, `halt` is set, or the run is stopping.
        """
        self.follow(((self.traffic.next_number(), moment) for moment in moments), halt)

    def follow(
        self, arrivals: Iterable[tuple[int, float]], halt: gevent.event.Event | None = None
    ) -> None:
        """As `drive`, with the number of each request beside its moment."""
        self._halt = self.stopping if halt is None else halt
        if self.stopping.is_set():
            return
        epoch = self.recording.epoch_ns
        for number, moment in arrivals:
            due = epoch + int(moment * _SECOND_NS)
            call = self.traffic.call(number, due)
            if not self.wait_until(due):
                return
            self.ask(call)
            # A schedule that is behind must not keep those it has started from running.
            gevent.sleep(0)

    def wait_until(self, due_ns: int) -> bool:
        """Wait until then (monotonic); False if no further request may start."""
        while (left := due_ns - time.monotonic_ns()) > 0:
            if self._halt.wait(left / _SECOND_NS):
                return False
        return not self._halt.is_set()

    def ask(self, call: Call) -> None:
        """Start a request that is due, or drop it where too many are in flight."""
        self.asked += 1
        cap = self.cap()
        if cap is not None and self.in_flight >= cap:
            self._note(call, "dropped", "generator.max_in_flight")
        else:
            self.flights.launch(call)

    def start(self) -> Flight:
        """Start a request now, as a user of a closed loop does; join what is returned."""
        self.asked += 1
        return self.flights.launch(self.traffic.call(self.traffic.next_number()))

    def cap(self) -> int | None:
        """How many exchanges may be in flight at most; None: any number. Where nobody says, as many
        as this process may have sockets: against a target that never answers there would be more
        and more of them.
        """
        asked = self.options.scenario.max_in_flight
        # Each player of a track has a socket of its own.
        players = most_players(self.traffic.places) if self._probes else 0
        return most_sockets() // (1 + players) if asked is None else asked

    def wait_for_beginning(self) -> bool:
        """Wait until the run has begun; False if it will not any more."""
        return not self.stopping.is_set()

    def stop(self) -> None:
        """No further request starts."""
        self.stopping.set()
        self._halt.set()
        if self.beside is not None:
            self.beside.stop()

    def interrupt(self, signum: int | None = None) -> None:
        """Stop early, because of this signal (None: Ctrl-C): the first call stops new requests, the
        second cuts what is in flight.
        """
        self.stopped_by = self.stopped_by or signum
        if self.interrupted:
            self._cutting.set()
        self.interrupted = True
        self.stop()
        if self.beside is not None:
            self.beside.interrupt(signum)

    def drain(self, seconds: float) -> None:
        """Wait for what is in flight, `seconds` at the most, then cut it; it is censored. Once
        the run is interrupted, it gets `INTERRUPT_DRAIN_S`.
        """
        self.stop()
        self.settle(seconds)

    def settle(self, seconds: float) -> int:
        """As `drain`, but the run goes on. Returns how many exchanges were cut."""
        deadline = time.monotonic() + seconds
        hurried = False
        while len(self.flights) and not self._cutting.is_set():
            now = time.monotonic()
            if (self.interrupted or self.given_up) and not hurried:
                hurried, deadline = True, min(deadline, now + INTERRUPT_DRAIN_S)
            if now >= deadline:
                break
            self._cutting.wait(min(deadline - now, 0.05))
        many = len(self.flights)
        if many:
            for call in self.flights.cut():
                self._note(call, "censored", "generator.run_ended")
        return many

    def unwatch(self) -> None:
        """The generator is no longer watched; its figures stay."""
        self.meter.stop()
        for greenlet in self._background:
            greenlet.kill()

    def workers(self) -> list[dict[str, Any]] | None:
        """What run.json says of the processes that sent the load; None if it was this one alone."""
        return None

    def spent(self) -> int:
        """How much of the budget is spent."""
        return self.session.budget.spent

    def unspent(self) -> int:
        """How much of the budget nobody has spent, or may still; 0 if it has no limit."""
        return self.session.budget.left or 0

    def due(self, elapsed_s: float) -> float | None:
        """Arrivals a second that are asked for just then; None if the scenario does not say."""
        return rate_at(self._phases, elapsed_s)

    def missing(self) -> list[str]:
        """What is lacking in the bundle, and why: each a sentence that voids the run."""
        return []

    def why_invalid(self) -> str | None:
        """Why the load was not what was asked for; None if it was."""
        return why_invalid(self.loaded())

    def clock_stepped(self) -> bool:
        """Whether a system's clock was set while it was relied on."""
        return self._stepped or self.session.transport.clock_stepped()

    def further_totals(self) -> dict[str, Any]:
        """What else run.json says in `totals`."""
        return {}

    # ------------------------------------------------------------------ within a run

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
        self.stop()

    def _note(self, call: Call, outcome: str, reason: str) -> None:
        try:
            self.recording.not_sent(call, outcome, reason)
        except SoundstageError as error:
            self.failure = self.failure or error
            self.stop()

    def _look(self, planned: Mapping[tuple[str, str], int] | None) -> None:
        while not self.stopping.wait(_LOOK_S):
            self.given_up = hopeless.first(self.recording.scorecard.tallies, planned)
            if self.given_up is not None:
                self.stop()

    def _expire(self) -> None:
        while True:
            gevent.sleep(_EXPIRE_S)
            self.session.expire()

    def _second(self, sample: Sample) -> None:
        """Keep what was seen of the generator in one second."""
        now = (self.asked, self.recording.outcomes["dropped"])
        asked, dropped = now[0] - self._before[0], now[1] - self._before[1]
        self._before = now
        elapsed = self.elapsed_s
        # A step that is undone before the end is seen only by looking now and then.
        self._stepped = self.clock_stepped()
        row = {
            "t": round(elapsed, 3),
            "rate": self.due(elapsed),
            "asked": asked,
            "started": max(0, asked - dropped),
            "dropped": dropped,
            "in_flight": self.in_flight,
            **sample,
        }
        forget_old_seconds(self.recording.environment)
        try:
            self.recording.outlet.health(row)
        except SoundstageError as error:
            self.failure = self.failure or error
            self.stop()

    # ------------------------------------------------------------------ at its end

    def cpu_share(self) -> float:
        """CPU seconds that the generator takes for each second: 1 is a whole core."""
        return self.meter.cpu_share

    def loaded(self) -> Load:
        """What the generator has done so far."""
        outcomes = self.recording.outcomes
        return Load(
            asked=self.asked,
            started=self.asked - outcomes["dropped"],
            dropped=outcomes["dropped"],
            late=self.recording.late,
            lags=self.meter.lags,
            seconds=self.meter.seconds,
            full_seconds=self.meter.full_seconds,
            steal=self.meter.steal_share,
        )
