"""What the emulator sends: whole streams, results, status, assets, and the same again."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import requests
from emulated import served

from soundstage.contract import Contract, load_all
from soundstage.contract.protocol import Endpoint
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
KEY = {"Authorization": "Bearer any-key"}


def endpoint(contract: Contract, kind: str) -> Endpoint:
    found = contract.endpoint_of_kind(kind)
    assert found is not None
    return found


def request_of(contract: Contract) -> dict[str, Any]:
    payload = next(each.payload for each in contract.examples if each.of == "request")
    assert isinstance(payload, dict)
    return payload


def chunks_of(text: str) -> list[dict[str, Any]]:
    assert text.endswith("\n\n")
    blocks = text.removesuffix("\n\n").split("\n\n")
    return [json.loads(block.splitlines()[-1].removeprefix("data: ")) for block in blocks]


def stages_of(contract: Contract, chunks: list[dict[str, Any]]) -> list[str]:
    whens = {s.name: jsonschema_rs.validator_for(s.when) for s in contract.protocol.stages}
    return [next(name for name, w in whens.items() if w.is_valid(chunk)) for chunk in chunks]


@each_contract
def test_a_stream_is_server_sent_events_that_meet_the_contract(
    client: httpx.Client, contract: Contract
) -> None:
    response = client.post(endpoint(contract, "stream").path, json=request_of(contract))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache"
    chunks = chunks_of(response.text)
    for name, chunk in zip(stages_of(contract, chunks), chunks, strict=True):
        assert jsonschema_rs.is_valid(contract.protocol.by_name[name].schema, chunk), chunk


@each_contract
def test_a_synchronous_result_meets_the_contract(client: httpx.Client, contract: Contract) -> None:
    sync = endpoint(contract, "sync")
    response = client.post(sync.path, json=request_of(contract))
    assert response.headers["content-type"] == "application/json"
    assert jsonschema_rs.is_valid(sync.response, response.json()), response.text


def test_the_lyrics_that_were_given_come_back(client: httpx.Client) -> None:
    contract = next(c for c in CONTRACTS.values() if "lyrics_sections" in c.protocol.fields)
    body = {**request_of(contract), "lyrics": "one\ntwo\n\n\nthree"}
    response = client.post(endpoint(contract, "stream").path, json=body)
    assert chunks_of(response.text)[-1]["lyrics_sections"] == [
        {"name": "Verse 1", "lines": ["one", "two"]},
        {"name": "Verse 2", "lines": ["three"]},
    ]


def test_the_printed_sample_program_prints_what_the_page_promises(instant: str) -> None:
    # Generate Song (v6) > Code Examples - Streaming > Python; only the URL is changed.
    url = f"{instant}/v6/generate/song"
    headers = {"Authorization": "Bearer your_api_key_here", "Content-Type": "application/json"}
    payload = {
        "prompt": "A cheerful pop song about friendship and adventure.",
        "lyrics": "Through every road we roam, together we are home",
    }
    printed = []
    with requests.post(url, json=payload, headers=headers, stream=True, timeout=10) as response:
        for line in response.iter_lines():
            if line:
                text = line.decode("utf-8")
                if text.startswith("data: "):
                    data = json.loads(text[6:])
                    printed.append(data)
    assert [each["chunkIndex"] for each in printed] == list(range(len(printed)))
    assert [each["status"] for each in printed[:3]] == ["initializing", "validated", "streaming"]
    assert [each["status"] for each in printed].count("uploading") == 2
    assert all(each["lyrics_sections"] for each in printed if "lyrics_sections" in each)


def test_bare_lines_are_sent_where_the_endpoint_allows_them() -> None:
    with served(Options(profile="instant", framing="lines")) as url:
        for contract in CONTRACTS.values():
            stream = endpoint(contract, "stream")
            response = httpx.post(url + stream.path, json=request_of(contract), headers=KEY)
            if "lines" in stream.framings:
                assert response.headers["content-type"] == "application/x-ndjson"
                chunks = [json.loads(line) for line in response.text.splitlines()]
            else:
                assert response.headers["content-type"] == "text/event-stream"
                chunks = chunks_of(response.text)
            assert contract.protocol.by_name[stages_of(contract, chunks)[-1]].ends


def test_the_same_seed_and_requests_give_the_same_bytes_and_no_two_are_alike() -> None:
    # Over sockets and in other processes: test_determinism.py.
    async def bytes_of_five(seed: int) -> list[bytes]:
        transport = httpx.ASGITransport(Emulator(Options(profile="instant", seed=seed)))
        host = "http://emulator.example:1234"
        async with httpx.AsyncClient(transport=transport, base_url=host, headers=KEY) as client:
            return [
                (
                    await client.post(
                        endpoint(contract, kind).path,
                        json={**request_of(contract), "prompt": f"song {number}"},
                    )
                ).content
                for number in range(5)
                for contract in CONTRACTS.values()
                for kind in ("stream", "sync")
            ]

    first = asyncio.run(bytes_of_five(5))
    assert asyncio.run(bytes_of_five(5)) == first
    assert len(set(first)) == len(first)
    assert not set(asyncio.run(bytes_of_five(6))) & set(first)
    assert b"http://emulator.example:1234/assets/" in first[0]


def test_a_host_that_makes_no_url_is_not_repeated(client: httpx.Client) -> None:
    for contract in CONTRACTS.values():
        headers = {"Host": 'x"><script>'}
        path = endpoint(contract, "sync").path
        response = client.post(path, json=request_of(contract), headers=headers)
        assert "script" not in response.text
        assert "http://127.0.0.1:" in response.text


def test_status_follows_a_generation_that_nobody_listens_to() -> None:
    contract = next(c for c in CONTRACTS.values() if c.endpoint_of_kind("status"))
    path = endpoint(contract, "status").path
    with (
        # With this seed the second track is ready a second after the first.
        served(Options(profile="realistic", speed=60, seed=5)) as url,
        httpx.Client(base_url=url, headers=KEY) as client,
    ):
        with client.stream(
            "POST", endpoint(contract, "stream").path, json=request_of(contract)
        ) as response:
            for line in response.iter_lines():
                if '"stream_url"' in line:
                    break
        chunk = json.loads(line.removeprefix("data: "))
        status_path = path.replace("{message_id}", chunk["message_id"])
        status = client.get(status_path).json()
        assert status["message_id"] == chunk["message_id"]
        assert not status["isComplete"]
        ready = {each["track"] for each in status["tracks"] if each["stream_url"]}
        assert ready == {chunk["version"]}
        # HEAD: reading it would take as long as it grows, and the other may come meanwhile.
        assert client.head(chunk["stream_url"]).status_code == 200
        other = chunk["stream_url"].replace(
            f"live-{chunk['version']}", f"live-{3 - chunk['version']}"
        )
        assert client.head(other).status_code == 404
        deadline = time.monotonic() + 10
        while not client.get(status_path).json()["isComplete"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        status = client.get(status_path).json()
        assert (status["status"], status["progress"]) == ("final", 100)
        assert all(each["audio_url"] and each["stream_url"] for each in status["tracks"])
        assert client.get(other).status_code == 200
        unknown = client.get(path.replace("{message_id}", "nonsense"))
        assert unknown.status_code == contract.errors.named("not_found").status
        assert httpx.get(url + status_path).status_code == 401


def test_health_tells_that_this_is_the_emulator(client: httpx.Client) -> None:
    health = client.get("/_emulator/health").json()
    assert health["emulator"] == "soundstage"
    assert health["profile"] == "instant"
    assert health["seed"] == 1
    assert health["contracts"] == {api: each.sha256 for api, each in CONTRACTS.items()}


def test_stamps_are_comments_with_the_time_of_sending() -> None:
    contract = next(iter(CONTRACTS.values()))
    with served(Options(profile="fast", stamp=True)) as url:
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        response = httpx.post(
            url + endpoint(contract, "stream").path, json=request_of(contract), headers=KEY
        )
    stamps = [
        int(line.removeprefix(": sent="))
        for line in response.text.splitlines()
        if line.startswith(":")
    ]
    assert len(stamps) == len(chunks_of(response.text))
    assert stamps == sorted(stamps)
    assert before < stamps[0] <= stamps[-1] < time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_only_the_versions_asked_for_are_served(tmp_path: Path) -> None:
    api, contract = next(iter(CONTRACTS.items()))
    with served(Options(profile="instant", apis=(api,))) as url:
        for other in CONTRACTS.values():
            path = endpoint(other, "sync").path
            response = httpx.post(url + path, json=request_of(other), headers=KEY)
            assert response.status_code == (200 if other is contract else 404)
