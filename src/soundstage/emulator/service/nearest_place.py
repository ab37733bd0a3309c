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
_ALIKE: Final = 0.6
_SLASHES: Final = re.compile("/{2,}")


def nearest_place(path: str, places: Mapping[str, Iterable[str]]) -> str:
    """Of `places`, methods by path, the one that `path` comes nearest to, else the first of them:
    `did you mean POST /v6/generate/song?`.
    """
    asked = path[:_LONGEST]
    # Compared as it is filled in: what stands for an id says nothing.
    filled = {_filled(each, asked): each for each in reversed(list(places))}
    plain = _plain(asked)
    alike = [each for each in filled if _plain(each) == plain]
    alike = alike or difflib.get_close_matches(plain, filled, n=1, cutoff=_ALIKE)
    if not alike:
        # A base path that is missing, or one too many.
        alike = [each for each in filled if len(plain) > 1 and each.lower().endswith(plain)]
        alike = alike or [each for each in filled if len(each) > 1 and plain.endswith(each.lower())]
    if alike:
        return f"did you mean {_named(filled[alike[0]], places)}?"
    first = [_named(each, places) for each in list(places)[:_MOST_NAMED]]
    more = ", …" if len(places) > _MOST_NAMED else ""
    return f"there are {', '.join(first)}{more}"


def _named(place: str, places: Mapping[str, Iterable[str]]) -> str:
    methods = [each for each in places[place] if each != "HEAD"]
    return f"{' or '.join(methods)} {place}"


def _plain(path: str) -> str:
    return _SLASHES.sub("/", path).rstrip("/").lower() or "/"


def _filled(place: str, asked: str) -> str:
    """A path with the parts of another one where it has a placeholder."""
    parts, given = place.split("/"), _SLASHES.sub("/", asked).rstrip("/").split("/")
    if len(parts) != len(given):
        return place
    pairs = zip(parts, given, strict=True)
    return "/".join(got if PLACEHOLDER.search(part) else part for part, got in pairs)
