"""The test cases of a contract check as pytest would run them, collected and not run; and how many
there should be.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soundstage import contracts as room
from soundstage.contract import Contract
from soundstage.contract.rules import Rule

_RULE = "rule"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is selected: rules, and of the checks of whole contracts the name of each, the API, and
    the further parameters that it runs with.
    """

    rules: tuple[Rule, ...]
    whole: tuple[tuple[str, str, dict[str, Any]], ...]


def selected(apis: Iterable[str], only: str | None) -> Selection:
    """What an expression of pytest's `-k` selects of the checks of these versions; None: all."""
    import pytest  # not with the module: it is called where nothing of the caller's has a say

    seen = _Seen()
    words = [*arguments(only), "-p", "no:terminal", "--collect-only"]
    pytest.main([*words, *(word for api in apis for word in ("--api", api))], plugins=[seen])
    rules, whole = [], []
    for item in seen.items:
        given = dict(item.callspec.params)
        if _RULE in given:
            rules.append(given[_RULE])
        else:
            whole.append((item.originalname, given.pop("contract").api, given))
    return Selection(tuple(rules), tuple(whole))


def arguments(only: str | None) -> list[str]:
    """What pytest is called with for the checks, in a house of their own."""
    return [
        "--pyargs",
        room.__name__,
        "-p",
        "soundstage.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:schemathesis",
        # Its collections of garbage cost more than all cases together.
        "-p",
        "no:unraisableexception",
        "--import-mode=importlib",
        "--noconftest",
        f"--rootdir={Path(str(room.__file__)).parent}",
        "-c",
        "/dev/null",
        "-W",
        "ignore",
        *(["-k", only] if only else []),
    ]


def cases(contracts: Iterable[Contract]) -> int:
    """How many test cases the contracts yield: one for each rule, whatever is installed of the
    checks, and those of the checks that hold a contract as a whole.
    """
    known = list(contracts)
    rules = sum(1 for contract in known for _ in contract.rules)
    return rules + len(known) * sum(_of_each_contract())


def _of_each_contract() -> Iterator[int]:
    """For each check of a whole contract, how many cases of one contract it has."""
    for module in pkgutil.iter_modules(room.__path__):
        if module.name.startswith("test_"):
            found = vars(importlib.import_module(f"{room.__name__}.{module.name}"))
            for name, check in found.items():
                if name.startswith("test_") and inspect.isfunction(check):
                    marks = getattr(check, "pytestmark", [])
                    if any(mark.name == "each_contract" for mark in marks):
                        spread = (mark for mark in marks if mark.name == "parametrize")
                        yield math.prod(len(mark.args[1]) for mark in spread)


@dataclass(slots=True)
class _Seen:
    """A plugin that keeps what was collected."""

    items: list[Any] = field(default_factory=list)

    def pytest_collection_finish(self, session: Any) -> None:
        self.items = list(session.items)
