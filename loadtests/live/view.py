"""How a run is going, while it goes: a picture on a terminal, drawn anew every second and gone at
the end; a line now and then in CI; nothing in any other pipe.

Nothing is drawn while the terminal has not taken the last picture: a slow or stopped terminal must
not hold up the load generator, whose loop does the drawing. Writing is done by a thread.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import gevent
import gevent.hub
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from soundstage.loadtests.live.board import Board
from soundstage.output.streams import say
from soundstage.results import verdicts
from soundstage.results.verdicts import ObjectiveTally

#: Seconds between two pictures, each of which takes about 10 ms of the loop; and between two lines.
_PERIOD_S = 1.0
CI_PERIOD_S = 10.0
#: A terminal that takes nothing for so long is not waited for at the end of the run.
_PATIENCE_S = 1.0
_ORDERS = (0.5, 0.95, 0.99)
_NAMES = {"streaming_ready": "TTSR", "complete": "TTC"}
_GOOD, _BAD, _DIM = "green", "bold red", "dim"
_VERDICTS = {"pass": _GOOD, "fail": _BAD}


@contextmanager
def shown(
    board: Board, terminal: TextIO, environ: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Show `board` on `terminal` until the block ends. CI services set the variable CI, by which
    their pipes are told from others.
    """
    paper: _Paper | None = None
    if terminal.isatty() and environ.get("TERM") != "dumb":
        paper = _Paper(terminal)
        live = _live(board, paper)
        live.start(refresh=True)
        greenlet = gevent.spawn(_draw, board, live, paper)
    elif environ.get("CI", "").lower() not in ("", "0", "false"):
        greenlet = gevent.spawn(_say, board, terminal)
    else:
        yield
        return
    try:
        yield
    finally:
        greenlet.kill()
        if paper is not None:
            live.stop()
            paper.wait(_PATIENCE_S)


def line(board: Board) -> str:
    """The progress of a run in one line."""
    run, recording = board.run, board.run.recording
    parts = [_clock(board), f"{run.in_flight} in flight", f"{recording.done} done"]
    failed = recording.done - recording.outcomes["ok"]
    parts += [f"{failed} failed"] if failed else []
    parts.append(f"{recording.violating} violating")
    if dropped := recording.outcomes["dropped"]:
        parts.append(f"{dropped} dropped")
    if (headline := recording.headline()) is not None:
        name, seconds = headline
        parts.append(f"{_NAMES.get(name, name)} p50 {seconds:.2f} s")
    if (invalid := run.why_invalid()) is not None:
        parts.append(f"invalid: {invalid}")
    return " · ".join(parts)


def _say(board: Board, terminal: TextIO) -> None:
    while True:
        gevent.sleep(CI_PERIOD_S)
        say(f"soundstage load: {line(board)}", terminal, flush=True)


# ---------------------------------------------------------------------- on a terminal


class _Paper(io.TextIOBase):
    """What is drawn on: hands each picture to a thread that writes it to the terminal."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._parts: list[str] = []
        self._writing: Any = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._terminal.encoding or "utf-8"

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._terminal.fileno()

    def write(self, text: str) -> int:
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        if self._parts and self.taken():
            text = "".join(self._parts)
            self._parts.clear()
            self._writing = gevent.hub.get_hub().threadpool.spawn(self._put, text)

    def taken(self) -> bool:
        """Whether the terminal has taken all that was handed over."""
        return self._writing is None or self._writing.ready()

    def wait(self, seconds: float) -> None:
        """Wait for that, but not for ever; then hand over the rest."""
        if self._writing is not None:
            self._writing.wait(seconds)
        self.flush()
        if self._writing is not None:
            self._writing.wait(seconds)

    def _put(self, text: str) -> None:
        # Past the lock of the text stream: a thread that is stuck here must not keep others out.
        data = memoryview(text.encode(self.encoding, "replace"))
        try:
            place = self._terminal.fileno()
            while data:
                data = data[os.write(place, data) :]
        except (OSError, ValueError):
            pass  # the terminal is gone; the run is not


def _live(board: Board, paper: _Paper) -> Live:
    try:
        width = os.get_terminal_size(paper.fileno()).columns or None
    except (OSError, ValueError):
        width = None
    console = Console(file=paper, force_terminal=True, width=width)  # type: ignore[arg-type]
    return Live(
        picture(board),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    )


def _draw(board: Board, live: Live, paper: _Paper) -> None:
    while True:
        gevent.sleep(_PERIOD_S)
        if paper.taken():
            live.update(picture(board), refresh=True)


class _PlainPicture:
    """A picture without what could drive the terminal: control characters, and those that turn it
    around. What moves the cursor is Rich's own.
    """

    def __init__(self, picture: RenderableType) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for each in console.render(self._picture, options):
            if each.control or each.text.isprintable():
                yield each
            else:
                shown = (c if c == "\n" or c.isprintable() else "·" for c in each.text)
                yield Segment("".join(shown), each.style)


def picture(board: Board) -> RenderableType:
    """All that there is to see of a run just now."""
    recording = board.run.recording
    parts: list[RenderableType] = [_head(board), _ends(board)]
    if board.times:
        parts.append(_milestones(board))
    for api, counts in board.stages.items():
        if counts:
            said = ", ".join(f"{name} {many:,}" for name, many in counts.items())
            parts.append(_labelled(f"{api} chunks", said))
    if codes := recording.codes.most_common(8):
        said = ", ".join(f"{name} {many:,}" for name, many in codes)
        parts.append(_labelled("findings", said, _BAD if recording.violating else ""))
    parts += map(_objective, recording.scorecard.tallies)
    parts.append(_generator(board))
    return _PlainPicture(Group(*parts))


def _clock(board: Board) -> str:
    elapsed, duration = max(0.0, board.run.elapsed_s), board.duration_s
    if board.run.stopping.is_set():
        return f"{elapsed:.0f} s, draining"
    known = 0 < duration < math.inf
    return f"{elapsed:.0f} of {duration:.0f} s" if known else f"{elapsed:.0f} s"


def _head(board: Board) -> Text:
    run = board.run
    started, ended = board.rates()
    rate = run.due(max(0.0, run.elapsed_s))
    due = "" if rate is None else f" (asked for {rate:.4g}/s)"
    text = Text(_clock(board), style="bold")
    text.append(f"  started {started:.1f}/s{due}, ended {ended:.1f}/s")
    text.append(f"  {run.in_flight:,} in flight", style="bold")
    if (limit := run.session.budget.limit) is not None:
        text.append(f"  budget {run.spent():,} of {limit:,}")
    if workers := run.workers():
        text.append(f"  {len(workers)} workers")
    return text


def _ends(board: Board) -> Text:
    recording = board.run.recording
    text = Text(f"{recording.done:,} done")
    for outcome, many in recording.outcomes.most_common():
        text.append(f"  {outcome} {many:,}", style=_GOOD if outcome == "ok" else _BAD)
    violating = recording.violating
    text.append(f"  {violating:,} violating", style=_BAD if violating else _DIM)
    return text


def _milestones(board: Board) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style=_DIM)
    for heading in ("milestone", "reached", *(f"p{order * 100:g}" for order in _ORDERS)):
        table.add_column(heading, justify="left" if heading == "milestone" else "right")
    rows = []
    for (api, endpoint, name), times in board.times.items():
        n = board.measured[api, endpoint]
        values = [times.quantile(order, n) for order in _ORDERS]
        rows.append((api, endpoint, values[0], name, f"{times.reached.n:,} of {n:,}", values))
    for api, endpoint, _, name, reached, values in sorted(rows):
        said = _NAMES.get(name, name)
        label = Text(f"{api} {endpoint} {said}", style="bold" if said.isupper() else "")
        table.add_row(label, reached, *map(_seconds, values))
    return table


def _objective(tally: ObjectiveTally) -> Text:
    objective, verdict = tally.objective, verdicts.verdict(tally)
    text = Text("SLO ", style=_DIM)
    text.append(f"{objective.slo.text} ")
    text.append(verdict if tally.n else "no data yet", style=_VERDICTS.get(verdict, "yellow"))
    if objective.slo.kind == "count":
        text.append(f"  {tally.events:,} of n = {tally.n:,}", style=_DIM)
        return text
    where = " ".join(name for name in (objective.api, objective.endpoint) if name)
    share, must = tally.good / tally.n if tally.n else 0.0, verdicts.required(objective.slo)
    said = f"  {100 * share:.4g}% do well, {100 * must:.4g}% must  n = {tally.n:,}  {where}"
    text.append(said, style=_DIM)
    return text


def _generator(board: Board) -> Text:
    run, load = board.run, board.run.loaded()
    said = f"CPU {100 * run.cpu_share():.0f}% of a core"
    said += f", loop lag p99 {_seconds(load.lags.quantile(0.99))}"
    said += f", starts late p99 {_seconds(load.late.quantile(0.99))}"
    if load.steal is not None:
        said += f", steal {100 * load.steal:.1f}%"
    text = _labelled("generator", said)
    if (invalid := run.why_invalid()) is not None:
        text.append(f"  INVALID: {invalid}", style=_BAD)
    return text


def _labelled(label: str, said: str, style: str = "") -> Text:
    text = Text(f"{label}  ", style=_DIM)
    text.append(said, style=style)
    return text


def _seconds(value: float) -> str:
    if math.isinf(value):
        return "never"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
