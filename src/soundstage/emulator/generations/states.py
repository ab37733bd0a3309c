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
from soundstage.generation.faults.fault import Chunks
from soundstage.generation.faults.fault_ties import BEHIND, OTHER_URL
from soundstage.generation.chunk_values import ChunkContext
from soundstage.generation.story import Payload, Step
from soundstage.generation.walk import maker_of

#: Looks that are remembered, so that faults can be put into what is seen one after the other.
_REMEMBERED: Final = 64


class Looks:
    """What was seen of one generation at one status endpoint."""

    def __init__(self, contract: Contract, endpoint: Endpoint, generation: Generation) -> None:
        self._contract = contract.seen_through(endpoint)
        self._generation = generation
        self._kept: dict[Any, Any] = {}
        self.history: Chunks = []
        self.many = 0

    def look(self, now: float, ties: frozenset[str] = frozenset()) -> tuple[Step, Payload]:
        """The state at `now` (seconds of the event loop's clock), and the body that shows it.
        `ties`: faults of what this endpoint says beside others.
        """
        generation, protocol = self._generation, self._contract.protocol
        over = generation.reached(now) >= len(generation.steps)
        state = _state(generation, protocol, now)
        if BEHIND in ties and not self.many:
            state, over = _first(protocol), False
        self.many += 1
        body = self._body(state, now, over=over)
        if OTHER_URL in ties:
            body = _elsewhere(body, set(generation.urls))
        seen = Step(state, None), body
        self.history = [*self.history[-_REMEMBERED:], seen]
        return seen

    def _body(self, state: str, now: float, *, over: bool) -> Payload:
        generation = self._generation
        seed = f"{generation.story.message_id}/{state}"
        failed = self._contract.protocol.by_name[state].failure
        context = ChunkContext(
            generation.story,
            random.Random(seed),
            number=1,
            last=1,
            complete=over,
            progress=100 if over and not failed else generation.progress(now),
            given=generation.given,
            kept=self._kept,
            offered=lambda url: generation.offers(url, now),
        )
        return maker_of(self._contract).look(state, context)


def _first(protocol: Protocol) -> str:
    """The state that a job begins with."""
    begins = (s for s in protocol.stages if not (s.after or s.failure))
    return next((stage.name for stage in begins), protocol.stages[0].name)


def _state(generation: Generation, protocol: Protocol, now: float) -> str:
    """The state that a generation is in: by its own steps where it goes by the states themselves,
    else the one that its last step with a `state` reaches.
    """
    reached = generation.reached(now)
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
