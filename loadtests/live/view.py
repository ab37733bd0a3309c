"""How a run is going, while it goes: a picture on a terminal, drawn anew every second and gone at
the end; a line now and then in CI; nothing in any other pipe.

Nothing is drawn while the terminal has not taken the last picture: a slow or stopped terminal must
not hold up the load generator, whose loop does the drawing. Writing is done by a thread.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import gevent
import gevent.hub
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from soundstage.loadtests.live.board import Board
from soundstage.output import visible
from soundstage.output.streams import say
from soundstage.results import verdicts
from soundstage.results.milestone_names import MilestoneNames
from soundstage.results.objective_tally import ObjectiveTally
from soundstage.results.quantiles import tells

#: Seconds between two pictures, each of which takes about 10 ms of the loop; and between two lines.
_PERIOD_S = 1.0
CI_PERIOD_S = 10.0
#: A terminal that takes nothing for so long is not waited for at the end of the run.
_PATIENCE_S = 1.0
_ORDERS = (0.5, 0.95, 0.99)
_GOOD, _BAD, _DIM = "green", "bold red", "dim"
_VERDICTS = {"pass": _GOOD, "fail": _BAD}
#: Words and their style.
_Piece = tuple[str, str]


@contextmanager
def shown(
    board: Board, terminal: TextIO, environ: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Show `board` on `terminal` until the block ends. CI services set the variable CI, by which
    their pipes are told from others.
    """
    if terminal.isatty() and environ.get("TERM") != "dumb":
        writer = _TerminalWriter(terminal)
        live = Live(
            console=Console(file=writer, force_terminal=True),  # type: ignore[arg-type]
            get_renderable=lambda: picture(board),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

        def draw() -> None:
            if writer.free:
                live.refresh()

        try:
            with live, _every(_PERIOD_S, draw):
                yield
        finally:
            writer.wait()
    elif environ.get("CI", "").lower() not in ("", "0", "false"):
        told = "soundstage load: "
        with _every(CI_PERIOD_S, lambda: say(told + line(board), terminal, flush=True)):
            yield
    else:
        yield


@contextmanager
def _every(period_s: float, work: Callable[[], object]) -> Iterator[None]:
    """Do some work so often while the block runs."""

    def loop() -> None:
        while True:
            gevent.sleep(period_s)
            work()

    greenlet = gevent.spawn(loop)
    try:
        yield
    finally:
        greenlet.kill()


def line(board: Board) -> str:
    """The progress of a run in one line."""
    return " · ".join(words for words, _ in _progress(board))


class _TerminalWriter:
    """What Rich draws on: hands what it wrote to a thread that writes it to the terminal, and keeps
    it while that one is at it.
    """

    def __init__(self, terminal: TextIO) -> None:
        self.encoding = terminal.encoding or "utf-8"
        self._terminal = terminal
        self._parts: list[str] = []
        self._writing: Any = None

    @property
    def free(self) -> bool:
        """Whether the terminal has taken all that was handed over."""
        return self._writing is None or bool(self._writing.ready())

    def write(self, text: str) -> int:
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        if self._parts and self.free:
            text = "".join(self._parts)
            self._parts.clear()
            self._writing = gevent.hub.get_hub().threadpool.spawn(self._put, text)

    def wait(self) -> None:
        """Wait for what is being written, and for what came meanwhile, but not for ever."""
        for _ in range(2):
            if self._writing is not None:
                self._writing.wait(_PATIENCE_S)
            self.flush()

    def _put(self, text: str) -> None:
        # Past the lock of the text stream: a thread that is stuck here must not keep others out.
        data = memoryview(text.encode(self.encoding, "replace"))
        try:
            place = self._terminal.fileno()
            while data:
                data = data[os.write(place, data) :]
        except (OSError, ValueError):
            pass  # the terminal is gone; the run is not


# ---------------------------------------------------------------------- what there is to see


def picture(board: Board) -> RenderableType:
    """All that there is to see of a run just now."""
    recording = board.run.recording
    parts: list[RenderableType] = [_row("", *_progress(board)), _row("load", *_load(board))]
    if board.times:
        parts.append(_milestones(board))
    for api in dict.fromkeys(api for api, _ in board.stages):
        counts = (f"{name} {many:,}" for (of, name), many in board.stages.items() if of == api)
        parts.append(_row(f"{api} chunks", (", ".join(counts), "")))
    if codes := recording.codes.most_common(8):
        said = ", ".join(f"{name} {many:,}" for name, many in codes)
        parts.append(_row("findings", (said, _BAD if recording.violating else "")))
    parts += map(_objective, recording.scorecard.tallies)
    parts.append(_row("generator", (_generator(board), "")))
    return Group(*parts)


def _row(label: str, *pieces: _Piece) -> Text:
    """Words in a row. Nothing of others that stands in them drives the terminal: what moves the
    cursor is Rich's own.
    """
    whole = [(label, _DIM), *pieces] if label else pieces
    return Text("  ").join(Text(visible.line(words), style) for words, style in whole)


def _progress(board: Board) -> list[_Piece]:
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
    said += [(f"{failed:,} failed", _BAD)] if failed else []
    said.append((f"{violating:,} violating", _BAD if violating else _DIM))
    said += [(f"{dropped:,} dropped", _BAD)] if dropped else []
    if (headline := board.headline()) is not None:
        label, low, high = headline
        median = f"{high:.2f} s" if low == high else f"{low:.2f} to {high:.2f} s"
        said.append((f"{label} p50 {median}", ""))
    if (invalid := run.why_invalid()) is not None:
        said.append((f"invalid: {invalid}", _BAD))
    return said


def _load(board: Board) -> list[_Piece]:
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
        said.append((f"{outcome} {many:,}", _GOOD if outcome == "ok" else _BAD))
    return said


def _milestones(board: Board) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style=_DIM)
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
        table.add_row(_row("", label), reached, *quantiles)
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
    return _row(f"SLO {objective.slo.text}", known, (said, _DIM))


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
