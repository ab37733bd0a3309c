"""Faults that show in arrivals alone are found in time that is made up, and nothing else is."""

from __future__ import annotations

import pytest

from soundstage.contract import load
from soundstage.generation.faults.catalogue import wire_faults
from soundstage.proof.arrival_trials import found_in_arrivals, unheld


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_each_way_to_hold_chunks_back_is_found(api: str) -> None:
    contract = load(api)
    faults = [fault for fault in wire_faults(contract) if fault.timed]
    assert [fault.name for fault in faults] == [
        "wire/buffered",
        "wire/buffered_bytes",
        "wire/buffered_seconds",
    ]
    found = dict(found_in_arrivals(contract, faults))
    assert {fault.name: one.caught for fault, one in found.items()} == dict.fromkeys(
        (fault.name for fault in faults), True
    )


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_no_valid_stream_is_called_held_back(api: str) -> None:
    assert list(unheld(load(api), 200)) == []
