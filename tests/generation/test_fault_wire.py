"""The faults of the wire as values: each has a place in every kind of answer, says what a client
makes of it, and changes nothing that it does not name.
"""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path

import pytest

from made_up_api import SHAPES, folder
from soundstage.contract import Contract, load, load_all
from soundstage.contract.protocol import MEDIA_TYPES
from soundstage.generation.faults.catalogue import (
    Fault,
    by_name,
    catalogue,
    valid_result,
    valid_stream,
    wire_faults,
)
from soundstage.generation.faults.fault import Chunks, WholeAnswer, encoded
from soundstage.generation.faults.legality import broken_in_chunk
from soundstage.generation.faults.script import (
    Close,
    FaultSubject,
    GatewayAnswer,
    Pause,
    Raw,
    Reset,
    Say,
    Script,
)

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)


def answers(contract: Contract) -> list[tuple[str, Chunks]]:
    """(framing, chunks): a valid stream in each framing, and a valid result of each endpoint."""
    found: list[tuple[str, Chunks]] = []
    for endpoint in contract.endpoints.values():
        rng = random.Random(5)
        if endpoint.kind == "stream":
            found += [(framing, valid_stream(contract, rng)) for framing in endpoint.framings]
        elif endpoint.kind == "sync":
            found.append(("json", valid_result(contract, endpoint.name, rng)))
    return found


def told(framing: str, chunks: Chunks, seconds: float = 0.1) -> FaultSubject:
    body = encoded(chunks, framing)
    answer = WholeAnswer(200, MEDIA_TYPES[framing], body)
    return FaultSubject(answer, chunks, range(len(body.frames)), seconds)


def said(script: Script) -> bytes:
    """The body that a script tells, by the moves that HTTP frames."""
    return b"".join(m.data for moves in script.chunks for m in moves if isinstance(m, Say))


def made(contract: Contract, name: str) -> Script:
    framing, chunks = answers(contract)[0]
    script = by_name(contract)[name].apply(told(framing, chunks), random.Random(1))
    assert isinstance(script, Script)
    return script


@each_contract
def test_names_are_those_of_no_other_fault(contract: Contract) -> None:
    names = [fault.name for fault in (*catalogue(contract), *wire_faults(contract))]
    assert len(names) == len(set(names)) == len(by_name(contract))
    assert all(fault.name.startswith("wire/") for fault in wire_faults(contract))


@each_contract
def test_each_says_what_a_client_makes_of_it(contract: Contract) -> None:
    for fault in wire_faults(contract):
        assert fault.level == "wire"
        assert (fault.verdict == "violates") == bool(fault.codes)
        assert fault.verdict != "inconclusive" or fault.reasons
        assert fault.description


def has_a_place(contract: Contract, fault: Fault) -> None:
    for framing, chunks in answers(contract):
        plain = told(framing, chunks)
        changed = fault.apply(plain, random.Random(3))
        assert changed is not None, f"{fault.name} has no place in {framing}"
        assert isinstance(changed, GatewayAnswer) == fault.early, fault.name
        if isinstance(changed, Script):
            assert len(changed.chunks) == len(plain.answer.body.frames), fault.name


@each_contract
def test_each_has_a_place_in_every_kind_of_answer(contract: Contract) -> None:
    for fault in wire_faults(contract):
        if fault.of == "any":
            has_a_place(contract, fault)


@pytest.mark.parametrize("shape", SHAPES)
def test_also_in_those_of_a_made_up_contract(shape: str, tmp_path: Path) -> None:
    contract = load(shape, folder(tmp_path, shape))
    for fault in wire_faults(contract):
        has_a_place(contract, fault)


@each_contract
def test_what_conforms_says_the_same_bytes(contract: Contract) -> None:
    for fault in wire_faults(contract):
        if fault.verdict != "conforms" or fault.early:
            continue
        for framing, chunks in answers(contract):
            plain = told(framing, chunks)
            script = fault.apply(plain, random.Random(3))
            assert not script.needs_connection, fault.name
            body = said(script)
            if dict(script.headers).get("content-encoding") == "gzip":
                body = zlib.decompress(body, 16 + zlib.MAX_WBITS)
            whole = b"".join(plain.answer.body.frames)
            if fault.name == "wire/split_character":
                body = body.replace("\N{EIGHTH NOTE}".encode(), b"")
            assert body == whole, fault.name


@each_contract
def test_a_split_character_is_split_inside(contract: Contract) -> None:
    script = made(contract, "wire/split_character")
    (parts,) = [moves for moves in script.chunks if len(moves) == 3]
    first, pause, second = parts
    assert isinstance(first, Say)
    assert isinstance(pause, Pause)
    assert isinstance(second, Say)
    with pytest.raises(UnicodeDecodeError, match="unexpected end"):
        first.data.decode()
    (first.data + second.data).decode()


@each_contract
def test_a_character_is_only_added_where_the_contract_takes_it(contract: Contract) -> None:
    framing, chunks = next(each for each in answers(contract) if each[0] == "sse")
    script = by_name(contract)["wire/split_character"].apply(
        told(framing, chunks), random.Random(1)
    )
    for (step, _), moves in zip(chunks, script.chunks, strict=True):
        frame = b"".join(move.data for move in moves if isinstance(move, Say))
        payload = json.loads(frame.removeprefix(b"data: "))
        for field in payload:
            assert broken_in_chunk(contract, step.stage, payload, (field,)) is None


@each_contract
def test_a_fault_strikes_only_where_it_may(contract: Contract) -> None:
    framing, chunks = answers(contract)[0]
    plain = told(framing, chunks)
    for fault in wire_faults(contract):
        if not fault.placed:
            continue
        for at in (0, 2, len(chunks) - 1):
            script = fault.apply(plain._replace(places=[at]), random.Random(1))
            if script is None:
                assert fault.name == "wire/split_character"  # no text there takes a character
                continue
            for number in range(at):
                frame = plain.answer.body.frames[number]
                untouched = script.chunks[number] == (Say(frame),)
                assert untouched or "gzip" in fault.name or "split" in fault.name, fault.name


@each_contract
def test_nothing_follows_what_ends_the_connection(contract: Contract) -> None:
    for fault in wire_faults(contract):
        framing, chunks = answers(contract)[0]
        script = fault.apply(told(framing, chunks), random.Random(1))
        if isinstance(script, GatewayAnswer):
            continue
        moves = [
            *script.opening,
            *(move for each in script.chunks for move in each),
            *script.closing,
        ]
        ends = [n for n, move in enumerate(moves) if isinstance(move, Close | Reset)]
        assert ends in ([], [len(moves) - 1]), fault.name
        raw = any(isinstance(move, Raw) for move in moves)
        assert not raw or ends, f"{fault.name} leaves a connection in an unknown state"


@each_contract
def test_a_refusal_before_the_api_has_the_documented_body_where_there_is_one(
    contract: Contract,
) -> None:
    framing, chunks = answers(contract)[0]
    for status in (429, 503):
        fault = by_name(contract)[f"wire/retry_after_{status}"]
        whole = fault.apply(told(framing, chunks, 7.0), random.Random(1))
        assert dict(whole.headers) == {"retry-after": "7"}
        documented = [error for error in contract.errors.known if error.status == status]
        if documented:
            assert json.loads(whole.body) in [error.body for error in documented]
