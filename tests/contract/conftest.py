"""A copy of the contracts to change, and a third version made out of the second."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All contracts, in a folder of their own."""
    copy = tmp_path / "contracts"
    shutil.copytree(SCHEMAS, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copy


@pytest.fixture
def edit(folder: Path) -> Callable[[str, Callable[[Any], Any]], None]:
    """Change a JSON file of the copy in place."""

    def editing(name: str, change: Callable[[Any], Any]) -> None:
        path = folder / name
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return editing
