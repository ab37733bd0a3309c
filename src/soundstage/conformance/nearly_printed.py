"""Which printed error an unprinted body of an error was meant to be, if any.

What tells a printed error is what no other one has: the members of an envelope that they all share
(`"status": "error"`) are in any error of the API. Compared are leaves, since envelopes nest.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from soundstage.conformance.fields import shown
from soundstage.contract import Contract
from soundstage.contract.protocol import DocumentedError

#: Where a leaf stands, and the text or number that it is.
_Leaf = tuple[tuple[str | int, ...], str | int | float]


def nearest(contract: Contract, value: dict[str, Any]) -> DocumentedError | None:
    """The printed error that shares the most leaves with `value` of those that tell it from the
    others; None if none shares any.
    """
    most, best = 0, None
    for error, leaves in _telling(contract):
        if (shared := sum(_at(value, path) == leaf for path, leaf in leaves)) > most:
            most, best = shared, error
    return best


def difference(printed: dict[str, Any], value: dict[str, Any], place: str = "") -> str:
    """The first thing in words that `value` has otherwise than the printed body; empty if none."""
    for name, asked in printed.items():
        here = f"{place}{name}"
        if name not in value:
            return f"{here} is missing"
        found = value[name]
        if isinstance(asked, dict) and isinstance(found, dict):
            if within := difference(asked, found, f"{here}."):
                return within
        elif found != asked:
            return f"{here} is {shown(found)}; expected {shown(asked)}"
    extra = ", ".join(f"{place}{name}" for name in sorted(value.keys() - printed.keys())[:3])
    return f"it also has {extra}" if extra else ""


@cache
def _telling(contract: Contract) -> tuple[tuple[DocumentedError, frozenset[_Leaf]], ...]:
    """Each printed error with the leaves that no other printed body has."""
    printed = [error for error in contract.errors.known if error.printed]
    found = []
    for error in printed:
        others = [other.body for other in printed if other.body != error.body]
        shared = {leaf for body in others for leaf in _leaves(body)}
        found.append((error, frozenset(_leaves(error.body)) - shared))
    return tuple(found)


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[_Leaf]:
    """The texts and numbers in a body. A boolean, a null or an empty list is in any of them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield path, value


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at a place; None where there is nothing, or a boolean, which is no number."""
    for part in path:
        if isinstance(value, str):
            return None
        try:
            value = value[part]
        except (LookupError, TypeError):
            return None
    return None if isinstance(value, bool) else value
