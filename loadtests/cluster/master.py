"""The master of a load run on several processes or machines: one bundle, whoever sends.

Workers (`worker`) send the load and ship their rows; all that a run shows follows from those rows
here, as if one process had sent it. A worker that is lost costs what it had not shipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import gevent.event
import orjson
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner

from soundstage.errors import BudgetError, TargetError
from soundstage.loadtests.cluster import shipping
from soundstage.loadtests.cluster.batches import BatchIntake
from soundstage.loadtests.cluster.leases import Lender
from soundstage.loadtests.cluster.routing import route
from soundstage.loadtests.cluster.shares import LEAD_S
from soundstage.loadtests.cluster.totals import Reckoning
from soundstage.loadtests.cluster.worker_record import FINISHED, LOST, RUNNING, Member
from soundstage.loadtests.generator.lag import Load, Sample
from soundstage.loadtests.rows import forget_old_seconds
from soundstage.loadtests.run import INTERRUPT_DRAIN_S, LoadOptions, LoadRun
from soundstage.loadtests.run_setup import opened
from soundstage.loadtests.schedule.arrivals import Schedule
from soundstage.observed.observation import Observed

#: The run begins so long after its workers are told, so that they are there in time.
BEGIN_S = 0.3
#: Workers are given so long to get ready.
READY_S = 30.0
_LOOK_S = 0.1
#: A worker says something every second. One that is silent for so long is lost.
_SILENT_S = 15.0
#: What a process said before it ended has come after so many seconds.
_LAST_WORDS_S = 0.3
#: After its drain a worker has so long to ship the rest; less once somebody is in a hurry.
_SHIP_S = shipping.SHIP_TIMEOUT_S + 5.0
_HURRY_S = 5.0


class Crew(LoadRun):
    """A load run on the master. `listen`, `gather` the workers, then as any other run; the load is
    theirs to send. `schedule` is the one that they follow, None for a closed loop. Raises
    SoundstageError if the run cannot begin (see `opening.open_run`).
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
        limit = self.session.budget.limit
        self._lender = None if limit is None else Lender(limit)
        self._all = Reckoning(schedule, self._lender)
        self.members, self._plan = self._all.members, self._all.plan
        self._begun = False
        self._failed = 0
        self._stopped_s: float | None = None
        self._changed = gevent.event.Event()
        self._intake = BatchIntake(self.recording, self.bundle)

    def listen(self, runner: MasterRunner) -> None:
        """Hear what the workers of `runner` say from now on."""
        self._runner = runner
        route(runner, shipping.TO_MASTER, self.heard)
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
        if not self._running() and not self.stopping.is_set():
            self.failure = TargetError("no worker got ready")
            self.stop()

    # ------------------------------------------------------------------ as a run

    @property
    def in_flight(self) -> int:
        return sum(int(each.figures.get("in_flight", 0)) for each in self._running())

    def begin(self, lead_s: float = 0.0, *, at_ns: int | None = None) -> None:
        """The run begins, on all workers: a little later than `lead_s`, if that is not 0."""
        super().begin(max(lead_s, BEGIN_S) if lead_s else 0.0, at_ns=at_ns)
        if self.stopping.is_set():
            return
        self._begun = True
        self._plan.changed(-1.0, self._names())
        for member in self._running():
            member.heard = time.monotonic()
            self._tell_beginning(member)

    def stop(self) -> None:
        if self._stopped_s is None:
            self._stopped_s = self.elapsed_s if self._begun else 0.0
        super().stop()

    def settle(self, seconds: float) -> int:
        """Have the workers drain and ship; see `LoadRun.settle`. Those that do not are lost."""
        censored = self.recording.outcomes["censored"]
        hurried = cut = False
        deadline = time.monotonic() + seconds + _SHIP_S
        self._tell_all(shipping.STOP, {"drain_s": seconds, "cut": False})
        while waiting := self._running():
            now = time.monotonic()
            if (self.interrupted or self.given_up) and not hurried:
                hurried, deadline = True, min(deadline, now + INTERRUPT_DRAIN_S + _SHIP_S)
                self._tell_all(shipping.STOP, {"drain_s": INTERRUPT_DRAIN_S, "cut": False})
            if self._cutting.is_set() and not cut:
                cut, deadline = True, now + _HURRY_S
                self._tell_all(shipping.STOP, {"drain_s": 0.0, "cut": True})
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
        return 0 if self._lender is None else self._lender.left

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
        if kind == shipping.CLOCK:
            now = {"monotonic_ns": time.monotonic_ns(), "wall_ns": time.time_ns()}
            self._tell(client, shipping.CLOCK, now)
            return
        if kind == shipping.HELLO:
            self._on_hello(client, data)
        elif kind == shipping.FAILED:
            self._on_failed(client, data)
        elif (member := self.members.get(client)) is not None:
            member.heard = time.monotonic()
            if member.state == LOST and not member.gone and kind != shipping.DONE:
                self._found_again(member)
            if kind == shipping.ROWS:
                self._on_rows(member, data)
            elif kind == shipping.LEASE and self._lender is not None:
                many = self._lender.lend(client, len(self._running()))
                self._tell(client, shipping.GRANT, {"many": many})
            elif kind == shipping.DRIVEN:
                member.driven = True
                self._look_whether_over()
            elif kind == shipping.LEAVE and not member.leaving:
                member.leaving = True
                if self._begun and not self.stopping.is_set():
                    self._plan_anew()
            elif kind == shipping.DONE:
                self._on_done(member, data)
        self._changed.set()

    def _on_hello(self, client: str, data: Mapping[str, Any]) -> None:
        if client in self.members:
            return
        joined = self.elapsed_s if self._begun else 0.0
        self.members[client] = member = Member(
            client, int(data["index"]), str(data["host"]), int(data["pid"]), max(0.0, joined)
        )
        if self.stopping.is_set():
            member.state = FINISHED
            self._tell(client, shipping.STOP, {"drain_s": 0.0, "cut": True})
        elif self._begun:
            self._plan_anew()
            self._tell_beginning(member)

    def _on_failed(self, client: str, data: Mapping[str, Any]) -> None:
        member = self.members.get(client)
        who = client if member is None else member.label
        if self.failure is None:
            if data["kind"] == "budget":
                self.failure = BudgetError(str(data["message"]))
            elif data["kind"] == "bug":
                self.failure = RuntimeError(f"{who}: {data['message']}")
            else:
                self.failure = TargetError(f"{who}: {data['message']}")
        self.stop()

    def _on_rows(self, member: Member, data: Mapping[str, Any]) -> None:
        number = int(data["number"])
        if member.is_new(number):
            document = orjson.loads(data["document"])
            member.figures = document["figures"]
            try:
                self._intake.take(member, document, data["transcripts"])
            except Exception as error:  # noqa: BLE001 - kept, and given to whoever concludes
                self.failure = self.failure or error
                self.stop()
            self.asked = sum(each.asked for each in self.members.values())
            flying = [int(each.figures.get("in_flight", 0)) for each in self._running()]
            most = int(member.figures["most_in_flight"])
            self.most_in_flight = max(self.most_in_flight, sum(flying), most)
        self._tell(member.client, shipping.ACK, {"number": number})

    def _on_done(self, member: Member, data: Mapping[str, Any]) -> None:
        member.state, member.reason = FINISHED, None
        member.figures = dict(data["figures"])
        self.asked = sum(each.asked for each in self.members.values())
        if not data["whole"]:
            member.reason = "it could not ship all of its rows"
        if self._lender is not None:
            self._lender.returned(member.client, int(member.figures["spent"]))
        self.recording.observed.merge(Observed.of(orjson.loads(data["observed"])))
        if self._begun and not self.stopping.is_set():
            # It left on its own, and has said so before.
            self._exclude()
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
        if self._begun and not self.stopping.is_set():
            self._exclude()
            self._look_whether_over()
        self._changed.set()

    def process_ended(self, pid: int, reason: str) -> None:
        """A process of this machine that was a worker has ended. It may have said so before."""
        self._failed += all(member.pid != pid for member in self.members.values())
        self._changed.set()
        for member in self.members.values():
            if member.pid == pid:
                gevent.spawn_later(_LAST_WORDS_S, self.lost, member.client, reason, gone=True)

    def _exclude(self) -> None:
        self._plan_anew()
        if not self._running() and self.failure is None:
            self.failure = TargetError("no worker is left")
            self.stop()

    def _found_again(self, member: Member) -> None:
        """It was taken for lost, and has only been silent."""
        member.state, member.reason, member.lost_s = RUNNING, None, None
        if self._begun and not self.stopping.is_set():
            self._plan_anew()

    def _plan_anew(self) -> None:
        """The schedule is for those that are there, from a moment on of which all hear in time."""
        self._plan.changed(max(0.0, self.elapsed_s + LEAD_S), self._names())
        self._tell_all(shipping.PLAN, {"plan": self._plan.to_json()})

    def _look_whether_over(self) -> None:
        running = self._running()
        if self._begun and running and all(each.driven for each in running):
            self.stop()

    def _look_after(self) -> None:
        assert self._runner is not None
        while True:
            gevent.sleep(_LOOK_S)
            now = time.monotonic()
            for member in self._running():
                node = self._runner.clients.get(member.client)
                # Before it begins, it has nothing to say.
                if (self._begun and now - member.heard > _SILENT_S) or (
                    node is not None and node.state == STATE_MISSING
                ):
                    self.lost(member.client, "it no longer answers")
                elif node is None and not self.stopping.is_set():
                    self.lost(member.client, "it quit", gone=True)

    def _running(self) -> list[Member]:
        return self._all.running()

    def _names(self) -> list[str]:
        """Those that take a part of the schedule."""
        return [each.client for each in self._running() if not each.leaving]

    # ------------------------------------------------------------------ what they are told

    def _tell_beginning(self, member: Member) -> None:
        self._tell(
            member.client,
            shipping.BEGIN,
            {
                "epoch_ns": self.recording.epoch_ns,
                "plan": self._plan.to_json(),
                "limit": None if self._lender is None else self._lender.limit,
            },
        )

    def _tell_all(self, kind: str, data: dict[str, Any]) -> None:
        for member in self._running():
            self._tell(member.client, kind, data)

    def _tell(self, client: str, kind: str, data: dict[str, Any]) -> None:
        assert self._runner is not None
        self._runner.send_message(kind, data, client)
