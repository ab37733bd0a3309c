"""A locustfile like any other: `locust -f loadtests/locustfile.py --host URL`, web UI and all.

Users make songs one after another; `--soundstage-rate` makes it an open loop instead. Each test
that is started and stopped leaves a run bundle. The options are those of `soundstage load`.
"""

from __future__ import annotations

import io
import logging
import math
import os
import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from locust import between, events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from soundstage import cli
from soundstage.contract import available
from soundstage.errors import NoDataError, SoundstageError, UsageError
from soundstage.loadtests import arrivals, users
from soundstage.loadtests.loadrun import LEAD_S, LoadOptions, LoadRun, open_run
from soundstage.loadtests.scenario import STREAM, Part, Scenario
from soundstage.results.bundle import new_folder

log = logging.getLogger("soundstage")
#: The users that there were before those of an open loop took their place.
_closed_loop: WeakKeyDictionary[Environment, list[Any]] = WeakKeyDictionary()


class Songs(users.SongUser):
    """Asks for a song, waits for it, thinks for a moment, and asks for the next."""

    wait_time = between(1, 3)


class Arrivals(users.ArrivalsUser):
    """Drives the schedule of `--soundstage-rate`; takes the place of `Songs`."""

    abstract = True  # so that Locust does not pick it by itself


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser, **_: Any) -> None:
    """Our options beside Locust's. The key is read from SOUNDVERSE_API_KEY or a file."""
    group = parser.add_argument_group("Soundstage")
    add = group.add_argument
    apis = ", ".join(available())
    add("--soundstage-api", default="", metavar="APIS", help=f"of {apis} (default: all)")
    add("--soundstage-endpoint", default="stream", help="stream, sync, or both with a comma")
    text = "arrivals a second, an open loop (default: users in a closed loop)"
    add("--soundstage-rate", type=float, default=0.0, help=text)
    add("--soundstage-arrivals", choices=arrivals.PROCESSES, default="poisson")
    add("--soundstage-slo", default="", metavar="SLOS", help="objectives, split by semicolons")
    add("--soundstage-corpus", default="", metavar="FILE", help="prompts, one a line, or .jsonl")
    add("--soundstage-max-in-flight", type=int, default=0, help="0: no limit")
    add("--soundstage-seed", type=int, default=0)
    add("--soundstage-warmup", type=float, default=0.0, help="seconds left out of the figures")
    text = "seconds to wait for what is in flight when the test is stopped"
    add("--soundstage-drain", type=float, default=30.0, help=text)
    add("--soundstage-budget", type=int, default=-1, help="billable requests (-1: none named)")
    add("--soundstage-key-file", default="", help="file with the API key")
    add("--soundstage-out", default="", help="folder for run bundles (default: runs)")


@events.init.add_listener
def choose_users(environment: Environment, **_: Any) -> None:
    """With a rate, one user that drives the schedule takes the place of those of the file."""
    if Arrivals not in environment.user_classes:
        _closed_loop[environment] = list(environment.user_classes)
    open_loop = _rate(environment) > 0
    environment.user_classes[:] = [Arrivals] if open_loop else _closed_loop[environment]


@events.test_start.add_listener
def open_bundle(environment: Environment, **_: Any) -> None:
    """Find the target and begin a run bundle; without them, no test."""
    if isinstance(environment.runner, MasterRunner):
        log.info("each worker writes a run bundle of its own")
        return
    # The rate may have been changed in the web UI, or have come from the master.
    choose_users(environment)
    try:
        run = open_run(environment, _options(environment))
    except SoundstageError as error:
        log.error("cannot start: %s", error)
        environment.process_exit_code = error.exit_code
        gevent.spawn(_give_up, environment)
        return
    options: Any = environment.parsed_options
    rate = _rate(environment)

    def schedule() -> arrivals.Schedule:
        steady = arrivals.steady(rate, math.inf)
        return arrivals.schedule(steady, options.soundstage_arrivals, run.options.scenario.seed)

    users.attach(environment, run, schedule)
    run.begin(LEAD_S if rate > 0 else 0.0)
    log.info("run bundle: %s", run.bundle.path)


@events.test_stop.add_listener
def close_bundle(environment: Environment, **_: Any) -> None:
    """Drain, finish the bundle, write its reports, and say where it is."""
    run = users.detach(environment)
    if run is None:
        return
    run.drain(run.options.scenario.drain_s)
    code = _conclude(run)
    idle = isinstance(environment.runner, WorkerRunner) and code == NoDataError.exit_code
    if environment.process_exit_code is None and code and not idle:
        environment.process_exit_code = code


@events.quitting.add_listener
def stop_before_quitting(environment: Environment, **_: Any) -> None:
    """Ctrl-C: the bundle is finished, and has its say in the exit code."""
    if environment.runner is not None and users.attached(environment) is not None:
        environment.runner.stop()


def _conclude(run: LoadRun) -> int:
    path = run.bundle.path
    try:
        with run.bundle:
            code = run.conclude()
        if run.failure is not None:
            log.error("stopped early: %s", run.failure)
        said = io.StringIO()
        cli.run("report", [str(path)], said, said)
        print(said.getvalue(), file=sys.stderr)  # noqa: T201 - the run's summary
    except SoundstageError as error:
        log.error("%s: %s", path, error)
        return error.exit_code
    return code


def _give_up(environment: Environment) -> None:
    runner, options = environment.runner, environment.parsed_options
    if runner is None:
        return
    if isinstance(runner, WorkerRunner) or (options is not None and options.headless):
        runner.quit()
    else:
        runner.stop()


def _rate(environment: Environment) -> float:
    return float(getattr(environment.parsed_options, "soundstage_rate", 0.0) or 0.0)


def _options(environment: Environment) -> LoadOptions:
    given: Any = environment.parsed_options
    rate = _rate(environment)
    if not environment.host:
        raise UsageError("--host is needed: the base URL of the API or an emulator")
    worker = environment.runner if isinstance(environment.runner, WorkerRunner) else None
    if worker is not None and given.soundstage_budget >= 0:
        raise UsageError("--soundstage-budget cannot be shared by workers: run one process")
    folder = new_folder("load", Path(given.soundstage_out or "runs"))
    parameters = {
        "loop": "open" if rate > 0 else "closed",
        "rate": rate or None,
        "arrivals": given.soundstage_arrivals if rate > 0 else None,
        "users": None if rate > 0 else given.num_users,
        "max_in_flight": given.soundstage_max_in_flight or None,
        "drain_s": given.soundstage_drain,
        "warmup_s": given.soundstage_warmup,
        "worker": worker.client_id if worker is not None else None,
    }
    apis = _words(given.soundstage_api) or ("",)
    kinds = _words(given.soundstage_endpoint) or (STREAM,)
    scenario = Scenario(
        parts=tuple(Part(api, kind) for kind in kinds for api in apis),
        # Workers must not all send the same.
        seed=given.soundstage_seed + (max(0, worker.worker_index) if worker is not None else 0),
        corpus=given.soundstage_corpus or None,
        slos=tuple(filter(None, (text.strip() for text in given.soundstage_slo.split(";")))),
        warmup_s=given.soundstage_warmup,
        drain_s=given.soundstage_drain,
        max_in_flight=given.soundstage_max_in_flight or None,
    )
    return LoadOptions(
        target=environment.host,
        scenario=scenario,
        budget=given.soundstage_budget if given.soundstage_budget >= 0 else None,
        key_file=given.soundstage_key_file or None,
        out=str(folder),
        command=shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]]),
        parameters=tuple(parameters.items()),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
