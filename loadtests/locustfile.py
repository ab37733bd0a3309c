"""A locustfile like any other: `locust -f loadtests/locustfile.py --host URL`, web UI and all.

Users make songs one after another; `--soundstage-rate` makes it an open loop instead. Each test
that is started and stopped leaves a run bundle, written by the master if there are workers. The
options begin with `--soundstage-`; `--soundstage-help` lists them. Where it lies when Soundstage
is installed says `soundstage load --locustfile`.
"""

from __future__ import annotations

import io
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from locust import between, events
from locust.env import Environment
from locust.runners import (
    STATE_INIT,
    STATE_STOPPED,
    LocalRunner,
    MasterRunner,
    WorkerRunner,
)
from locust.web import WebUI

from soundstage import cli
from soundstage.errors import SoundstageError, UsageError
from soundstage.exit_codes import ExitCode, with_report
from soundstage.loadtests import between_tests
from soundstage.loadtests.cluster.master import MasterRun
from soundstage.loadtests.cluster.worker import WorkerRun, greet
from soundstage.loadtests.live import locust_metrics
from soundstage.loadtests.locust_options import (
    add_options,
    in_our_words,
    options_of,
    rate_of,
    schedule_of,
)
from soundstage.loadtests.run import users
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.load_run import LEAD_S, LoadRun
from soundstage.loadtests.run.run_end import conclude
from soundstage.loadtests.run.run_setup import open_run
from soundstage.loadtests.schedule import arrivals
from soundstage.loadtests.web.form_guard import guard
from soundstage.loadtests.web.start_terms import terms_of
from soundstage.output import streams, visible

# Locust has not yet set up its logging, which takes the streams as they are then.
streams.show()
log = logging.getLogger("soundstage")
#: Workers that are there get so long to join a test, those that take longer are not used; and one
#: that leaves gets so long to ship its rows.
_JOIN_S = 10.0
_LEAVE_S = 40.0
#: The users that there were before those of an open loop took their place.
_closed_loop: WeakKeyDictionary[Environment, list[Any]] = WeakKeyDictionary()


class Songs(users.SongUser):
    """Asks for a song, waits for it, thinks for a moment, and asks for the next."""

    wait_time = between(1, 3)


class Arrivals(users.ArrivalsUser):
    """Drives the schedule of `--soundstage-rate`; takes the place of `Songs`."""

    abstract = True  # so that Locust does not pick it by itself


events.init_command_line_parser.add_listener(add_options)


@events.init.add_listener
def show_logs(**_: Any) -> None:
    """Logs that go to a file, leave as those that are printed do."""
    for logger in (logging.getLogger(), logging.getLogger("locust")):
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler) and handler.stream is not None:
                handler.setStream(streams.screen(handler.stream))  # type: ignore[arg-type]


@events.init.add_listener
def look_at_the_clock(**_: Any) -> None:
    """The event loop takes the time for what it was when it last ran: Locust's `--run-time` would
    be shorter by the seconds that all this took to load.
    """
    gevent.get_hub().loop.update_now()


@events.init.add_listener
def choose_users(environment: Environment, **_: Any) -> None:
    """With a rate, one user that drives the schedule takes the place of those of the file. Not with
    workers: they drive it themselves, and a master may have told them already which users to start.
    """
    if not isinstance(environment.runner, LocalRunner):
        return
    if Arrivals not in environment.user_classes:
        _closed_loop[environment] = list(environment.user_classes)
    open_loop = rate_of(environment) > 0
    environment.user_classes[:] = [Arrivals] if open_loop else _closed_loop[environment]


@events.init.add_listener
def keep_others_out(environment: Environment, web_ui: WebUI | None = None, **_: Any) -> None:
    """Before the web UI answers anybody: whom the key and the budget are for is settled now."""
    terms_of(environment)
    if web_ui is not None:
        guard(environment, web_ui, lambda asked: between_tests.why_not(environment, asked))


@events.init.add_listener
def serve_metrics(environment: Environment, **_: Any) -> None:
    """For Prometheus, if that is asked for; whatever a worker could tell, its master does."""
    given = environment.parsed_options
    address = getattr(given, "soundstage_metrics_port", None)
    if address is None or isinstance(environment.runner, WorkerRunner):
        return
    try:
        locust_metrics.serve(environment, address)
    except SoundstageError as error:
        log.error("%s", in_our_words(error))
        _dismiss_workers(environment)
        sys.exit(ExitCode.ENVIRONMENT)


def _dismiss_workers(environment: Environment) -> None:
    """Nobody would tell those of `--processes`, and they would wait for a minute."""
    runner, given = environment.runner, environment.parsed_options
    if isinstance(runner, MasterRunner):
        with gevent.Timeout(_JOIN_S, exception=False):  # type: ignore[arg-type]
            while len(runner.clients) < (getattr(given, "processes", None) or 0):
                gevent.sleep(0.01)
        runner.quit()


@events.init.add_listener
def hear_of_the_end(environment: Environment, **_: Any) -> None:
    """Finish the bundle before anybody is told to quit: listeners are called the latest first.

    Ctrl-C must reach the main greenlet: Python would give it to whichever runs just then, be it an
    exchange or the one that hears the workers.
    """
    environment.events.quitting.add_listener(stop_before_quitting)
    gevent.signal_handler(signal.SIGINT, _interrupted, environment)


def _interrupted(environment: Environment) -> None:
    run = between_tests.closing.get(environment)
    if isinstance(run, WorkerRun):
        run.leave()
    elif run is not None:
        # The second one: nobody wants to wait for what is in flight.
        run.interrupt()
        run.interrupt()
    else:
        hub = gevent.get_hub()
        assert hub.parent is not None  # the main greenlet
        hub.loop.run_callback(hub.parent.throw, KeyboardInterrupt)


@events.test_start.add_listener
def open_bundle(environment: Environment, **_: Any) -> None:
    """Find the target and begin a run bundle, or join the master's; without them, no test."""
    # The rate may have been changed in the web UI, or have come from the master.
    choose_users(environment)
    runner = environment.runner
    if runner is None:
        # A worker that joins late is told to start before it has finished to make its runner.
        users.expect(environment)
        gevent.spawn(_open_late, environment)
        return
    try:
        if (before := between_tests.unfinished(environment)) is not None:
            raise UsageError(before)
        options = options_of(environment)
        schedule = schedule_of(options)
        if isinstance(runner, MasterRunner):
            _lead(environment, runner, options, schedule)
        elif isinstance(runner, WorkerRunner):
            spend = terms_of(environment).purse.take
            member = WorkerRun(environment, runner, options, schedule, spend)
            users.attach(environment, member, schedule)
            # Its answers come through the greenlet that we are in.
            gevent.spawn(member.join)
        else:
            run = between_tests.paid(
                environment, options, lambda given: open_run(environment, given)
            )
            users.attach(environment, run, schedule)
            locust_metrics.show(environment, run)
            run.begin(LEAD_S if schedule is not None else 0.0)
            log.info("run bundle: %s", run.bundle.path)
    except SoundstageError as error:
        log.error("cannot start: %s", in_our_words(error))
        environment.process_exit_code = error.exit_code
        users.decided(environment)
        if isinstance(runner, WorkerRunner):
            greet(runner, error)
        else:
            gevent.spawn(_give_up, environment)


def _open_late(environment: Environment) -> None:
    while environment.runner is None:
        gevent.sleep(0.01)
    open_bundle(environment)


def _lead(
    environment: Environment,
    runner: MasterRunner,
    options: LoadOptions,
    schedule: Callable[[], arrivals.Schedule] | None,
) -> None:
    master = between_tests.paid(
        environment, options, lambda given: MasterRun(environment, given, schedule)
    )
    master.listen(runner)
    users.attach(environment, master)
    locust_metrics.show(environment, master)
    log.info("run bundle: %s", master.bundle.path)

    def begin() -> None:
        master.gather(len(runner.clients), _JOIN_S)
        if not master.stopping.is_set():
            master.begin(LEAD_S if schedule is not None else 0.0)

    gevent.spawn(begin)


@events.test_stopping.add_listener
def start_nothing_more(environment: Environment, **_: Any) -> None:
    """The test is about to stop; workers that leave from now on do as they are told."""
    if (run := users.attached(environment)) is not None:
        run.stop()


@events.test_stop.add_listener
def close_bundle(environment: Environment, **_: Any) -> None:
    """Drain, finish the bundle, write its reports, and say where it is."""
    if isinstance(environment.runner, WorkerRunner):
        return  # what is in flight drains, and rows are shipped, while the master waits for them
    run = users.detach(environment)
    if run is None:
        return
    between_tests.closing[environment] = run
    try:
        run.drain(run.options.scenario.drain_s)
        code = _conclude(run)
    finally:
        del between_tests.closing[environment]
        between_tests.paid_back(run)
    if environment.process_exit_code is None and code:
        environment.process_exit_code = code


def stop_before_quitting(environment: Environment, **_: Any) -> None:
    """Ctrl-C: the bundle is finished, and has its say in the exit code. A worker leaves after it
    has shipped its rows.
    """
    run = users.attached(environment)
    if isinstance(run, WorkerRun):
        between_tests.closing[environment] = run
        run.leave()
        run.over.wait(_LEAVE_S)
    elif run is not None and environment.runner is not None:
        close_bundle(environment)
        environment.runner.stop()


def _conclude(run: LoadRun) -> int:
    path = run.bundle.path
    try:
        with run.bundle:
            code = conclude(run)
        if run.failure is not None:
            log.error("stopped early: %s", visible.line(run.failure))
        if run.unwritten is not None:
            log.error("%s", visible.line(run.unwritten))
            return code
        said = io.StringIO()
        code = with_report(code, cli.run("report", [str(path)], said, said))
        sys.stderr.write(said.getvalue() + "\n")  # the run's summary
    except SoundstageError as error:
        log.error("%s", visible.line(f"{path}: {error}"))
        return error.exit_code
    return code


def _give_up(environment: Environment) -> None:
    runner, options = environment.runner, environment.parsed_options
    if runner is None:
        return
    if options is not None and options.headless:
        runner.quit()
        return
    # Until its first user is there, Locust takes a test for one that need not be stopped.
    with gevent.Timeout(_JOIN_S, exception=False):  # type: ignore[arg-type]
        while runner.state in (STATE_INIT, STATE_STOPPED):
            gevent.sleep(0.01)
    runner.stop()
