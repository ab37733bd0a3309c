"""Bodies that come again are read once; what is remembered of them is bounded."""

from __future__ import annotations

import json

from soundstage.contract import load
from soundstage.emulator.accounts.triggers import triggers
from soundstage.emulator.generations.read_bodies import ReadBodies
from soundstage.emulator.generations.request_reader import BadBody

ENDPOINT = load("v6").endpoint_of_kind("stream")


def body(prompt: str, **more: object) -> bytes:
    return json.dumps({"prompt": prompt, **more}).encode()


def test_an_equal_body_is_read_once() -> None:
    bodies = ReadBodies(ENDPOINT, triggers())
    first = bodies.read(body("A waltz", lyrics="nsfw-test-word\n\nla"))
    assert bodies.read(body("A waltz", lyrics="nsfw-test-word\n\nla")) is first
    assert not first.in_prompt
    assert [word.error for word in first.in_lyrics] == ["nsfw"]
    assert first.asked.sections[1] == {"name": "Verse 2", "lines": ["la"]}


def test_a_body_that_is_wrong_is_not_remembered() -> None:
    bodies = ReadBodies(ENDPOINT, triggers())
    for _ in range(2):
        assert isinstance(bodies.read(b"{"), BadBody)
    assert not bodies._known


def test_few_bodies_are_remembered_and_no_long_ones() -> None:
    bodies = ReadBodies(ENDPOINT, triggers())
    kept = bodies.read(body("kept"))
    for number in range(1_000):
        bodies.read(body(f"A song {number}"))
        assert bodies.read(body("kept")) is kept
    assert len(bodies._known) == 256
    long = body("x" * 2_000)
    assert bodies.read(long) is not bodies.read(long)
