"""What may have been meant by a name that nothing has: the one place that words it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

#: How much alike two names are of which one is a slip of the pen (difflib's ratio).
ALIKE: Final = 0.6
#: Longer words, and words with both letters and digits of such a length, may be keys.
_WORD, _MIXED = 40, 16


def near_names(
    name: str, known: Iterable[str], *, most: int = 1, alike: float = ALIKE
) -> list[str]:
    """The known names that are most like `name`, whatever their case, the likeliest first. One that
    begins with it is the likeliest.
    """
    import difflib

    by_case = {each.casefold(): each for each in known}
    asked = name.casefold()[:200]
    begun = [each for each in by_case if len(asked.strip("-")) > 2 and each.startswith(asked)]
    close = difflib.get_close_matches(asked, by_case, n=most, cutoff=alike)
    found = [*sorted(begun, key=len), *close]
    return [by_case[each] for each in dict.fromkeys(found)][:most]


def did_you_mean(name: str, known: Iterable[str], *, alike: float = ALIKE) -> str:
    """`; did you mean check?`, to be put behind what was refused; nothing where no name is near."""
    return asked_back(near_names(name, known, alike=alike))


def asked_back(near: Sequence[str]) -> str:
    """The same of names that were found to be near otherwise."""
    return f"; did you mean {', '.join(near)}?" if near else ""


def sayable(word: str) -> str:
    """A word that nobody understood, as it may be said: `…` for one that may be a key, which
    somebody gave in good faith.
    """
    if len(word) <= _WORD and not re.search(r"\s", word):
        mixed = re.search(r"\d", word) and re.search(r"[A-Za-z]", word)
        if len(word) < _MIXED or not mixed or re.search(r"[/.]", word):
            return word
    return "…"
