"""Worker processes of this machine, for `soundstage load --processes N`.

They are forked before anything is opened, so that they share the memory of what is loaded. One pipe
tells them where their master listens; another, which only the master holds open, that it is gone.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import gevent.os
import gevent.socket
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from soundstage.errors import SoundstageError
from soundstage.loadtests.cluster.master import MasterRun
from soundstage.loadtests.cluster.worker import WorkerRun, greet
from soundstage.loadtests.run import users
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.schedule.arrivals import Schedule
from soundstage.output.streams import say
from soundstage.process import rubbish

_HOST = "127.0.0.1"
_PORT_BYTES = 2
#: Processes that are told to end get so long.
_END_S = 2.0
#: What ZeroMQ still has to send when a worker ends gets so long, in milliseconds.
_LINGER_MS = 2000


class Processes:
    """So many workers, forked. `open` the run that they are for; they wait until `lead` says where
    their master is; `end` ends them. `user` is the class of users, whom they run in a closed loop.
    """

    def __init__(self, many: int, options: LoadOptions, user: type[Any]) -> None:
        self._master: MasterRun | None = None
        self._left: set[int] = set()
        self._many, self._options, self._user = many, options, user
        gc.collect()
        gc.freeze()
        sys.stdout.flush()
        sys.stderr.flush()
        place, self._place = os.pipe()
        life, self._life = os.pipe()
        for _ in range(many):
            pid = gevent.os.fork_and_watch(callback=self._ended)
            if pid == 0:
                os.close(self._place)
                os.close(self._life)
                _be_a_worker(place, life, options, user)
            self._left.add(pid)
        os.close(place)
        os.close(life)

    def open(self, environment: Environment) -> MasterRun:
        """The run that they are for. Raises SoundstageError if it cannot begin."""
        self._master = MasterRun(environment, self._options, _schedule_of(self._options))
        return self._master

    def runner(self, environment: Environment) -> MasterRunner:
        """A master of Locust on a free port of this machine, which the run listens to."""
        assert self._master is not None
        # Users of a lost worker go to others.
        environment.parsed_options = argparse.Namespace(
            enable_rebalancing=True, headless=False, web_base_path=""
        )
        runner = environment.create_master_runner(_HOST, 0)
        self._master.listen(runner)
        return runner

    def lead(self, runner: MasterRunner) -> None:
        """Let them join the run, and wait until they have."""
        assert self._master is not None
        os.write(self._place, int(runner.server.port).to_bytes(_PORT_BYTES, "big") * self._many)
        self._master.gather(self._many)
        if (ready := len(self._master.members)) < self._many:
            # They send the whole load, and the user should know.
            say(f"soundstage load: only {ready} of {self._many} workers got ready", sys.stderr)

    def end(self) -> None:
        """They end now, if they have not yet."""
        os.close(self._place)
        os.close(self._life)
        deadline = time.monotonic() + _END_S
        while self._left and time.monotonic() < deadline:
            gevent.sleep(0.02)
        for pid in self._left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _ended(self, watcher: Any) -> None:
        self._left.discard(watcher.rpid)
        code = os.waitstatus_to_exitcode(watcher.rstatus)
        if self._master is not None and code != 0:
            why = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._master.process_ended(watcher.rpid, why)


def _be_a_worker(place: int, life: int, options: LoadOptions, user: type[Any]) -> None:
    """All that a forked process ever does."""
    code = 70
    try:
        # Ctrl-C and a closed terminal are for the master, which tells us.
        for name in ("SIGINT", "SIGHUP"):
            if (each := getattr(signal, name, None)) is not None:
                signal.signal(each, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        port = os.read(place, _PORT_BYTES)
        code = _work(int.from_bytes(port, "big"), life, options, user) if port else 0
    except BaseException:  # noqa: BLE001 - shown, and nothing of the master's may run here
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _work(port: int, life: int, options: LoadOptions, user: type[Any]) -> int:
    environment = Environment(user_classes=[user], host=options.target)
    environment.parsed_options = argparse.Namespace(web_base_path="")
    runner = environment.create_worker_runner(_HOST, port)
    watching = gevent.spawn(_end_with_the_master, life)
    code = 0
    try:
        run = WorkerRun(environment, runner, options, _schedule_of(options))
    except SoundstageError as error:
        greet(runner, error)
        code = error.exit_code
    else:
        stopper = gevent.signal_handler(signal.SIGTERM, run.leave)
        users.attach(environment, run)
        with rubbish.seldom():
            run.join()
            run.over.wait()
        users.detach(environment)
        stopper.cancel()
    watching.kill()
    _say_all(runner)
    return code


def _schedule_of(options: LoadOptions) -> Callable[[], Schedule] | None:
    return options.scenario.schedule if options.scenario.users is None else None


def _end_with_the_master(life: int) -> None:
    """Nobody may go on sending once the master is gone: it holds the budget and keeps the rows."""
    gevent.socket.wait_read(life)  # nothing ever comes but its end
    os._exit(1)


def _say_all(runner: WorkerRunner) -> None:
    """Wait until what was said last is on its way."""
    runner.greenlet.kill(block=True)
    socket = runner.client.socket
    context = socket.context
    socket.close(linger=_LINGER_MS)
    context.term()
