"""Opens a load run: the target, what is sent to it, where the rows go, the bundle.

Sends nothing that could be billed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema  # noqa: F401 - explains violations; loaded here, not in the middle of a run
import orjson
from locust.env import Environment

from soundstage.conformance.codes import codes
from soundstage.conformance.judge import Judge
from soundstage.contract import Contract, available
from soundstage.contract.protocol import Endpoint
from soundstage.doctor.preflight import preflight
from soundstage.exchange.session import Session, open_session
from soundstage.gate.contract_check import run_facts
from soundstage.loadtests.generator.gevent_wakeups import HubWakeups
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.load_run import LoadRun
from soundstage.loadtests.run.locust_statistics import exact_statistics
from soundstage.loadtests.run.rows import RowOutlet, RowRecorder
from soundstage.loadtests.schedule.scenario import Part, spread
from soundstage.loadtests.schedule.traffic import Traffic, catalogue, playable
from soundstage.process import signals
from soundstage.results import slo
from soundstage.results.bundle import BundleWriter, new_folder
from soundstage.results.matrix import Matrix
from soundstage.results.user_weights import Weights
from soundstage.results.verdicts import Scorecard


def open_run(environment: Environment, options: LoadOptions) -> LoadRun:
    """Find the target and start a bundle. Sends nothing that could be billed.

    Raises SoundstageError if the run cannot begin: wrong options, no target, no key, no budget.
    """
    return LoadRun(*opened(environment, options))


def opened(
    environment: Environment, options: LoadOptions
) -> tuple[Session, Traffic, RowRecorder, LoadOptions, BundleWriter]:
    """What `LoadRun` is made of, with a bundle that has begun."""
    traffic = traffic_of(options)
    objectives = objectives_of(options, traffic)
    if objectives:
        import scipy.special  # noqa: F401 - not in midst of a run
    # Nothing has begun yet: whoever stops it now need not wait for the target.
    with signals.heeded():
        session = _allowed_session(options, traffic)
        session.warnings += preflight(session, traffic.contracts)
    facts = _facts(session, options, traffic)
    if options.check is not None:
        options.check(facts)
    folder = Path(options.out) if options.out else new_folder("load")
    bundle = BundleWriter.create(folder, facts)
    scorecard = Scorecard(objectives)
    weights = Weights(options.config)
    recording = recording_of(environment, options, session, traffic, bundle, scorecard, weights)
    return session, traffic, recording, options, bundle


def _facts(session: Session, options: LoadOptions, traffic: Traffic) -> dict[str, Any]:
    facts = run_facts(
        session,
        "load",
        options.command,
        traffic.contracts,
        seed=options.scenario.seed,
        parameters={**dict(options.parameters), **traffic.facts()},
        packages=("locust", "gevent"),
        started_with=options.started_with,
    )
    return facts if options.pair is None else {**facts, "pair": dict(options.pair)}


def facts_of(options: LoadOptions) -> dict[str, Any]:
    """What run.json of such a run would say before it begins; leaves nothing. Raises what
    `open_run` would.
    """
    traffic = traffic_of(options)
    session = _allowed_session(options, traffic)
    try:
        return _facts(session, options, traffic)
    finally:
        session.close()


def try_to_open(options: LoadOptions) -> None:
    """Raises what `open_run` would, and leaves nothing: no bundle, and no connection."""
    traffic = traffic_of(options)
    objectives_of(options, traffic)
    _allowed_session(options, traffic).close()


def objectives_of(options: LoadOptions, traffic: Traffic) -> list[slo.Objective]:
    """What the objectives mean for this load. Raises UsageError for one that nothing would be held
    against.
    """
    known = catalogue(traffic, options.probe_playback)
    return slo.resolve(options.scenario.slos, known, list(codes()), playable(traffic))


def _allowed_session(options: LoadOptions, traffic: Traffic) -> Session:
    session = session_of(options, traffic)
    if session.budget.left == 0 and any(endpoint.billed for _, endpoint in traffic.places):
        session.budget.take()  # says why nothing may be sent
    return session


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
    session.budget.option = options.budget_option
    for contract, endpoint in traffic.places:
        _rehearse(contract, endpoint)
    return session


def recording_of(
    environment: Environment,
    options: LoadOptions,
    session: Session,
    traffic: Traffic,
    outlet: RowOutlet,
    scorecard: Scorecard | None = None,
    weights: Weights | None = None,
) -> RowRecorder:
    """A recording that writes to `outlet`. Without `weights`, severities alone decide: a worker's
    rows are weighed by its master.
    """
    weights = weights or Weights()
    rules = (rule for contract in traffic.contracts for rule in contract.rules)
    matrix = Matrix(rules, weights=weights)
    return RowRecorder(
        environment,
        session,
        outlet,
        matrix,
        kinds={
            (contract.api, each.name): each.kind
            for contract in traffic.contracts
            for each in contract.endpoints.values()
        },
        warmup_s=options.scenario.warmup_s,
        scorecard=scorecard,
        weights=weights,
    )


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
