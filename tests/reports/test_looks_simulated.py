"""Looks on drawn runs, through the real command: a small draw of `python -m benchmarks looks`."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.proof
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def looks() -> Any:
    sys.path.insert(0, str(ROOT))
    yield importlib.import_module("benchmarks.looks")
    sys.path.remove(str(ROOT))


@pytest.fixture
def songs(looks: Any, runs: ModuleType, tmp_path: Path) -> Any:
    """Songs of a minute or so, sigma 0.3, as a run that was recorded."""
    rng = np.random.default_rng(5)
    rows, usual = [], random.Random(1)
    for number, seconds in enumerate(rng.lognormal(4.0, 0.3, 400)):
        row = runs.exchange(number + 1, usual, at=float(number))
        row["milestones"] = {"streaming_ready": float(seconds) * 0.9, "complete": float(seconds)}
        row["ended"] = float(seconds)
        rows.append(row)
    path = runs.write(tmp_path / "recorded", rows, kind="load", rules=runs.contract_rules())
    return looks.read(path)


@pytest.mark.parametrize("whole", [False, True], ids=["in pairs", "the base whole"])
def test_no_run_fails_at_the_margin_and_a_much_slower_one_is_found_at_once(
    looks: Any, songs: Any, whole: bool
):
    rng = np.random.default_rng(7)
    found = {
        shift: [
            each
            for (each,) in looks.simulate(songs, 0.5, shift, 12, rng, 1.0, whole=whole, most=400)
        ]
        for shift in (0.10, 0.50)
    }
    failed = [each for each in found[0.10] if each.verdict == "fail"]
    assert len(failed) <= 1, "5% at the most: two of twelve are a sign that it is more"
    assert {each.verdict for each in found[0.50]} == {"fail"}
    assert np.mean([each.songs for each in found[0.50]]) <= 80
    assert all(each.sent > each.songs for each in found[0.50]), "songs in flight are counted"
