"""A picture on a terminal, drawn anew in its place while something runs, and gone at the end.

Nothing is drawn while the terminal has not taken the last picture: a slow or stopped one holds
nobody up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from soundstage.output import outgoing, visible
from soundstage.output.terminal_writer import TerminalWriter

GOOD, BAD, DIM, BOLD = "green", "bold red", "dim", "bold"
#: Words and their style.
Piece = tuple[str, str]


class _PictureConsole(Console):
    """The cursor stays where it is seen: a program that is killed could not bring it back."""

    def show_cursor(self, show: bool = True) -> bool:
        del show
        return False


class LivePicture:
    """A picture that is being shown; `live_picture` makes it."""

    def __init__(self, live: Live, writer: TerminalWriter) -> None:
        self._live = live
        self._writer = writer

    def draw(self) -> None:
        """Draw it as it is now, if the terminal takes it."""
        if self._writer.free:
            self._live.refresh()

    def say(self, text: str) -> None:
        """Print a sentence above it, which stays."""
        self._live.console.print(row("", (text, "")), soft_wrap=True)


@contextmanager
def live_picture(
    writer: TerminalWriter, picture: Callable[[], RenderableType]
) -> Iterator[LivePicture]:
    """Show what `picture` gives until the block ends; it is drawn by `LivePicture.draw` alone. The
    variable NO_COLOR takes the colours out.
    """
    console = _PictureConsole(
        file=writer,  # type: ignore[arg-type]
        force_terminal=True,
        highlight=False,
    )
    live = Live(
        console=console,
        get_renderable=picture,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    )
    try:
        with live:
            yield LivePicture(live, writer)
    finally:
        writer.close()


def row(label: str, *pieces: Piece) -> Text:
    """Words in a row. Nothing of others that stands in them drives the terminal: what moves the
    cursor is Rich's own.
    """
    whole = [(label, DIM), *pieces] if label else pieces
    shown = (Text(visible.line(outgoing.text(words)), style) for words, style in whole)
    return Text("  ").join(shown)
