"""Faults of what two endpoints say of one generation are tried over sockets, and all are caught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from soundstage.contract import Contract, load
from soundstage.generation.faults.catalogue import Fault, catalogue, wire_faults
from soundstage.proof.fault_trials import judge_all
from soundstage.proof.tie_trials import found_in_ties, untied

EXAMPLES = Path(__file__).parents[2] / "examples" / "contracts"
TIED = ("songs", "pictures")


def ties(contract: Contract) -> list[Fault]:
    return [fault for fault in catalogue(contract) if fault.level == "service"]


@pytest.mark.parametrize("api", TIED)
def test_every_tie_of_an_example_is_caught_and_nothing_else_is(api: str) -> None:
    contract = load(api, EXAMPLES)
    faults = ties(contract)
    assert {fault.name.rpartition("/")[2] for fault in faults} >= {"unknown_id", "charged_twice"}
    matrix = judge_all(contract, faults, valid=1)
    trials = [*matrix.errors.trials, *matrix.warnings.trials]
    assert {trial.fault.name: trial.outcome for trial in trials} == {
        fault.name: "killed" for fault in faults
    }
    assert matrix.alarms == []
    assert list(untied(contract)) == []


def test_a_tie_that_is_found_under_another_code_is_not_killed() -> None:
    contract = load("songs", EXAMPLES)
    (fault,) = (each for each in ties(contract) if each.name == "tie/stream/behind")
    other = replace(fault, codes=frozenset({"job.other_result"}))
    ((_, finding),) = found_in_ties(contract, [other])
    assert (finding.caught, finding.placed) == (False, True)
    assert "job.behind (error)" in finding.found


def test_a_fault_of_the_connection_is_caught_where_a_job_is_accepted() -> None:
    contract = load("pictures", EXAMPLES)
    names = ("wire/cut", "wire/gzip", "wire/content_length_above")
    faults = [each for each in wire_faults(contract) if each.name in names]
    assert len(faults) == len(names)
    matrix = judge_all(contract, faults)
    assert {trial.outcome for trial in matrix.errors.trials} == {"killed"}
