"""The metrics of a Locust process: one address for all of its tests, with the figures of the one
that goes on, or was the last. Of several processes the master has them, whose rows are everybody's.
"""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

from locust.env import Environment

from soundstage.loadtests.live.board import Board
from soundstage.loadtests.live.metrics import served
from soundstage.loadtests.run.load_run import LoadRun

log = logging.getLogger("soundstage")
_boards: WeakKeyDictionary[Environment, Board] = WeakKeyDictionary()


def serve(environment: Environment, address: tuple[str, int]) -> None:
    """Serve them at `address` until Locust quits. Raises UsageError if it cannot be had."""
    stack = ExitStack()
    url = stack.enter_context(served(lambda: _boards.get(environment), *address))

    def quit_with_locust(**_: Any) -> None:
        stack.close()

    environment.events.quit.add_listener(quit_with_locust)
    log.info("metrics at %s", url)


def show(environment: Environment, run: LoadRun) -> None:
    """From now on they are those of `run`, which counts from here."""
    _boards[environment] = Board.of(run, math.inf)
