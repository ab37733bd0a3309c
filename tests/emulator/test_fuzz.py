"""A little of what `make bench` does in earnest: mutated bodies get an answer that is no 500."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from soundstage.contract import load_all
from soundstage.emulator import Options, running

ROOT = Path(__file__).parents[2]
BODIES = 1_500


@pytest.fixture(scope="module")
def fuzz() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("benchmarks.fuzz_requests")
    finally:
        sys.path.remove(str(ROOT))


def test_mutated_bodies_get_neither_a_500_nor_a_traceback(fuzz: Any) -> None:
    with running(Options(profile="instant", seed=1)) as emulator:
        outcome = fuzz.mutated(emulator.url, BODIES)
    assert outcome.bad == []
    assert sum(outcome.statuses.values()) == BODIES
    # Some are still valid, most are wrong in one way or the other.
    assert {200, 400, 422} <= outcome.statuses.keys()
    assert outcome.statuses[200] > BODIES // 20


@pytest.mark.proof
def test_all_phases_of_schemathesis_find_neither(fuzz: Any) -> None:
    with running(Options(profile="instant", seed=1)) as emulator:
        outcome = fuzz.explored(emulator.url, 8)
        asked = httpx.get(emulator.url + "/_emulator/journal?limit=1000").json()["entries"]
    assert outcome.bad == []
    assert {200, 401, 404, 405, 415, 422} <= outcome.statuses.keys()
    # Only a sequence of requests comes by the id of a song.
    found = {(entry["endpoint"], entry["status"]) for entry in asked}
    for contract in load_all().values():
        for endpoint in contract.endpoints.values():
            assert (endpoint.name, 200) in found


def test_the_search_knows_what_a_failure_looks_like(fuzz: Any) -> None:
    outcome = fuzz.Outcome()
    outcome.took(500, b"{}", b"a body")
    outcome.took(200, b'x Traceback (most recent call last):\n  File "a.py", line 3', b"another")
    outcome.took(422, b"{}", b"fine")
    outcome.took(503, b"{}", b"documented")
    assert [said[:3] for said in outcome.bad] == ["500", "200"]


def test_mutants_differ_and_come_again_from_their_seed(fuzz: Any) -> None:
    def some(seed: int) -> list[bytes]:
        rng = random.Random(seed)
        return [fuzz.mutant({"prompt": "A song", "userId": "u"}, rng) for _ in range(300)]

    assert some(1) == some(1)
    assert len(set(some(1))) > 200
