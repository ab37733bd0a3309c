"""The steps of an exchange as people read it: each chunk, body or look, with what broke at it."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Final

from soundstage.conformance.engine import SeenEvent
from soundstage.output import outgoing
from soundstage.output.cutting import head
from soundstage.output.redact import Redactor
from soundstage.saved.transcript import Transcript
from soundstage.wire.sse import Event

#: What is found in the answer to a look that shows no state of the contract.
_NO_STATE: Final = ("stage.unknown", "json.not_object", "json.syntax", "json.empty")
#: What was received at a place is shown so far, in characters.
_RECEIVED: Final = 300
_REDACTOR: Final = Redactor()


@dataclass(frozen=True, slots=True)
class Break:
    """A place where an exchange breaks a rule. `chunk` counts chunks, or looks of a job (`look`);
    None: the exchange as a whole. `asked` is what was expected: as the finding says, or the rule
    (None if neither is known); `received` what came, or stood at the `path`, as JSON (None where
    there is no place).
    """

    code: str
    severity: str
    message: str
    path: str
    rule: str
    chunk: int | None
    times: int = 1
    asked: str | None = None
    received: str | None = None
    look: bool = False


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One thing that came. `kind`: "chunk", "body" (of an answer that is no stream, or what was
    left of a stream) or "look" (at the state of a job; `t` is when it was answered, `sent` when it
    was asked for). Times in seconds since the exchange began; `coarse`: `t` is an upper bound.
    """

    kind: str
    number: int
    t: float | None
    coarse: bool
    data: bytes
    stage: str | None = None
    track: int | str | None = None
    milestones: tuple[str, ...] = ()
    breaks: tuple[Break, ...] = ()
    sent: float | None = None
    status: int | None = None

    @property
    def text(self) -> str:
        """What it says, on one line where it is JSON; without secrets, not yet safe to print."""
        return _shown(self.data)

    @property
    def lines(self) -> list[str]:
        """The same, as indented JSON where it is JSON."""
        with suppress(ValueError, RecursionError):
            return json.dumps(json.loads(self.text), indent=2, ensure_ascii=False).split("\n")
        return self.text.split("\n")


def chunk_steps(
    transcript: Transcript,
    events: Sequence[tuple[Event, SeenEvent | None]],
    breaks: Sequence[Break],
) -> list[StoryStep]:
    """The chunks of a stream, each with its time, and what of the body is no chunk."""
    pieces = transcript.pieces
    ends = list(accumulate(len(raw) for _, raw, _ in pieces))
    by_chunk: dict[int | None, list[Break]] = {}
    for each in breaks:
        by_chunk.setdefault(each.chunk, []).append(each)
    steps, at = [], 0
    for number, (event, seen) in enumerate(events):
        at += len(event.raw)
        place = min(bisect_left(ends, at), len(ends) - 1) if ends else None
        t, _, coarse = pieces[place] if place is not None else (None, b"", False)
        steps.append(
            StoryStep(
                kind="chunk",
                number=number,
                t=t,
                coarse=coarse,
                data=event.data,
                stage=None if seen is None else seen.stage,
                track=None if seen is None else seen.track,
                milestones=() if seen is None else seen.milestones,
                breaks=tuple(by_chunk.get(number, ())),
            )
        )
    rest = transcript.body[at:]
    if rest.strip():
        whole = not events
        found = [each for each in breaks if each.chunk == len(events)]
        if whole:
            found = [each for each in breaks if each.path or each.chunk is not None]
        t, _, coarse = pieces[-1]
        steps.append(StoryStep("body", len(events), t, coarse, rest, breaks=tuple(found)))
    return steps


def look_steps(
    transcript: Transcript, breaks: Sequence[Break], seen: Sequence[str | None]
) -> list[StoryStep]:
    """The looks at a job, whose known states were `seen` in this order. Of what is found in states,
    `chunk` counts the answers that show one.
    """
    known = iter(seen)
    by_state: dict[int | None, list[Break]] = {}
    for each in breaks:
        by_state.setdefault(each.chunk, []).append(each)
    steps, states = [], 0
    for number, look in enumerate(transcript.looks):
        status = (look.header.get("response") or {}).get("status")
        end = look.end or {}
        found: list[Break] = []
        stage = None
        if status is not None and 200 <= status < 300:
            found = by_state.get(states, [])
            states += 1
            if all(each.code not in _NO_STATE for each in found):
                stage = next(known, None)
        steps.append(
            StoryStep(
                kind="look",
                number=number,
                t=end.get("t"),
                coarse=False,
                data=look.body,
                stage=stage,
                breaks=tuple(found),
                sent=look.header.get("t"),
                status=status,
            )
        )
    return steps


def with_received(step: StoryStep) -> StoryStep:
    """The same, its breaks with what stands at their places in the chunk, which is read once: a
    flood breaks at thousands of places.
    """
    if all(not each.path or each.received is not None for each in step.breaks):
        return step
    try:
        chunk = json.loads(step.text)
    except (ValueError, RecursionError):
        return step
    return replace(step, breaks=tuple(_with_received(each, chunk) for each in step.breaks))


def _with_received(each: Break, chunk: object) -> Break:
    if not each.path or each.received is not None:
        return each
    value: Any = chunk
    try:
        for part in each.path.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            value = value[int(name)] if isinstance(value, list) else value[name]
    except (ValueError, KeyError, IndexError, TypeError):
        return each
    return replace(each, received=head(json.dumps(value, ensure_ascii=False), _RECEIVED))


def _shown(data: bytes) -> str:
    """Bytes as they may be shown: a file is its owner's, but a signed URL in it opens a door."""
    return outgoing.text(_REDACTOR.links(data.decode("utf-8", "backslashreplace")))
