"""Contracts that load and are shaped as none of the gallery: their faults have a name each, and are
caught.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import small_contract
from tests.support.small_api import small, stage

from soundstage.contract import Contract, load
from soundstage.generation.faults.catalogue import by_name, catalogue
from soundstage.proof.fault_trials import judge_all

END = stage("end", ends="stream")
OTHER = {"name": "other", "kind": "stream", "method": "POST", "path": "/o",
         "framings": ["lines"], "billed": False, "request": "request.json"}  # fmt: skip


def with_line(root: Path, line: dict[str, Any], **beside: dict[str, Any]) -> Contract:
    """A stream whose lines are like this, with other fields `beside`."""
    properties = {"line": line, **beside}
    chunk = {"type": "object", "properties": properties, "required": list(properties)}
    small_contract.write(root, files={"line.json": chunk})
    return load("tales", root)


ODD: dict[str, Callable[[Path], Contract]] = {
    "a sentinel beside numbers": lambda root: small(
        root,
        stage("one", times=[3, 5], fields=["n"]),
        stage("end", ends="stream", fields=["n"]),
        endpoint={"sentinel": {"data": "[DONE]"}},
        index={"field": "n", "start": 0, "step": 1},
    ),
    "two streams of the same stages": lambda root: small(
        root, stage("one", times=[1, None]), END, more=[OTHER]
    ),
    "two types that can be empty": lambda root: with_line(root, {"type": ["string", "array"]}),
    "a value that is given beside a list of them": lambda root: with_line(
        root, {"allOf": [{"enum": ["a", "b"]}], "const": "a"}
    ),
    "a name with a dot beside a place that is written so": lambda root: with_line(
        root,
        {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
        **{"line.b": {"type": "string"}},
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_every_fault_has_a_name_of_its_own_and_is_caught(tmp_path: Path, case: str) -> None:
    contract = ODD[case](tmp_path)
    faults = catalogue(contract)
    assert len(by_name(contract)) >= len(faults)
    assert len({each.name for each in faults}) == len(faults) > 50
    matrix = judge_all(contract, faults, valid=20)
    tried = [*matrix.errors.trials, *matrix.warnings.trials]
    assert [(t.fault.name, t.found) for t in tried if t.outcome in ("survived", "wrong_code")] == []
    assert matrix.alarms == []
