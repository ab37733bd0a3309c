"""What CONTRIBUTING.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
#: Paths in backquotes; what holds a `*` stands for at least one file.
NAMED = sorted(
    set(re.findall(r"`((?:src|reports|schemas|tests|benchmarks|docs|\.ci)/[\w./*-]*)`", PAGE))
    | set(re.findall(r"\]\((?!http)([^)#]+)", PAGE))
)


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_is_there(name: str) -> None:
    assert list(ROOT.glob(name.rstrip("/"))), name
