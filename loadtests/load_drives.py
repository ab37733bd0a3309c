"""What drives a load run of this process: one run of its whole scenario, or the many short ones of
a search for the capacity; and who looks on while it goes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from soundstage.output.streams import say

if TYPE_CHECKING:
    from locust.env import Environment

    from soundstage.loadtests.live.board import Board
    from soundstage.loadtests.run.load_run import LoadRun

#: Users of a closed loop start within this many seconds, so that they do not move in step.
_SPREAD_S = 5.0

Drive = Callable[["LoadRun", "Environment"], None]


@contextmanager
def served(load: LoadRun, args: argparse.Namespace, stderr: TextIO) -> Iterator[Board]:
    """A board of the run, whose metrics are served if that is asked for."""
    from soundstage.loadtests.live.board import Board

    scenario = load.options.scenario
    board = Board.of(load, scenario.length + scenario.warmup_s)
    if args.metrics_port is None:
        yield board
        return
    from soundstage.loadtests.live import metrics

    host, port = args.metrics_port
    with metrics.served(lambda: board, host, port) as url:
        say(f"soundstage load: metrics at {url}", stderr, flush=True)
        yield board


@contextmanager
def watched(load: LoadRun, args: argparse.Namespace, stderr: TextIO) -> Iterator[Board]:
    """A board of the run that is shown while it goes."""
    from soundstage.loadtests.live import view

    with served(load, args, stderr) as board, view.shown(board, stderr):
        yield board


def measure(args: argparse.Namespace, stderr: TextIO) -> Drive:
    """One run of the whole scenario."""

    def drive(load: LoadRun, environment: Environment) -> None:
        import gevent

        from soundstage.loadtests.against import objective_looks
        from soundstage.loadtests.run.load_run import LEAD_S

        scenario, runner = load.options.scenario, environment.runner
        assert runner is not None
        length = scenario.length + scenario.warmup_s
        with watched(load, args, stderr):
            if scenario.users is None:
                counted = load.planned()
                for text in load.out_of_reach(counted):
                    say(f"soundstage load: {text}", stderr)
                if args.looks is not None:
                    objective_looks.stop_at(load, environment, sum(counted.values()), args.looks)
            else:
                counted = None
            load.begin(LEAD_S if scenario.users is None else 0.0)
            if scenario.abort_on_hopeless:
                load.give_up_when_hopeless(counted)
            if scenario.users is None:
                if not load.by_workers:
                    gevent.spawn(runner.start, 1, 1)
                load.stopping.wait()
            else:
                spread = max(0.001, min(_SPREAD_S, length / 4))
                gevent.spawn(runner.start, scenario.users, scenario.users / spread)
                load.stopping.wait(length)
            load.stop()
            runner.stop()
            load.drain(scenario.drain_s)

    return drive


def search(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> Drive:
    """Many short runs: the search for the capacity."""

    def drive(load: LoadRun, environment: Environment) -> None:
        from soundstage.loadtests.capacity import search_words, trials

        shown = stdout if args.format == "text" else stderr
        limits = search_words.limits_of(args)
        if (short := search_words.too_short(limits)) is not None:
            say(f"soundstage load: {short}", stderr)
        with served(load, args, stderr):
            trials.find_capacity(load, limits, shown, stderr)

    return drive
