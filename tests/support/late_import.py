"""A module that is imported when it is first asked for something. Every worker collects every test
file, and `scipy.stats` alone takes two seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class LateModule:
    """Stands for a module until somebody needs it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        # While it collects, pytest asks whatever stands in a test file for private names.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(import_module(self._name), name)
