"""Where the faults that an emulator is told of strike, how often, and which of them come first."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx
import pytest
from song_requests import post, request_of

from soundstage.contract import Contract, load_all
from soundstage.emulator import Options, running
from soundstage.emulator.faults.choice import Faults, RequestFaults
from soundstage.emulator.faults.expression import parse
from soundstage.emulator.faults.injection import Chosen, inject
from soundstage.generation.faults.catalogue import (
    by_name,
    catalogue,
    valid_answer,
    valid_stream,
    wire_faults,
)
from soundstage.generation.faults.legality import stage_of

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
TRACKED = next(c for c in CONTRACTS.values() if c.protocol.tracks)


def chunks_of(contract: Contract, text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def streamed(client: httpx.Client, contract: Contract, fault: str) -> httpx.Response:
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    headers = {"Soundstage-Fault": fault}
    return client.post(endpoint.path, json=request_of(contract), headers=headers)


def stages_of(contract: Contract, chunks: list[dict[str, Any]]) -> list[str]:
    found = [stage_of(contract, chunk) for chunk in chunks]
    return ["" if stage is None else stage.name for stage in found]


@each_contract
def test_a_gap_opens_at_the_stage_that_was_named(contract: Contract, client: httpx.Client) -> None:
    index = contract.protocol.index
    assert index is not None
    for stage in contract.protocol.stages:
        if stage.failure or stage.ends == "stream" or not stage.times[0] or not stage.after:
            continue
        answer = streamed(client, contract, f"index/gap@{stage.name}")
        assert "soundstage-fault-missed" not in answer.headers
        chunks = chunks_of(contract, answer.text)
        numbers = [chunk[index.field.name] for chunk in chunks]
        at = next(n for n, number in enumerate(numbers) if number != index.start + n * index.step)
        assert stages_of(contract, chunks)[at] == stage.name


def test_a_field_is_lost_on_the_track_that_was_named(client: httpx.Client) -> None:
    tracks = TRACKED.protocol.tracks
    stage = next(s for s in TRACKED.protocol.stages if s.per_track)
    assert tracks is not None
    field = next(f for f in stage.schema["required"] if f"field/{stage.name}/{f}/missing" in
                 by_name(TRACKED) and f not in (tracks.field.name,))  # fmt: skip
    for track in tracks.values:
        answer = streamed(client, TRACKED, f"field/{stage.name}/{field}/missing#{track}")
        chunks = chunks_of(TRACKED, answer.text)
        lacking = [
            chunk[tracks.field.name]
            for chunk, name in zip(chunks, stages_of(TRACKED, chunks), strict=True)
            if name == stage.name and field not in chunk
        ]
        assert lacking == [track]


def test_a_byte_fault_strikes_at_the_stage_that_was_named(client: httpx.Client) -> None:
    stage = next(s for s in TRACKED.protocol.stages if s.times[0] and s.after and not s.per_track)
    text = streamed(client, TRACKED, f"json/nan@{stage.name}").text
    broken = []
    for line in text.splitlines():
        if line.startswith("data: ") and "NaN" in line:
            broken.append(json.loads(line[6:]))
    assert stages_of(TRACKED, broken) == [stage.name]


def test_a_count_limits_how_many_answers_get_a_fault() -> None:
    options = Options(profile="instant", seed=3, faults=("framing/unterminated*2",))
    with running(options) as emulator:
        endings = [post(TRACKED, emulator.url, "stream").text[-2:] for _ in range(5)]
        counts = httpx.get(emulator.url + "/_emulator/health").json()["faults"]
    assert [ending == "\n\n" for ending in endings] == [False, False, True, True, True]
    assert counts == {"framing/unterminated": {"applied": 2, "not_applicable": 0}}


def test_a_count_holds_over_all_connections_and_begins_anew_when_it_is_set_again() -> None:
    broken = "framing/unterminated*3"
    options = Options(profile="instant", seed=3, faults=(broken,))

    def endings(url: str, many: int) -> list[bool]:
        return [post(TRACKED, url, "stream").text.endswith("\n\n") for _ in range(many)]

    with running(options) as emulator:
        assert endings(emulator.url, 12).count(False) == 3
        set_again = httpx.put(emulator.url + "/_emulator/faults", json={"faults": [broken]})
        set_again.raise_for_status()
        assert endings(emulator.url, 12).count(False) == 3
        counts = httpx.get(emulator.url + "/_emulator/health").json()["faults"]
    assert counts["framing/unterminated"] == {"applied": 6, "not_applicable": 0}


def asked_for(faults: Faults) -> RequestFaults:
    """Those of a request that names none."""
    found = faults.of_request(TRACKED, None)
    assert isinstance(found, RequestFaults)
    return found


def test_a_fault_without_a_place_does_not_use_up_its_count() -> None:
    only_failing = next(f.name for f in catalogue(TRACKED) if f.of_failure)
    faults = Faults([f"{only_failing}*1"], [TRACKED])
    rng = random.Random(1)
    chunks = valid_stream(TRACKED, rng)
    for _ in range(2):
        broken = asked_for(faults).in_stream("stream", chunks, "sse", rng, lambda _: chunks)
        assert broken is not None
        assert [each.asked.name for each in broken.missed] == [only_failing]
    failing = valid_stream(TRACKED, rng, fails=True)
    broken = asked_for(faults).in_stream("stream", failing, "sse", rng, lambda _: failing)
    assert broken is not None
    assert [each.asked.name for each in broken.applied] == [only_failing]
    assert asked_for(faults).in_stream("stream", failing, "sse", rng, lambda _: failing) is None
    assert faults.counts == {only_failing: {"applied": 1, "not_applicable": 2}}


def test_a_place_where_a_fault_never_strikes_is_soon_given_up() -> None:
    """All that time the emulator would do nothing else."""
    index = TRACKED.protocol.index
    assert index is not None
    stages = [stage for stage in TRACKED.protocol.stages if stage.times[0] and not stage.failure]
    never = f"field/{stages[0].name}/{index.field.name}/missing@{stages[1].name}"
    faults = Faults([never], [TRACKED])
    (asked,) = faults.asked
    rng, drawn = random.Random(1), Counter[str]()
    chunks = valid_stream(TRACKED, rng)
    fault = by_name(TRACKED)[asked.name]

    def counted(value: Any, rng: random.Random) -> Any:
        drawn["draws"] += 1
        return fault.apply(value, rng)

    def course(rng: random.Random) -> Any:
        drawn["courses"] += 1
        return valid_stream(TRACKED, rng)

    broken = inject([Chosen(replace(fault, apply=counted), asked)], chunks, 200, "sse", rng)
    assert [each.asked for each in broken.missed] == [asked]
    assert drawn["draws"] < 500
    told = asked_for(faults).in_stream("stream", chunks, "sse", rng, course)
    assert told is not None
    assert [each.asked for each in told.missed] == [asked]
    assert drawn["courses"] < 10


def test_several_faults_may_be_named_for_one_answer(client: httpx.Client) -> None:
    answer = streamed(client, TRACKED, "track/lost, framing/unterminated,wire/gzip")
    assert answer.headers["content-encoding"] == "gzip"
    tracks = TRACKED.protocol.tracks
    assert tracks is not None
    assert not answer.text.endswith("\n\n")
    assert sum(f'"{tracks.field.name}":{value}' in answer.text for value in tracks.values) == 1


def test_an_answer_names_the_faults_that_had_no_place_in_it(client: httpx.Client) -> None:
    sync, stream = (TRACKED.endpoint_of_kind(kind) for kind in ("sync", "stream"))
    assert sync is not None
    assert stream is not None
    body = request_of(TRACKED)
    asked = {"Soundstage-Fault": "index/gap,wire/gzip"}
    answer = client.post(sync.path, json=body, headers=asked)
    assert answer.headers["soundstage-fault-missed"] == "index/gap"
    assert answer.headers["content-encoding"] == "gzip"
    # A refusal is no stream; and two ways to send one answer exclude each other.
    refused = client.post(stream.path, json={}, headers=asked)
    assert refused.status_code >= 400
    assert refused.headers["soundstage-fault-missed"] == "index/gap, wire/gzip"
    both = streamed(client, TRACKED, "wire/gzip,wire/buffered")
    assert both.headers["soundstage-fault-missed"] == "wire/buffered"
    assert "soundstage-fault-missed" not in streamed(client, TRACKED, "wire/gzip").headers


def test_a_fault_that_another_left_nothing_to_has_no_place(client: httpx.Client) -> None:
    sync = TRACKED.endpoint_of_kind("sync")
    assert sync is not None
    names = [f"result/{sync.name}/json/{name}" for name in ("empty", "duplicate_key", "half")]
    asked = {"Soundstage-Fault": ",".join(names)}
    answer = client.post(sync.path, json=request_of(TRACKED), headers=asked)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["soundstage-fault-missed"] == ", ".join(names[1:])


@each_contract
def test_whatever_faults_are_named_together_each_is_applied_or_missed(contract: Contract) -> None:
    rng = random.Random(f"together {contract.api}")
    for of in ("stream", "error", *(e.name for e in contract.endpoints.values())):
        faults = [f for f in catalogue(contract) if f.of == of and not f.of_failure]
        faults = [f for f in faults if f.level != "service"]  # no answer has a place for these
        if of != "error":
            faults += [f for f in wire_faults(contract) if not f.early]
        # One of a kind: what is done to each field of each stage is done by the same code.
        kinds = list({(f.level, f.family, f.name.rpartition("/")[2]): f for f in faults}.values())
        for _ in range(150 if any(f.of == of for f in faults) else 0):
            some = rng.sample(kinds, min(len(kinds), rng.randint(2, 8)))
            chosen = [Chosen(fault, parse(fault.name)) for fault in some]
            first = next((fault for fault in some if fault.of == of), kinds[0])
            status, framing, chunks = valid_answer(contract, first, rng)
            broken = inject(chosen, chunks, status, framing, rng)
            met = [*broken.applied, *broken.missed, *([broken.wire] if broken.wire else [])]
            assert sorted(each.asked.name for each in met) == sorted(f.name for f in some)


def test_what_stands_in_place_of_the_api_leaves_no_place_for_the_rest(client: httpx.Client) -> None:
    later = "index/gap, wire/retry_after_503"
    answer = streamed(client, TRACKED, f"wire/html_502,{later}")
    assert answer.status_code == 502
    assert answer.headers["soundstage-fault-missed"] == later
    # A redirect to the same path is followed by another answer, which the rest may be in.
    redirect = streamed(client, TRACKED, "wire/redirect_307,index/gap")
    assert redirect.status_code == 307
    assert "soundstage-fault-missed" not in redirect.headers
    away = streamed(client, TRACKED, "wire/redirect_elsewhere,index/gap")
    assert away.headers["soundstage-fault-missed"] == "index/gap"


def test_a_result_that_fails_is_a_refusal_and_has_places_as_one(client: httpx.Client) -> None:
    sync = TRACKED.endpoint_of_kind("sync")
    assert sync is not None
    body = request_of(TRACKED) | {"prompt": "a song with the failing-test-word"}
    error = next(f.name for f in catalogue(TRACKED) if f.of == "error" and f.level == "http")
    asked = {"Soundstage-Fault": f"wire/gzip,{error}"}
    answer = client.post(sync.path, json=body, headers=asked)
    assert answer.headers["soundstage-fault-missed"] == "wire/gzip"
    assert "content-encoding" not in answer.headers
    counts = client.get("/_emulator/health").json()["faults"][error]
    assert counts == {"applied": 1, "not_applicable": 0}


def test_faults_set_or_named_come_before_the_options() -> None:
    """Of faults of the wire, on real connections."""
    options = Options(profile="instant", seed=3, faults=("wire/cut",))

    def seen(**headers: str) -> str:
        try:
            answer = post(TRACKED, emulator.url, "stream", **headers)
        except httpx.RemoteProtocolError:
            return "cut"
        except httpx.ReadError:
            return "reset"
        return str(answer.status_code)

    with running(options, process=True) as emulator:
        assert seen() == "cut"
        faults = emulator.url + "/_emulator/faults"
        httpx.put(faults, json={"faults": ["wire/reset"]}).raise_for_status()
        assert {seen() for _ in range(4)} == {"reset"}
        assert seen(**{"Soundstage-Fault": "wire/html_502"}) == "502"
        assert seen(**{"Soundstage-Fault": "wire/gzip"}) == "200"
        httpx.delete(faults).raise_for_status()
        assert {seen() for _ in range(4)} == {"200"}
        httpx.post(emulator.url + "/_emulator/reset", json={}).raise_for_status()
        assert {seen() for _ in range(4)} == {"cut"}


def test_a_fault_has_no_place_where_no_song_is_made(client: httpx.Client) -> None:
    stream = TRACKED.endpoint_of_kind("stream")
    assert stream is not None
    asked = {"Soundstage-Fault": "wire/reset"}
    for method, path in (("GET", "/assets/none/song-1.mp3"), ("PUT", stream.path), ("GET", "/x")):
        answer = client.request(method, path, headers=asked)
        assert 400 <= answer.status_code < 500
        assert answer.headers["soundstage-fault-missed"] == "wire/reset"
    odd = client.get("/x", headers=[(b"Soundstage-Fault", b"\xe9" + b"x" * 500)])
    assert len(odd.headers["soundstage-fault-missed"]) < 320


def test_a_header_in_two_lines_is_one_list(client: httpx.Client) -> None:
    stream = TRACKED.endpoint_of_kind("stream")
    assert stream is not None
    names = [("Soundstage-Fault", "wire/gzip"), ("Soundstage-Fault", "framing/unterminated")]
    answer = client.post(stream.path, json=request_of(TRACKED), headers=names)
    assert answer.headers["content-encoding"] == "gzip"
    assert not answer.text.endswith("\n\n")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("index/gap@nowhere", "has no stage"),
        ("index/gap#7", "has no track"),
        ("wire/gzip=2", "takes seconds"),
        ("index/gap:7", "probability"),
        ("", "name one fault"),
        (",".join(["index/gap"] * 9), "name one fault"),
    ],
)
def test_a_header_that_makes_no_sense_gets_400_and_the_reason(
    client: httpx.Client, fault: str, why: str
) -> None:
    answer = streamed(client, TRACKED, fault)
    assert answer.status_code == 400
    assert why in answer.json()["detail"]


def test_the_header_comes_before_the_admin_api_and_that_before_the_options() -> None:
    options = Options(profile="instant", faults=("wire/gzip",))
    with running(options) as emulator, httpx.Client(base_url=emulator.url) as client:
        client.headers["Authorization"] = "Bearer k"
        assert post(TRACKED, emulator.url, "stream").headers["content-encoding"] == "gzip"
        faults = {"faults": ["framing/unterminated", "wire/retry_after_503*1"]}
        client.put("/_emulator/faults", json=faults).raise_for_status()
        assert post(TRACKED, emulator.url, "stream").status_code == 503
        answer = post(TRACKED, emulator.url, "stream")
        assert "content-encoding" not in answer.headers
        assert not answer.text.endswith("\n\n")
        assert streamed(client, TRACKED, "wire/buffered").text.endswith("\n\n")
        wrong = client.put("/_emulator/faults", json={"faults": ["index/gaps"]})
        assert wrong.status_code in (400, 422)
        assert "index/gap" in wrong.text
        assert not post(TRACKED, emulator.url, "stream").text.endswith("\n\n")
