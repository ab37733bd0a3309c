"""The looks of a comparison as lines of text, as Markdown and as cases of JUnit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from soundstage.reports.run.looks_told import LOOKS_HEAD, LooksTold
from soundstage.reports.words import plain

_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔"}


def looks_text(told: LooksTold) -> Iterator[str]:
    """How it ended, then what each gate said at each look."""
    yield f"looks: {told.answer}"
    yield f"  {told.how}"
    for gate in told.gates:
        yield f"  {gate.answer[1]} {gate.label}: {gate.words}"
        if gate.guard or not gate.looks:
            continue
        table = [LOOKS_HEAD, *(each.cells for each in gate.looks)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            cells = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            yield f"      {'  '.join(cells)}"


def looks_markdown(told: LooksTold, escaped: Callable[[object, int], str]) -> str:
    """The same, a table of all gates; `escaped` makes text harmless in Markdown."""
    lines = [
        f"**Looks**: {escaped(told.answer, 400)}",
        "",
        escaped(told.how, 400),
        "",
        f"| | gate | {' | '.join(LOOKS_HEAD)} |",
        f"|---|---|{'---:|' * len(LOOKS_HEAD)}",
    ]
    for gate in told.gates:
        for each in gate.looks:
            decided = each.n == gate.songs
            sign = _SIGNS[each.verdict] if decided else ""
            cells = " | ".join(escaped(cell, 80) for cell in each.cells)
            lines.append(f"| {sign} | {escaped(gate.label, 120)} | {cells} |")
    return "\n".join(lines)


def looks_cases(told: LooksTold) -> Iterator[tuple[str, str, str]]:
    """(name, verdict, what it said) of each gate, as cases of JUnit."""
    for gate in told.gates:
        yield gate.label, gate.verdict, plain(gate.words, 300)
