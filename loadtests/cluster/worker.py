"""A worker of a load run on several processes or machines: sends its share, ships its rows.

Its master (`master`) says when the run begins, which share is this worker's, and when it is over.
"""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gevent
import gevent.event
from locust.env import Environment
from locust.runners import WorkerRunner

from soundstage.errors import BudgetError, SoundstageError, TargetError
from soundstage.loadtests.cluster import clocks, shipment
from soundstage.loadtests.cluster.clocks import Offset
from soundstage.loadtests.cluster.shares import ShareBudget, owner, share
from soundstage.loadtests.cluster.shipment import Shipment
from soundstage.loadtests.cluster.worker_record import load_to_json
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.load_run import INTERRUPT_DRAIN_S, LoadRun
from soundstage.loadtests.run.run_setup import recording_of, session_of, traffic_of
from soundstage.loadtests.schedule.arrivals import Schedule
from soundstage.output import outgoing

#: Requests of a closed loop are numbered from here on for each worker, so that no two are the same.
_APART = 2**40
#: Rows are shipped so often: so much a killed worker costs.
SHIP_S = 0.5
#: A master whose heartbeat (of Locust's, once a second) is missing for so long takes no rows. Half
#: of what Locust itself waits, so that what was sent meanwhile can still be shipped if it returns.
PATIENCE_S = 30.0


class WorkerRun(LoadRun):
    """A load run on a worker. `join` announces it; all else follows from messages. `over` is set
    when it has shipped everything, or given up. `schedule` is None for a closed loop. `spend`
    counts what this worker may spend by itself, whatever its share (`ShareBudget`).
    """

    def __init__(
        self,
        environment: Environment,
        runner: WorkerRunner,
        options: LoadOptions,
        schedule: Callable[[], Schedule] | None,
        spend: Callable[[], None] | None = None,
    ) -> None:
        self.runner = runner
        self._spend = spend
        self.shipment = Shipment(lambda batch: tell(runner, shipment.BATCH, batch), self.figures)
        traffic = traffic_of(options)
        session = session_of(options, traffic)
        recording = recording_of(environment, options, session, traffic, self.shipment)
        recording.on_exercised = self.shipment.exercised
        super().__init__(session, traffic, recording, options, None)
        self.over = gevent.event.Event()
        self._schedule = schedule
        self._place, self._many = 0, 1
        self._begun = gevent.event.Event()
        self._driven = self._ended = self._leaving = False
        self._answer: gevent.event.AsyncResult[int] | None = None
        self._offset = Offset(0, 0)
        self._drain_s = options.scenario.drain_s
        shipment.hear(runner, self.heard)

    # ------------------------------------------------------------------ the master says

    def join(self) -> None:
        """Tell the master that this worker is ready. Not to be called where messages come in."""
        offset = clocks.measure(self._ask_the_time)
        if offset is None:
            self.failure = TargetError("the master does not answer")
            self.stop()
            self.over.set()
            return
        self._offset = offset
        index = max(0, self.runner.worker_index)
        number = iter(range(1, 2**62))
        self.session.client.next_id = lambda: f"w{index}e{next(number):06d}"
        self.traffic.number = index * _APART
        greet(self.runner)

    def heard(self, kind: str, data: Mapping[str, Any], sender: str = "") -> None:
        """A message from the master has come."""
        del sender
        if kind == shipment.CLOCK and self._answer is not None:
            self._answer.set(int(data["monotonic_ns"]))
        elif kind == shipment.BEGIN and not self._begun.is_set():
            self._on_begin(data)
        elif kind == shipment.STOP:
            self.end(float(data["drain_s"]), cut=bool(data["cut"]))

    def end(self, drain_s: float, *, cut: bool = False) -> None:
        """Start nothing more, drain, ship the rest. At once if `cut`. Returns immediately."""
        self.stop()
        if drain_s < self._drain_s:
            self.interrupted = True
        if cut:
            self._cutting.set()
        if not self._ended:
            self._ended = True
            gevent.spawn(self._wind_up, drain_s)

    def leave(self) -> None:
        """Somebody wants this worker to go, and only this one: it drains for a moment and ships
        what it has. Once more: at once. Returns immediately.
        """
        again, self._leaving = self._leaving, True
        self.end(0.0 if again else min(INTERRUPT_DRAIN_S, self._drain_s), cut=again)

    def _on_begin(self, data: Mapping[str, Any]) -> None:
        self._place, self._many = int(data["place"]), int(data["many"])
        if data["limit"] is not None:
            whole = int(data["limit"])
            own = share(whole, self._place, self._many)
            budget = ShareBudget(own, whole, self._spend)
            self.session.budget = self.session.client.budget = budget
        self.begin(at_ns=int(data["epoch_ns"]) - self._offset.of_start)
        self._begun.set()
        self._background.append(gevent.spawn(self._report))
        if self._schedule is not None:
            gevent.spawn(self._drive)

    # ------------------------------------------------------------------ what it does

    def wait_for_beginning(self) -> bool:
        while not self._begun.wait(0.1):
            if self.stopping.is_set():
                return False
        return not self.stopping.is_set()

    def cap(self) -> int | None:
        whole = self.options.scenario.max_in_flight
        return super().cap() if whole is None else max(1, share(whole, self._place, self._many))

    def figures(self) -> dict[str, Any]:
        """What is known of this worker as a whole, by now."""
        return {
            "load": load_to_json(self.loaded()),
            "in_flight": self.in_flight,
            "most_in_flight": self.flights.most,
            "spent": self.session.budget.spent,
            "cpu_share": round(self.cpu_share(), 4),
            "stepped": self.clock_stepped(),
            "driven": self._driven,
            "left": self._leaving,
            "failure": None if self.failure is None else failed(self.failure),
            "clock_offset_ms": self._offset.ns / 1e6,
            "clock_error_ms": self._offset.error_ns / 1e6,
        }

    def _drive(self) -> None:
        assert self._schedule is not None
        self.follow(self._mine(self._schedule()))
        if not self.stopping.is_set():
            self._driven = True
            self.shipment.ship()

    def _mine(self, schedule: Schedule) -> Iterator[tuple[int, float]]:
        """The arrivals of a schedule that are this worker's."""
        for number, moment in enumerate(schedule):
            if owner(number, self._many) == self._place:
                yield number, moment

    def _report(self) -> None:
        while True:
            gevent.sleep(SHIP_S)
            self.shipment.ship()
            heard = self.runner.last_heartbeat_timestamp
            if heard is not None and time.time() - heard > PATIENCE_S and not self._ended:
                # Nobody takes what is shipped: to go on would only cost.
                self.failure = self.failure or TargetError("the master does not take rows")
                self.end(0.0, cut=True)

    def _wind_up(self, drain_s: float) -> None:
        self.drain(drain_s)
        if self._begun.is_set():
            self.unwatch()
        self.shipment.ship(self.recording.observed.to_json())
        self.session.close()
        self.over.set()

    def _ask_the_time(self, timeout_s: float) -> int | None:
        self._answer = gevent.event.AsyncResult()
        tell(self.runner, shipment.CLOCK, {})
        try:
            return self._answer.get(timeout=timeout_s)
        except gevent.Timeout:
            return None
        finally:
            self._answer = None


def greet(runner: WorkerRunner, failure: BaseException | None = None) -> None:
    """Tell the master that there is a worker, or why it cannot take part."""
    tell(
        runner,
        shipment.HELLO,
        {
            "index": max(0, runner.worker_index),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "failure": None if failure is None else failed(failure),
        },
    )


def tell(runner: WorkerRunner, kind: str, data: Mapping[str, Any]) -> None:
    """Send the master a message of such a kind."""
    runner.send_message(shipment.CHANNEL, {"kind": kind, **data})


def failed(error: BaseException) -> dict[str, str]:
    """What a worker says of what stopped it: which sort of error, and its message."""
    if isinstance(error, SoundstageError):
        what = "budget" if isinstance(error, BudgetError) else "other"
        return {"what": what, "message": outgoing.text(str(error))}
    said = "".join(traceback.format_exception(error))
    return {"what": "bug", "message": outgoing.text(said)}
