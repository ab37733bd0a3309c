"""What a target was seen to send, as one flat map for each endpoint: fact -> number of exchanges
that showed it. Beside it stand the ranges of numbers and of lengths.

    one.merge(other)               # any order, any grouping
    document = one.to_json()       # observed.json; Observed.of(document) reads it
    facts = one.apis[api][endpoint]
    facts.count(Fact("type", "final", "string", "/song_name")), facts.around(…), facts.details(…)

Counts and classes, never anybody's words, and bounded whatever comes. `recorder` fills it; what a
fact means to whoever reads it is said elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

FORMAT = 2
#: The stage that stands for the one body of an endpoint that does not stream.
RESULT = ""
#: What the name of a stage begins with that the contract does not know; the rest is its mark.
UNKNOWN = "?"
#: The detail of tracks and numbers that are neither documented nor small.
OTHER = "other"
#: The one value of a place that had more than an enumeration has.
MANY = "many"
#: Stages that the contract does not know: so many are told apart.
MOST_UNKNOWN = 16
#: Undocumented places that are kept of one stage; documented ones always are.
MOST_PLACES = 400
#: Distinct values that may still be an enumeration. One more is kept, which says that it is none.
MOST_VALUES = 24
_MOST = {"stage": MOST_UNKNOWN, "place": MOST_PLACES, "value": MOST_VALUES + 1}
#: Below so many facts nothing is dropped before it has to be: looking for it takes a millisecond.
_FEW = 4_000

#: What facts there are, and among which exchanges each is counted: all successful answers that were
#: looked at; those of them that nothing cut short ("whole": what did not come was not sent); those
#: of these with the stage ("ended"); those with an object around the place, or with the place.
FACETS: Mapping[str, str] = {
    "exchanges": "exchanges",
    "whole": "exchanges",
    "framing": "exchanges",
    "index.start": "exchanges",
    "index.step": "exchanges",
    "rule": "exchanges",  # one across chunks that was broken: its id below the endpoint
    "stage": "exchanges",
    "order": "exchanges",  # the first of the stage came before the first of another
    "last": "whole",  # the last stage
    "ended": "whole",
    "times": "ended",  # how often the stage came, on one track if it counts by track
    "track": "ended",  # there was a chunk of this track; of any stage: ""
    "field": "object",  # there was something at the place
    "always": "object",  # and no object around it was without it
    "extra": "object",  # and the contract does not know the place
    "type": "field",
    "format": "field",  # a class of text
    "size": "field",  # items of an array
    "value": "field",  # what may be one of an enumeration, as JSON or as a hash
    "unkept": "field",  # there was a text that is no value
    "number": "field",  # a range
    "length": "field",  # a range, of texts, in characters
}

Range = tuple[float, float]


class Fact(NamedTuple):
    """One fact. `path` is a JSON pointer with `*` for any item, "" for the whole chunk."""

    facet: str
    stage: str = ""
    detail: str = ""
    path: str = ""

    @property
    def key(self) -> str:
        """The fact as it is kept: `type/final/string/song_name`, `framing//sse`."""
        stage, detail = (each.replace("/", "~1") for each in (self.stage, self.detail))
        return f"{self.facet}/{stage}/{detail}{self.path}"

    @classmethod
    def of(cls, key: str) -> Fact:
        """Read a key, whoever wrote it: what it lacks is empty."""
        parts = key.split("/", 3)
        facet, stage, detail = (*parts[:3], "", "")[:3]
        if "~1" in key:
            stage, detail = stage.replace("~1", "/"), detail.replace("~1", "/")
        return cls(facet, stage, detail, f"/{parts[3]}" if len(parts) > 3 else "")


@dataclass(slots=True)
class Facts:
    """What was seen of one endpoint: in how many exchanges each fact was, and ranges, both by key.
    It is filled by key, and asked by fact.
    """

    counts: dict[str, int] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    _by_place: dict[tuple[str, str, str], dict[str, int]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _enough: int = field(default=_FEW, compare=False, repr=False)

    def __iter__(self) -> Iterator[Fact]:
        """All facts, sorted by key."""
        for (facet, stage, path), details in self._read().items():
            for detail in details:
                yield Fact(facet, stage, detail, path)

    def details(self, facet: str, stage: str = "", path: str = "") -> Mapping[str, int]:
        """All details of a facet at a place, sorted, with their counts. Of more values than an
        enumeration has there is only `MANY`.
        """
        return self._read().get((facet, stage, path), {})

    def count(self, fact: Fact) -> int:
        """How many exchanges showed it."""
        return self.details(fact.facet, fact.stage, fact.path).get(fact.detail, 0)

    def around(self, fact: Fact) -> int:
        """How many exchanges could have shown it: had the stage, the object around the field, …"""
        facet, stage, _, path = fact
        among = FACETS[facet]
        if among == "field":
            return self.count(Fact("field", stage, "", path))
        if among == "object" and path:
            kind = "array" if path.endswith("/*") else "object"
            return self.count(Fact("type", stage, kind, path.rpartition("/")[0]))
        if among == "object":
            return self.count(Fact("stage", stage))
        if among == "ended":
            return self.count(Fact("ended", stage) if stage else Fact("whole"))
        return self.count(Fact(among))

    def stages(self) -> list[str]:
        """The stages that were seen, sorted."""
        return sorted(stage for facet, stage, _ in self._read() if facet == "stage")

    def _read(self) -> Mapping[tuple[str, str, str], dict[str, int]]:
        """The counts of all details, by facet, stage and path."""
        if not self._by_place:
            self._bound()
            for key in sorted(self.counts):
                facet, stage, detail, path = Fact.of(key)
                self._by_place.setdefault((facet, stage, path), {})[detail] = self.counts[key]
            for (facet, stage, path), details in self._by_place.items():
                if facet == "value" and len(details) > MOST_VALUES:
                    details.clear()
                    details[MANY] = self._by_place.get(("field", stage, path), {}).get("", 0)
        return self._by_place

    def range(self, facet: str, stage: str, path: str) -> Range | None:
        """Least and most of the numbers, or of the lengths of texts, at a place."""
        return self.ranges.get(Fact(facet, stage, "", path).key)

    def show(self, keys: Iterable[str]) -> None:
        """The one exchange that these are the facts of showed these."""
        self.counts.update(dict.fromkeys(keys, 1))

    def widen(self, key: str, least: float, most: float) -> None:
        """Let a range reach so far."""
        low, high = self.ranges.get(key, (least, most))
        self.ranges[key] = (min(low, least), max(high, most))

    def merge(self, other: Facts) -> None:
        """Add what was seen in other exchanges."""
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        for key, ends in other.ranges.items():
            self.widen(key, *ends)
        self._by_place = {}
        if len(self.counts) > self._enough:
            self._bound()
            self._enough = max(_FEW, 2 * len(self.counts))

    def _bound(self) -> None:
        """Forget what is beyond the caps. What has the smallest hashes is kept, of places the
        shallowest first: whatever is kept in the end was kept all along, so its count is whole,
        in whatever order parts were merged and bounded.
        """
        groups: dict[tuple[str, ...], set[str]] = {}
        for key in self.counts:
            if key.startswith(("stage/", "extra/", "value/")):
                facet, stage, detail, path = Fact.of(key)
                if facet == "value":
                    groups.setdefault(("value", stage, path), set()).add(detail)
                elif facet == "extra":
                    groups.setdefault(("place", stage), set()).add(path)
                elif stage.startswith(UNKNOWN):
                    groups.setdefault(("stage",), set()).add(stage)
        gone = {
            (*group, name)
            for group, names in groups.items()
            for name in _beyond(names, _MOST[group[0]])
        }
        if not gone:
            return

        def kept(key: str) -> bool:
            facet, stage, detail, path = Fact.of(key)
            also = ("stage", detail if facet in ("order", "last") else stage)
            of = {("stage", stage), also, ("place", stage, path), (facet, stage, path, detail)}
            return gone.isdisjoint(of)

        self.counts = {key: count for key, count in self.counts.items() if kept(key)}
        self.ranges = {key: ends for key, ends in self.ranges.items() if kept(key)}

    def to_json(self) -> dict[str, Any]:
        self._bound()
        return {
            "counts": {key: self.counts[key] for key in sorted(self.counts)},
            "ranges": {key: list(self.ranges[key]) for key in sorted(self.ranges)},
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Facts:
        ranges = {key: (float(low), float(high)) for key, (low, high) in data["ranges"].items()}
        return cls(dict(data["counts"]), ranges)


@dataclass(slots=True)
class Observed:
    """All that was seen: by API version and endpoint."""

    apis: dict[str, dict[str, Facts]] = field(default_factory=dict)

    def merge(self, other: Observed) -> None:
        """Add what was seen in other exchanges. Associative and commutative."""
        for api, endpoints in other.apis.items():
            mine = self.apis.setdefault(api, {})
            for name, facts in endpoints.items():
                mine.setdefault(name, Facts()).merge(facts)

    @property
    def exchanges(self) -> int:
        """How many exchanges it was made of."""
        each = (facts for endpoints in self.apis.values() for facts in endpoints.values())
        return sum(facts.count(Fact("exchanges")) for facts in each)

    def to_json(self) -> dict[str, Any]:
        """The document of `observed.json` (results/observed.schema.json)."""
        return {
            "format": FORMAT,
            "apis": {
                api: {name: endpoints[name].to_json() for name in sorted(endpoints)}
                for api, endpoints in sorted(self.apis.items())
            },
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Observed:
        """Read back what `to_json` gave. The document must meet its schema."""
        return cls(
            {
                api: {name: Facts.of(facts) for name, facts in endpoints.items()}
                for api, endpoints in document["apis"].items()
            }
        )


def _beyond(names: set[str], most: int) -> list[str]:
    """The names for which there is no room, the shallowest and those of small hashes kept."""
    if len(names) <= most:
        return []

    def rank(name: str) -> tuple[int, str]:
        return (name.count("/"), hashlib.sha256(name.encode("utf-8", "replace")).hexdigest())

    return sorted(names, key=rank)[most:]
