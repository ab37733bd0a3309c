"""`make bench`: measures Soundstage beside references in the same run, and prints tables.

`python -m benchmarks` runs everything; `python -m benchmarks NAME …` only what is named, and one
that is alone takes options (`python -m benchmarks client --streams 500`). Ratios count, because
machines differ. Nothing here gates anything; tests never look at a clock.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from itertools import takewhile
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.registry import BENCHES, Measured, defaults, measure_of, parser_of
from benchmarks.result import Grid

_COLUMNS = ("what", "measured", "reference", "ratio", "target")
_SLOW_S = 60


def main(argv: list[str]) -> int:
    console = Console(width=130, highlight=False)
    names = list(takewhile(lambda word: not word.startswith("-"), argv))
    options = argv[len(names) :]
    if unknown := [name for name in names if name not in BENCHES]:
        console.print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        return 2
    if options and len(names) != 1:
        _help(console)
        return 0 if options[0] in ("-h", "--help") else 2
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if not options:
        console.print(machine)
    if not names:
        minutes = sum(bench.seconds for bench in BENCHES.values()) / 60
        slow = ", ".join(name for name, bench in BENCHES.items() if bench.seconds >= _SLOW_S)
        console.print(
            f"All of them take about {minutes:.0f} minutes, most of it for {slow}; "
            "one alone: python -m benchmarks NAME"
        )
    failed = 0
    for name in names or BENCHES:
        bench = BENCHES[name]
        begun = time.monotonic()
        try:
            measure = measure_of(bench)
            given: dict[str, Any] = defaults(bench, measure)
            if options:
                given = vars(parser_of(name, bench, measure).parse_args(options))
                console.print(machine)
            console.print(f"\n[bold]{name}[/]: {bench.about} (about {bench.seconds} s) …")
            console.print(_table(measure(**given)))
        except Exception as error:  # noqa: BLE001 - the others still have their say
            console.print(f"{name} failed: {type(error).__name__}: {error}", markup=False)
            failed += 1
        console.print(f"{time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


def _table(measured: Measured) -> Table:
    own = measured if isinstance(measured, Grid) else Grid("", _COLUMNS, measured)
    table = Table(title=own.title or None, caption=own.note or None, show_edge=False)
    for number, heading in enumerate(own.headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in own.rows:
        if any(row):
            table.add_row(*row)
        else:
            table.add_section()
    return table


def _help(console: Console) -> None:
    console.print((__doc__ or "").strip(), markup=False)
    for name, bench in BENCHES.items():
        slow = "  slow" if bench.seconds >= _SLOW_S else ""
        console.print(f"  {name:12} {bench.about} (about {bench.seconds} s){slow}", markup=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
