"""Drives a load run that is compared while it goes, and the run beside it where the base is a
target that is asked in pairs.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from random import Random
from typing import TextIO

import gevent
from locust.env import Environment

from soundstage import cli
from soundstage.errors import BudgetError, SoundstageError
from soundstage.exit_codes import ExitCode
from soundstage.loadtests.against import against_words
from soundstage.loadtests.against.arm_beside import as_pair, base_options
from soundstage.loadtests.against.asked_comparison import AskedComparison
from soundstage.loadtests.against.look_keeper import LookKeeper, in_pairs
from soundstage.loadtests.against.objective_looks import ObjectiveLooks
from soundstage.loadtests.run import users
from soundstage.loadtests.run.asked_load import LoadOptions
from soundstage.loadtests.run.load_run import LEAD_S, LoadRun
from soundstage.loadtests.run.run_end import conclude
from soundstage.loadtests.run.run_setup import open_run
from soundstage.output.streams import say
from soundstage.reports.decision.looks import Looking, TakenLook


class ComparingRun:
    """Drives a run until every gate is decided. `beside`: how the base is asked, None where it is a
    run that is there; `watched` shows the run while it goes.
    """

    def __init__(
        self,
        asked: AskedComparison,
        beside: LoadOptions | None,
        watched: Callable[[LoadRun], AbstractContextManager[object]],
        stderr: TextIO,
    ) -> None:
        self.asked = asked
        self._beside = beside
        self._watched = watched
        self._stderr = stderr

    def __call__(self, load: LoadRun, environment: Environment) -> None:
        """The run itself, until it is drained."""
        if self._beside is None:
            self._drive(load, environment, None)
            return
        try:
            base = open_run(Environment(host=self._beside.target), self._beside)
        except SoundstageError as error:
            load.failure = error
            load.stop()
            return
        load.beside = base
        with base.bundle:
            self._drive(load, environment, base)
            self._conclude(load, base)

    def _drive(self, load: LoadRun, environment: Environment, base: LoadRun | None) -> None:
        runner, scenario = environment.runner, load.options.scenario
        assert runner is not None
        # Objectives are looked at with the gates, and before them: these end the run.
        looked = ObjectiveLooks(load, self.asked.plan.sizes, stops=False)
        keeper = LookKeeper(self.asked, load, base, self._tell)
        with self._watched(load):
            if load.by_workers:
                keeper.expect_all(looked.expecting(scenario.schedule()))
            moments = looked.expecting(keeper.paced(scenario.schedule()))
            load.begin(LEAD_S)
            if base is not None:
                base.begin(at_ns=load.recording.epoch_ns)
                gevent.spawn(_end_together, base, load)
                gevent.spawn(self._in_pairs, moments, load, base)
            elif not load.by_workers:
                users.attach(environment, load, lambda: moments)
                gevent.spawn(runner.start, 1, 1)
            load.stopping.wait()
            load.stop()
            runner.stop()
            # Songs that a look still waits for get all the time that a song may take.
            patience_s = max(scenario.drain_s, scenario.timeout_s)
            drain_s = scenario.drain_s if keeper.looking.over else patience_s
            draining = None if base is None else gevent.spawn(base.drain, drain_s)
            load.drain(drain_s)
            if draining is not None:
                draining.get()
        load.looks = keeper.to_json()

    def _in_pairs(self, moments: Iterator[float], load: LoadRun, base: LoadRun) -> None:
        rng = Random(f"pairs/{load.options.scenario.seed}")
        in_pairs((load, base), moments, lambda places: rng.sample(places, len(places)))
        load.stop()

    def _conclude(self, load: LoadRun, base: LoadRun) -> None:
        """Finish the base's bundle, and say what of it speaks against the comparison."""
        if base.failure is not None and load.failure is None and not base.interrupted:
            load.further_voids.append({"kind": _kind(base), "message": f"base: {base.failure}"})
        code = conclude(base)
        run = base.bundle.run
        if not load.further_voids:
            load.further_voids += [
                {**void, "message": f"base: {void['message']}"} for void in run["voids"]
            ]
        path = base.bundle.path
        if code == ExitCode.BROKEN:
            said = f"soundstage load: the base breaks the contract: {run['reason']}"
            say(said, self._stderr)
        if base.unwritten is None:
            cli.run("report", [str(path)], io.StringIO(), self._stderr)
            say(f"soundstage load: the run of the base: {path}", self._stderr)

    def _tell(self, looking: Looking, look: TakenLook) -> None:
        if not self._stderr.isatty():  # a terminal has a picture, and gets all of them at the end
            words = against_words.look_words(looking, look)
            say(f"soundstage load: {words}", self._stderr, flush=True)


def _end_together(base: LoadRun, load: LoadRun) -> None:
    """Songs of one arm alone are paid for and compared with nothing."""
    base.stopping.wait()
    load.stop()


def _kind(base: LoadRun) -> str:
    return "budget" if isinstance(base.failure, BudgetError) else "incomplete"


def comparing(
    asked: AskedComparison,
    args: argparse.Namespace,
    options: LoadOptions,
    *,
    start: Callable[[list[str]], str],
    watched: Callable[[LoadRun], AbstractContextManager[object]],
    stderr: TextIO,
) -> tuple[LoadOptions, ComparingRun]:
    """The options of a run that goes on until it is decided, and what drives it. `start` starts an
    emulator of our own. Raises SoundstageError where a base that is a target cannot be asked.
    """
    if asked.base is not None:
        return replace(options, check=asked.check), ComparingRun(asked, None, watched, stderr)
    options, beside = as_pair(asked, options, base_options(args, options, start))
    return options, ComparingRun(asked, beside, watched, stderr)
