"""Which milestones a stream, or a job that is polled, has reached."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from soundstage.conformance.order.stage_order import EMPTY, StageOrder, Track
from soundstage.contract.protocol import Milestone, Protocol, Stage


class Milestones:
    """Those of one stream; each is reached once."""

    __slots__ = ("_protocol", "_reached", "_seen")

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._reached: frozenset[str] = EMPTY
        #: (milestone, track) whose field has come.
        self._seen: frozenset[tuple[str, Track]] = EMPTY

    def copy(self) -> Milestones:
        """The same, to go on from apart."""
        new = Milestones(self._protocol)
        new._reached, new._seen = self._reached, self._seen
        return new

    def content(self) -> Hashable:
        """What tells it from others of the same protocol."""
        return self._reached, self._seen

    def is_reached(self, milestone: Milestone) -> bool:
        return milestone.name in self._reached

    def reached(self, stage: Stage, track: Track, chunk: Any, order: StageOrder) -> tuple[str, ...]:
        """Those that a chunk of a stage reaches now."""
        names = []
        for milestone in stage.milestones:
            if milestone.name in self._reached or milestone.at == "end":
                continue
            if milestone.field is not None:
                there = self._field_reached(milestone, stage, track, chunk, order)
            else:
                there = milestone.at == "first" or order.on_all_tracks(stage)
            if there:
                self._reached |= {milestone.name}
                names.append(milestone.name)
        return tuple(names)

    def _field_reached(
        self, milestone: Milestone, stage: Stage, track: Track, chunk: Any, order: StageOrder
    ) -> bool:
        if not has_come(milestone, chunk):
            return False
        if milestone.at == "first" or not stage.per_track:
            return True
        self._seen |= {(milestone.name, track)}
        return all((milestone.name, value) in self._seen for value in order.tracks)

    def of_state(self, stage: Stage, value: Any) -> tuple[str, ...]:
        """Those that a look at a state shows to be reached: of the state itself, of those that come
        before it, whether or not anybody saw them, and of fields that are there.
        """
        names = dict.fromkeys(
            each.name for each in self._of_state(stage, value) if each.name not in self._reached
        )
        self._reached |= names.keys()
        return tuple(names)

    def _of_state(self, stage: Stage, value: Any) -> Iterator[Milestone]:
        past = {stage.name, *self._protocol.before(stage.name)} if not stage.failure else EMPTY
        for each in self._protocol.stages:
            for milestone in each.milestones:
                if milestone.field is not None:
                    if has_come(milestone, value):
                        yield milestone
                elif each.name in past:
                    yield milestone

    def at_the_end(self) -> tuple[str, ...]:
        """Those that the end of the body reaches."""
        return tuple(
            milestone.name
            for stage in self._protocol.stages
            for milestone in stage.milestones
            if milestone.at == "end"
        )


def has_come(milestone: Milestone, value: Any) -> bool:
    """Whether the field of a milestone is there and not null: for "first" in one of the places that
    it names, for "all" in each that there is.
    """
    assert milestone.field is not None
    found = [each for _, each in milestone.field.every(value)]
    if milestone.at == "first" or not milestone.field.wild:
        return any(each is not None for each in found)
    above = _holders(milestone, value)
    return bool(found) and len(found) == above and all(each is not None for each in found)


def _holders(milestone: Milestone, value: Any) -> int:
    """How many items there are in which the field could stand."""
    assert milestone.field is not None
    parts = milestone.field.parts
    last = len(parts) - parts[::-1].index("*")
    return sum(1 for _ in type(milestone.field)(parts[:last]).every(value))
