"""A line that says how a run is going: on a terminal only, rewritten twice a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import gevent

from soundstage.loadtests.loadrun import LoadRun

_PERIOD_S = 0.5
_LABELS = {"streaming_ready": "TTSR", "audio": "audio", "complete": "TTC"}


@contextmanager
def shown(run: LoadRun, duration_s: float, terminal: TextIO) -> Iterator[None]:
    """Show the progress of `run` on `terminal` if it is one."""
    if not terminal.isatty():
        yield
        return
    greenlet = gevent.spawn(_show, run, duration_s, terminal)
    try:
        yield
    finally:
        greenlet.kill()
        terminal.write("\r\x1b[K")
        terminal.flush()


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
    return " · ".join(parts)


def _show(run: LoadRun, duration_s: float, terminal: TextIO) -> None:
    while True:
        terminal.write(f"\r\x1b[K{line(run, duration_s)}")
        terminal.flush()
        gevent.sleep(_PERIOD_S)
