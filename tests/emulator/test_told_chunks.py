"""What is kept small is told as it is written: the same bytes as chunk by chunk."""

from __future__ import annotations

import random

import orjson
import pytest

from soundstage.contract import load_all
from soundstage.emulator.generations.told_chunks import ToldChunks
from soundstage.generation.faults.fault import FRAMES, heads_of, tail_of
from soundstage.generation.walk import Step, payloads, plan, random_story

CONTRACTS = load_all()


def written(protocol, chunks, framing):
    before, after = FRAMES[framing]
    steps = [step for step, _ in chunks]
    heads = heads_of(protocol, steps, framing) or [b""] * len(chunks)
    frames = [
        head + before + orjson.dumps(payload) + after
        for head, (_, payload) in zip(heads, chunks, strict=True)
    ]
    if frames:
        frames[-1] += tail_of(protocol, steps, framing)
    return frames


@pytest.mark.parametrize("framing", ["sse", "lines"])
@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_chunks_are_told_as_they_are_written(contract, framing):
    for seed in range(30):
        rng = random.Random(seed)
        steps = plan(contract, rng, times={"running": lambda _: 12, "progress": lambda _: 12})
        chunks = list(zip(steps, payloads(contract, steps, random_story(rng), rng), strict=True))
        told = ToldChunks(contract.protocol, chunks, framing)
        expected = written(contract.protocol, chunks, framing)
        assert list(told) == expected
        assert told[2:5] == expected[2:5]
        assert len(told) == len(expected)


SAME = {"a": "100% {}", "b": "x", "n": 1}


@pytest.mark.parametrize(
    "others",
    [
        [{**SAME, "n": 2}, {**SAME, "n": 3}],
        [{**SAME, "n": 2}, {**SAME, "n": True}],
        [{**SAME, "n": 2}, {**SAME, "n": 1.0}],
        [{**SAME, "n": 2}, {**SAME, "n": None}],
        [{**SAME, "n": 2}, {**SAME, "n": 2**63}],
        [{**SAME, "n": -(2**63)}, {**SAME, "n": 2**63 - 1}],
        [{**SAME, "b": "y"}, SAME],
        [{"n": 1, "b": "x", "a": "100% {}"}, SAME],
        [{"a": "100% {}", "b": "x"}, SAME],
        [{**SAME, "n": 2}, [1]],
        [SAME, SAME],
        [{**SAME, "a": "\0"}, {**SAME, "a": "\0"}],
    ],
)
def test_what_differs_in_more_than_numbers_is_told_as_it_is(others):
    protocol = CONTRACTS["v6"].protocol
    chunks = [(Step("running", None), payload) for payload in (SAME, *others)]
    assert list(ToldChunks(protocol, chunks, "sse")) == written(protocol, chunks, "sse")


def test_what_most_chunks_say_is_kept_once():
    protocol = CONTRACTS["v6"].protocol
    text = "x" * 1_000
    chunks = [(Step("running", None), {"text": text, "n": number}) for number in range(50)]
    assert ToldChunks(protocol, chunks, "sse").size < 2_000
    assert ToldChunks(protocol, chunks, "sse").unlike() == [0]
