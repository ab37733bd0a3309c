"""The master of a load run on several processes or machines: one bundle, whoever sends.

Workers (`worker`) send their shares and ship their rows; all that a run shows follows from those
rows here, as if one process had sent it. A worker that is lost costs what it had not shipped.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import gevent.event
import orjson
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner

from soundstage.errors import BudgetError, TargetError
from soundstage.loadtests.cluster import shipment
from soundstage.loadtests.cluster.batches import BatchIntake
from soundstage.loadtests.cluster.totals import WorkerTotals
from soundstage.loadtests.cluster.worker_record import FINISHED, LOST, RUNNING, WorkerRecord
from soundstage.loadtests.generator.lag import Load, Sample
from soundstage.loadtests.run.load_run import INTERRUPT_DRAIN_S, LoadOptions, LoadRun
from soundstage.loadtests.run.rows import forget_old_seconds
from soundstage.loadtests.run.run_setup import opened
from soundstage.loadtests.schedule.arrivals import Schedule
from soundstage.observed.facts import Observed
from soundstage.output import visible

log = logging.getLogger("soundstage")
#: The run begins so long after its workers are told, so that they are there in time.
BEGIN_S = 0.3
#: Workers are given so long to get ready.
READY_S = 30.0
_LOOK_S = 0.1
#: What a process said before it ended has come after so many seconds.
_LAST_WORDS_S = 0.3
#: After its drain a worker has so long to ship the rest; less once somebody is in a hurry.
_SHIP_S = 35.0
_HURRY_S = 5.0


class MasterRun(LoadRun):
    """A load run on the master. `listen`, `gather` the workers, then as any other run; the load is
    theirs to send. `schedule` is the one that they share, None for a closed loop. Raises
    SoundstageError if the run cannot begin (see `run_setup.open_run`).
    """

    by_workers = True

    def __init__(
        self,
        environment: Environment,
        options: LoadOptions,
        schedule: Callable[[], Schedule] | None,
    ) -> None:
        super().__init__(*opened(environment, options))
        self._runner: MasterRunner | None = None
        self._schedule = schedule
        self._all = WorkerTotals(schedule, self.session.budget.limit)
        self.members = self._all.members
        self._begun = False
        self._failed = 0
        self._spent_said: str | None = None
        self._stopped_s: float | None = None
        self._changed = gevent.event.Event()
        self._intake = BatchIntake(self.recording, self.bundle)

    def listen(self, runner: MasterRunner) -> None:
        """Hear what the workers of `runner` say from now on."""
        self._runner = runner
        shipment.hear(runner, self.heard)
        self._background.append(gevent.spawn(self._look_after))

    def gather(self, many: int, timeout_s: float = READY_S) -> None:
        """Wait until so many workers are ready; fewer once the time is over. Without any, the run
        has failed.
        """
        deadline = time.monotonic() + timeout_s
        while len(self.members) + self._failed < many and not self.stopping.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._changed.wait(min(left, _LOOK_S))
            self._changed.clear()
        if not self._all.running() and not self.stopping.is_set():
            self.failure = TargetError("no worker got ready")
            self.stop()

    # ------------------------------------------------------------------ as a run

    @property
    def in_flight(self) -> int:
        return sum(int(each.figures.get("in_flight", 0)) for each in self._all.running())

    def begin(self, lead_s: float = 0.0, *, at_ns: int | None = None) -> None:
        """The run begins, on all workers: a little later than `lead_s`, if that is not 0. Who takes
        what is settled now, for the whole run.
        """
        super().begin(max(lead_s, BEGIN_S) if lead_s else 0.0, at_ns=at_ns)
        if self.stopping.is_set():
            return
        self._begun = True
        for member in self._all.deal():
            self._tell(
                member.client,
                shipment.BEGIN,
                {
                    "epoch_ns": self.recording.epoch_ns,
                    "place": member.place,
                    "many": self._all.many,
                    "limit": self._all.limit,
                },
            )

    def stop(self) -> None:
        if self._stopped_s is None:
            self._stopped_s = self.elapsed_s if self._begun else 0.0
        if self._spent_said is not None and self.failure is None:
            self.failure = BudgetError(self._spent_said)
        super().stop()

    def settle(self, seconds: float) -> int:
        """Have the workers drain and ship; see `LoadRun.settle`. Those that do not are lost."""
        censored = self.recording.outcomes["censored"]
        hurried = cut = False
        deadline = time.monotonic() + seconds + _SHIP_S
        self._tell_all(seconds)
        while waiting := self._all.running():
            now = time.monotonic()
            if (self.interrupted or self.given_up) and not hurried:
                hurried, deadline = True, min(deadline, now + INTERRUPT_DRAIN_S + _SHIP_S)
                self._tell_all(INTERRUPT_DRAIN_S)
            if self._cutting.is_set() and not cut:
                cut, deadline = True, now + _HURRY_S
                self._tell_all(0.0, cut=True)
            if now >= deadline:
                for member in waiting:
                    self.lost(member.client, "it did not ship the rest in time")
                break
            self._changed.wait(_LOOK_S)
            self._changed.clear()
        self._all.close(self._stopped_s or 0.0)
        return self.recording.outcomes["censored"] - censored

    def workers(self) -> list[dict[str, Any]]:
        return self._all.entries()

    def spent(self) -> int:
        return self._all.all_spent()

    def unspent(self) -> int:
        return 0 if self._all.limit is None else self._all.limit - self.spent()

    def missing(self) -> list[str]:
        return self._all.missing()

    def why_invalid(self) -> str | None:
        return self._all.why_invalid(self.loaded())

    def clock_stepped(self) -> bool:
        return self._all.stepped()

    def cpu_share(self) -> float:
        return self._all.figure("cpu_share")

    def loaded(self) -> Load:
        return self._all.load(self.recording.outcomes, self.recording.late)

    def further_totals(self) -> dict[str, Any]:
        return {
            "unaccounted": self._all.unaccounted(),
            "master_cpu_share": round(self.meter.cpu_share, 4),
        }

    def _second(self, sample: Sample) -> None:
        # What is seen of a master is no figure of the load; its workers send theirs.
        del sample
        forget_old_seconds(self.recording.environment)

    # ------------------------------------------------------------------ what workers say

    def heard(self, kind: str, data: Mapping[str, Any], client: str) -> None:
        """A message from a worker has come."""
        if kind == shipment.CLOCK:
            now = {"monotonic_ns": time.monotonic_ns(), "wall_ns": time.time_ns()}
            self._tell(client, shipment.CLOCK, now)
            return
        if kind == shipment.HELLO:
            self._on_hello(client, data)
        elif kind == shipment.FAILED:
            self._on_failed(client, data)
        elif (member := self.members.get(client)) is not None:
            if member.state == LOST and not member.gone:
                # It was taken for lost, and has only been silent: what it ships is all there.
                member.state, member.reason, member.lost_s = RUNNING, None, None
            if kind == shipment.ROWS:
                self._on_rows(member, data)
            elif kind == shipment.DRIVEN:
                member.driven = True
                self._look_whether_over()
            elif kind == shipment.DONE:
                self._on_done(member, data)
        self._changed.set()

    def _on_hello(self, client: str, data: Mapping[str, Any]) -> None:
        if client in self.members:
            return
        member = WorkerRecord(client, int(data["index"]), str(data["host"]), int(data["pid"]))
        if self._begun or self.stopping.is_set():
            log.warning("%s came after the run began: not used", visible.line(member.label))
            self._tell(client, shipment.STOP, {"drain_s": 0.0, "cut": True})
        else:
            self.members[client] = member

    def _on_failed(self, client: str, data: Mapping[str, Any]) -> None:
        member = self.members.get(client)
        who = client if member is None else member.label
        if data["what"] == "budget" and member is not None:
            # Its share is spent. Others may still have some of theirs.
            self._spent_said = self._spent_said or str(data["message"])
            member.driven = True
            self._look_whether_over()
            return
        if self.failure is None and (member is not None or not self._begun):
            if data["what"] == "budget":
                self.failure = BudgetError(str(data["message"]))
            else:
                error = RuntimeError if data["what"] == "bug" else TargetError
                self.failure = error(f"{who}: {data['message']}")
            self.stop()

    def _on_rows(self, member: WorkerRecord, data: Mapping[str, Any]) -> None:
        document = orjson.loads(data["document"])
        member.batches += 1
        member.figures = document["figures"]
        try:
            self._intake.take(member, document, data["transcripts"])
        except Exception as error:  # noqa: BLE001 - kept, and given to whoever concludes
            self.failure = self.failure or error
            self.stop()
        self.asked = sum(each.asked for each in self.members.values())
        most = int(member.figures["most_in_flight"])
        self.most_in_flight = max(self.most_in_flight, self.in_flight, most)

    def _on_done(self, member: WorkerRecord, data: Mapping[str, Any]) -> None:
        member.state, member.reason = FINISHED, None
        member.figures = dict(data["figures"])
        self.asked = sum(each.asked for each in self.members.values())
        if data["batches"] != member.batches:
            member.reason = "not all of its rows came"
        elif data["left"] and self._schedule is not None and not member.driven:
            member.reason = "it was told to leave"
        self.recording.observed.merge(Observed.of(orjson.loads(data["observed"])))
        self._look_whether_over()

    # ------------------------------------------------------------------ who is there

    def lost(self, client: str, reason: str, *, gone: bool = False) -> None:
        """A worker is lost, and with it whatever it had not shipped. If it is not `gone` for good
        and is heard of again, it is none.
        """
        member = self.members.get(client)
        if member is None or member.state != RUNNING:
            return
        member.gone = gone
        member.state, member.reason = LOST, reason
        member.lost_s = self.elapsed_s if self._begun else 0.0
        self._look_whether_over()
        self._changed.set()

    def process_ended(self, pid: int, reason: str) -> None:
        """A process of this machine that was a worker has ended. It may have said so before."""
        self._failed += all(member.pid != pid for member in self.members.values())
        self._changed.set()
        for member in self.members.values():
            if member.pid == pid:
                gevent.spawn_later(_LAST_WORDS_S, self.lost, member.client, reason, gone=True)

    def _look_whether_over(self) -> None:
        if not self._begun or self.stopping.is_set():
            return
        running = self._all.running()
        if not running and self._spent_said is None and self.failure is None:
            self.failure = TargetError("no worker is left")
        if all(each.driven for each in running):
            if running and self._spent_said is None:
                # They are through the schedule, and so would one be that is lost, whose last
                # arrival may be due a little later than theirs.
                self._stopped_s = math.inf
            self.stop()

    def _look_after(self) -> None:
        assert self._runner is not None
        while True:
            gevent.sleep(_LOOK_S)
            for member in self._all.running():
                node = self._runner.clients.get(member.client)
                if node is not None and node.state == STATE_MISSING:
                    self.lost(member.client, "it no longer answers")
                elif node is None and not self.stopping.is_set():
                    self.lost(member.client, "it quit", gone=True)

    # ------------------------------------------------------------------ what they are told

    def _tell_all(self, drain_s: float, *, cut: bool = False) -> None:
        for member in self._all.running():
            self._tell(member.client, shipment.STOP, {"drain_s": drain_s, "cut": cut})

    def _tell(self, client: str, kind: str, data: dict[str, Any]) -> None:
        assert self._runner is not None
        self._runner.send_message(shipment.CHANNEL, {"kind": kind, **data}, client)
