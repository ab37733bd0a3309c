"""The catalogue has what the data forbids, and nothing that it allows.

Written from the contract's data and its files, not from what the catalogue says of itself.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter

import jsonschema_rs
import pytest

from soundstage.contract import Contract, load_all
from soundstage.generation.faults.catalogue import (
    Fault,
    broken_answer,
    by_name,
    catalogue,
    encoded,
    near,
    valid_answer,
    valid_stream,
)
from soundstage.generation.faults.legality import broken_order
from soundstage.generation.walk import Step
from soundstage.untrusted import json_text

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
NAME = re.compile(r"[a-z0-9_]+(/[A-Za-z0-9_.*-]+)+")


@each_contract
def test_names_are_stable_paths_and_come_once(contract: Contract) -> None:
    names = [fault.name for fault in catalogue(contract)]
    assert all(NAME.fullmatch(name) for name in names)
    assert max(Counter(names).values()) == 1
    catalogue.cache_clear()
    assert [fault.name for fault in catalogue(contract)] == names


@each_contract
def test_every_fault_says_what_must_catch_it(contract: Contract) -> None:
    for fault in catalogue(contract):
        assert fault.codes
        assert fault.severity in ("error", "warning")
        assert fault.level in ("payloads", "bytes", "http", "service")
        assert fault.description


@each_contract
def test_every_stage_and_every_required_field_has_its_faults(contract: Contract) -> None:
    names = by_name(contract)
    for stage in contract.protocol.stages:
        if stage.failure:
            continue
        for field in stage.schema["required"]:
            assert f"field/{stage.name}/{field}/missing" in names
            kinds = stage.schema["properties"][field]["type"]
            kinds = {kinds} if isinstance(kinds, str) else set(kinds)
            for kind in {"boolean", "integer", "string", "array", "object", "null"} - kinds:
                if kind == "integer" and "number" in kinds:
                    continue
                assert f"field/{stage.name}/{field}/{kind}" in names
        assert f"order/{stage.name}/after_end" in names
        if stage.ends != "stream":
            assert f"truncated/after/{stage.name}" in names
        if stage.times[0] and not stage.ends:
            assert f"order/{stage.name}/skipped" in names
        if stage.times[1] is not None and stage.ends != "stream":
            assert f"order/{stage.name}/repeated" in names
        for group in stage.after:
            if len(group) == 1:
                assert f"order/{group[0]}-{stage.name}/swapped" in names


@each_contract
def test_what_is_legal_makes_no_fault(contract: Contract) -> None:
    names = by_name(contract)
    for stage in contract.protocol.stages:
        if stage.times[0] == 0 and not any(
            stage.name in group for other in contract.protocol.stages for group in other.after
        ):
            assert f"order/{stage.name}/skipped" not in names
        if stage.times[1] is None:
            assert f"order/{stage.name}/repeated" not in names
        for name, schema in stage.schema["properties"].items():
            if jsonschema_rs.is_valid(schema, ""):
                assert f"field/{stage.name}/{name}/empty" not in names
            if jsonschema_rs.is_valid(schema, None):
                assert f"field/{stage.name}/{name}/null" not in names


@each_contract
def test_every_json_problem_has_a_fault(contract: Contract) -> None:
    caught = {code for fault in catalogue(contract) for code in fault.codes}
    assert set(json_text.CODES) <= caught


@each_contract
@pytest.mark.proof
def test_every_fault_finds_a_place_soon_and_changes_something(contract: Contract) -> None:
    for fault in (each for each in catalogue(contract) if each.level != "service"):
        for seed in range(100):
            rng = random.Random(f"{fault.name}/{seed}")
            status, framing, chunks = valid_answer(contract, fault, rng)
            before = copy.deepcopy(chunks)
            answer = broken_answer(contract, fault, status, framing, chunks, rng)
            assert chunks == before, f"{fault.name} changed what it was given"
            if answer is not None:
                break
        else:
            pytest.fail(f"{fault.name} has no place in 100 answers")
        whole = encoded(chunks, framing)
        media = {"sse": "text/event-stream", "lines": "application/x-ndjson"}
        usual = (status, media.get(framing, "application/json"), whole)
        assert (answer.status, answer.content_type, answer.body) != usual


@each_contract
def test_the_same_seed_breaks_the_same_way(contract: Contract) -> None:
    def body(fault: Fault) -> object:
        rng = random.Random(4)
        return broken_answer(contract, fault, *valid_answer(contract, fault, rng), rng)

    for fault in catalogue(contract)[::17]:
        assert body(fault) == body(fault)


@each_contract
def test_order_faults_leave_index_and_flag_right(contract: Contract) -> None:
    index, flag = contract.protocol.index, contract.protocol.completion
    for fault in catalogue(contract):
        if fault.family not in ("order", "track", "truncated"):
            continue
        for seed in range(10):
            rng = random.Random(seed)
            chunks = fault.apply(valid_stream(contract, rng), rng)
            for number, (_, payload) in enumerate(chunks or ()):
                if index is not None:
                    assert payload[index.field.name] == index.start + index.step * number
                if flag is not None:
                    assert (
                        number == len(chunks) - 1
                        or fault.family == "order"
                        or (payload[flag.field.name] is False)
                    )


@each_contract
def test_the_reference_finds_nothing_in_valid_streams(contract: Contract) -> None:
    for seed in range(300):
        for fails in (False, True):
            chunks = valid_stream(contract, random.Random(seed), fails=fails)
            assert broken_order(contract.protocol, [step for step, _ in chunks]) == set()


def test_near_names_are_offered() -> None:
    contracts = list(CONTRACTS.values())
    assert "index/gap" in near("index/gaps", contracts)
    assert any("stream_url" in name for name in near("stream_url", contracts))
    assert near("", contracts) == []


def test_no_module_of_the_catalogue_knows_an_api_version() -> None:
    from pathlib import Path

    import soundstage.generation as room

    for path in Path(room.__path__[0]).glob("*.py"):
        assert not re.search(r"""["']v[0-9]+["']""", path.read_text()), path.name


def test_a_fault_is_shown_by_its_name() -> None:
    contract = next(iter(CONTRACTS.values()))
    fault = catalogue(contract)[0]
    assert fault.name in repr(fault)
    assert json.dumps(sorted(fault.codes))


@each_contract
@pytest.mark.parametrize("name", ["json/half", "framing/split_line"])
def test_a_text_is_cut_between_characters(contract: Contract, name: str) -> None:
    """Half a character is another fault."""
    fault = by_name(contract).get(name)
    if fault is None:
        pytest.skip(f"{contract.api} has no {name}")
    for width in range(1, 9):
        chunks = [(Step("any", None), {"a" * width: "\N{CHECK MARK}" * 20})] * 3
        broken = fault.apply(encoded(chunks, "sse"), random.Random(width))
        assert broken is not None
        b"".join(broken.frames).decode()
