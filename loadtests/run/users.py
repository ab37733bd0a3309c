"""Locust's users: one that makes a song after another, and one that drives a schedule.

Both hand their requests to the run that is open in their environment and own no connection: an
exchange outlives the user that asked for it, so that stopping users loses no row.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import gevent.event
from locust import User, constant, task
from locust.env import Environment
from locust.exception import StopUser

from soundstage.loadtests.run.load_run import LoadRun
from soundstage.loadtests.schedule.arrivals import Schedule

_runs: WeakKeyDictionary[Environment, tuple[LoadRun, Callable[[], Schedule] | None]] = (
    WeakKeyDictionary()
)
_coming: WeakKeyDictionary[Environment, gevent.event.Event] = WeakKeyDictionary()


def attach(
    environment: Environment, run: LoadRun, schedule: Callable[[], Schedule] | None = None
) -> None:
    """Let the users of `environment` work for `run`; `schedule` is the one that is driven."""
    _runs[environment] = (run, schedule)
    decided(environment)


def detach(environment: Environment) -> LoadRun | None:
    """The run that `environment` worked for, if any; its users stop."""
    found = _runs.pop(environment, None)
    return found[0] if found is not None else None


def expect(environment: Environment) -> None:
    """A run will be attached soon: users wait for it, until it is `decided`."""
    _coming[environment] = gevent.event.Event()


def decided(environment: Environment) -> None:
    """A run is attached, or none will be."""
    if (coming := _coming.pop(environment, None)) is not None:
        coming.set()


def attached(environment: Environment) -> LoadRun | None:
    """The run that `environment` works for, if any."""
    found = _runs.get(environment)
    return found[0] if found is not None else None


class SongUser(User):
    """A closed loop: asks for a song, waits until it is there or has failed, then `wait_time`."""

    abstract = True
    wait_time = constant(0)

    @task
    def song(self) -> None:
        if (coming := _coming.get(self.environment)) is not None:
            coming.wait()
        run, schedule = _runs.get(self.environment, (None, None))
        if run is None or schedule is not None or not run.wait_for_beginning():
            raise StopUser  # there is nothing to do, or a schedule says what
        run.start().join()


class ArrivalsUser(User):
    """An open loop: starts a request at each moment of the schedule. One is enough."""

    abstract = True
    fixed_count = 1

    @task
    def arrivals(self) -> None:
        run, schedule = _runs.get(self.environment, (None, None))
        if run is not None and schedule is not None and not run.stopping.is_set():
            run.drive(schedule())
            run.stop()
        raise StopUser
