"""How faults are asked for: the grammar, and what is said about a text that does not follow it."""

from __future__ import annotations

import pytest

from soundstage.contract import Contract, load_all
from soundstage.emulator.faults.expression import FaultExpression, checked, misfit, parse
from soundstage.errors import UsageError
from soundstage.generation.faults.catalogue import by_name

CONTRACTS = list(load_all().values())
TRACKED = next(contract for contract in CONTRACTS if contract.protocol.tracks)
STAGE = next(s.name for s in TRACKED.protocol.stages if s.per_track)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("index/gap", FaultExpression("index/gap", "index/gap")),
        ("index/gap:0.5", FaultExpression("index/gap:0.5", "index/gap", probability=0.5)),
        ("index/gap*3", FaultExpression("index/gap*3", "index/gap", count=3)),
        ("a/b@x#2:0*0", FaultExpression("a/b@x#2:0*0", "a/b", None, "x", "2", 0.0, 0)),
        ("wire/stall=2.5@x", FaultExpression("wire/stall=2.5@x", "wire/stall", 2.5, "x")),
        ("result/a/*/b", FaultExpression("result/a/*/b", "result/a/*/b")),
        ("result/a/*/b*7", FaultExpression("result/a/*/b*7", "result/a/*/b", count=7)),
        ("a/b#low", FaultExpression("a/b#low", "a/b", track="low")),
    ],
)
def test_a_text_says_what_where_how_likely_and_how_often(text: str, asked: FaultExpression) -> None:
    assert parse(text) == asked


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not written as"),
        ("index/gap *3", "not written as"),
        ("index/gap:2", "probability must be from 0 to 1"),
        ("index/gap:nan", "probability must be"),
        ("index/gap:", "probability must be"),
        ("wire/stall=-1", "seconds must be from 0 to 86400"),
        ("wire/stall=inf", "seconds must be"),
        ("index/gap@", "the stage is missing"),
        ("index/gap#", "the track is missing"),
        ("x" * 9000 + "!", "not written as"),
    ],
)
def test_a_text_that_does_not_follow_the_grammar_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        parse(text)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("index/gaps", "did you mean index/gap"),
        ("index/gap*x", "did you mean index/gap"),
        ("index/gap=3", "takes seconds"),
        ("index/gap@nowhere", "no stage 'nowhere': there are"),
        ("index/gap#9", "no track '9': there are 1, 2"),
        (f"http/status_201@{STAGE}", "concerns the whole answer"),
        (f"wire/gzip@{STAGE}", "concerns the whole answer"),
    ],
)
def test_what_a_contract_cannot_have_is_refused_with_what_it_has(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        checked([text], [TRACKED])


def test_one_contract_of_all_is_enough() -> None:
    only = [
        name
        for contract in CONTRACTS
        for name in by_name(contract)
        if sum(name in by_name(other) for other in CONTRACTS) == 1
    ]
    assert [each.name for each in checked(only, CONTRACTS)] == only


def test_a_fault_that_only_another_contract_has_costs_a_request_no_search() -> None:
    """What is asked of all versions is looked at in every request of each."""
    assert misfit(parse("no/such-fault"), TRACKED) == ""


def test_every_name_of_the_catalogue_can_be_written_with_all_that_it_takes() -> None:
    def full(contract: Contract, name: str) -> str:
        fault = by_name(contract)[name]
        where = f"@{contract.protocol.stages[0].name}" if fault.placed else ""
        return f"{name}{'' if fault.setting is None else '=1'}{where}:0.25*12"

    for contract in CONTRACTS:
        for name in by_name(contract):
            asked = parse(full(contract, name))
            assert (asked.name, asked.probability, asked.count) == (name, 0.25, 12)
            assert misfit(asked, contract) is None
