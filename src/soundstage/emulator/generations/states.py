"""What a look at the state of a generation shows: one of the states that the contract describes,
with what there is of it by then.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint, Protocol
from soundstage.emulator.generations.generations import Generation
from soundstage.generation.chunk_values import ChunkContext
from soundstage.generation.faults.fault_ties import BEHIND, OTHER_URL
from soundstage.generation.story import Payload, Step
from soundstage.generation.walk import maker_of

#: Looks that are remembered, so that faults can be put into what is seen one after the other.
_REMEMBERED: Final = 64


def look(
    contract: Contract,
    endpoint: Endpoint,
    generation: Generation,
    now: float,
    ties: frozenset[str] = frozenset(),
) -> Payload:
    """The body that shows the state of a generation at `now` (seconds of the event loop's clock).
    `ties`: faults of what this endpoint says beside others.
    """
    seen = contract.seen_through(endpoint)
    protocol = seen.protocol
    reached = generation.reached(now)
    if generation.endpoint is not None and generation.endpoint.kind == "job":
        reached = min(reached, _seen_by_then(generation, protocol))
    over = reached >= len(generation.steps)
    state = _state(generation, protocol, reached)
    if BEHIND in ties and not generation.shown:
        state, over = _first(protocol), False
    failed = protocol.by_name[state].failure
    context = ChunkContext(
        generation.story,
        random.Random(f"{generation.story.message_id}/{state}"),
        number=1,
        last=1,
        complete=over,
        progress=100 if over and not failed else generation.progress(now),
        given=generation.given,
        kept=generation.kept,
        offered=lambda url: generation.offers(url, now),
    )
    body = maker_of(seen).look(state, context)
    if OTHER_URL in ties:
        body = _elsewhere(body, set(generation.urls))
    generation.shown = [*generation.shown[-_REMEMBERED:], (Step(state, None), body)]
    return body


def _first(protocol: Protocol) -> str:
    """The state that a job begins with."""
    begins = (s for s in protocol.stages if not (s.after or s.failure))
    return next((stage.name for stage in begins), protocol.stages[0].name)


def _seen_by_then(generation: Generation, protocol: Protocol) -> int:
    """How many steps a job shows. Where they take time, all that it has made; where they take none,
    it goes one state further with each look, or nobody would ever see one but the last.
    """
    if generation.service:
        return len(generation.steps)
    states: dict[str, int] = {}
    for steps in range(len(generation.steps) + 1):
        states[_state(generation, protocol, steps)] = steps
    return [*states.values()][min(len(generation.shown), len(states) - 1)]


def _state(generation: Generation, protocol: Protocol, reached: int) -> str:
    """The state that a generation is in after `reached` steps: by its own steps where it goes by
    the states themselves, else the one that its last step with a `state` reaches.
    """
    names = generation.contract.protocol.by_name
    for step in reversed(generation.steps[:reached]):
        stage = names[step.stage]
        if names is protocol.by_name:
            return stage.name
        if stage.state is not None and stage.state in protocol.by_name:
            last = protocol.by_name[stage.state].ends is not None
            if not last or reached >= len(generation.steps):
                return stage.state
    over = reached >= len(generation.steps)
    if over and (found := _last(protocol, failed=generation.failed)) is not None:
        return found
    return _first(protocol)


def _last(protocol: Protocol, *, failed: bool) -> str | None:
    """The state that a job ends in."""
    return next((s.name for s in protocol.stages if s.ends and s.failure is failed), None)


def _elsewhere(value: Any, urls: set[str]) -> Any:
    """The same with other URLs."""
    if isinstance(value, str):
        return f"{value}?other" if value in urls else value
    if isinstance(value, Mapping):
        return {name: _elsewhere(each, urls) for name, each in value.items()}
    return [_elsewhere(each, urls) for each in value] if isinstance(value, list) else value
