"""Puts faults into a valid answer: those of payloads first, then of bytes, of HTTP, of the wire.

Values in, values out. A fault that was asked for at a stage or a track is drawn until the first
chunk that it changes lies there. Faults are made for valid answers: one that cannot make anything
of what others left has no place.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from soundstage.emulator.asked import Asked
from soundstage.generation.faults import MEDIA_TYPES, Answer, Body, Chunk, Chunks, Fault, encoded
from soundstage.generation.script import Script, Told, Whole

_LEVELS: Final = ("payloads", "bytes", "http", "wire")
#: How often a fault is drawn until it strikes where it was asked for: of 40 chunks one is missed
#: by all draws less than once in 10,000 times.
_DRAWN: Final = 400
#: What code runs into that reads a broken answer as a valid one.
_UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class Chosen(NamedTuple):
    """A fault that is to be put into an answer, and how it was asked for."""

    fault: Fault
    asked: Asked


class Broken(NamedTuple):
    """An answer after faults were put into it. `chunks` are those that are still being told;
    `script` is how it is sent, None for as usual, and `wire` the fault that wants it so; `applied`
    and `missed` are the other faults that found a place, and those that did not.
    """

    answer: Answer
    chunks: Chunks
    applied: tuple[Chosen, ...] = ()
    missed: tuple[Chosen, ...] = ()
    script: Script | None = None
    wire: Chosen | None = None


def inject(
    chosen: Sequence[Chosen], chunks: Chunks, status: int, framing: str, rng: random.Random
) -> Broken:
    """A valid answer with faults in it."""
    applied: list[Chosen] = []
    missed: list[Chosen] = []
    body: Body = encoded(chunks, framing)
    answer = Answer(status, MEDIA_TYPES[framing], body)
    script: Script | None = None
    wire: Chosen | None = None
    for each in sorted(chosen, key=lambda each: _LEVELS.index(each.fault.level)):
        level = each.fault.level
        changed: Any = None
        try:
            if level == "payloads":
                changed = _payloads(each, chunks, rng)
            elif level == "bytes":
                changed = _bytes(each, chunks, answer.body, rng)
            elif level == "http":
                changed = each.fault.apply(answer, rng)
            elif wire is None:
                # Two ways to send one answer exclude each other.
                changed = scripted(each, answer, chunks, rng)
        except _UNREADABLE:
            if not applied:
                raise
        if changed is None:
            missed.append(each)
        elif level == "wire":
            script, wire = changed, each
        else:
            applied.append(each)
            if level == "payloads":
                chunks = changed
                answer = answer._replace(body=encoded(chunks, framing))
            else:
                answer = answer._replace(body=changed) if level == "bytes" else changed
    return Broken(answer, chunks, tuple(applied), tuple(missed), script, wire)


def scripted(
    chosen: Chosen, answer: Answer, chunks: Chunks, rng: random.Random
) -> Script | Whole | None:
    """What a fault of the wire makes of an answer; None if it has no place in it."""
    fault, asked = chosen
    seconds = asked.seconds if asked.seconds is not None else fault.setting or 0.0
    places = asked.places(chunks, len(answer.body.frames))
    made: Script | Whole | None = fault.apply(Told(answer, chunks, places, seconds), rng)
    return made


def _payloads(chosen: Chosen, chunks: Chunks, rng: random.Random) -> Chunks | None:
    fault, asked = chosen
    for _ in range(_DRAWN if asked.somewhere else 1):
        changed: Chunks | None = fault.apply(chunks, rng)
        if changed is None or not asked.somewhere:
            return changed
        if any(asked.at(step) for step, _ in _first_changes(chunks, changed)):
            return changed
    return None


def _first_changes(before: Chunks, after: Chunks) -> list[Chunk]:
    """The first chunk that is not as it was, as it was and as it is, where there are both."""
    at = next((n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]),
              min(len(before), len(after)))  # fmt: skip
    return [*before[at : at + 1], *after[at : at + 1]]


def _bytes(chosen: Chosen, chunks: Chunks, body: Body, rng: random.Random) -> Body | None:
    fault, asked = chosen
    for _ in range(_DRAWN if asked.somewhere else 1):
        changed: Body | None = fault.apply(body, rng)
        if changed is None or not asked.somewhere:
            return changed
        pairs = zip(body.frames, changed.frames, strict=False)
        at = next((n for n, pair in enumerate(pairs) if pair[0] != pair[1]), len(changed.frames))
        if at < len(chunks) and asked.at(chunks[at][0]):
            return changed
    return None


def in_step(frames: list[bytes], many: int) -> list[bytes]:
    """The same bytes in so many frames that there is one for each chunk."""
    if len(frames) > many:
        frames = [*frames[: max(0, many - 1)], b"".join(frames[max(0, many - 1) :])]
    return [*frames, *[b""] * (many - len(frames))]
