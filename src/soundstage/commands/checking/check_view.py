"""What `soundstage check` shows while it works: a picture on a terminal, a line now and then in any
other place. All of it goes to standard error; what came of the check goes to standard output.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from soundstage.contract import load
from soundstage.gate import progress_words as words
from soundstage.gate.progress import Progress
from soundstage.output import streams
from soundstage.output.progress_lines import pause_after, repeated, say_at_once
from soundstage.output.terminal_writer import TerminalWriter, draws_pictures
from soundstage.target_options import named

if TYPE_CHECKING:  # Rich takes a while to load, and only a terminal needs it
    from rich.console import RenderableType

_WHO = "soundstage check: "
#: Seconds between two pictures.
_PERIOD_S = 0.5
#: So many exchanges under way have a row of their own.
_ROWS = 8


def begun(target: str, apis: Iterable[str], stderr: TextIO) -> None:
    """Say at once, before anything is asked, or loaded that takes long, what is checked. Raises
    ContractDataError for a version that is not understood.
    """
    contracts = [load(api) for api in apis]
    many = sum(1 for contract in contracts for _ in contract.rules)
    versions = ", ".join(contract.api for contract in contracts)
    said = f"checking {named(target)} ({versions}): {many:,} rules …"
    say_at_once(said if stderr.isatty() else _WHO + said, stderr)


@contextmanager
def shown(
    progress: Progress, target: str, stderr: TextIO, environ: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Show `progress` on `stderr` until the block ends."""
    if draws_pictures(stderr, environ):
        with _drawn(progress, target, stderr):
            yield
    else:
        with _told_in_lines(progress, stderr):
            yield


@contextmanager
def _drawn(progress: Progress, target: str, stderr: TextIO) -> Iterator[None]:
    from soundstage.output.live_picture import live_picture

    writer = TerminalWriter(stderr)
    with (
        live_picture(writer, lambda: picture(progress, target)) as live,
        progress.telling(live.say),
        repeated(lambda: _PERIOD_S, live.draw),
    ):
        live.draw()
        yield


@contextmanager
def _told_in_lines(progress: Progress, stderr: TextIO) -> Iterator[None]:
    writer = None
    with suppress(io.UnsupportedOperation, OSError):  # a stream that is no file
        writer = TerminalWriter(stderr)
    log = stderr if writer is None else streams.screen(writer)  # type: ignore[arg-type]

    def say(text: str) -> None:
        streams.say(_WHO + text, log, flush=True)

    try:
        with (
            progress.telling(say),
            repeated(lambda: pause_after(progress.elapsed_s), lambda: say(words.line(progress))),
        ):
            yield
        say(words.line(progress))  # what it came to: writing it down takes a while, too
    finally:
        if writer is not None:
            writer.close()


def picture(progress: Progress, target: str) -> RenderableType:
    """All that there is to see of a check just now."""
    from rich.console import Group
    from rich.table import Table

    from soundstage.output.live_picture import BAD, BOLD, DIM, row

    clock = f"{progress.elapsed_s:.0f} s"
    head = [(f"checking {named(target)}", BOLD), (clock, "")]
    rows = [row("", *head, *((each, DIM) for each in words.time_left(progress)))]
    if told := words.rules(progress):
        rows.append(row("rules", (told[0], ""), *((each, BAD) for each in told[1:])))
    rows.append(row("sent", *((each, "") for each in words.counts(progress))))
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True, overflow="ellipsis")
    under_way = progress.under_way(words.WORTH_READING_S)
    for one in under_way[:_ROWS]:
        table.add_row(row("", (words.place(one), DIM)), row("", (words.far(progress, one), "")))
    for each in rows:
        each.no_wrap, each.overflow = True, "ellipsis"
    more = len(under_way) - _ROWS
    return Group(*rows, table, *([row(f"and {more} more")] if more > 0 else []))
