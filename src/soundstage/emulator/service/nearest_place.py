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
_MOST_NEAR: Final = 2
#: How much alike two paths are of which one is meant by the other (difflib's ratio).
_ALIKE: Final = 0.7
#: Who is that much less alike than the nearest may be meant as well.
_AS_ALIKE: Final = 0.05
#: So many parts that are written out tell a path from another.
_TELLING: Final = 2
_SLASHES: Final = re.compile("/{2,}")


def nearest_place(path: str, places: Mapping[str, Iterable[str]]) -> str:
    """Of `places`, methods by path, the one that `path` comes nearest to, else the first of them:
    `did you mean POST /v6/generate/song?`.
    """
    asked = _SLASHES.sub("/", path[:_LONGEST]).rstrip("/").lower()
    # The root is like anything that is short, and nobody means it.
    alike = {place: _likeness(asked, place) for place in places if place != "/"}
    least = max(_ALIKE, max(alike.values(), default=0.0) - _AS_ALIKE)
    near = sorted(
        (place for place in alike if alike[place] >= least), key=lambda each: -alike[each]
    )
    if near:
        return f"did you mean {' or '.join(_named(each, places) for each in near[:_MOST_NEAR])}?"
    first = [_named(each, places) for each in list(places)[:_MOST_NAMED]]
    more = ", …" if len(places) > _MOST_NAMED else ""
    return f"there are {', '.join(first)}{more}"


def _named(place: str, places: Mapping[str, Iterable[str]]) -> str:
    methods = [each for each in places[place] if each != "HEAD"]
    return f"{' or '.join(methods)} {place}"


def _likeness(asked: str, place: str) -> float:
    """How much alike two paths are, from 0 to 1. Of one that has more parts, also the end counts:
    there may be a base path too many, or too few.
    """
    parts, given = place.lower().split("/"), asked.split("/")
    if len(parts) == len(given):
        return _of_parts(given, parts)
    fewer = min(len(parts), len(given))
    ends = _of_parts(given[len(given) - fewer + 1 :], parts[len(parts) - fewer + 1 :])
    return max(_ratio(given, parts), 0.95 * ends)


def _of_parts(given: list[str], parts: list[str]) -> float:
    """The likeness of paths of as many parts; what stands for an id says nothing."""
    literal = [number for number, part in enumerate(parts) if not PLACEHOLDER.search(part)]
    if len(literal) < _TELLING:
        return 0.0
    return _ratio([given[number] for number in literal], [parts[number] for number in literal])


def _ratio(given: list[str], parts: list[str]) -> float:
    matcher = difflib.SequenceMatcher(None, "/".join(given), "/".join(parts), autojunk=False)
    return matcher.ratio()
