"""One load run from its opening to its verdict, whoever drives it: `soundstage load` or Locust.

Starts exchanges, counts those in flight, drains or cuts them at the end, and finishes the bundle.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import jsonschema  # noqa: F401 - explains violations; loaded here, not in the middle of a run
import orjson
from locust.env import Environment

from soundstage.conformance.codes import codes
from soundstage.contract import Contract, available
from soundstage.contract.protocol import Endpoint
from soundstage.errors import BudgetError, SoundstageError
from soundstage.exchange.client import Call
from soundstage.exchange.judge import Judge
from soundstage.exchange.run import run_facts
from soundstage.exchange.session import Session, open_session
from soundstage.loadtests import hopeless
from soundstage.loadtests.arrivals import rate_at
from soundstage.loadtests.lag import LagMeter, Load, Sample, why_invalid
from soundstage.loadtests.recording import (
    Outlet,
    Recording,
    exact_statistics,
    forget_old_seconds,
)
from soundstage.loadtests.scenario import Part, Scenario, spread
from soundstage.loadtests.traffic import Traffic
from soundstage.loadtests.wakeups import HubWakeups
from soundstage.results import slo, verdicts
from soundstage.results.bundle import BundleWriter, new_folder
from soundstage.results.matrix import Matrix
from soundstage.results.verdicts import Scorecard, Tally

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
_VERDICTS = {0: "pass", 1: "fail", 3: "fail", 6: "invalid"}
#: The exit code of a search, by what it found.
_OF_CAPACITY = {"found": 0, "at_least": 0, "none": 3, "unfinished": 4}
#: Milestones that every endpoint has, and those that every stream has.
_OF_ALL, _OF_STREAMS = ("accepted",), ("first_chunk",)
#: Objectives that can no longer be met are looked for this often.
_LOOK_S = 0.5
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a load run was asked to do, and against what. `out` is the folder of the bundle, None
    for a new one below runs/; `command` and `parameters` stand in the bundle.
    """

    target: str
    scenario: Scenario = field(default_factory=Scenario)
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
        self,
        session: Session,
        traffic: Traffic,
        recording: Recording,
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
        self.failure: BaseException | None = None
        self.asked = 0
        self.most_in_flight = 0
        self.given_up: tuple[Tally, hopeless.Hopeless] | None = None
        self.capacity: dict[str, Any] | None = None
        self.meter = LagMeter(self._second)
        self._flying: dict[Any, Call] = {}
        self._cutting = gevent.event.Event()
        self._cut = False
        self._halt = self.stopping
        self._background: list[gevent.Greenlet[..., None]] = []
        self._before = (0, 0)
        open_loop = options.scenario.users is None
        self._phases = options.scenario.warmed() if open_loop else []

    @property
    def bundle(self) -> BundleWriter:
        """The bundle of this run; on a worker there is none, its master writes it."""
        assert self._bundle is not None
        return self._bundle

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
        found = []
        for tally in self.recording.scorecard.tallies:
            of_it = tally.objective
            many = sum(planned.get(place, 0) for place in of_it.places)
            least = verdicts.least_for_pass(verdicts.required(of_it.slo))
            if of_it.slo.kind != "count" and many < least:
                where = f" at {of_it.api} {of_it.endpoint}" if of_it.endpoint else ""
                found.append(
                    f"SLO {of_it.slo.text}{where} is inconclusive at best: it takes {least} "
                    f"exchanges, and {many} are planned"
                )
        return found

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
        halt = self._halt = self.stopping if halt is None else halt
        if self.stopping.is_set():
            return
        epoch = self.recording.epoch_ns
        for number, moment in arrivals:
            due = epoch + int(moment * _SECOND_NS)
            call = self.traffic.call(number, due)
            while (left := due - time.monotonic_ns()) > 0:
                if halt.wait(left / _SECOND_NS):
                    return
            if halt.is_set():
                return
            self.asked += 1
            cap = self.options.scenario.max_in_flight
            if cap is not None and self.in_flight >= cap:
                self._note(call, "dropped", "generator.max_in_flight")
            else:
                self._launch(call)
            # A schedule that is behind must not keep those it has started from running.
            gevent.sleep(0)

    def start(self) -> gevent.Greenlet[..., None]:
        """Start a request now, as a user of a closed loop does; join what is returned."""
        self.asked += 1
        return self._launch(self.traffic.call(self.traffic.next_number()))

    def stop(self) -> None:
        """No further request starts."""
        self.stopping.set()
        self._halt.set()

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
        self.settle(seconds)

    def settle(self, seconds: float) -> int:
        """As `drain`, but the run goes on. Returns how many exchanges were cut."""
        deadline = time.monotonic() + seconds
        hurried = False
        while self._flying and not self._cutting.is_set():
            now = time.monotonic()
            if (self.interrupted or self.given_up) and not hurried:
                hurried, deadline = True, min(deadline, now + INTERRUPT_DRAIN_S)
            if now >= deadline:
                break
            self._cutting.wait(min(deadline - now, 0.05))
        many = len(self._flying)
        if not many:
            return 0
        self._cut = True
        self.session.cut()
        gevent.joinall(list(self._flying), timeout=_CUT_S)
        for greenlet, call in list(self._flying.items()):
            # It is still connecting: it must not send its request after the run has ended.
            greenlet.kill()
            self._note(call, "censored", "generator.run_ended")
        self._cut = False
        return many

    def unwatch(self) -> None:
        """The generator is no longer watched; its figures stay."""
        self.meter.stop()
        for greenlet in self._background:
            greenlet.kill()

    def conclude(self) -> int:
        """Finish the bundle after `drain`; returns the exit code (design 12)."""
        self.unwatch()
        if self.failure is not None and not isinstance(self.failure, SoundstageError):
            raise self.failure
        recording, session = self.recording, self.session
        stepped = session.transport.clock_stepped()
        voids = self._voids(stepped)
        slos = self.slo_results()
        code = self._exit_code(voids, slos)
        sources = [source for source, count in recording.timing.items() if count]
        self.bundle.observed(recording.observed.to_json())
        self.bundle.finish(
            verdict=None if self.interrupted else _VERDICTS.get(code, "inconclusive"),
            exit_code=code,
            reason=None if code in (0, 1) else self._reason(voids, slos),
            rules=recording.matrix.rows(),
            voids=voids,
            totals=self._totals(),
            status="interrupted" if self.interrupted else "complete",
            budget={"limit": session.budget.limit, "spent": self.spent()},
            clock={
                "source": sources[0] if len(sources) == 1 else "mixed" if sources else "kernel",
                "stepped": stepped,
            },
            slos=slos,
            capacity=self.capacity,
            workers=self.workers(),
        )
        session.close()
        return code

    def workers(self) -> list[dict[str, Any]] | None:
        """What run.json says of the processes that sent the load; None if it was this one alone."""
        return None

    def spent(self) -> int:
        """How much of the budget is spent."""
        return self.session.budget.spent

    def slo_results(self) -> list[dict[str, Any]]:
        """What is known of each objective by now: the entries of `slos` in run.json.

        Where the run was given up because of one, the usual interval would say too much: it was
        looked at again and again. Then it is missed only if that is shown whatever was looked at.
        """
        entries = []
        invalid = None if self.capacity is not None else why_invalid(self.loaded())
        for tally in self.recording.scorecard.tallies:
            entry = verdicts.result(tally)
            if invalid is not None:
                # Whatever the times are, they are not the target's alone.
                entry["verdict"], entry["reason"], entry["more"] = (
                    verdicts.INCONCLUSIVE,
                    invalid,
                    None,
                )
                entries.append(entry)
                continue
            if self.given_up is not None and self.given_up[0] is tally:
                why = self.given_up[1]
                entry["verdict"] = verdicts.FAIL if why.missed else verdicts.INCONCLUSIVE
                entry["reason"], entry["more"] = f"given up: {why.reason}", None
            entries.append(entry)
        return entries

    # ------------------------------------------------------------------ within a run

    def _launch(self, call: Call) -> gevent.Greenlet[..., None]:
        greenlet = gevent.Greenlet(self._exchange, call)
        self._flying[greenlet] = call
        self.most_in_flight = max(self.most_in_flight, len(self._flying))
        greenlet.start()
        return greenlet

    def _exchange(self, call: Call) -> None:
        try:
            call = self.recording.sampled(call, time.monotonic_ns())
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
        row = {
            "t": round(elapsed, 3),
            "rate": rate_at(self._phases, elapsed),
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

    def _totals(self) -> dict[str, Any]:
        load = self.loaded()
        return {
            "arrivals_asked": load.asked,
            "arrivals_started": load.started,
            "dropped": load.dropped,
            "late_p99_ms": round(load.late.quantile(0.99) * 1000, 3),
            "loop_lag_p50_ms": round(load.lags.quantile(0.5) * 1000, 3),
            "loop_lag_p99_ms": round(load.lags.quantile(0.99) * 1000, 3),
            "cpu_share": round(self.cpu_share(), 4),
            "steal_share": None if load.steal is None else round(load.steal, 4),
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
        # The trials of a search are valid or not each by itself.
        if self.capacity is None and (why := why_invalid(self.loaded())) is not None:
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

    def _exit_code(self, voids: list[dict[str, str]], slos: list[dict[str, Any]]) -> int:
        if self.interrupted:
            return INTERRUPTED
        if self.recording.matrix.broken:
            return 1
        if voids:
            return 6
        if not self.recording.done:
            return 5
        if self.capacity is not None:
            return _OF_CAPACITY[self.capacity["verdict"]]
        kept = verdicts.overall(slos)
        if kept == verdicts.FAIL:
            return 3
        return 0 if self.recording.matrix.judged() and kept == verdicts.PASS else 4

    def _reason(self, voids: list[dict[str, str]], slos: list[dict[str, Any]]) -> str | None:
        if voids:
            return voids[0]["message"]
        if self.capacity is not None:
            return str(self.capacity["reason"])
        for said in (verdicts.FAIL, verdicts.INCONCLUSIVE):
            for entry in slos:
                if entry["verdict"] == said:
                    return f"SLO {verdicts.describe(entry)}"
        reasons = self.recording.matrix.reasons()
        return reasons[0][0] if reasons else None


def open_run(environment: Environment, options: LoadOptions) -> LoadRun:
    """Find the target and start a bundle. Sends nothing that could be billed.

    Raises SoundstageError if the run cannot begin: wrong options, no target, no key, no budget.
    """
    return LoadRun(*opened(environment, options))


def opened(
    environment: Environment, options: LoadOptions
) -> tuple[Session, Traffic, Recording, LoadOptions, BundleWriter]:
    """What `LoadRun` is made of, with a bundle that has begun."""
    scenario = options.scenario
    traffic = traffic_of(options)
    objectives = slo.resolve(scenario.slos, catalogue(traffic), list(codes()))
    if objectives:
        import scipy.special  # type: ignore[import-untyped]  # noqa: F401 - not in midst of a run
    session = session_of(options, traffic)
    if session.budget.left == 0 and any(endpoint.billed for _, endpoint in traffic.places):
        session.budget.take()  # says why nothing may be sent
    facts = run_facts(
        session,
        "load",
        options.command,
        traffic.contracts,
        seed=scenario.seed,
        parameters={**dict(options.parameters), **traffic.facts()},
        packages=("locust", "gevent"),
    )
    folder = Path(options.out) if options.out else new_folder("load")
    bundle = BundleWriter.create(folder, facts)
    scorecard = Scorecard(objectives)
    recording = recording_of(environment, options, session, traffic, bundle, scorecard)
    return session, traffic, recording, options, bundle


def traffic_of(options: LoadOptions) -> Traffic:
    """The requests that the options ask for. Raises UsageError if they cannot be made."""
    exact_statistics()
    scenario = options.scenario
    parts = spread(scenario.parts or (Part(""),), available())
    return Traffic(parts, scenario.seed, corpus=scenario.corpus, scenario=scenario.name)


def session_of(options: LoadOptions, traffic: Traffic) -> Session:
    """A session with the target, ready for load. Raises SoundstageError if there is none."""
    scenario = options.scenario
    session = open_session(
        options.target,
        key_file=options.key_file,
        budget=options.budget,
        headers=options.headers,
        ca_file=options.ca_file,
        client_cert=options.client_cert,
        insecure=options.insecure,
        keep_private=options.keep_private,
        timeout_s=scenario.timeout_s,
        idle_timeout_s=scenario.idle_timeout_s,
        watched=True,
        wakeups=HubWakeups,
    )
    session.client.keep_chunks = True
    for contract, endpoint in traffic.places:
        _rehearse(contract, endpoint)
    return session


def recording_of(
    environment: Environment,
    options: LoadOptions,
    session: Session,
    traffic: Traffic,
    outlet: Outlet,
    scorecard: Scorecard | None = None,
) -> Recording:
    """A recording that writes to `outlet`."""
    matrix = Matrix(rule for contract in traffic.contracts for rule in contract.rules)
    return Recording(
        environment,
        session,
        outlet,
        matrix,
        warmup_s=options.scenario.warmup_s,
        scorecard=scorecard,
    )


def catalogue(traffic: Traffic) -> dict[tuple[str, str], list[str]]:
    """The milestones of each (api, endpoint) that is loaded: what objectives may name."""
    found = {}
    for contract, endpoint in traffic.places:
        if endpoint.kind == "stream":
            stages = contract.protocol.stages
            names = [each.name for stage in stages for each in stage.milestones]
            of_it = [*_OF_ALL, *_OF_STREAMS, *names]
        else:
            of_it = [*_OF_ALL, "complete"]
        found[contract.api, endpoint.name] = of_it
    return found


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
