"""Whole valid streams of any contract, drawn from a seed.

`plan` draws which stages come in which order, `payloads` fills their chunks, `sync_result` fills
the synchronous result. All three follow from the contract's data: the constraints of the stages
(after, times, per_track, ends), what holds across chunks, and of each field its schema and role.

Never here: I/O, time, Hypothesis, and what makes a stream invalid.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType

from soundstage.contract import Contract
from soundstage.contract.protocol import Protocol, Stage
from soundstage.errors import ContractDataError
from soundstage.generation.payloads import PayloadMaker, rising_fields
from soundstage.generation.story import (
    Draft,
    Drafted,
    Payload,
    Step,
    Story,
    Track,
    identifier,
    in_order,
    random_story,
    song_title,
)

__all__ = [
    "Draft",
    "Drafted",
    "Order",
    "Payload",
    "Step",
    "Story",
    "Times",
    "Track",
    "drafted",
    "headline_times",
    "identifier",
    "in_order",
    "order_of",
    "payloads",
    "plan",
    "random_story",
    "song_title",
    "story_tracks",
    "sync_result",
]

#: How often an unbounded stage comes: those that carry the stream along, and the others.
_CARRYING, _PASSING = (3, 9), (0, 3)
#: One plan in this many does without an unbounded stage altogether, where it may.
_RARELY = 20
#: How eager a stage that must come is, beside one chunk (1.0) of the unbounded ones.
_EAGERNESS = 0.7
_NO_TRACK: tuple[Track | None, ...] = (None,)
#: Of so many places on the ways of streams it is remembered who may come next.
_MOST_CHOICES = 2_000
#: Draws how often a stage comes (on its track), where somebody knows better than the walk.
Times = Callable[[random.Random], int]
_UNKNOWN: Mapping[str, Times] = MappingProxyType({})


def plan(
    contract: Contract,
    rng: random.Random,
    *,
    fails: bool = False,
    times: Mapping[str, Times] = _UNKNOWN,
    fails_after: str | None = None,
    tracks: int | None = None,
) -> list[Step]:
    """A legal sequence of stages from the first chunk to the last. `tracks`: how many there are,
    where the contract does not fix it (None: drawn).

    Which track leads, how tracks interleave and how often optional stages come vary with `rng`;
    `times` says how often by the name of a stage, in place of the walk's own habits. The stage
    that charges comes at least once. With `fails` the sequence is cut somewhere after its first
    chunk and ends in the contract's stage of failure; with `fails_after` it is cut after one of
    the chunks of that stage, if it has any.

    Raises ContractDataError if the stages' constraints cannot all be met, UsageError never.
    """
    steps = order_of(contract, drawn_tracks(contract.protocol, rng, tracks)).plan(rng, times)
    if fails and len(steps) > 1:
        return [*steps[: rng.randint(1, len(steps) - 1)], _failed(contract)]
    if fails_after is not None:
        places = [n for n, step in enumerate(steps[:-1], start=1) if step.stage == fails_after]
        if places:
            return [*steps[: rng.choice(places)], _failed(contract)]
    return steps


@cache
def headline_times(protocol: Protocol) -> Mapping[str, Times]:
    """How often stages come that may be left out, and that reach a headline: a song without any is
    legal, and nobody's usual one.
    """

    def carrying(most: int | None) -> Times:
        return lambda rng: min(rng.randint(*_CARRYING), most or _CARRYING[1])

    return {
        stage.name: carrying(stage.times[1])
        for stage in protocol.stages
        if not stage.times[0] and any(each.headline for each in stage.milestones)
    }


def _failed(contract: Contract) -> Step:
    failure = next((s for s in contract.protocol.stages if s.failure), None)
    if failure is None:
        raise ContractDataError(f"{contract.api}: no stage reports a failure")
    return Step(failure.name, None)


def drafted(
    contract: Contract,
    steps: Sequence[Step],
    story: Story,
    rng: random.Random,
    *,
    optional: float = 0.0,
    percentages: Sequence[int] | None = None,
    given: Mapping[str, str] | None = None,
) -> Drafted:
    """The chunks of `steps`: each meets its stage's schema, together they keep all that holds
    across chunks. Fields that a stage lists but does not require appear with the probability
    `optional`. `percentages` says how far the generation is at each chunk, rising from 0 to 100;
    without it that is drawn. `given`: what the generation is asked for by, by name.
    """
    return maker_of(contract).drafted(steps, story, rng, optional, percentages, given)


def payloads(
    contract: Contract,
    steps: Sequence[Step],
    story: Story,
    rng: random.Random,
    *,
    optional: float = 0.0,
    percentages: Sequence[int] | None = None,
    given: Mapping[str, str] | None = None,
) -> list[Payload]:
    """The chunks of `steps` as `drafted` makes them, in order."""
    made = drafted(
        contract, steps, story, rng, optional=optional, percentages=percentages, given=given
    )
    return in_order(made)


def maker_of(contract: Contract) -> PayloadMaker:
    """What fills the chunks, looks and results of a contract, made once."""
    return _prepared(contract).maker


def sync_result(contract: Contract, story: Story, endpoint: str | None = None) -> Payload:
    """The body of the single answer of an endpoint (None: of the first synchronous one): arrays get
    one item for each of the story's tracks.

    Raises ContractDataError if the contract has no such endpoint.
    """
    found = contract.endpoints[endpoint] if endpoint else contract.endpoint_of_kind("sync")
    if found is None or found.response is None:
        raise ContractDataError(f"{contract.api}: there is no synchronous endpoint")
    return _prepared(contract).maker.result(found.response, story)


def story_tracks(contract: Contract) -> int:
    """For how many tracks a story must have files."""
    tracks = contract.protocol.tracks
    if tracks is None:
        return 1
    return len(tracks.values) if tracks.fixed else len(tracks.values) + _MORE_TRACKS


#: So many tracks a stream has at most where nothing bounds them, beyond those that it must have.
_MORE_TRACKS = 2


def drawn_tracks(protocol: Protocol, rng: random.Random, tracks: int | None = None) -> Protocol:
    """A protocol whose number of tracks is fixed: `tracks`, or one that is drawn."""
    known = protocol.tracks
    if known is None or known.fixed:
        return protocol
    if tracks is None:
        least = max(1, len(known.values))
        most = least + _MORE_TRACKS if known.most is None else min(known.most, least + _MORE_TRACKS)
        tracks = rng.randint(least, most)
    return protocol.for_tracks(tracks)


# --- a contract's constraints, worked out once ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """A stage on one track. Items are numbered; sets of them are bit masks."""

    step: Step
    stage: Stage
    after: tuple[int, ...]  # each group as a mask: one of them must have come
    before: int  # all of these must be over, because the item ends them
    closes: int  # likewise, if the item is the last of its kind
    siblings: int  # the other items that end a track
    carrying: bool


class _Prepared:
    """What is worked out once for a contract."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.maker = PayloadMaker(contract)


_PREPARED: dict[int, _Prepared] = {}


def _prepared(contract: Contract) -> _Prepared:
    found = _PREPARED.get(id(contract))
    if found is None or found.contract is not contract:
        found = _PREPARED[id(contract)] = _Prepared(contract)
    return found


def order_of(contract: Contract, protocol: Protocol | None = None) -> Order:
    """The order of the stages of `protocol` (None: the contract's), worked out once."""
    protocol = protocol or drawn_tracks(contract.protocol, random.Random(0))
    return _order(contract.api, protocol)


@lru_cache(1_000)
def _order(api: str, protocol: Protocol) -> Order:
    return Order(api, protocol)


class Order:
    """Which stage may come when, ready to be drawn from thousands of times.

    `items` are the stages by track; `constraints` of each are (before, siblings, closes, after,
    unbounded), sets of items as bit masks (`Item`).
    """

    def __init__(self, api: str, protocol: Protocol) -> None:
        self.api = api
        self.protocol = protocol
        tracks = self.protocol.tracks
        self.values: tuple[Track, ...] = tracks.values if tracks else ()
        self.rising = rising_fields(self.protocol)
        stages = [stage for stage in self.protocol.stages if not stage.failure]
        self.items = self._items(stages)
        self.constraints = [
            (item.before, item.siblings, item.closes, item.after, item.stage.times[1] is None)
            for item in self.items
        ]
        #: Who may come next, by what has come and what is to come: most streams go the same ways.
        self._choices: dict[tuple[int, int], list[tuple[int, bool]]] = {}
        #: The items that end the stream, but those that may follow such an end: one of them comes.
        self.closing = [
            number
            for number, item in enumerate(self.items)
            if item.stage.ends == "stream" and not self.protocol.may_follow_the_end(item.stage)
        ]
        #: Whether a stage may have to come after others that may stay away.
        self.optional_groups = any(
            not any(item.stage.times[0] for n, item in enumerate(self.items) if group >> n & 1)
            for each in self.items
            for group in each.after
        )

    def _items(self, stages: list[Stage]) -> list[Item]:
        places = [
            (stage, track)
            for stage in stages
            for track in ((self.values or _NO_TRACK) if stage.per_track else _NO_TRACK)
        ]
        names = {stage.name for stage in stages}

        def mask(test: Callable[[Stage, Track | None], bool]) -> int:
            return sum(1 << number for number, place in enumerate(places) if test(*place))

        unbounded = [stage for stage in stages if stage.times[1] is None]
        items = []
        for number, (stage, track) in enumerate(places):
            me = 1 << number
            groups = [set(group) & names for group in stage.after if set(group) & names]
            after = tuple(
                mask(
                    lambda other, its, group=group, track=track: (  # type: ignore[misc]
                        other.name in group and (None in (its, track) or its == track)
                    )
                )
                for group in groups
            )
            after += tuple(
                mask(lambda other, its, group=group, value=value: (  # type: ignore[misc]
                    other.name in group and its == value
                ))
                for group in stage.after_all for value in self.values
            )  # fmt: skip
            if stage.ends == "stream":
                before, closes, siblings = self._others(places, stage) & ~me, 0, 0
            elif stage.ends == "track":
                before = mask(lambda _, its, track=track: its == track) & ~me  # type: ignore[misc]
                # The end of the last track is the end of all, where nothing else is.
                last = self.protocol.by_tracks
                closes = mask(lambda other, _: other.ends != "track") if last else 0
                siblings = mask(lambda other, _: other.ends == "track") & ~me
            else:
                before, closes, siblings = 0, 0, 0
            carrying = len(unbounded) == 1 or any(
                path.schemas(stage.schema) for path in self.rising
            )
            items.append(
                Item(Step(stage.name, track), stage, after, before, closes, siblings, carrying)
            )
        return items

    def _others(self, places: list[tuple[Stage, Track | None]], last: Stage) -> int:
        """What must be over before a stage that ends the stream, as a mask: everything, but what
        may follow such an end.
        """
        follows = self.protocol.may_follow_the_end
        return sum(
            1 << number
            for number, (stage, _) in enumerate(places)
            if follows(last) or not follows(stage)
        )

    def _times(self, item: Item, rng: random.Random, known: Mapping[str, Times]) -> int:
        least, most = item.stage.times
        if known and item.stage.name in known:
            drawn = known[item.stage.name](rng)
        elif most is not None:
            drawn = rng.randint(least, most)
        elif rng.randrange(_RARELY) == 0:
            drawn = least
        else:
            low, high = _CARRYING if item.carrying else _PASSING
            drawn = max(least, rng.randint(low, high))
        if item.stage.charges or (item.stage.ends == "close" and not self.closing):
            return max(1, drawn)
        return drawn

    def make_end(self, left: list[int], draw: Callable[[int], int]) -> None:
        """Let the stream end once: of several stages that end it those that must, else one;
        `draw` gives a number below the one that it is given.
        """
        closing = self.closing
        if len(closing) < 2 and all(left[number] for number in closing):
            return
        must = [number for number in closing if self.items[number].stage.times[0]]
        kept = must or [closing[draw(len(closing))]]
        for number in closing:
            left[number] = max(1, left[number]) if number in kept else 0

    def plan(self, rng: random.Random, times: Mapping[str, Times] = _UNKNOWN) -> list[Step]:
        """A legal sequence of stages (`walk.plan`)."""
        items, draw = self.items, rng.random
        left = [self._times(item, rng, times) for item in items]
        if self.closing:
            self.make_end(left, rng.randrange)
        if self.optional_groups:
            self.make_possible(left)
        steps: list[Step] = []
        came = 0
        waiting = [number for number, times in enumerate(left) if times]
        to_come = sum(1 << number for number in waiting)
        choices: list[tuple[int, bool]] = []
        while waiting:
            if not choices:  # something has come, or is over, so that others may come now
                known = self._choices.get((came, to_come))
                choices = known or self._may_come(waiting, came, to_come)
            total, weights = 0.0, []
            for number, unbounded in choices:
                total += left[number] if unbounded else _EAGERNESS
                weights.append(total)
            if not choices:
                stuck = ", ".join(sorted({items[number].step.stage for number in waiting}))
                raise ContractDataError(f"{self.api}: the constraints of {stuck} cannot be met")
            last = len(choices) - 1
            number = choices[bisect_right(weights, draw() * total, 0, last) if last else 0][0]
            steps.append(items[number].step)
            left[number] -= 1
            if not left[number]:
                waiting.remove(number)
                to_come &= ~(1 << number)
                choices = []
            if not came >> number & 1:
                came |= 1 << number
                choices = []
        return steps

    def _may_come(self, waiting: Sequence[int], came: int, to_come: int) -> list[tuple[int, bool]]:
        """The numbers of those that wait and may come next, and whether each is unbounded."""
        choices = []
        for number in waiting:
            before, siblings, closes, after, unbounded = self.constraints[number]
            if to_come & before or (to_come & closes and not to_come & siblings):
                continue
            for group in after:
                if not came & group:
                    break
            else:
                choices.append((number, unbounded))
        if len(self._choices) < _MOST_CHOICES:
            self._choices[came, to_come] = choices
        return choices

    def ready(self, left: Sequence[int], came: int) -> list[int]:
        """The numbers of the items that may come next. `left` is how often each is still to come,
        `came` the set of those that have come.
        """
        to_come = sum(1 << number for number, times in enumerate(left) if times)
        choices = []
        for number, (before, siblings, closes, after, _) in enumerate(self.constraints):
            blocked = to_come & before or (to_come & closes and not to_come & siblings)
            if left[number] and not blocked and all(came & group for group in after):
                choices.append(number)
        return choices

    def make_possible(self, left: list[int]) -> None:
        """Let come what a coming stage must come after."""
        changed = True
        while changed:
            changed = False
            for number, item in enumerate(self.items):
                for group in item.after if left[number] else ():
                    members = [n for n in range(len(left)) if group >> n & 1]
                    if members and not any(left[n] for n in members):
                        left[members[0]] = 1
                        changed = True
