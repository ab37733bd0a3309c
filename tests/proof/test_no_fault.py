"""Keywords that no fault breaks are found by breaking, and named with their file and place."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_contract as small

from soundstage.contract import load, load_all
from soundstage.contract.contract import folder_of
from soundstage.proof.contract_files import ContractFiles
from soundstage.proof.no_fault import unbroken_keywords

TEXT = {"type": "string"}
PAIR = [{"type": "integer", "minimum": 1}, TEXT]
#: A schema with one keyword of each kind that faults are not made for.
ODD = {
    "type": "object",
    "properties": {"words": TEXT, "kind": {"enum": ["a", "b"]}, "more": TEXT},
    "required": ["words"],
    "if": {"properties": {"kind": {"const": "a"}}, "required": ["kind"]},
    "then": {"required": ["more"]},
    "additionalProperties": False,
}


def unbroken(folder: Path) -> list[str]:
    contract = load(folder.name, folder.parent)
    return [str(each) for each in unbroken_keywords(contract, ContractFiles.of(folder))]


def test_a_request_says_which_of_its_keywords_no_fault_breaks(tmp_path: Path) -> None:
    assert unbroken(small.write(tmp_path, files={"request.json": ODD})) == [
        "no fault for `if` in request.json#/if",
        "no fault for `additionalProperties` in request.json#/additionalProperties",
        "no fault for `required` in request.json#/then/required",
    ]


def test_an_answer_does_as_well(tmp_path: Path) -> None:
    tale = {**ODD, "required": ["words", "kind"]}
    said = unbroken(small.write(tmp_path, [small.SYNC], [], files={"tale.json": tale}))
    assert "no fault for `if` in tale.json#/if" in said
    assert not any("#/properties" in each for each in said)


def test_what_asks_nothing_or_is_broken_is_not_named(tmp_path: Path) -> None:
    line = {
        "type": "object",
        "properties": {
            "line": {"type": "string", "minLength": 0, "maxLength": 8},
            "pair": {"type": "array", "minItems": 2, "prefixItems": PAIR},
        },
        "required": ["line", "pair"],
    }
    assert unbroken(small.write(tmp_path, files={"line.json": line})) == []


@pytest.mark.parametrize("api", load_all())
def test_the_contracts_that_come_with_it_have_a_fault_for_every_keyword(api: str) -> None:
    assert unbroken_keywords(load(api), ContractFiles.of(folder_of(api))) == []
