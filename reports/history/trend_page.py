"""`soundstage runs trend`: bundles in, the page or JSON of their trends out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from soundstage.errors import SoundstageError
from soundstage.output import visible
from soundstage.output.uris import of_path
from soundstage.reports.formats import html
from soundstage.reports.history.trend import TrendRun, TrendSeries, chart, sentence, trend
from soundstage.reports.run.summary import expected_milestones, summarise
from soundstage.reports.words import plural
from soundstage.results.bundle import Bundle
from soundstage.results.quantiles import finite
from soundstage.results.run_history import RunEntry

#: A page of more pictures than this is read by nobody.
CHART_LIMIT = 60


def series_of(
    entries: Iterable[RunEntry], milestones: Sequence[str], folder: Path
) -> list[TrendSeries]:
    """The series of these runs. Links are relative to `folder`, where the page will lie. A bundle
    that is damaged is left out.
    """
    return trend(_runs(entries, folder), milestones)


def _runs(entries: Iterable[RunEntry], folder: Path) -> Iterator[TrendRun]:
    for entry in entries:
        try:
            bundle = Bundle.open(entry.path)
            expected = expected_milestones(bundle.run, list(bundle.rules()))
            summary = summarise(bundle.exchanges(), expected)
        except SoundstageError:
            continue
        report = entry.path / "report.html"
        near = os.path.relpath(report if report.exists() else entry.path, folder)
        target = str(entry.target_kind)
        yield TrendRun(entry.id, entry.created or "", target, of_path(near), summary)


def render(series: Sequence[TrendSeries], root: str) -> str:
    """The page, as text to be stored in UTF-8."""
    drawn = series[:CHART_LIMIT]
    moved = [
        (f"trend-{place}", each.name, sentence(each))
        for place, each in enumerate(drawn)
        if each.changes
    ]
    slower = [each for each in drawn if each.changes and each.changes[-1].ratio > 1]
    title = "No change of level" if not moved else f"{plural(len(moved), 'series')} moved"
    if not series:
        title = "Nothing to compare yet"
    if slower:
        title = f"{plural(len(slower), 'series')} slower than before"
    return html.page(
        "trend.html",
        title=title,
        tone="inconclusive" if slower else "pass",
        icon="↗" if slower else "→",
        runs=len({point.run for each in series for point in each.points}),
        root=root,
        moved=moved,
        charts=[chart(each, place) for place, each in enumerate(drawn)],
    )


def lines(series: Iterable[TrendSeries]) -> list[str]:
    """A line of text for each series."""
    return [f"{each.name}: {sentence(each)}" for each in series]


def as_json(series: Iterable[TrendSeries]) -> str:
    """All series; null is a moment that never came, or an open bound. Times are seconds."""
    document = [
        {
            "target": each.target,
            "api": each.api,
            "endpoint": each.endpoint,
            "milestone": each.milestone,
            "order": each.order,
            "points": [
                {
                    "run": point.run,
                    "created": point.created,
                    "n": point.n,
                    "seconds": finite(point.value),
                    "low": finite(point.low),
                    "high": finite(point.high),
                }
                for point in each.points
            ],
            "changes": [
                {"run": each.points[one.at].run, "ratio": one.ratio, "p": one.p}
                for one in each.changes
            ],
        }
        for each in series
    ]
    return visible.in_json(json.dumps(document, indent=2)) + "\n"
