"""How a run is going, while it goes: a picture on a terminal, a line now and then in CI, and
nothing in any other pipe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import gevent

from soundstage.loadtests.live.board import Board
from soundstage.output.streams import say

if TYPE_CHECKING:
    from soundstage.loadtests.run.load_run import LoadRun

#: Seconds between two lines in CI.
PERIOD_S = 10.0
_LABELS = {"streaming_ready": "TTSR", "audio": "audio", "complete": "TTC"}


@contextmanager
def shown(
    run: LoadRun,
    duration_s: float,
    terminal: TextIO,
    environ: Mapping[str, str] = os.environ,
    board: Board | None = None,
) -> Iterator[None]:
    """Show the progress of `run` on `terminal`; `board` is one that listens already. CI services
    set the variable CI, by which their pipes are told from others.
    """
    if terminal.isatty() and environ.get("TERM") != "dumb":
        from soundstage.loadtests.live import picture

        with picture.drawn(board or Board(run, duration_s), terminal):
            yield
        return
    if environ.get("CI", "").lower() not in ("", "0", "false"):
        greenlet = gevent.spawn(_say, run, duration_s, terminal)
        try:
            yield
        finally:
            greenlet.kill()
        return
    yield


def line(run: LoadRun, duration_s: float) -> str:
    """The progress of a run in one line."""
    recording = run.recording
    elapsed = max(0.0, run.elapsed_s)
    if elapsed < duration_s and not run.stopping.is_set():
        when = f"{elapsed:.0f} of {duration_s:.0f} s"
    else:
        when = f"{elapsed:.0f} s, draining"
    parts = [when, f"{run.in_flight} in flight", f"{recording.done} done"]
    failed = recording.done - recording.outcomes["ok"]
    parts += [f"{failed} failed"] if failed else []
    parts.append(f"{recording.violating} violating")
    if dropped := recording.outcomes["dropped"]:
        parts.append(f"{dropped} dropped")
    if (headline := recording.headline()) is not None:
        name, seconds = headline
        parts.append(f"{_LABELS[name]} p50 {seconds:.2f} s")
    if (invalid := run.why_invalid()) is not None:
        parts.append(f"invalid: {invalid}")
    return " · ".join(parts)


def _say(run: LoadRun, duration_s: float, terminal: TextIO) -> None:
    while True:
        gevent.sleep(PERIOD_S)
        say(f"soundstage load: {line(run, duration_s)}", terminal, flush=True)
