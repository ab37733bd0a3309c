"""The names in braces that stand in paths and queries for what is filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def filled_in(path: str, query: Mapping[str, str]) -> list[str]:
    """The names that are filled into a path and a query, in order."""
    return [name for text in (path, *query.values()) for name in PLACEHOLDER.findall(text)]
