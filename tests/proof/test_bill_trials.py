"""Faults of what is charged are found by adding up, and an emulator that charges right adds up."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundstage.contract import Contract, load
from soundstage.contract.contract import load as load_from
from soundstage.generation.faults.catalogue import catalogue
from soundstage.proof.bill_trials import found_in_bills, unbilled

GALLERY = Path(__file__).parents[2] / "examples" / "contracts"


@pytest.fixture
def songs(monkeypatch: pytest.MonkeyPatch) -> Contract:
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(GALLERY))
    return load_from("songs")


def bills(contract: Contract) -> dict[str, bool]:
    faults = [fault for fault in catalogue(contract) if fault.kind == "bill"]
    return {fault.name: one.caught for fault, one in found_in_bills(contract, faults)}


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_each_way_to_charge_wrongly_is_found(api: str) -> None:
    found = bills(load(api))
    ways = ("twice", "refused", "not_at_all")
    assert found == {f"bill/{name}/{way}": True for name in ("stream", "sync") for way in ways}


def test_a_request_that_is_sent_again_with_its_key_must_not_be_charged_for_again(
    songs: Contract,
) -> None:
    found = bills(songs)
    assert found["bill/stream/retried"]
    assert all(found.values())


def test_a_contract_that_names_no_key_has_no_retries() -> None:
    assert not any(name.endswith("/retried") for name in bills(load("v6")))


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_an_emulator_that_charges_as_it_should_adds_up(api: str) -> None:
    assert list(unbilled(load(api))) == []


def test_a_retry_that_costs_nothing_adds_up(songs: Contract) -> None:
    assert list(unbilled(songs)) == []
