"""What is kept small is told as it is written: the same bytes as chunk by chunk."""

from __future__ import annotations

import random

import orjson
import pytest

from soundstage.contract import load_all
from soundstage.emulator.generations.told_chunks import ToldChunks, first_that_say
from soundstage.generation.faults.fault import FRAMES, heads_of, tail_of
from soundstage.generation.walk import Draft, Step, drafted, in_order, plan, random_story

CONTRACTS = load_all()


def written(protocol, steps, chunks, framing):
    before, after = FRAMES[framing]
    heads = heads_of(protocol, steps, framing) or [b""] * len(steps)
    frames = [
        head + before + orjson.dumps(payload) + after
        for head, payload in zip(heads, in_order(chunks), strict=True)
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
        chunks = drafted(contract, steps, random_story(rng), rng, optional=seed % 2)
        told = ToldChunks(contract.protocol, steps, chunks, framing)
        expected = written(contract.protocol, steps, chunks, framing)
        assert list(told) == expected
        assert told[2:5] == expected[2:5]
        assert len(told) == len(expected)


FIRST = {"a": "100% {}", "b": "x\0", "n": None, "m": None}


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 1), (2, 1), (3, 1)],
        [(1, 1), (2, 7), (3, -5)],
        [(1, True), (2, 1), (3, 1)],
        [(1, 1.0), (2, 1), (3, 1)],
        [(1, None), (2, None), (3, None)],
        [(1, None), (2, 1), (3, 1)],
        [(1, "a%d"), (2, "b%d"), (3, "c")],
        [(1, 2**63), (2, 1), (3, 1)],
        [(1, -(2**63)), (2, 2**63 - 1), (3, 0)],
        [(1, [1]), (2, [1]), (3, {})],
    ],
)
def test_what_differs_in_more_than_numbers_is_told_as_it_is(rows):
    protocol, columns = CONTRACTS["v6"].protocol, list(zip(*rows, strict=True))
    steps = [Step("running", None)] * len(rows)
    chunks = [Draft(range(len(rows)), FIRST, ("n", "m"), columns)]
    expected = written(protocol, steps, chunks, "sse")
    assert list(ToldChunks(protocol, steps, chunks, "sse")) == expected


def test_what_most_chunks_say_is_kept_once():
    protocol, first = CONTRACTS["v6"].protocol, {"text": "x" * 1_000, "n": 0}
    steps = [Step("running", None)] * 50
    chunks = [Draft(range(50), first, ("n",), [range(50)])]
    assert ToldChunks(protocol, steps, chunks, "sse").size < 2_000


def test_where_a_text_is_told_first_is_known():
    url = "http://h/100%/song.mp3"
    chunks = [
        Draft([5, 6], {"n": 0, "in": [{"url": url}]}, ("n",), [[5, 6]]),
        Draft([0], {"n": 0, "about": f"{url} and more"}),
        Draft([1, 2], {"n": 0, "url": "u"}, ("n",), [[1, 2]]),
        Draft([3, 4], {"n": 0, "url": "late"}, ("url",), [[None, url]]),
        Draft([7], [["u", {"deep": "x"}], 1]),
    ]
    assert first_that_say(chunks, (url, "u", "x", "none")) == {url: 4, "u": 1, "x": 7}


def test_chunks_that_are_anything_are_told_as_they_are():
    protocol = CONTRACTS["v6"].protocol
    steps = [Step("running", None)] * 4
    payloads = [1], "text", None, {"a": 1}
    chunks = [Draft([number], payload) for number, payload in enumerate(payloads)]
    expected = written(protocol, steps, chunks, "sse")
    assert list(ToldChunks(protocol, steps, chunks, "sse")) == expected
