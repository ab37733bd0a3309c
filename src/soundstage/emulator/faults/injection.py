"""Puts faults into a valid answer: those of payloads first, then of bytes, of HTTP, of the wire.

Values in, values out. A fault that was asked for at a stage or a track is drawn until the first
chunk that it changes lies there. Faults are made for valid answers: one that cannot make anything
of what others left has no place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from soundstage.contract.protocol import MEDIA_TYPES, Protocol
from soundstage.emulator.faults.expression import FaultExpression
from soundstage.generation.faults.catalogue import Body, Chunk, Chunks, Fault, WholeAnswer, encoded
from soundstage.generation.faults.script import FaultSubject, GatewayAnswer, Script

_Changed = TypeVar("_Changed")
_LEVELS: Final = ("payloads", "bytes", "http", "wire")
#: A fault that is to strike somewhere is drawn anew until this many draws for each place where it
#: struck, and one place more, found no new one. If there were one more, and all were as likely, it
#: would be missed less than once in 20,000 times (e^-10).
_IN_VAIN: Final = 10
#: What code runs into that reads a broken answer as a valid one.
_UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class Chosen(NamedTuple):
    """A fault that is to be put into an answer, and how it was asked for."""

    fault: Fault
    asked: FaultExpression


class InjectedAnswer(NamedTuple):
    """An answer after faults were put into it. `chunks` are those that are still being told;
    `script` is how it is sent, None for as usual, and `wire` the fault that wants it so; `applied`
    and `missed` are the other faults that found a place, and those that did not.
    """

    answer: WholeAnswer
    chunks: Chunks
    applied: tuple[Chosen, ...] = ()
    missed: tuple[Chosen, ...] = ()
    script: Script | None = None
    wire: Chosen | None = None


def inject(
    chosen: Sequence[Chosen],
    chunks: Chunks,
    status: int,
    framing: str,
    rng: random.Random,
    protocol: Protocol | None = None,
) -> InjectedAnswer:
    """A valid answer with faults in it; `protocol` is that of a stream."""
    applied: list[Chosen] = []
    missed: list[Chosen] = []
    body: Body = encoded(chunks, framing, protocol)
    answer = WholeAnswer(status, MEDIA_TYPES[framing], body)
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
                answer = answer._replace(body=encoded(chunks, framing, protocol))
            else:
                answer = answer._replace(body=changed) if level == "bytes" else changed
    return InjectedAnswer(answer, chunks, tuple(applied), tuple(missed), script, wire)


def scripted(
    chosen: Chosen, answer: WholeAnswer, chunks: Chunks, rng: random.Random
) -> Script | GatewayAnswer | None:
    """What a fault of the wire makes of an answer; None if it has no place in it."""
    fault, asked = chosen
    seconds = asked.seconds if asked.seconds is not None else fault.setting or 0.0
    places = asked.places(chunks, len(answer.body.frames))
    made: Script | GatewayAnswer | None = fault.apply(
        FaultSubject(answer, chunks, places, seconds), rng
    )
    return made


def _payloads(chosen: Chosen, chunks: Chunks, rng: random.Random) -> Chunks | None:
    def first_change(changed: Chunks) -> tuple[int, list[Chunk]]:
        at = _first_change(chunks, changed)
        return at, [*chunks[at : at + 1], *changed[at : at + 1]]

    return _placed(chosen.asked, chunks, lambda: chosen.fault.apply(chunks, rng), first_change)


def _bytes(chosen: Chosen, chunks: Chunks, body: Body, rng: random.Random) -> Body | None:
    def first_change(changed: Body) -> tuple[int, list[Chunk]]:
        at = _first_change(body.frames, changed.frames)
        return at, chunks[at : at + 1]

    return _placed(chosen.asked, chunks, lambda: chosen.fault.apply(body, rng), first_change)


def _placed(
    asked: FaultExpression,
    chunks: Chunks,
    draw: Callable[[], _Changed | None],
    first_change: Callable[[_Changed], tuple[int, list[Chunk]]],
) -> _Changed | None:
    """What `draw` makes of an answer when it strikes where it was asked for; None if it does not.
    `first_change`: which chunk is not as it was, by number, and as it was and as it is.
    """
    if not asked.somewhere:
        return draw()
    if not asked.there(chunks):
        return None
    seen: set[int] = set()
    in_vain = 0
    while in_vain <= _IN_VAIN * (len(seen) + 1):
        changed = draw()
        if changed is None:
            return None
        at, there = first_change(changed)
        if any(asked.at(step) for step, _ in there):
            return changed
        in_vain = in_vain + 1 if at in seen else 0
        seen.add(at)
    return None


def _first_change(before: Sequence[object], after: Sequence[object]) -> int:
    """The number of the first item that is not as it was."""
    pairs = enumerate(zip(before, after, strict=False))
    ends = min(len(before), len(after))
    return next((number for number, (was, now) in pairs if was != now), ends)


def in_step(frames: list[bytes], many: int) -> list[bytes]:
    """The same bytes in so many frames that there is one for each chunk."""
    if len(frames) > many:
        frames = [*frames[: max(0, many - 1)], b"".join(frames[max(0, many - 1) :])]
    return [*frames, *[b""] * (many - len(frames))]
