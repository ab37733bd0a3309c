"""A run as a terminal shows it while it runs, drawn anew every second and gone at its end.

Nothing is drawn while the terminal has not taken the last picture: a slow or stopped terminal must
not hold up the load generator, whose loop does the drawing. Writing is done by a thread.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import gevent
import gevent.hub
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from soundstage.loadtests.live.board import ORDERS, Board, Line, Now

#: Seconds between two pictures. One takes about 10 ms of the loop.
_PERIOD_S = 1.0
#: A terminal that takes nothing for so long is not waited for at the end of the run.
_PATIENCE_S = 1.0
_NAMES = {"streaming_ready": "TTSR", "complete": "TTC"}
_GOOD, _BAD, _DIM = "green", "bold red", "dim"
_VERDICTS = {"pass": _GOOD, "fail": _BAD}


@contextmanager
def drawn(board: Board, terminal: TextIO) -> Iterator[None]:
    """Show `board` on `terminal` until the block ends; nothing of it stays."""
    paper = _Paper(terminal)
    console = Console(file=paper, force_terminal=True, width=_width(terminal))  # type: ignore[arg-type]
    live = Live(
        picture(board.now()),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    )

    def draw() -> None:
        while True:
            gevent.sleep(_PERIOD_S)
            if paper.taken():
                live.update(picture(board.now()), refresh=True)

    live.start(refresh=True)
    greenlet = gevent.spawn(draw)
    try:
        yield
    finally:
        greenlet.kill()
        live.stop()
        paper.wait(_PATIENCE_S)


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


def _width(terminal: TextIO) -> int | None:
    try:
        return os.get_terminal_size(terminal.fileno()).columns or None
    except (OSError, ValueError):
        return None


def picture(now: Now) -> RenderableType:
    """All that there is to see of a run just now."""
    parts: list[RenderableType] = [_head(now), _ends(now)]
    if now.lines:
        parts.append(_milestones(now.lines))
    parts += _stages(now)
    if now.codes:
        codes = ", ".join(f"{name} {many:,}" for name, many in now.codes.items())
        parts.append(_labelled("findings", codes, _BAD if now.violating else ""))
    for each in now.objectives:
        parts.append(_objective(each))
    parts.append(_generator(now))
    return _PlainPicture(Group(*parts))


def _head(now: Now) -> Text:
    clock = f"{now.elapsed_s:.0f} of {now.duration_s:.0f} s" if now.duration_s else ""
    if now.draining:
        clock = f"{now.elapsed_s:.0f} s, draining"
    elif not math.isfinite(now.duration_s) or now.duration_s <= 0:
        clock = f"{now.elapsed_s:.0f} s"
    text = Text(clock, style="bold")
    due = "" if now.due is None else f" (asked for {now.due:.4g}/s)"
    text.append(f"  started {now.started:.1f}/s{due}, ended {now.ended:.1f}/s")
    text.append(f"  {now.in_flight:,} in flight", style="bold")
    spent, limit = now.budget
    if limit is not None:
        text.append(f"  budget {spent:,} of {limit:,}")
    if now.workers:
        text.append(f"  {now.workers} workers")
    return text


def _ends(now: Now) -> Text:
    text = Text(f"{now.done:,} done")
    for outcome, many in sorted(now.outcomes.items(), key=lambda each: -each[1]):
        text.append(f"  {outcome} {many:,}", style=_GOOD if outcome == "ok" else _BAD)
    text.append(f"  {now.violating:,} violating", style=_BAD if now.violating else _DIM)
    return text


def _milestones(lines: tuple[Line, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style=_DIM)
    for heading in ("milestone", "reached", *(f"p{order * 100:g}" for order in ORDERS)):
        table.add_column(heading, justify="left" if heading == "milestone" else "right")
    for line in lines:
        name = _NAMES.get(line.milestone, line.milestone)
        table.add_row(
            Text(f"{line.api} {line.endpoint} {name}", style="bold" if name.isupper() else ""),
            f"{line.reached:,} of {line.n:,}",
            *(_seconds(value) for value in line.quantiles),
        )
    return table


def _stages(now: Now) -> list[Text]:
    return [
        _labelled(f"{api} chunks", ", ".join(f"{name} {many:,}" for name, many in counts.items()))
        for api, counts in now.stages.items()
        if counts
    ]


def _objective(each: Any) -> Text:
    style = _VERDICTS.get(each.verdict, "yellow")
    text = Text("SLO ", style=_DIM)
    text.append(f"{each.text} ")
    text.append(each.verdict if each.n else "no data yet", style=style)
    if each.share is None:
        text.append(f"  {each.events:,} of n = {each.n:,}", style=_DIM)
    else:
        text.append(
            f"  {100 * each.share:.4g}% do well, {100 * each.required:.4g}% must"
            f"  n = {each.n:,}  {each.where}",
            style=_DIM,
        )
    return text


def _generator(now: Now) -> Text:
    said = f"CPU {100 * now.cpu_share:.0f}% of a core, loop lag p99 {_seconds(now.lag_p99_s)}"
    said += f", starts late p99 {_seconds(now.late_p99_s)}"
    if now.steal_share is not None:
        said += f", steal {100 * now.steal_share:.1f}%"
    text = _labelled("generator", said)
    if now.invalid is not None:
        text.append(f"  INVALID: {now.invalid}", style=_BAD)
    return text


def _labelled(label: str, said: str, style: str = "") -> Text:
    text = Text(f"{label}  ", style=_DIM)
    text.append(said, style=style)
    return text


def _seconds(value: float) -> str:
    if math.isinf(value):
        return "never"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
