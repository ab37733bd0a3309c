"""Whether a command printed what a page shows of it.

Pages show real output, so what differs from run to run is not compared: times and sizes, moments,
the ids of runs, seeds that were drawn, ports that the system chose, how many exchanges there were.
How a page spaces columns is not compared, either; numbers of other widths move them.
"""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = r"\d[\d,]*(?:\.\d+)?"
_VARIES: Final = [
    (re.compile(pattern), into)
    for pattern, into in (
        (r"\b20\d\d-\d\d-\d\dT\d\d-\d\d-\d\d-(\w+)-[0-9a-f]{4}\b", r"RUN-\1"),
        (r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?", "MOMENT"),
        (r"\b\d\d:\d\d:\d\d\b", "MOMENT"),
        (r"\b\d+:\d\d min\b", "TIME"),
        (rf"{_NUMBER} ?(?:ms|µs|s|min)\b", "TIME"),
        (rf"{_NUMBER} to TIME", "TIME to TIME"),
        (rf"{_NUMBER} ?(?:bytes|B|KB|KiB|MB|MiB)\b", "SIZE"),
        (r"\bseed \d+", "seed SEED"),
        (r"127\.0\.0\.1:\d{5}\b", "127.0.0.1:PORT"),
        (rf"\bn = {_NUMBER}", "n = MANY"),
        (rf"\bok {_NUMBER} \(", "ok MANY ("),
        (rf"{_NUMBER} requests made", "MANY requests made"),
        (rf"{_NUMBER} polls of {_NUMBER}", "MANY polls of MANY"),
        (r" {2,}", " "),
    )
]
#: How far a command is, said to whoever waits: as often as it takes time.
_PROGRESS: Final = re.compile(r"soundstage \w+: (?:TIME|\d+ of TIME)\b.*")


def unlike(expected: list[str], received: list[str]) -> int | None:
    """The first expected line for which there is none in what was printed; None if all is there.
    `…` stands for anything within a line; a line of it alone for any lines.
    """
    there = [line for line in map(_steady, received) if not _PROGRESS.fullmatch(line)]
    reached = {0}
    for number, line in enumerate(map(_steady, expected)):
        if _PROGRESS.fullmatch(line):
            continue
        if line == "…":
            reached = set(range(min(reached), len(there) + 1))
            continue
        like = re.compile(".*?".join(re.escape(part) for part in line.split("…")))
        reached = {at + 1 for at in reached if at < len(there) and like.fullmatch(there[at])}
        if not reached:
            return number
    return None if len(there) in reached else len(expected)


def _steady(line: str) -> str:
    """The line without what varies; indented as it was."""
    indent = re.match(r" *", line)[0]  # type: ignore[index]
    rest = line.strip()
    for pattern, into in _VARIES:
        rest = pattern.sub(into, rest)
    return indent + rest if rest != "…" else rest
