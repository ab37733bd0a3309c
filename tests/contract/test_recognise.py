"""A faulty response is still recognised; that of another API never is."""

from __future__ import annotations

import json
import random

import pytest

from soundstage.contract import load, load_all
from soundstage.contract.recognise import recognise
from soundstage.generation.faults.catalogue import broken_answer, catalogue, valid_answer

CONTRACTS = list(load_all().values())
#: Faults that put something else in the place of the whole body, or leave nothing of it.
REPLACED = (
    "framing/as_html", "framing/as_text", "framing/as_nothing", "truncated/empty",
    "http/error_under_success/", "http/body_of_",
)  # fmt: skip


@pytest.mark.parametrize("api", ["v5", "v6"])
@pytest.mark.proof
def test_no_fault_of_the_catalogue_hides_a_stream(api: str) -> None:
    contract = load(api)
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    tried = 0
    for fault in catalogue(contract):
        if fault.of != "stream" or fault.name.startswith(REPLACED):
            continue
        for attempt in range(2):
            rng = random.Random(f"{fault.name}/{attempt}")
            framing = endpoint.framings[attempt % len(endpoint.framings)]
            status, framing, chunks = valid_answer(contract, fault, rng, framing)
            answer = broken_answer(contract, fault, status, framing, chunks, rng)
            if answer is None:
                continue
            tried += 1
            best = recognise(b"".join(answer.body.frames), CONTRACTS)[0]
            assert (best.contract.api, best.kind, best.fits) == (api, "stream", True), fault.name
            assert best.score >= 0.7, fault.name
    assert tried > 300


@pytest.mark.parametrize("api", ["v5", "v6"])
def test_a_result_with_a_fault_in_one_field_is_recognised(api: str) -> None:
    contract = load(api)
    for fault in catalogue(contract):
        if fault.of != "sync" or fault.level != "payloads":
            continue
        rng = random.Random(fault.name)
        status, framing, chunks = valid_answer(contract, fault, rng, "json")
        answer = broken_answer(contract, fault, status, framing, chunks, rng)
        if answer is not None:
            best = recognise(b"".join(answer.body.frames), CONTRACTS)[0]
            assert (best.contract.api, best.kind, best.fits) == (api, "sync", True), fault.name


def stream(*chunks: object) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks)


STRANGERS = {
    "chat completions": stream(
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    ) + b"data: [DONE]\n\n",
    "messages": stream({"type": "message_start", "message": {"id": "m"}}, {"type": "ping"}),
    "progress": stream({"status": "running", "progress": 10}, {"status": "done", "progress": 100}),
    "status alone": stream({"status": "processing"}, {"status": "completed"}),
    "another song": stream({"id": "s", "status": "streaming", "audio_url": "https://a.example"}),
    "content": stream({"content": "Hello"}, {"content": " there", "error": None}),
    "a job": b'{"id": "j", "status": "running", "progress": 3, "created_at": "2026-11-26"}',
    "a wrapped result": json.dumps({"response": {"message_id": "m"}}).encode(),
    "an answer in an object": b'{"status": 200, "headers": {}, "body": "data: {}"}',
    "lines": b'{"type": "Metric", "metric": "x"}\n{"type": "Point", "metric": "x"}\n',
    "an array": b"[1, 2, 3]",
    "a page": b"<!doctype html><title>Sign in</title>",
    "nothing": b"",
    "an event that stops": b"data: {",
    "bytes": bytes(range(256)),
}  # fmt: skip


@pytest.mark.parametrize("body", STRANGERS.values(), ids=STRANGERS.keys())
@pytest.mark.parametrize("kind", [None, "stream", "sync"])
def test_what_is_of_another_api_fits_none(body: bytes, kind: str | None) -> None:
    assert not any(guess.fits for guess in recognise(body, CONTRACTS, kind))


def test_only_the_first_chunks_are_looked_at() -> None:
    first = stream(*({"isComplete": False, "status": "x", "chunkIndex": n} for n in range(50)))
    assert recognise(first + b"data: 17\n\n" * 5000, CONTRACTS)[0].fits
