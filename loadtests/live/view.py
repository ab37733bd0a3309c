"""How a run is going, while it goes: a picture on a terminal, drawn anew every second and gone at
the end; a line now and then in any other place.

Nothing is written while the reader has not taken what went before: one that is slow, or stopped,
must not hold up the load generator, whose loop does the drawing.
"""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import gevent
import gevent.hub
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from soundstage.loadtests.live.board import Board
from soundstage.output.live_picture import BAD, DIM, GOOD, Piece, live_picture, row
from soundstage.output.progress_lines import pause_after
from soundstage.output.streams import say, screen
from soundstage.output.terminal_writer import TerminalWriter, draws_pictures
from soundstage.results import verdicts
from soundstage.results.milestone_names import MilestoneNames
from soundstage.results.objective_tally import ObjectiveTally
from soundstage.results.quantiles import tells

#: Seconds between two pictures, each of which takes about 10 ms of the loop.
_PERIOD_S = 1.0
_WHO = "soundstage load: "
_ORDERS = (0.5, 0.95, 0.99)
_VERDICTS = {"pass": GOOD, "fail": BAD}


@contextmanager
def shown(
    board: Board, terminal: TextIO, environ: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Show `board` on `terminal` until the block ends."""
    writer = None
    with suppress(io.UnsupportedOperation, OSError):  # a stream that is no file
        writer = TerminalWriter(terminal, _in_pool)
    if writer is not None and draws_pictures(terminal, environ):
        with (
            live_picture(writer, lambda: picture(board)) as live,
            _every(lambda: _PERIOD_S, live.draw),
        ):
            yield
        return
    log = terminal if writer is None else screen(writer)  # type: ignore[arg-type]

    def tell() -> None:
        say(_WHO + line(board), log, flush=True)

    try:
        # Not from the run's own beginning, before which it waits a moment.
        begun = time.monotonic()
        with _every(lambda: pause_after(time.monotonic() - begun), tell):
            yield
        tell()  # what it came to: judging and reporting take a while, too
    finally:
        if writer is not None:
            writer.close()


def _in_pool(work: Callable[[], None]) -> Any:
    """Work for a thread of the system's, which gevent's are not."""
    return gevent.hub.get_hub().threadpool.spawn(work)


@contextmanager
def _every(pause: Callable[[], float], work: Callable[[], object]) -> Iterator[None]:
    """Do some work after each `pause()` seconds while the block runs."""

    def loop() -> None:
        while True:
            gevent.sleep(pause())
            work()

    greenlet = gevent.spawn(loop)
    try:
        yield
    finally:
        greenlet.kill()


def line(board: Board) -> str:
    """The progress of a run in one line."""
    return " · ".join(words for words, _ in _progress(board))


# ---------------------------------------------------------------------- what there is to see


def picture(board: Board) -> RenderableType:
    """All that there is to see of a run just now."""
    recording = board.run.recording
    parts: list[RenderableType] = [row("", *_progress(board)), row("load", *_load(board))]
    if board.times:
        parts.append(_milestones(board))
    for api in dict.fromkeys(api for api, _ in board.stages):
        counts = (f"{name} {many:,}" for (of, name), many in board.stages.items() if of == api)
        parts.append(row(f"{api} chunks", (", ".join(counts), "")))
    if codes := recording.codes.most_common(8):
        said = ", ".join(f"{name} {many:,}" for name, many in codes)
        parts.append(row("findings", (said, BAD if recording.violating else "")))
    parts += map(_objective, recording.scorecard.tallies)
    parts.append(row("generator", (_generator(board), "")))
    return Group(*parts)


def _progress(board: Board) -> list[Piece]:
    """How far a run is, and what matters most of how it went."""
    run, recording = board.run, board.run.recording
    elapsed, duration = max(0.0, run.elapsed_s), board.duration_s
    of = f" of {duration:.0f}" if 0 < duration < math.inf else ""
    clock = f"{elapsed:.0f} s, draining" if run.stopping.is_set() else f"{elapsed:.0f}{of} s"
    failed = recording.done - recording.outcomes["ok"]
    dropped, violating = recording.outcomes["dropped"], recording.violating
    said = [
        (clock, "bold"),
        (f"{run.in_flight:,} in flight", "bold"),
        (f"{recording.done:,} done", ""),
    ]
    said += [(f"{failed:,} failed", BAD)] if failed else []
    said.append((f"{violating:,} violating", BAD if violating else DIM))
    said += [(f"{dropped:,} dropped", BAD)] if dropped else []
    if (headline := board.headline()) is not None:
        label, low, high = headline
        median = f"{high:.2f} s" if low == high else f"{low:.2f} to {high:.2f} s"
        said.append((f"{label} p50 {median}", ""))
    if (invalid := run.why_invalid()) is not None:
        said.append((f"invalid: {invalid}", BAD))
    return said


def _load(board: Board) -> list[Piece]:
    run = board.run
    started, ended = board.rates()
    rate = run.due(max(0.0, run.elapsed_s))
    due = "" if rate is None else f" (asked for {rate:.4g}/s)"
    said = [(f"started {started:.1f}/s{due}, ended {ended:.1f}/s", "")]
    if (limit := run.session.budget.limit) is not None:
        said.append((f"budget {run.spent():,} of {limit:,}", ""))
    if workers := run.workers():
        said.append((f"{len(workers)} workers", ""))
    for outcome, many in run.recording.outcomes.most_common():
        said.append((f"{outcome} {many:,}", GOOD if outcome == "ok" else BAD))
    return said


def _milestones(board: Board) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style=DIM)
    for heading in ("milestone", "reached", *(f"p{order * 100:g}" for order in _ORDERS)):
        table.add_column(heading, justify="left" if heading == "milestone" else "right")
    # The milestones of an endpoint in the order in which they are reached.
    for place in sorted(board.times, key=lambda each: (*each[:2], board.quantile(each, 0.5))):
        api, endpoint, name = place
        names = board.names.get((api, endpoint), MilestoneNames())
        style = "bold" if names.is_renamed(name) else ""
        label = (f"{api} {endpoint} {names.label(name)}", style)
        reached = f"{board.times[place].n:,} of {board.measured[api, endpoint]:,}"
        many = board.measured[api, endpoint]
        quantiles = (
            _range(*board.quantiles(place, order)) if tells(order, many) or order == 0.5 else "–"
            for order in _ORDERS
        )
        table.add_row(row("", label), reached, *quantiles)
    return table


def _objective(tally: ObjectiveTally) -> Text:
    objective, verdict = tally.objective, verdicts.verdict(tally)
    if objective.slo.kind == "count":
        said = f"{tally.events:,} of n = {tally.n:,}"
    else:
        where = " ".join(name for name in (objective.api, objective.endpoint) if name)
        share, must = tally.good / tally.n if tally.n else 0.0, verdicts.required(objective.slo)
        # Whether the others did well too, polling cannot tell.
        more = (tally.good + tally.unresolved) / tally.n if tally.unresolved else share
        well = f"{100 * share:.4g}%" if more == share else f"{100 * share:.4g} to {100 * more:.4g}%"
        said = f"{well} do well, {100 * must:.4g}% must  n = {tally.n:,}  {where}"
    known = (verdict if tally.n else "no data yet", _VERDICTS.get(verdict, "yellow"))
    return row(f"SLO {objective.slo.text}", known, (said, DIM))


def _generator(board: Board) -> str:
    load = board.run.loaded()
    said = f"CPU {100 * board.run.cpu_share():.0f}% of a core"
    said += f", loop lag p99 {_seconds(load.lags.quantile(0.99))}"
    said += f", starts late p99 {_seconds(load.late.quantile(0.99))}"
    return said if load.steal is None else f"{said}, steal {100 * load.steal:.1f}%"


def _range(low: float, high: float) -> str:
    """A time, or both ends of one that is known by polling."""
    return _seconds(high) if low == high else f"{_seconds(low)} to {_seconds(high)}"


def _seconds(value: float) -> str:
    if math.isinf(value):
        return "never"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
