"""From bytes to violations: our decoder, parser and engine beside a plain `jsonschema` pipeline."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import jsonschema

from benchmarks.result import Row
from soundstage.conformance.engine import StreamCheck
from soundstage.contract import Contract, load_all
from soundstage.generation.walk import payloads, plan, random_story
from soundstage.wire.sse import Decoder

_STREAMS = 40
_REPEATS = 5


def measure() -> list[Row]:
    """Chunks a second of both pipelines, the best of five runs each, taken in turn."""
    rows = []
    for contract in load_all().values():
        bodies, many = _bodies(contract)
        ours, theirs = [], []
        for _ in range(_REPEATS):
            ours.append(_rate(_check, contract, bodies, many))
            theirs.append(_rate(_plain, contract, bodies[:4], many * 4 / len(bodies)))
        best, reference = max(ours), max(theirs)
        rows.append(
            Row(
                f"conformance {contract.api}, bytes to violations",
                f"{best:,.0f} chunks/s",
                f"jsonschema {reference:,.0f}",
                f"{best / reference:.1f}x",
                ">= 200,000/s",
            )
        )
    rows.append(_large_event())
    return rows


def _bodies(contract: Contract) -> tuple[list[bytes], int]:
    bodies, many = [], 0
    for seed in range(_STREAMS):
        rng = random.Random(seed)
        steps = plan(contract, rng)
        chunks = payloads(contract, steps, random_story(rng), rng)
        many += len(chunks)
        bodies.append(b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks))
    return bodies, many


def _rate(
    run: Callable[[Contract, list[bytes]], None],
    contract: Contract,
    bodies: list[bytes],
    chunks: float,
) -> float:
    begun = time.process_time()
    run(contract, bodies)
    return chunks / (time.process_time() - begun)


def _check(contract: Contract, bodies: list[bytes]) -> None:
    for body in bodies:
        decoder, check = Decoder(), StreamCheck(contract)
        for event in decoder.feed(body):
            check.event(event.data)
        check.close()
        assert not any(violation.severity == "error" for violation in check.violations)


def _plain(contract: Contract, bodies: list[bytes]) -> None:
    """What a test suite without Soundstage does: split, json.loads, the first schema that fits."""
    stages = [
        (
            jsonschema.Draft202012Validator(stage.when),
            jsonschema.Draft202012Validator(stage.schema),
        )
        for stage in contract.protocol.stages
    ]
    for body in bodies:
        for event in body.decode().split("\n\n"):
            if event:
                chunk = json.loads(event.removeprefix("data: "))
                schema = next(schema for when, schema in stages if when.is_valid(chunk))
                schema.validate(chunk)


def _large_event() -> Row:
    """A 14 MB event in 4-byte pieces, beside half of it: twice the time is linear."""
    times = []
    for size in (7, 14):
        pieces = [b"xxxx"] * (size * 2**20 // 4)
        decoder = Decoder()
        begun = time.process_time()
        decoder.feed(b"data: ")
        for piece in pieces:
            decoder.feed(piece)
        (event,) = decoder.feed(b"\n\n")
        times.append(time.process_time() - begun)
        assert len(event.data) == size * 2**20
    what = "SSE, one event of 14 MB in 4-byte pieces"
    ratio = f"{times[1] / times[0]:.1f}x"
    return Row(what, f"{times[1]:.1f} s", f"7 MB {times[0]:.1f} s", ratio, "2x: linear")
