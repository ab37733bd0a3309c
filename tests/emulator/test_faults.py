"""The emulator breaks answers in the ways of the catalogue; a client finds each under its code."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import httpx
import pytest
from song_requests import post, request_of

from soundstage.contract import Contract, load_all
from soundstage.contract.protocol import Endpoint
from soundstage.emulator import Emulator, Options, running
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.session import Session, open_session
from soundstage.generation.faults.catalogue import (
    Fault,
    catalogue,
)

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
SAMPLED = 25


@pytest.fixture(scope="module")
def session(instant: str) -> Iterator[Session]:
    session = open_session(instant)
    yield session
    session.close()


def endpoint_for(contract: Contract, fault: Fault) -> Endpoint:
    if fault.of in contract.endpoints:
        return contract.endpoints[fault.of]
    found = contract.endpoint_of_kind("stream")
    assert found is not None
    return found


def asked(contract: Contract, fault: Fault, session: Session) -> Exchange:
    """One exchange in which the emulator is told to inject the fault."""
    headers = [("Soundstage-Fault", fault.name)]
    if fault.of == "error":
        parts = fault.name.split("/")
        printed = [error.name for error in contract.errors.known if error.printed]
        name = parts[1] if parts[1] in printed else printed[0]
        headers.append(("Soundstage-Error", name))
    body = request_of(contract)
    if fault.of_failure:
        body["prompt"] = "a song with the failing-test-word"
    call = Call(
        contract,
        endpoint_for(contract, fault),
        body,
        headers=tuple(headers),
        expect_error=fault.of == "error",
        broken_rule=fault.broken_rule,
    )
    return session.client.exchange(call)


@cache
def spread(contract: Contract) -> list[Fault]:
    """A sample that has something of each family and level, the same every time; but for what no
    single answer shows.
    """
    faults = [fault for fault in catalogue(contract) if fault.level != "service"]
    rng = random.Random(contract.api)
    groups = {
        (fault.family, fault.level, fault.of): fault for fault in rng.sample(faults, len(faults))
    }
    rest = [fault for fault in faults if fault not in groups.values()]
    return [*groups.values(), *rng.sample(rest, max(0, SAMPLED - len(groups)))]


# By number and not by name: drawn where tests are collected, the sample costs a second a worker.
@each_contract
@pytest.mark.parametrize("number", range(SAMPLED))
def test_a_fault_on_the_whole_path_is_caught_under_its_code(
    contract: Contract, number: int, session: Session
) -> None:
    assert len(spread(contract)) == SAMPLED
    fault = spread(contract)[number]
    exchange = asked(contract, fault, session)
    found = [(v.code, v.severity.value) for v in exchange.violations]
    assert any(code in fault.codes and severity == fault.severity for code, severity in found), (
        f"{fault.name}: expected {fault.severity} {' or '.join(sorted(fault.codes))}; found {found}"
    )


def test_without_the_header_nothing_is_broken(session: Session) -> None:
    for contract in CONTRACTS.values():
        for kind in ("stream", "sync"):
            endpoint = contract.endpoint_of_kind(kind)
            assert endpoint is not None
            exchange = session.client.exchange(Call(contract, endpoint, request_of(contract)))
            assert [v for v in exchange.violations if v.severity != "info"] == []


@each_contract
def test_an_unknown_fault_gets_400_and_near_names(contract: Contract, client: httpx.Client) -> None:
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    headers = {"Soundstage-Fault": "index/gaps"}
    response = client.post(endpoint.path, json=request_of(contract), headers=headers)
    assert response.status_code == 400
    assert "index/gap" in response.json()["detail"]


def test_options_break_every_answer_they_concern_and_are_counted() -> None:
    contract = next(c for c in CONTRACTS.values() if c.protocol.tracks)
    field, rest = "track/lost", "result/sync/message_id/missing"
    options = Options(profile="instant", seed=3, faults=(field, rest, "index/gap:0"))
    with running(options) as emulator:
        streams = [post(contract, emulator.url, "stream").text for _ in range(3)]
        result = post(contract, emulator.url, "sync").json()
        health = httpx.get(emulator.url + "/_emulator/health").json()
    tracks = contract.protocol.tracks
    assert tracks is not None
    for text in streams:
        assert sum(f'"{tracks.field.name}":{value}' in text for value in tracks.values) == 1
    assert "message_id" not in result
    assert health["faults"] == {
        field: {"applied": 3, "not_applicable": 0},
        rest: {"applied": 1, "not_applicable": 0},
        "index/gap": {"applied": 0, "not_applicable": 0},
    }


def test_a_probability_breaks_some_answers_and_the_seed_says_which() -> None:
    contract = next(iter(CONTRACTS.values()))
    options = Options(profile="instant", seed=3, faults=("framing/unterminated:0.5",))

    def endings() -> list[bool]:
        with running(options) as emulator:
            texts = [post(contract, emulator.url, "stream").text for _ in range(12)]
        return [text.endswith("\n\n") for text in texts]

    first = endings()
    assert set(first) == {True, False}
    assert endings() == first


def test_the_header_takes_precedence_over_the_options() -> None:
    contract = next(c for c in CONTRACTS.values() if c.protocol.tracks)
    options = Options(profile="instant", faults=("track/lost",))
    with running(options) as emulator:
        named = {"Soundstage-Fault": "framing/unterminated"}
        text = post(contract, emulator.url, "stream", **named).text
    tracks = contract.protocol.tracks
    assert tracks is not None
    assert all(f'"{tracks.field.name}":{value}' in text for value in tracks.values)
    assert not text.endswith("\n\n")


def test_a_fault_without_a_place_is_counted_and_said_once() -> None:
    contract = next(iter(CONTRACTS.values()))
    command = [sys.executable, "-m", "soundstage", "emulate", "--port=0", "--profile=instant"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().split()[-1]
        for _ in range(3):
            response = post(contract, url, "sync", **{"Soundstage-Fault": "index/gap"})
            assert response.status_code == 200
        health = httpx.get(url + "/_emulator/health").json()
        child.terminate()
        _, complaints = child.communicate(timeout=20)
    assert health["faults"] == {"index/gap": {"applied": 0, "not_applicable": 3}}
    assert complaints.count("index/gap") == 1


def test_a_fault_of_one_version_may_be_asked_of_an_emulator_of_all() -> None:
    only = [
        next(f.name for f in catalogue(contract) if f.name not in others)
        for api, contract in CONTRACTS.items()
        for others in [{f.name for o in CONTRACTS.values() if o.api != api for f in catalogue(o)}]
    ]
    Emulator(Options(faults=tuple(only)))
