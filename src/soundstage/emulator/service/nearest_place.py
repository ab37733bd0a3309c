"""Which place a request meant whose path there is not: another slash, a slip of the pen, a missing
version. In words, for who wrote it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

from soundstage.contract.placeholders import PLACEHOLDER

_LONGEST: Final = 300
_MOST_NAMED: Final = 8
#: How much alike two paths are of which one is meant by the other (difflib's ratio).
_ALIKE: Final = 0.7
_SLASHES: Final = re.compile("/{2,}")


def nearest_place(path: str, places: Mapping[str, Iterable[str]]) -> str:
    """Of `places`, methods by path, the one that `path` comes nearest to, else the first of them:
    `did you mean POST /v6/generate/song?`.
    """
    asked = _SLASHES.sub("/", path[:_LONGEST]).rstrip("/").lower()
    # The root is like anything that is short, and nobody means it.
    alike = {place: _likeness(asked, place) for place in places if place != "/"}
    nearest = max(alike, key=lambda place: alike[place], default="/")
    if alike.get(nearest, 0.0) >= _ALIKE:
        return f"did you mean {_named(nearest, places)}?"
    first = [_named(each, places) for each in list(places)[:_MOST_NAMED]]
    more = ", …" if len(places) > _MOST_NAMED else ""
    return f"there are {', '.join(first)}{more}"


def _named(place: str, places: Mapping[str, Iterable[str]]) -> str:
    methods = [each for each in places[place] if each != "HEAD"]
    return f"{' or '.join(methods)} {place}"


def _likeness(asked: str, place: str) -> float:
    """How much alike two paths are, from 0 to 1; what stands for an id says nothing."""
    parts, given = place.lower().split("/"), asked.split("/")
    literal = [number for number, part in enumerate(parts) if not PLACEHOLDER.search(part)]
    # A base path in front, or one that is missing.
    if len(given) > 1 and (asked.endswith(place.lower()) or place.lower().endswith(asked)):
        return 0.99
    if len(parts) == len(given):
        given = [given[number] for number in literal]
        parts = [parts[number] for number in literal]
    return difflib.SequenceMatcher(None, "/".join(given), "/".join(parts), autojunk=False).ratio()
