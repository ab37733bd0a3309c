"""What the contract checks say in pytest's own output: made visible where it leaves, since a pytest
that somebody else has started prints to streams that are not ours (`output/visible.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter

from soundstage.output import outgoing, visible


class Shown(TerminalRepr):
    """How a test case failed, with every character of it visible. Holds `reprcrash` as others do:
    pytest and its plugins take the short summary from there.
    """

    def __init__(self, said: TerminalRepr) -> None:
        self._said = said
        crash = getattr(said, "reprcrash", None)
        self.reprcrash = crash and ReprFileLocation(
            crash.path, crash.lineno, visible.text(crash.message)
        )

    def toterminal(self, tw: TerminalWriter) -> None:
        self._said.toterminal(_Writer(tw))  # type: ignore[arg-type]


class _Writer:
    """A writer of pytest, to which nothing goes that is not visible."""

    def __init__(self, writer: TerminalWriter) -> None:
        self._writer = writer

    def write(self, msg: str, **more: Any) -> None:
        self._writer.write(visible.text(msg), **more)

    def line(self, s: str = "", **more: Any) -> None:
        self._writer.line(visible.text(s), **more)

    def sep(self, sepchar: str, title: str | None = None, **more: Any) -> None:
        self._writer.sep(sepchar, title and visible.alone(title), **more)

    def _write_source(self, lines: Sequence[str], indents: Sequence[str] = ()) -> None:
        self._writer._write_source([visible.alone(each) for each in lines], indents)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def show(report: pytest.TestReport) -> None:
    """Make visible what a report holds: how the case failed or why it was skipped, and what was
    printed and logged meanwhile.
    """
    said: Any = report.longrepr
    if isinstance(said, str):
        report.longrepr = visible.text(said)
    elif isinstance(said, tuple):
        path, line, reason = said
        report.longrepr = (path, line, visible.text(reason))
    elif isinstance(said, TerminalRepr):
        report.longrepr = Shown(said)
    report.sections = [(name, visible.text(text)) for name, text in report.sections]


def printer(config: pytest.Config) -> Callable[[str], None] | None:
    """What prints a line into pytest's own output; None where it has none."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return None
    return lambda text: reporter.write_line(visible.alone(outgoing.text(text)))


def keep_colours(config: pytest.Config) -> None:
    """Let pytest's own colours through a stream of ours, which lets through nobody else's."""
    if not config.pluginmanager.has_plugin("terminalreporter"):
        return
    writer = config.get_terminal_writer()
    plain, write = writer.markup, writer.write

    def markup(text: str, **colours: bool) -> str:
        begin, _, end = plain("\0", **colours).partition("\0")
        return f"{visible.own(begin)}{text}{visible.own(end)}" if begin else text

    def anew(msg: str, *, flush: bool = False, **colours: bool) -> None:
        if msg.startswith("\r"):
            writer.write_raw(visible.own("\r"))
            msg = msg[1:]
        write(msg, flush=flush, **colours)

    writer.markup = markup  # type: ignore[method-assign]
    writer.write = anew  # type: ignore[method-assign]
    writer.code_highlight = False  # its colours are woven into the code
