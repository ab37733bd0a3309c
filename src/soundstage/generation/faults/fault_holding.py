"""Faults of what stands between an API and its client and holds chunks back: until all are there,
until a block of bytes is full, or until a clock strikes. HTTP allows it; but a stream whose work
takes time is none any more, and its times are the buffer's.

They show in arrivals alone, so that they are tried in a time that is made up
(`proof/arrival_trials.py`): a song would take a minute.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from soundstage.contract import Contract
from soundstage.contract.stream_rules import AS_MADE
from soundstage.generation.faults.fault import Fault
from soundstage.generation.faults.script import FaultSubject, Moves, Say, Script, untouched

#: What a buffer holds, in bytes: the page of most machines, and the default of many proxies.
BLOCK: Final = 4_096

_Held = Callable[[FaultSubject, random.Random], Script | None]


def of_holding(contract: Contract) -> Iterator[Fault]:
    """The three ways to hold chunks back. Where the contract names no stage that takes time, they
    are nothing that a client could hold against anybody.
    """
    timed = any(f"{contract.api}/{each.name}/{AS_MADE}" in contract.rules.rules
                for each in contract.of_kind("stream"))  # fmt: skip

    def fault(name: str, says: str, apply: _Held, setting: float | None = None) -> Fault:
        return Fault(
            f"wire/{name}",
            "wire",
            "any",
            frozenset({"stream.buffered"} if timed else ()),
            "warning" if timed else "error",
            says,
            apply,
            verdict="violates" if timed else "conforms",
            setting=setting,
            kind="any",
            timed=timed,
        )

    yield fault("buffered", "all chunks come at once, with the last", _whole)
    yield fault("buffered_bytes", f"chunks come in blocks of {BLOCK:,} bytes", _in_blocks)
    says = "chunks come when so many seconds have passed, all that were made by then"
    yield fault("buffered_seconds", says, _by_the_clock, setting=1.0)


def _whole(told: FaultSubject, rng: random.Random) -> Script | None:
    frames = told.answer.body.frames
    if not frames:
        return None
    nothing: list[Moves] = [() for _ in frames[:-1]]
    return Script([*nothing, (Say(b"".join(frames)),)])


def _in_blocks(told: FaultSubject, rng: random.Random) -> Script | None:
    if not told.answer.body.frames:
        return None
    chunks: list[Moves] = []
    held = b""
    for frame in told.answer.body.frames:
        held += frame
        full = len(held) // BLOCK * BLOCK
        chunks.append(tuple(Say(held[at : at + BLOCK]) for at in range(0, full, BLOCK)))
        held = held[full:]
        if full and not held:
            return None  # a block that ends with a chunk shows nothing: the next draw has a place
    if held:
        chunks[-1] = (*chunks[-1], Say(held))
    return Script(chunks)


def _by_the_clock(told: FaultSubject, rng: random.Random) -> Script | None:
    if not told.answer.body.frames:
        return None
    return Script(untouched(told.answer), tick_s=told.seconds)
