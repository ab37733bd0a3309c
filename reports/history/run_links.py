"""Where the pages of a folder of runs lead: to pages that are there, as references that hold."""

from __future__ import annotations

import os
from pathlib import Path

from soundstage.output.uris import of_path
from soundstage.results.run_history import RunEntry

REPORT = "report.html"


def link(run: RunEntry, folder: Path, page: str = REPORT) -> str | None:
    """The reference from a page in `folder` to a page of a run; None where there is no such file.
    A link in its place is not followed: it may lead anywhere.
    """
    place = run.path / page
    return reference(place, folder) if place.is_file() and not place.is_symlink() else None


def reference(place: Path, folder: Path) -> str:
    """The relative reference from a page in `folder` to a file."""
    return of_path(os.path.relpath(place, folder))
