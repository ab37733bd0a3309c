"""Streams from the seeded walk, judged and observed: what a run against a well-behaved (or on
purpose changed) API would have seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from made_up_api import folder
from soundstage.conformance.engine import StreamCheck
from soundstage.contract import Contract, load
from soundstage.generation.faults.catalogue import valid_result, valid_stream
from soundstage.observed.facts import Observed
from soundstage.observed.recorder import observe_result, observe_stream

Chunks = list[dict[str, Any]]
#: Takes the chunks of a stream and a source of chance; gives other chunks.
Change = Callable[[Chunks, random.Random], Chunks]


def unchanged(chunks: Chunks, rng: random.Random) -> Chunks:
    return chunks


def observed_stream(contract: Contract, chunks: Chunks, *, cut: bool = False) -> Observed:
    """What one stream of these chunks shows, through the engine that recognises its stages."""
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    check = StreamCheck(contract)
    seen = [check.event(orjson.dumps(chunk)) for chunk in chunks]
    check.close(cut="cap.events" if cut else None)
    return observe_stream(
        contract,
        endpoint,
        [(each.stage, each.chunk) for each in seen if each.chunk is not None],
        framing=endpoint.framings[0],
        whole=check.failed is None and not cut,
        broken=[violation.rule for violation in check.violations],
    )


def observed_run(
    contract: Contract, many: int, seed: int, change: Change = unchanged, optional: float = 0.0
) -> Observed:
    """What `many` streams show, each changed by `change`."""
    rng = random.Random(seed)
    whole = Observed()
    for _ in range(many):
        chunks = [payload for _, payload in valid_stream(contract, rng, optional=optional)]
        whole.merge(observed_stream(contract, change(chunks, rng)))
    return whole


def observed_results(contract: Contract, many: int, seed: int) -> Observed:
    """What `many` results of the synchronous endpoint show."""
    endpoint = contract.endpoint_of_kind("sync")
    assert endpoint is not None
    rng = random.Random(seed)
    whole = Observed()
    for _ in range(many):
        ((_, value),) = valid_result(contract, endpoint.name, rng)
        whole.merge(observe_result(contract, endpoint, value))
    return whole


@cache
def _made_up(root: Path, shape: str) -> Contract:
    return load(shape, folder(root, shape))


def made_up(root: Path, shape: str) -> Contract:
    """A made-up contract in a folder of its own below `root`."""
    home = root / shape
    home.mkdir(exist_ok=True)
    return _made_up(home, shape)
