"""The master of a load run on several processes or machines: one bundle, whoever sends.

Workers (`worker`) send their shares and ship their rows; all that a run shows follows from those
rows here, as if one process had sent it. A worker that is lost costs what it had not shipped.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
import orjson
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner

from soundstage.conformance.violations import Compared, Severity, Verdict, Violation
from soundstage.errors import BudgetError, TargetError
from soundstage.gate.kept_transcripts import TranscriptChoice
from soundstage.loadtests.cluster import shipment
from soundstage.loadtests.cluster.shares import share
from soundstage.loadtests.cluster.worker_record import (
    WorkerRecord,
    count_shares,
    together,
    whose_fault,
)
from soundstage.loadtests.generator.lag import Load, Sample
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.load_run import INTERRUPT_DRAIN_S, LoadRun
from soundstage.loadtests.run.locust_statistics import forget_old_seconds
from soundstage.loadtests.run.run_setup import opened
from soundstage.loadtests.schedule.arrivals import Schedule
from soundstage.observed.facts import Observed
from soundstage.output import visible

log = logging.getLogger("soundstage")
#: The run begins so long after its workers are told, so that they are there in time.
BEGIN_S = 0.3
#: Workers are given so long to get ready.
READY_S = 30.0
#: Who is there, and whether the run is over, is looked at so often.
_LOOK_S = 0.1
#: What a process said before it ended has come after so many seconds.
_LAST_WORDS_S = 0.3
#: After its drain a worker has so long to ship the rest; less once somebody is in a hurry. The
#: first is more than `worker.PATIENCE_S`: one that heard nothing for so long ends by itself.
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
        self.members: dict[str, WorkerRecord] = {}
        self._schedule = schedule
        self._limit = self.session.budget.limit
        self._sharing: list[WorkerRecord] = []
        self._ended: dict[int, str] = {}
        self._spent_said: str | None = None
        self._until_s = 0.0
        #: Transcripts by name whose rows have not come yet.
        self._shipped: dict[str, bytes] = {}
        self._choice = TranscriptChoice()

    def listen(self, runner: MasterRunner) -> None:
        """Hear what the workers of `runner` say from now on."""
        self._runner = runner
        shipment.hear(runner, self.heard)
        self._looking = gevent.spawn(self._look_after)

    def gather(self, many: int, timeout_s: float = READY_S) -> None:
        """Wait until so many workers are ready; fewer once the time is over. Without any, the run
        has failed.
        """
        deadline = time.monotonic() + timeout_s
        while len(self.members) + len(self._ended) < many and time.monotonic() < deadline:
            if self.stopping.is_set():
                return
            gevent.sleep(_LOOK_S)
        if not self._running() and not self.stopping.is_set():
            self._fail(TargetError("no worker got ready"))

    def process_ended(self, pid: int, reason: str) -> None:
        """A process of this machine that was a worker has ended. It may have said so before."""
        gevent.spawn_later(_LAST_WORDS_S, self._ended.setdefault, pid, reason)

    # ------------------------------------------------------------------ as a run

    @property
    def in_flight(self) -> int:
        return sum(int(each.figures.get("in_flight", 0)) for each in self._running())

    def begin(self, lead_s: float = 0.0, *, at_ns: int | None = None) -> None:
        """The run begins, on all workers: a little later than `lead_s`, if that is not 0. Who takes
        what is settled now, for the whole run.
        """
        super().begin(max(lead_s, BEGIN_S) if lead_s else 0.0, at_ns=at_ns)
        if self.stopping.is_set():
            return
        self._sharing = self._running()
        for place, each in enumerate(self._sharing):
            each.place = place
            if self._limit is not None:
                each.budget = share(self._limit, place, len(self._sharing))
            terms = {"place": place, "many": len(self._sharing), "limit": self._limit}
            self._tell([each], shipment.BEGIN, epoch_ns=self.recording.epoch_ns, **terms)

    def stop(self) -> None:
        if not self.stopping.is_set():
            running = self._running()
            # Those that are through the schedule have sent all of theirs, and so would have one
            # that is lost, whose last arrival may have been due a little later.
            through = running and all(each.driven for each in running)
            self._until_s = math.inf if through else self.elapsed_s
        if self._spent_said is not None and self.failure is None:
            self.failure = BudgetError(self._spent_said)
        super().stop()

    def settle(self, seconds: float) -> int:
        """Have the workers drain and ship; see `LoadRun.settle`. Those that do not are lost."""
        censored = self.recording.outcomes["censored"]
        told, deadline = None, math.inf
        while waiting := self._running():
            hurried = bool(self.interrupted or self.given_up)
            cut = self._cutting.is_set()
            drain_s = 0.0 if cut else min(seconds, INTERRUPT_DRAIN_S) if hurried else seconds
            if told != (drain_s, cut):
                told = drain_s, cut
                patience_s = _HURRY_S if cut else drain_s + _SHIP_S
                deadline = min(deadline, time.monotonic() + patience_s)
                self._tell(waiting, shipment.STOP, drain_s=drain_s, cut=cut)
            if time.monotonic() >= deadline:
                for each in waiting:
                    each.lose("it did not ship the rest in time", self.elapsed_s)
                break
            gevent.sleep(_LOOK_S)
        self._looking.kill()
        if self._schedule is not None:
            count_shares(self._sharing, self._schedule, self._until_s)
        return self.recording.outcomes["censored"] - censored

    def workers(self) -> list[dict[str, Any]]:
        return [each.to_json() for each in self._in_order()]

    def spent(self) -> int:
        return sum(each.spent for each in self._in_order())

    def unspent(self) -> int:
        return 0 if self._limit is None else self._limit - self.spent()

    def missing(self) -> list[str]:
        return [said for each in self._in_order() if (said := each.lacking()) is not None]

    def why_invalid(self) -> str | None:
        return whose_fault(self._in_order())

    def clock_stepped(self) -> bool:
        return any(each.figures.get("stepped") for each in self._in_order())

    def cpu_share(self) -> float:
        return float(sum(each.figures.get("cpu_share", 0) for each in self._in_order()))

    def loaded(self) -> Load:
        return together(self._in_order())

    def further_totals(self) -> dict[str, Any]:
        return {
            "unaccounted": sum(each.unaccounted for each in self._in_order()),
            "master_cpu_share": round(self.meter.cpu_share, 4),
        }

    def _second(self, sample: Sample) -> None:
        # What is seen of a master is no figure of the load; its workers send theirs.
        del sample
        forget_old_seconds(self.recording.environment)

    # ------------------------------------------------------------------ what workers say

    def heard(self, kind: str, data: Mapping[str, Any], client: str) -> None:
        """A message from the worker `client` has come."""
        member = self.members.get(client)
        if kind == shipment.CLOCK:
            now = {"kind": kind, "monotonic_ns": time.monotonic_ns()}
            self._runner.send_message(shipment.CHANNEL, now, client)
        elif kind == shipment.HELLO and member is None:
            index, pid = int(data["index"]), int(data["pid"])
            self._on_hello(WorkerRecord(client, index, str(data["host"]), pid), data["failure"])
        elif kind == shipment.BATCH and member is not None:
            self._on_batch(member, orjson.loads(data["document"]), data["transcripts"])

    def _on_hello(self, member: WorkerRecord, failure: Mapping[str, str] | None) -> None:
        begun = bool(self._sharing) or self.stopping.is_set()
        if begun:
            log.warning("%s came after the run began: not used", visible.line(member.label))
        if failure is not None:
            if not begun:
                self._on_failure(member, failure)
        elif begun:
            self._tell([member], shipment.STOP, drain_s=0.0, cut=True)
        else:
            self.members[member.client] = member

    def _on_batch(
        self, member: WorkerRecord, document: Mapping[str, Any], transcripts: Mapping[str, bytes]
    ) -> None:
        entries = document["entries"]
        member.hear(document["figures"], len(entries), scheduled=self._schedule is not None)
        try:
            self._shipped |= transcripts
            for entry in entries:
                row, found = entry["row"], entry["violations"]
                if (place := row.get("transcript")) is not None:
                    row["transcript"] = self._keep_transcript(place.rpartition("/")[2], row)
                violations = [_violation(each) for each in found]
                self.recording.keep(row, found, violations, _among(entry["exercised"]))
            for sample in document["health"]:
                self.bundle.health({**sample, "worker": member.name})
        except Exception as error:  # noqa: BLE001 - kept, and given to whoever concludes
            self._fail(error)
        if document["observed"] is not None:
            self.recording.observed.merge(Observed.of(document["observed"]))
        self.asked = sum(each.asked for each in self.members.values())
        most = max(self.in_flight, member.figures["most_in_flight"])
        self.flights.most = max(self.flights.most, most)
        if (failure := member.figures["failure"]) is not None:
            self._on_failure(member, failure)

    def _keep_transcript(self, name: str, row: Mapping[str, Any]) -> str | None:
        """The place in the bundle of a transcript that a worker kept; None if the run as a whole
        has enough of its kind. It came with its row, or before it.
        """
        text = self._shipped.pop(name, None)
        # A worker keeps no transcript of what ended well, but for a contract that it broke.
        broken = row["outcome"] == "ok" or row["verdict"] == Verdict.VIOLATES.value
        taken = self._choice.takes(
            (f"{row['api']}-{row['endpoint']}", row["warmup"]),
            row["outcome"],
            row.get("http_status"),
            row.get("reason"),
            row["codes"],
            violates=broken,
        )
        return self.bundle.transcript(name, text) if taken and text is not None else None

    def _on_failure(self, member: WorkerRecord, failure: Mapping[str, str]) -> None:
        what, message = str(failure["what"]), str(failure["message"])
        if what == "budget" and member.client in self.members:
            # Its share is spent. Others may still have some of theirs.
            self._spent_said = self._spent_said or message
        elif what == "budget":
            self._fail(BudgetError(message))
        else:
            error = RuntimeError if what == "bug" else TargetError
            self._fail(error(f"{member.label}: {message}"))

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.stop()

    # ------------------------------------------------------------------ who is there

    def _in_order(self) -> list[WorkerRecord]:
        return sorted(self.members.values(), key=lambda each: each.index)

    def _running(self) -> list[WorkerRecord]:
        return [each for each in self._in_order() if each.running]

    def _look_after(self) -> None:
        while True:
            gevent.sleep(_LOOK_S)
            for each in self._in_order():
                each.lose(self._why_lost(each), self.elapsed_s)
            if self._sharing and not self.stopping.is_set():
                self._look_whether_over()

    def _why_lost(self, member: WorkerRecord) -> str | None:
        """Why a worker is taken for lost just now; one that was only silent may come back."""
        if member.pid in self._ended:
            return self._ended[member.pid]
        node = self._runner.clients.get(member.client)
        if node is None:
            # While a test stops, Locust forgets its workers for a moment.
            return member.reason or (None if self.stopping.is_set() else "it quit")
        return "it no longer answers" if node.state == STATE_MISSING else None

    def _look_whether_over(self) -> None:
        running = self._running()
        if not running and self._spent_said is None:
            self._fail(TargetError("no worker is left"))
        elif all(each.over for each in running):
            self.stop()

    # ------------------------------------------------------------------ what they are told

    def _tell(self, whom: Iterable[WorkerRecord], kind: str, **data: Any) -> None:
        for each in whom:
            self._runner.send_message(shipment.CHANNEL, {"kind": kind, **data}, each.client)


def _among(rules: list[str]) -> Callable[[Any], bool] | None:
    """Whether a row put a rule to the test; None if it was not looked at, or to none."""
    named = set(rules)
    return (lambda rule: rule.id in named) if named else None


def _violation(row: Mapping[str, Any]) -> Violation:
    return Violation(
        row["code"],
        Severity(row["severity"]),
        row["chunk"],
        row["path"],
        row["message"],
        row["rule"],
        row.get("times", 1),
        Compared(row["expected"], row["received"]) if "expected" in row else None,
    )
