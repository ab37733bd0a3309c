"""Contracts of the gallery with something wrong in them, and what the loader says of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soundstage.contract import load
from soundstage.errors import ContractDataError

GALLERY = Path(__file__).parents[2] / "examples/contracts"
Change = Callable[[Any], None]


def at(data: Any, path: str) -> Any:
    for part in path.split("/") if path else ():
        data = data[int(part) if isinstance(data, list) else part]
    return data


def put(path: str, /, **fields: Any) -> Change:
    return lambda data: at(data, path).update(fields)


def drop(path: str, *names: str) -> Change:
    def change(data: Any) -> None:
        for name in names:
            at(data, path).pop(name)

    return change


def all_of(*changes: Change) -> Change:
    def change(data: Any) -> None:
        for each in changes:
            each(data)

    return change


def refused(api: str, name: str, change: Change, root: Path) -> str:
    """What is said of a contract of the gallery with this change to one of its files, without the
    folder.
    """
    shutil.copytree(GALLERY / api, root / api)
    file = root / api / name
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(ContractDataError) as caught:
        load(api, root)
    said = str(caught.value)
    assert "\n" not in said
    return said.removeprefix(f"{root}/{api}/")
