"""Rows of which one value is something else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

ODD = (None, 7, -1.5, 2**70, "", "x", [], [None], {}, {"x": None}, True)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of each value inside."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def mutants(value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """`value` with each of its values in turn another one, or gone."""
    for number in range(len(list(places(value)))):
        for odd in (*ODD, ...):
            changed = copy.deepcopy(value)
            container, key = list(places(changed))[number]
            if odd is ...:
                del container[key]
            else:
                container[key] = odd
            yield f"{key}: {odd!r}", changed
