"""Bodies of whole streams, as a server sends them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from soundstage.contract import load
from soundstage.generation import walk


@pytest.fixture(scope="session")
def stream_of() -> Callable[..., bytes]:
    """The body of a valid stream of a version, framed as Server-Sent Events."""

    def body(api: str, seed: int = 3, **fields: object) -> bytes:
        contract, rng = load(api), random.Random(seed)
        steps = walk.plan(contract, rng)
        chunks = walk.payloads(contract, steps, walk.random_story(rng), rng)
        events = (json.dumps({**chunk, **fields}).encode() for chunk in chunks)
        return b"".join(b"data: " + event + b"\n\n" for event in events)

    return body
