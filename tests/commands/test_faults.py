"""The kill matrix: every fault of every contract is caught under its code, and nothing else is (the
README shows that of v5 and v6, and its test runs it).

Also of contracts of other shapes, made up here, that no Python has ever heard of.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from made_up_api import SHAPES, folder, without_streams
from soundstage.commands import faults as command
from soundstage.contract import Contract, load, load_all
from soundstage.errors import UsageError
from soundstage.generation.faults.catalogue import (
    Fault,
    broken_answer,
    by_name,
    catalogue,
    valid_answer,
    wire_faults,
)
from soundstage.proof import fault_trials
from soundstage.proof.fault_trials import judge_all
from soundstage.proof.kill_matrix import KillMatrix

CONTRACTS = load_all()


def ran(*argv: str) -> tuple[int, str]:
    stdout = io.StringIO()
    code = command.run(command.parse_args(list(argv)), stdout, io.StringIO())
    return code, stdout.getvalue()


def everything(contract: Contract) -> list[Fault]:
    return [*catalogue(contract), *wire_faults(contract)]


def lives(matrix: KillMatrix) -> list[tuple[str, str, tuple[str, ...]]]:
    trials = [*matrix.errors.trials, *matrix.warnings.trials]
    return [(t.fault.name, t.outcome, t.found) for t in trials if t.outcome != "killed"]


def test_json_is_an_object_a_line_with_the_documented_keys() -> None:
    code, text = ran("--format=json", "--only=index/*", "--valid=5")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["api"] for row in rows] == list(CONTRACTS)
    keys = ["api", "faults", "killed", "survivors", "wrong_code", "no_place"]
    keys += ["valid_streams", "false_alarms"]
    for row in rows:
        warnings = row.pop("warnings")
        assert row.pop("no_fault_for") == []
        assert list(row) == list(warnings) == keys
        assert row["faults"] == row["killed"] > 10
        assert row["survivors"] == row["wrong_code"] == []
        assert (row["valid_streams"], row["false_alarms"]) == (5, 0)
    assert code == 0


def test_the_table_has_a_row_a_family_and_names_false_alarms() -> None:
    api = next(iter(CONTRACTS))
    code, text = ran("--api", api, "--only=index/*", "--valid=7")
    assert code == 0
    assert f"{api}, faults that are errors: 13/13" in text
    assert "index  " in text
    assert f"{api}: 0 false alarms on 7 valid streams" in text


def made_up(monkeypatch: pytest.MonkeyPatch, **applies: Callable[..., Any]) -> Contract:
    """A contract whose catalogue is these faults of streams, and no others."""
    codes = frozenset({"track.missing"})
    made = [
        Fault(f"x/{name}", "payloads", "stream", codes, "error", "says", apply)
        for name, apply in applies.items()
    ]
    monkeypatch.setattr(command, "catalogue", lambda _: made)
    monkeypatch.setattr(command, "wire_faults", lambda _: ())
    return next(iter(CONTRACTS.values()))


def test_a_survivor_and_a_wrong_code_are_named_and_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = made_up(
        monkeypatch,
        nothing=lambda chunks, rng: chunks,
        other=lambda chunks, rng: chunks[:-1],
    )
    code, text = ran("--api", contract.api, "--valid=0")
    assert code == 1
    assert "survived: x/nothing\n      expected error: track.missing; found nothing" in text
    assert (
        "wrong code: x/other\n      expected error: track.missing; found stream.truncated" in text
    )
    code, text = ran("--api", contract.api, "--valid=0", "--format=json")
    row = json.loads(text)
    assert row["survivors"] == ["x/nothing"]
    assert row["wrong_code"] == ["x/other"]
    assert row["no_place"] == []


def test_a_fault_that_no_answer_has_a_place_for_is_named_and_does_not_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contract = made_up(monkeypatch, nowhere=lambda chunks, rng: None)
    code, text = ran("--api", contract.api, "--valid=0")
    assert code == 0
    assert "faults that are errors: 0/0, 1 with no place" in text
    assert f"{contract.api}: no valid answer has a place for\n  x/nowhere\n" in text
    assert "survived" not in text
    code, text = ran("--api", contract.api, "--valid=0", "--format=json")
    row = json.loads(text)
    assert (code, row["faults"], row["killed"], row["survivors"]) == (0, 1, 0, [])
    assert row["no_place"] == ["x/nowhere"]


def test_a_false_alarm_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = next(iter(CONTRACTS.values()))
    valid = fault_trials.valid_stream
    monkeypatch.setattr(fault_trials, "valid_stream", lambda *a, **k: valid(*a, **k)[:-1])
    code, text = ran("--api", contract.api, "--only=index/gap", "--valid=3")
    assert code == 1
    assert "3 false alarms on 3 valid streams" in text
    assert "stream.truncated" in text


def test_a_pattern_that_fits_nothing_names_what_is_near() -> None:
    with pytest.raises(UsageError, match="index/gap"):
        ran("--only=index/gaps")


@pytest.mark.parametrize("argv", [["--valid=-1"], ["--valid=x"], ["--format=xml"]])
def test_wrong_arguments_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.parse_args(argv)
    assert stopped.value.code == 2


def test_the_list_says_what_must_catch_each() -> None:
    code, text = ran("--list", "--only=track/lost")
    assert code == 0
    assert "payloads of stream; error: track.missing" in text
    code, text = ran("--list", "--only=track/lost", "--format=json")
    assert json.loads(text.splitlines()[0])["codes"] == ["track.missing"]


def test_it_runs_as_a_program() -> None:
    argv = [sys.executable, "-m", "soundstage", "faults", "--only", "index/*", "--valid", "2"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 false alarms on 2 valid streams" in done.stdout


# --- contracts of other shapes --------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.proof
def test_a_made_up_contract_is_covered_from_its_data_alone(shape: str, tmp_path: Path) -> None:
    contract = load(shape, folder(tmp_path, shape))
    matrix = judge_all(contract, everything(contract), valid=300)
    assert lives(matrix) == []
    assert matrix.alarms == []
    assert len(matrix.errors.trials) > 150
    names = {fault.name for fault in catalogue(contract)}
    first = next(stage.name for stage in contract.protocol.stages if not stage.failure)
    assert {f"order/{first}/skipped", f"order/{first}/too_late"} <= names
    assert ("index/gap" in names) == (contract.protocol.index is not None)
    assert ("track/lost" in names) == (contract.protocol.tracks is not None)


def test_a_fault_of_the_wire_that_the_emulator_has_no_place_for_was_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contract = load("v5")
    fault = next(each for each in wire_faults(contract) if each.name == "wire/no_last_chunk")
    placeless = replace(fault, apply=lambda told, rng: None)
    known = by_name(contract)
    monkeypatch.setitem(known, fault.name, placeless)
    matrix = judge_all(contract, [placeless])
    assert [trial.outcome for trial in matrix.errors.trials] == ["no_place"]
    assert matrix.clean


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.proof
def test_a_contract_without_streams_is_covered_by_its_results_and_errors(
    shape: str, tmp_path: Path
) -> None:
    contract = load(shape, without_streams(folder(tmp_path, shape), shape))
    matrix = judge_all(contract, everything(contract), valid=10)
    assert lives(matrix) == []
    assert matrix.clean
    assert matrix.errors.valid_streams == 0
    families = {trial.fault.family for trial in matrix.errors.trials}
    assert {"result", "wire"} <= families
    assert ("error" in families) == (shape != "bare")


# --- envelopes of errors --------------------------------------------------------------------------


def _envelope(kind: str, message: str) -> dict[str, Any]:
    return {"status": "error", "kind": kind, "message": message}


@pytest.mark.parametrize("nested", [False, True])
def test_printed_errors_that_share_an_envelope_are_told_apart_by_what_only_one_has(
    nested: bool,
) -> None:
    contract = load("v6")
    said = [("limit", "Slow down."), ("money", "Pay first."), ("money", "Pay again.")]
    bodies = [_envelope(*each) for each in said]
    known = [
        replace(error, body={"error": body, "id": 0} if nested else body)
        for error, body in zip(contract.errors.known, bodies, strict=False)
    ]
    contract = replace(contract, errors=replace(contract.errors, known=tuple(known)))
    faults = [fault for fault in catalogue(contract) if fault.level == "payloads"]
    faults = [fault for fault in faults if fault.of == "error"]
    matrix = judge_all(contract, faults)
    assert lives(matrix) == []
    names = {fault.name for fault in faults}
    first, _, last = (error.name for error in known)
    inside = "error." if nested else ""
    assert f"error/{first}/{inside}kind/missing" in names
    assert f"error/{first}/{inside}message/case" in names, "its kind still tells"
    assert f"error/{last}/{inside}kind/missing" in names
    assert f"error/{last}/{inside}message/case" not in names, "what is left may be another's"


# --- one fault, one violation ---------------------------------------------------------------------


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
@pytest.mark.proof
def test_a_fault_in_one_field_starts_no_avalanche(contract: Contract) -> None:
    for fault in catalogue(contract):
        if fault.family not in ("field", "unlisted"):
            continue
        rng = random.Random(fault.name)
        answer = broken_answer(contract, fault, *valid_answer(contract, fault, rng), rng)
        if answer is not None:
            found = fault_trials.judged(contract, fault, answer)
            errors = [v.code for v in found if v.severity == "error"]
            assert set(errors) <= fault.codes, f"{fault.name}: {errors}"
