"""The runs of a folder as rows of its index: what came of each, its first figures, and its pages.

A row needs run.json alone, which is small. Figures need the bundle's rows: they are read of the
newest runs, as far as `FIGURES_BYTES` reach, so that a folder of thousands is a matter of seconds.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from soundstage.errors import SoundstageError
from soundstage.reports.history.run_links import link, reference
from soundstage.reports.run.summary import expected_milestones, summary_of
from soundstage.reports.words import headline, milestone_label, place_words, plain, plural
from soundstage.results.bundle import Bundle
from soundstage.results.intake import take_in
from soundstage.results.layout import EXCHANGES, RULES
from soundstage.results.run_history import RunEntry

#: So many bytes of rows, as they lie on disk, are read for figures, and of so many runs.
FIGURES_BYTES: Final = 64 * 2**20
FIGURES_RUNS: Final = 200
#: Figures and pages of comparisons that a row shows.
_FIGURES, _COMPARISONS = 4, 5


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of a run: what it is, and a reference to it."""

    words: str
    href: str


@dataclass(frozen=True, slots=True)
class IndexRow:
    """What the index shows of a run. `tone` is that of its headline, "unreadable" where there is
    none; `report` is None where no page was made, which `command` then does.
    """

    entry: RunEntry
    tone: str
    title: str
    kind: str = ""
    target: str = ""
    versions: str = ""
    figures: tuple[str, ...] = ()
    report: str | None = None
    command: str = ""
    comparisons: tuple[RunPage, ...] = ()
    marks: tuple[str, ...] = field(default=())


def index_rows(entries: Iterable[RunEntry], folder: Path) -> list[IndexRow]:
    """The rows of a page in `folder`, in the order of the entries."""
    rows, room = [], FIGURES_BYTES
    for number, entry in enumerate(entries):
        try:
            bundle = Bundle.open(entry.path)
        except SoundstageError as error:
            why = plain(entry.fault or str(error), 300)
            rows.append(IndexRow(entry, "unreadable", why, marks=_marks(entry)))
            continue
        size = _size(entry.path)
        figures: tuple[str, ...] = ()
        if number < FIGURES_RUNS and size <= room:
            room -= size
            figures = _read_figures(bundle)
        rows.append(_row(entry, bundle.run, figures, folder))
    return rows


def _row(entry: RunEntry, run: dict[str, Any], figures: Sequence[str], folder: Path) -> IndexRow:
    said = headline(run)
    return IndexRow(
        entry,
        tone=said.tone,
        title=plain(said.title, 120),
        kind="contract check" if run["kind"] == "check" else "load run",
        target=target_words(run["target"]),
        versions=plain(", ".join(sorted(run["contracts"])), 80),
        figures=tuple(figures),
        report=link(entry, folder),
        command=f"soundstage report {shlex.quote(str(entry.path))}",
        comparisons=tuple(_comparisons(entry.path, folder)),
        marks=_marks(entry),
    )


def _marks(entry: RunEntry) -> tuple[str, ...]:
    return (*(f"pin {plain(name, 64)}" for name in entry.pins), *(plain(t, 64) for t in entry.tags))


def target_words(target: dict[str, Any]) -> str:
    """`emulator, realistic, 100×`; `rehearsal on the emulator`; `live`."""
    kind = plain(target["kind"], 20)
    said = [f"rehearsal ({kind})" if target.get("rehearsal") else kind]
    if target.get("profile"):
        said.append(plain(target["profile"], 40))
    if target.get("speed") not in (None, 1):
        said.append(f"{target['speed']:g}×")
    return ", ".join(said)


def _read_figures(bundle: Bundle) -> tuple[str, ...]:
    """The figures, or why there are none."""
    try:
        return tuple(_figures(bundle))[:_FIGURES]
    except SoundstageError as error:
        return (f"its rows cannot be read: {plain(error, 200)}",)


def _figures(bundle: Bundle) -> Iterable[str]:
    """`2 rules broken` of a check; `v6 stream: TTSR p50 1.24 s, TTC p50 4.36 s` of a load run, the
    first and the last of what each endpoint is known by.
    """
    rules = list(bundle.rules())
    outcomes = Counter(row["outcome"] for row in rules)
    broken = outcomes["failed"] + outcomes["outside"]
    if broken:
        yield f"{plural(broken, 'rule')} broken"
    elif outcomes["passed"]:
        yield f"{plural(outcomes['passed'], 'rule')} passed"
    if bundle.run["kind"] == "check":
        return
    expected = expected_milestones(bundle.run, rules)
    for group in summary_of(take_in(bundle, times_only=True), expected, bundle.run).groups:
        shown = [one for name in group.names.headline if (one := group.milestone(name))]
        said = [
            f"{milestone_label(group.names, one.name)} p50 {one.said(0)}"
            for one in (*shown[:1], *shown[1:][-1:])
        ]
        if said:
            yield f"{place_words(group.api, group.endpoint)}: {', '.join(said)}"


def _comparisons(bundle: Path, folder: Path) -> Iterable[RunPage]:
    """The pages of comparisons in which this run was the candidate: the newest first."""
    found = [
        place
        for place in bundle.glob("compare-*.html")
        if place.is_file() and not place.is_symlink()
    ]
    found.sort(key=lambda place: place.stat().st_mtime, reverse=True)
    for place in found[:_COMPARISONS]:
        base = plain(place.stem.removeprefix("compare-"), 80)
        yield RunPage(f"against {base}", reference(place, folder))


def _size(bundle: Path) -> int:
    """How many bytes of rows there are to read, as they lie there."""
    return sum(
        place.lstat().st_size for name in (EXCHANGES, RULES) if (place := bundle / name).is_file()
    )
