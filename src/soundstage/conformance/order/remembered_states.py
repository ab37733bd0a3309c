"""Where streams stand in their order, remembered: what one chunk makes of it is worked out once for
all streams of a contract.

Streams go few ways. A state is what has come and what milestones that reached; a step leads from it
to the next, and is found by what the chunk is. Only chunks that come as they should make steps: a
stream with a slip leaves the remembered states, and is counted by itself from then on.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final, NamedTuple

from soundstage.conformance.order.milestones import Milestones, has_come
from soundstage.conformance.order.stage_order import StageOrder, Track
from soundstage.contract.protocol import Protocol, Stage

#: How many states of one endpoint are remembered, and how many steps; and of how many stages and
#: tracks one may consist (a state takes 2 to 4 KB, the largest 10). Streams are made by others:
#: what has no room is worked out by each stream for itself.
MOST_STATES: Final = 1_024
MOST_STEPS: Final = 8_192
LARGEST_STATE: Final = 100


class StageMove:
    """What a chunk can do to the order: its stage, and which fields of the stage's milestones have
    come with it. There is one object for each, so that it is looked up as fast as can be.
    """

    __slots__ = ("come", "stage")

    def __init__(self, stage: Stage, come: frozenset[str]) -> None:
        self.stage = stage
        self.come = come


#: By a move; with the track where the chunk names one.
_Key = StageMove | tuple[StageMove, Track]


class OrderStep(NamedTuple):
    """The state after a chunk, and the milestones that it reached."""

    state: OrderState
    reached: tuple[str, ...]


#: The steps of a state that is one stream's own. Never written to.
_NO_STEPS: Final[dict[_Key, OrderStep]] = {}


class OrderState:
    """Where a stream stands. A `shared` one is that of all streams that stand there, and is never
    changed.
    """

    __slots__ = ("_lacks_nothing", "milestones", "order", "shared", "steps")

    def __init__(self, order: StageOrder, milestones: Milestones, *, shared: bool) -> None:
        self.order = order
        self.milestones = milestones
        self.shared = shared
        self.steps: dict[_Key, OrderStep] = {} if shared else _NO_STEPS
        self._lacks_nothing: bool | None = None

    def own(self) -> OrderState:
        """The same, to be changed: one stream's own."""
        if not self.shared:
            return self
        return OrderState(self.order.copy(), self.milestones.copy(), shared=False)

    def lacks_nothing(self) -> bool:
        """Whether no track and no stage is missing in a stream that ends here. False says nothing
        of one that is a stream's own.
        """
        if not self.shared:
            return False
        if self._lacks_nothing is None:
            order = self.order
            self._lacks_nothing = not (order.never_seen() or any(order.missing()))
        return self._lacks_nothing


class RememberedStates:
    """The states and steps of one endpoint's streams, bounded in number."""

    def __init__(self, most_states: int = MOST_STATES, most_steps: int = MOST_STEPS) -> None:
        self._most_states, self._most_steps = most_states, most_steps
        self._begun: dict[Protocol, OrderState] = {}
        self.states: dict[Hashable, OrderState] = {}
        #: How many steps are remembered.
        self.steps = 0
        self._moves: dict[tuple[Stage, frozenset[str]], StageMove] = {}

    def begun(self, protocol: Protocol) -> OrderState:
        """Where a stream stands of which nothing has come."""
        state = self._begun.get(protocol)
        if state is None:
            state = self._known(protocol, StageOrder(protocol), Milestones(protocol))
            if state is None:
                return OrderState(StageOrder(protocol), Milestones(protocol), shared=False)
            self._begun[protocol] = state
        return state

    def move(
        self, stage: Stage, chunk: dict[str, Any], skip: OrderState | None = None
    ) -> StageMove:
        """The move of a chunk of a stage. Fields of milestones that are reached in the state `skip`
        are not looked for: nothing depends on them any more.
        """
        come = frozenset(
            each.name for each in stage.milestones
            if each.field is not None
            and not (skip is not None and skip.milestones.is_reached(each))
            and has_come(each, chunk)
        )  # fmt: skip
        # As many as the contract has stages and sets of milestones with fields.
        return self._moves.setdefault((stage, come), StageMove(stage, come))

    def learn(
        self, state: OrderState, move: StageMove, track: Track, chunk: dict[str, Any]
    ) -> OrderStep | None:
        """Work out the step that a chunk makes from a shared state, in which it may come, and
        remember it; None where there is something to say about it, or no room: the stream is then
        to go on by itself.
        """
        stage, before = move.stage, state.order
        if stage.failure or self.steps >= self._most_steps:
            return None
        order, milestones = before.copy(), state.milestones.copy()
        if track is not None and not order.knows(track):
            return None
        if not (stage.anywhere or order.advance(stage, track)):
            return None
        reached = milestones.reached(stage, track, chunk, order) if stage.milestones else ()
        after = self._known(before.protocol, order, milestones)
        if after is None:
            return None
        step = state.steps[move if track is None else (move, track)] = OrderStep(after, reached)
        self.steps += 1
        return step

    def _known(
        self, protocol: Protocol, order: StageOrder, milestones: Milestones
    ) -> OrderState | None:
        """The state with this content; None if it is new and there is no room."""
        if order.size > LARGEST_STATE:
            return None
        content = (protocol, order.content(), milestones.content())
        state = self.states.get(content)
        if state is None and len(self.states) < self._most_states:
            state = self.states[content] = OrderState(order, milestones, shared=True)
        return state
