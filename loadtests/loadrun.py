"""One load run from its opening to its verdict, whoever drives it: `soundstage load` or Locust.

Starts exchanges, counts those in flight, drains or cuts them at the end, and finishes the bundle.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import jsonschema  # noqa: F401 - explains violations; loaded here, not in the middle of a run
import orjson
from locust.env import Environment

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.errors import BudgetError, SoundstageError
from soundstage.exchange.client import Call
from soundstage.exchange.judge import Judge
from soundstage.exchange.run import run_facts
from soundstage.exchange.session import (
    IDLE_TIMEOUT_S,
    TIMEOUT_S,
    Session,
    open_session,
)
from soundstage.loadtests.lag import LagMeter, Load, quantile, why_invalid
from soundstage.loadtests.recording import Recording, exact_statistics
from soundstage.loadtests.traffic import Traffic
from soundstage.results.bundle import BundleWriter, new_folder
from soundstage.results.matrix import Matrix

_SECOND_NS = 1_000_000_000
#: A schedule begins this long after it is asked for, so that its driver is there in time.
LEAD_S = 0.05
_EXPIRE_S = 0.5
#: How long exchanges that were cut get to say so.
_CUT_S = 2.0
#: Reasons that are the target's or the environment's, not the contract's.
_ENVIRONMENT = ("api.", "http.", "environment.", "harness.idle_timeout", "harness.total_timeout")
_CANCELLED = "cancelled"
#: How long what is in flight gets once somebody has interrupted the run.
INTERRUPT_DRAIN_S = 5.0
_VERDICTS = {0: "pass", 1: "fail", 6: "invalid"}
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a load run was asked to do, apart from when its requests start. `kinds` are those of
    the endpoints ("stream", "sync"); `out` is the folder of the bundle, None for a new one below
    runs/; `command` and `parameters` stand in the bundle. Times are seconds.
    """

    target: str
    apis: tuple[str, ...]
    kinds: tuple[str, ...] = ("stream",)
    seed: int = 0
    warmup_s: float = 0.0
    drain_s: float = 120.0
    timeout_s: float = TIMEOUT_S
    idle_timeout_s: float = IDLE_TIMEOUT_S
    max_in_flight: int | None = None
    budget: int | None = None
    key_file: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ca_file: str | None = None
    client_cert: tuple[str, str] | None = None
    insecure: bool = False
    keep_private: bool = False
    out: str | None = None
    command: str = ""
    parameters: tuple[tuple[str, Any], ...] = ()


class LoadRun:
    """A run that is open. `begin`, then `start` exchanges or `drive` a schedule, then `conclude`.

    `stopping` is set once no further request may start. `failure` is what stopped it, if that was
    neither the schedule's end nor somebody's wish.
    """

    def __init__(
        self, session: Session, traffic: Traffic, recording: Recording, options: LoadOptions
    ) -> None:
        self.session = session
        self.traffic = traffic
        self.recording = recording
        self.options = options
        self.stopping = gevent.event.Event()
        self.interrupted = False
        self.failure: BaseException | None = None
        self.asked = 0
        self.most_in_flight = 0
        self._meter = LagMeter()
        self._flying: dict[Any, Call] = {}
        self._cutting = gevent.event.Event()
        self._cut = False
        self._expirer: gevent.Greenlet[..., None] | None = None

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run's beginning."""
        return (time.monotonic_ns() - self.recording.epoch_ns) / _SECOND_NS

    def begin(self, lead_s: float = 0.0) -> None:
        """The run begins `lead_s` from now; the generator is watched from here on."""
        self.recording.epoch_ns = time.monotonic_ns() + int(lead_s * _SECOND_NS)
        self._meter.start()
        self._expirer = gevent.spawn(self._expire)

    def drive(self, moments: Iterable[float]) -> None:
        """Start a request at each of these moments (seconds since the beginning), whatever the
        target does, until they end or the run is stopping.
        """
        epoch = self.recording.epoch_ns
        for moment in moments:
            due = epoch + int(moment * _SECOND_NS)
            call = self.traffic.next_call(due)
            while (left := due - time.monotonic_ns()) > 0:
                if self.stopping.wait(left / _SECOND_NS):
                    return
            if self.stopping.is_set():
                return
            self.asked += 1
            cap = self.options.max_in_flight
            if cap is not None and self.in_flight >= cap:
                self._note(call, "dropped", "generator.max_in_flight")
            else:
                self._launch(call)
            # A schedule that is behind must not keep those it has started from running.
            gevent.sleep(0)

    def start(self) -> gevent.Greenlet[..., None]:
        """Start a request now, as a user of a closed loop does; join what is returned."""
        self.asked += 1
        return self._launch(self.traffic.next_call())

    def stop(self) -> None:
        """No further request starts."""
        self.stopping.set()

    def interrupt(self) -> None:
        """Stop early: the first call stops new requests, the second cuts what is in flight."""
        if self.interrupted:
            self._cutting.set()
        self.interrupted = True
        self.stop()

    def drain(self, seconds: float) -> None:
        """Wait for what is in flight, `seconds` at the most, then cut it; it is censored. Once
        the run is interrupted, it gets `INTERRUPT_DRAIN_S`.
        """
        self.stop()
        deadline = time.monotonic() + seconds
        hurried = False
        while self._flying and not self._cutting.is_set():
            now = time.monotonic()
            if self.interrupted and not hurried:
                hurried, deadline = True, min(deadline, now + INTERRUPT_DRAIN_S)
            if now >= deadline:
                break
            self._cutting.wait(min(deadline - now, 0.05))
        if not self._flying:
            return
        self._cut = True
        self.session.cut()
        gevent.joinall(list(self._flying), timeout=_CUT_S)
        for greenlet, call in list(self._flying.items()):
            # It is still connecting: it must not send its request after the run has ended.
            greenlet.kill()
            self._note(call, "censored", "generator.run_ended")

    def conclude(self) -> int:
        """Finish the bundle after `drain`; returns the exit code (design 12)."""
        self._meter.stop()
        if self._expirer is not None:
            self._expirer.kill()
        if self.failure is not None and not isinstance(self.failure, SoundstageError):
            raise self.failure
        recording, session = self.recording, self.session
        stepped = session.transport.clock_stepped()
        voids = self._voids(stepped)
        code = self._exit_code(voids)
        reasons = recording.matrix.reasons()
        reason = voids[0]["message"] if voids else (reasons[0][0] if reasons else None)
        sources = [source for source, count in recording.timing.items() if count]
        recording.bundle.finish(
            verdict=None if self.interrupted else _VERDICTS.get(code, "inconclusive"),
            exit_code=code,
            reason=None if code in (0, 1) else reason,
            rules=recording.matrix.rows(),
            voids=voids,
            totals=self._totals(),
            status="interrupted" if self.interrupted else "complete",
            budget={"limit": session.budget.limit, "spent": session.budget.spent},
            clock={
                "source": sources[0] if len(sources) == 1 else "mixed" if sources else "kernel",
                "stepped": stepped,
            },
        )
        session.close()
        return code

    # ------------------------------------------------------------------ within a run

    def _launch(self, call: Call) -> gevent.Greenlet[..., None]:
        greenlet = gevent.Greenlet(self._exchange, call)
        self._flying[greenlet] = call
        self.most_in_flight = max(self.most_in_flight, len(self._flying))
        greenlet.start()
        return greenlet

    def _exchange(self, call: Call) -> None:
        try:
            exchange = self.session.client.exchange(call)
            cancelled = exchange.end is not None and exchange.end.kind == _CANCELLED
            self.recording.ended(exchange, cut=self._cut and cancelled)
        except Exception as error:  # noqa: BLE001 - kept, and given to whoever concludes
            if self.failure is None:
                self.failure = error
            self.stop()
        finally:
            self._flying.pop(gevent.getcurrent(), None)

    def _note(self, call: Call, outcome: str, reason: str) -> None:
        try:
            self.recording.not_sent(call, outcome, reason)
        except SoundstageError as error:
            self.failure = self.failure or error
            self.stop()

    def _expire(self) -> None:
        while True:
            gevent.sleep(_EXPIRE_S)
            self.session.expire()

    # ------------------------------------------------------------------ at its end

    def _load(self) -> Load:
        outcomes = self.recording.outcomes
        return Load(
            asked=self.asked,
            started=self.asked - outcomes["dropped"],
            dropped=outcomes["dropped"],
            late=self.recording.late,
            lags=self._meter.lags,
        )

    def _totals(self) -> dict[str, Any]:
        load = self._load()
        return {
            "arrivals_asked": load.asked,
            "arrivals_started": load.started,
            "dropped": load.dropped,
            "late_p99_ms": round(quantile(load.late, 0.99) * 1000, 3),
            "loop_lag_p50_ms": round(quantile(load.lags, 0.5) * 1000, 3),
            "loop_lag_p99_ms": round(quantile(load.lags, 0.99) * 1000, 3),
            "cpu_share": round(self._meter.cpu_share, 4),
            "most_in_flight": self.most_in_flight,
            "outcomes": dict(self.recording.outcomes),
            "violating": self.recording.violating,
            "judged": self.recording.matrix.judged(),
            "seconds": round(self.elapsed_s, 3),
        }

    def _voids(self, stepped: bool) -> list[dict[str, str]]:
        voids = []
        if isinstance(self.failure, BudgetError):
            voids.append({"kind": "budget", "message": str(self.failure)})
        elif self.failure is not None:
            voids.append({"kind": "incomplete", "message": str(self.failure)})
        if (why := why_invalid(self._load())) is not None:
            voids.append({"kind": "generator", "message": why})
        if stepped:
            message = "the system's clock was set during the run: its times are not to be trusted"
            voids.append({"kind": "clock", "message": message})
        reasons = self.recording.matrix.reasons()
        if reasons and not self.recording.matrix.judged() and not self.interrupted:
            reason, many = reasons[0]
            if reason.startswith(_ENVIRONMENT):
                message = f"no answer could be judged: {reason} ({many} times)"
                voids.append({"kind": "target", "message": message})
        return voids

    def _exit_code(self, voids: list[dict[str, str]]) -> int:
        if self.interrupted:
            return INTERRUPTED
        if self.recording.matrix.broken:
            return 1
        if voids:
            return 6
        if not self.recording.done:
            return 5
        return 0 if self.recording.matrix.judged() else 4


def open_run(environment: Environment, options: LoadOptions) -> LoadRun:
    """Find the target and start a bundle. Sends nothing that could be billed.

    Raises SoundstageError if the run cannot begin: wrong options, no target, no key, no budget.
    """
    exact_statistics()
    traffic = Traffic(options.apis, options.kinds, options.seed)
    session = open_session(
        options.target,
        key_file=options.key_file,
        budget=options.budget,
        headers=options.headers,
        ca_file=options.ca_file,
        client_cert=options.client_cert,
        insecure=options.insecure,
        keep_private=options.keep_private,
        timeout_s=options.timeout_s,
        idle_timeout_s=options.idle_timeout_s,
        watched=True,
    )
    if session.budget.left == 0 and any(endpoint.billed for _, endpoint in traffic.places):
        session.budget.take()  # says why nothing may be sent
    session.client.keep_chunks = True
    for contract, endpoint in traffic.places:
        _rehearse(contract, endpoint)
    facts = run_facts(
        session,
        "load",
        options.command,
        traffic.contracts,
        seed=options.seed,
        parameters=dict(options.parameters),
        packages=("locust", "gevent"),
    )
    folder = Path(options.out) if options.out else new_folder("load")
    bundle = BundleWriter.create(folder, facts)
    matrix = Matrix(rule for contract in traffic.contracts for rule in contract.rules)
    recording = Recording(environment, session, bundle, matrix, warmup_s=options.warmup_s)
    return LoadRun(session, traffic, recording, options)


def _rehearse(contract: Contract, endpoint: Endpoint) -> None:
    """Judge a printed example, so that nothing is compiled while the first answers come in."""
    judge = Judge(contract, endpoint)
    examples = Counter(each.of.partition(":")[0] for each in contract.examples)
    kind = "stage" if endpoint.kind == "stream" and examples["stage"] else "response"
    judge.head(200, "text/event-stream" if kind == "stage" else "application/json")
    for example in contract.examples:
        if example.of.partition(":")[0] == kind:
            text = orjson.dumps(example.payload)
            judge.feed(b"data: " + text + b"\n\n" if kind == "stage" else text)
            if kind == "response":
                break
    judge.close()
