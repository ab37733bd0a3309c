"""Where the page of a comparison goes: beside the newest run of the candidate, under a name of the
base's, so that comparing again replaces that page and no other.
"""

from __future__ import annotations

import re
from pathlib import Path

from soundstage.errors import SoundstageError
from soundstage.output.written_files import put_within
from soundstage.reports.compare.comparison import Comparison
from soundstage.reports.compare.comparison_formats import page

#: Longest name of a run in the name of a page; letters beyond this one's are replaced.
_NAME_LIMIT = 100
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")


def place_of(made: Comparison) -> Path:
    """`CANDIDATE/compare-BASE.html`; of several runs in the base the first one's id, and how many
    more.
    """
    name = _STRANGE.sub("-", made.base.runs[0].id)[:_NAME_LIMIT].strip(".-") or "base"
    others = len(made.base.runs) - 1
    tail = f"-and-{others}-more" if others else ""
    return made.candidate.runs[-1].path / f"compare-{name}{tail}.html"


def leave(made: Comparison) -> tuple[Path, str | None]:
    """Write the page to its usual place; where that is, and why it could not be, if so."""
    place = place_of(made)
    try:
        put_within(place.parent, place.name, page(made, place))
    except SoundstageError as error:
        return place, str(error)
    return place, None
