"""What a target was seen to send, by API version, endpoint and stage: shapes of chunks and results,
and facts of the protocol (order, times, tracks, index, framing, the last stage).

    one.merge(other)               # any order, any grouping
    document = one.to_json()       # observed.json; Observed.of(document) reads it

Values only; `observing` fills them. Bounded whatever comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from soundstage.observed import shapes
from soundstage.observed.key_tally import KeyTally
from soundstage.observed.shapes import Places, PlaceShape

FORMAT = 1
#: The stage that stands for the one body of an endpoint that does not stream.
RESULT = ""
#: What the name of a stage begins with that the contract does not know; the rest is its mark.
UNKNOWN = "?"
#: Stages that the contract does not know: so many are told apart.
MOST_UNKNOWN = 16
#: The key of tracks and numbers that are neither documented nor small.
OTHER = "other"

T = TypeVar("T")


class StageSeen:
    """What was seen of one stage. `whole` counts the exchanges with it that were seen whole;
    `times` says in how many of those (or of their tracks) it came how often.
    """

    __slots__ = ("chunks", "exchanges", "places", "times", "tracks", "whole")

    def __init__(self) -> None:
        self.chunks = self.exchanges = self.whole = 0
        self.times = KeyTally()
        self.tracks = KeyTally()
        self.places: Places = {}

    def merge(self, other: StageSeen) -> None:
        self.chunks += other.chunks
        self.exchanges += other.exchanges
        self.whole += other.whole
        self.times.merge(other.times)
        self.tracks.merge(other.tracks)
        shapes.merge(self.places, other.places)

    def to_json(self) -> dict[str, Any]:
        return {
            "chunks": self.chunks,
            "exchanges": self.exchanges,
            "whole": self.whole,
            "times": self.times.to_json(),
            "tracks": self.tracks.to_json(),
            "places": {where: self.places[where].to_json() for where in sorted(self.places)},
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> StageSeen:
        seen = cls()
        seen.chunks, seen.exchanges, seen.whole = data["chunks"], data["exchanges"], data["whole"]
        seen.times, seen.tracks = KeyTally.of(data["times"]), KeyTally.of(data["tracks"])
        seen.places = {where: PlaceShape.of(place) for where, place in data["places"].items()}
        return seen


#: The facts of an endpoint that are tallies, and what their keys are.
TALLIES = ("framings", "tracks", "starts", "steps", "last", "order", "broken")


class EndpointSeen:
    """What was seen of one endpoint, in `exchanges` successful answers, of which `whole` were seen
    to their end. Tallies of exchanges: `framings`; `tracks` and `last` (the last stage), of whole
    ones; `starts` and `steps` of the index; `order`: "a>b", the first a came before the first b
    (of the same track, where both count by track); `broken`: rules across chunks that were.
    """

    __slots__ = ("exchanges", "stages", "whole", *TALLIES)

    def __init__(self) -> None:
        self.exchanges = self.whole = 0
        self.framings = KeyTally()
        self.tracks = KeyTally()
        self.starts = KeyTally()
        self.steps = KeyTally()
        self.last = KeyTally()
        self.order = KeyTally(100_000)
        self.broken = KeyTally()
        self.stages: dict[str, StageSeen] = {}

    def merge(self, other: EndpointSeen) -> None:
        self.exchanges += other.exchanges
        self.whole += other.whole
        for name in TALLIES:
            getattr(self, name).merge(getattr(other, name))
        _add_all(self.stages, other.stages, StageSeen)
        self.bound()

    def bound(self) -> None:
        """Forget the unknown stages beyond the cap: those with the largest hashes, so that what
        is kept in the end was kept all along.
        """
        unknown = [name for name in self.stages if name.startswith(UNKNOWN)]
        if len(unknown) <= MOST_UNKNOWN:
            return
        for name in sorted(unknown, key=_rank)[MOST_UNKNOWN:]:
            del self.stages[name]
            for tally in (self.order, self.last):
                for key in [key for key in tally if name in key.split(">")]:
                    del tally.counts[key]

    def to_json(self) -> dict[str, Any]:
        return {
            "exchanges": self.exchanges,
            "whole": self.whole,
            **{name: getattr(self, name).to_json() for name in TALLIES},
            "stages": {name: self.stages[name].to_json() for name in sorted(self.stages)},
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> EndpointSeen:
        seen = cls()
        seen.exchanges, seen.whole = data["exchanges"], data["whole"]
        for name in TALLIES:
            setattr(seen, name, KeyTally.of(data[name], most=getattr(seen, name).most))
        seen.stages = {name: StageSeen.of(stage) for name, stage in data["stages"].items()}
        return seen


@dataclass(slots=True)
class ApiSeen:
    """What was seen of one API version, and the hashes of the contracts it was held against."""

    contracts: set[str] = field(default_factory=set)
    endpoints: dict[str, EndpointSeen] = field(default_factory=dict)

    def merge(self, other: ApiSeen) -> None:
        self.contracts |= other.contracts
        _add_all(self.endpoints, other.endpoints, EndpointSeen)


@dataclass(slots=True)
class Observed:
    """All that was seen, by API version."""

    apis: dict[str, ApiSeen] = field(default_factory=dict)

    def merge(self, other: Observed) -> None:
        """Add what was seen in other exchanges. Associative and commutative."""
        _add_all(self.apis, other.apis, ApiSeen)

    @property
    def exchanges(self) -> int:
        """How many exchanges it was made of."""
        return sum(e.exchanges for api in self.apis.values() for e in api.endpoints.values())

    def to_json(self) -> dict[str, Any]:
        """The document of `observed.json` (results/observed.schema.json)."""
        return {
            "format": FORMAT,
            "apis": {
                api: {
                    "contracts": sorted(seen.contracts),
                    "endpoints": {
                        name: seen.endpoints[name].to_json() for name in sorted(seen.endpoints)
                    },
                }
                for api, seen in sorted(self.apis.items())
            },
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Observed:
        """Read back what `to_json` gave. The document must meet its schema."""
        return cls(
            {
                api: ApiSeen(
                    set(seen["contracts"]),
                    {name: EndpointSeen.of(each) for name, each in seen["endpoints"].items()},
                )
                for api, seen in document["apis"].items()
            }
        )


def _add_all(mine: dict[str, T], others: Mapping[str, T], new: Callable[[], T]) -> None:
    for name, other in others.items():
        if name not in mine:
            mine[name] = new()
        mine[name].merge(other)  # type: ignore[attr-defined]


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
