"""Where the page of a comparison goes, and where the reports of its runs lie as seen from there.

It goes beside the newest run of the candidate, under a name of the base's, so that comparing again
replaces that page and no other.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from soundstage.output.cutting import head
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.decision.arms import ArmRun
from soundstage.reports.words import plain

#: Longest name of a run in the name of a page; letters beyond this one's are replaced.
_NAME_LIMIT = 100
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")


def place_of(made: Comparison) -> Path:
    """`CANDIDATE/compare-BASE.html`; of several runs in the base the first one's id, and how many
    more.
    """
    name = head(_STRANGE.sub("-", made.base.runs[0].id), _NAME_LIMIT, end="").strip(".-") or "base"
    others = len(made.base.runs) - 1
    tail = f"-and-{others}-more" if others else ""
    return made.candidate.runs[-1].path / f"compare-{name}{tail}.html"


REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class ReportLink:
    """A run's report: `href` from the page that links to it, "" where there is none, or nobody
    knows where the page will lie; then `command` makes one.
    """

    href: str
    command: str


def report_links(runs: Iterable[ArmRun], page: Path | None) -> Mapping[Path, ReportLink]:
    """The report of each run by the folder of its bundle, as a page at `page` links to it."""
    return {run.path: ReportLink(_href(run.path, page), _command(run.path)) for run in runs}


def _href(bundle: Path, page: Path | None) -> str:
    """A relative path, which no folder's name can turn into an address of another kind: it begins
    with a dot, and all that could end a path is percent-encoded.
    """
    report = bundle / REPORT
    if page is None or not report.is_file():
        return ""
    try:
        way = os.path.relpath(bundle.resolve() / REPORT, page.parent.resolve())
    except ValueError:  # on another drive
        return ""
    path = quote(os.fsencode(way.replace(os.sep, "/")), safe="/")
    return path if path.startswith(".") else f"./{path}"


def _command(bundle: Path) -> str:
    return f"soundstage report {plain(shlex.quote(str(bundle)), 400)}"
