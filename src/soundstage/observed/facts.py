"""What a target was seen to send, as one flat map: fact -> number of exchanges that showed it.

    whole.merge(observe(exchange))           # any order, any grouping
    facts = whole.apis["v6"].endpoints["stream"]
    facts.details("type", "final", "/song_name")    {"string": 412, "null": 3}

A fact is a line of text: its facet, what it is of, and last, where it is of a place in a chunk, the
JSON pointer of that place (`*` for any item). `FACETS` lists them all. Two facts may be compared if
they have the same facet and place; of how many exchanges one could have been shown, `around` says.
Ranges (`number`, `length`) stand beside the counts, by facts of the same form.

Counts and classes, never anybody's words. Bounded whatever comes: beyond a cap those are kept whose
hash is smallest, so that whatever is kept in the end was kept all along, in any order of merging.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from soundstage.errors import NoDataError

FORMAT: Final = 2
#: The stage that stands for the one body of an endpoint that does not stream.
RESULT: Final = ""
#: What the name of a stage begins with that the contract does not know; the rest is its mark.
UNKNOWN: Final = "?"
#: The detail of tracks and numbers that are neither documented nor small.
OTHER: Final = "other"

_OF_STAGE: Final = ("stage",)
_DETAIL: Final = ("detail",)
_OF_PLACE: Final = ("stage", "path")
_AT_PLACE: Final = ("stage", "detail", "path")
#: Each facet, and what follows it. An exchange shows …
FACETS: Final[Mapping[str, tuple[str, ...]]] = {
    "whole": (),  # … that nothing cut it short: only then what did not come was not sent
    "framing": _DETAIL,
    "tracks": _DETAIL,  # … a track, if whole
    "start": _DETAIL,  # … that the index starts at this
    "step": _DETAIL,  # … that the index goes on by this
    "last": _DETAIL,  # … the stage of its last chunk, if whole
    "order": ("stage", "detail"),  # … that the first came before the second (of the same track)
    "broken": _DETAIL,  # … that a rule across chunks was broken
    "stage": _OF_STAGE,  # … a chunk of the stage
    "complete": _OF_STAGE,  # … a chunk of the stage, and is whole
    "times": ("stage", "detail"),  # … that the stage came so often (on a track), if whole
    "track": ("stage", "detail"),  # … a chunk of the stage on the track
    "at": _OF_PLACE,  # … a value at the place
    "always": _OF_PLACE,  # … a value at the place in everything that could hold one
    "extra": _OF_PLACE,  # … that the place is not documented
    "type": _AT_PLACE,
    "value": _AT_PLACE,  # … a value that may be one of an enumeration
    "unkept": _OF_PLACE,  # … a text that is kept in no form
    "format": _AT_PLACE,  # … a text of the class
    "size": _AT_PLACE,  # … an array of so many items
    "number": _OF_PLACE,  # a range
    "length": _OF_PLACE,  # a range
}
RANGES: Final = ("number", "length")
#: Of a stage: undocumented places that are kept; documented ones always are.
MOST_PLACES: Final = 400
#: Distinct values that may still be an enumeration. One more is kept, which says that there are
#: too many.
MOST_VALUES: Final = 24
#: Stages that the contract does not know: so many are told apart.
MOST_UNKNOWN: Final = 16
#: So many facts are well below every cap; only beyond it anybody looks.
_FEW: Final = 4_000

Range = tuple[float, float]


class Fact(NamedTuple):
    """The parts of a fact; what a facet has not is ""."""

    facet: str
    stage: str = ""
    detail: str = ""
    path: str = ""

    def __str__(self) -> str:
        return "/".join((self.facet, *(getattr(self, part) for part in FACETS[self.facet])))

    @classmethod
    def read(cls, text: str) -> Fact | None:
        """The parts of a fact that is written down; None if it is none."""
        facet, *_ = text.split("/", 1)
        parts = FACETS.get(facet)
        if parts is None:
            return None
        found = text.split("/", len(parts))[1:] if parts else text.split("/")[1:]
        if len(found) != len(parts):
            return None
        return cls(facet, **dict(zip(parts, found, strict=True)))


class Facts:
    """What was seen of one endpoint, in `exchanges` successful answers."""

    __slots__ = ("_by_place", "_looked", "counts", "exchanges", "ranges")

    def __init__(self, exchanges: int = 0) -> None:
        self.exchanges = exchanges
        self.counts: dict[str, int] = {}
        self.ranges: dict[str, Range] = {}
        self._by_place: dict[tuple[str, str, str], dict[str, int]] | None = None
        self._looked = _FEW

    def show(self, facet: str, *parts: str) -> None:
        """Note a fact of the one exchange that is being looked at."""
        self.counts["/".join((facet, *parts))] = 1

    def widen(self, facet: str, stage: str, path: str, low: float, high: float) -> None:
        """Note a number, or the length of a text."""
        key = f"{facet}/{stage}/{path}"
        before = self.ranges.get(key)
        if before is not None:
            low, high = min(low, before[0]), max(high, before[1])
        self.ranges[key] = (low, high)

    def merge(self, other: Facts) -> None:
        """Add what was seen in other exchanges. Associative and commutative."""
        self.exchanges += other.exchanges
        counts = self.counts
        for key, number in other.counts.items():
            counts[key] = counts.get(key, 0) + number
        for key, (low, high) in other.ranges.items():
            mine = self.ranges.get(key, (low, high))
            self.ranges[key] = (min(low, mine[0]), max(high, mine[1]))
        self._by_place = None
        if len(counts) > self._looked:
            self.bound()
            self._looked = max(_FEW, 2 * len(self.counts))

    # --- reading ----------------------------------------------------------------------------------

    def _index(self) -> dict[tuple[str, str, str], dict[str, int]]:
        if self._by_place is None:
            self._by_place = {}
            for key, number in self.counts.items():
                if (fact := Fact.read(key)) is not None:
                    place = (fact.facet, fact.stage, fact.path)
                    self._by_place.setdefault(place, {})[fact.detail] = number
        return self._by_place

    def details(self, facet: str, stage: str = "", path: str = "") -> dict[str, int]:
        """Of a facet at a place: how many exchanges showed each detail."""
        return self._index().get((facet, stage, path), {})

    def count(self, facet: str, stage: str = "", detail: str = "", path: str = "") -> int:
        """How many exchanges showed a fact."""
        return self.details(facet, stage, path).get(detail, 0)

    def range(self, facet: str, stage: str, path: str) -> Range | None:
        """Least and most; None where there was nothing."""
        return self.ranges.get(f"{facet}/{stage}/{path}")

    def stages(self) -> list[str]:
        """The stages that were seen, in order of their names."""
        return sorted(stage for facet, stage, _ in self._index() if facet == "stage")

    def places(self, stage: str) -> list[str]:
        """The places of a stage that were seen, the whole chunk ("") included, sorted."""
        index = self._index()
        return sorted(path for facet, of, path in index if facet == "at" and of == stage)

    def around(self, stage: str, path: str) -> int:
        """In how many exchanges there was an object (or a list) for a place to be in."""
        if not path:
            return self.count("stage", stage)
        kind = "array" if path.endswith("/*") else "object"
        return self.count("type", stage, kind, path.rpartition("/")[0])

    def many(self, stage: str, path: str) -> bool:
        """Whether there were more values at a place than an enumeration has."""
        return len(self.details("value", stage, path)) > MOST_VALUES

    # --- bounds -----------------------------------------------------------------------------------

    def bound(self) -> None:
        """Forget what is beyond the caps."""
        facts = {key: fact for key in self.counts if (fact := Fact.read(key)) is not None}
        unknown = {f.stage for f in facts.values() if f.stage.startswith(UNKNOWN)}
        lost = set(sorted(unknown, key=_hash)[MOST_UNKNOWN:])
        extra: dict[str, list[str]] = {}
        values: dict[tuple[str, str], list[str]] = {}
        for fact in facts.values():
            if fact.facet == "extra":
                extra.setdefault(fact.stage, []).append(fact.path)
            elif fact.facet == "value":
                values.setdefault((fact.stage, fact.path), []).append(fact.detail)
        dropped = {
            (stage, path)
            for stage, paths in extra.items()
            for path in sorted(paths, key=_depth)[MOST_PLACES:]
        }
        kept = {place: set(sorted(v, key=_hash)[: MOST_VALUES + 1]) for place, v in values.items()}

        def stays(fact: Fact | None) -> bool:
            if fact is None or fact.stage in lost or (fact.stage, fact.path) in dropped:
                return False
            if fact.facet in ("order", "last") and fact.detail in lost:
                return False
            place = (fact.stage, fact.path)
            return fact.facet != "value" or fact.detail in kept[place]

        self.counts = {key: n for key, n in self.counts.items() if stays(facts.get(key))}
        self.ranges = {key: r for key, r in self.ranges.items() if stays(Fact.read(key))}
        self._by_place = None

    def to_json(self) -> dict[str, Any]:
        self.bound()
        return {
            "exchanges": self.exchanges,
            "facts": dict(sorted(self.counts.items())),
            "ranges": {key: list(ends) for key, ends in sorted(self.ranges.items())},
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Facts:
        facts = cls(data["exchanges"])
        facts.counts = dict(data["facts"])
        facts.ranges = {key: (float(a), float(b)) for key, (a, b) in data["ranges"].items()}
        return facts


@dataclass(slots=True)
class ApiSeen:
    """What was seen of one API version, and the hashes of the contracts it was held against."""

    contracts: set[str] = field(default_factory=set)
    endpoints: dict[str, Facts] = field(default_factory=dict)

    def merge(self, other: ApiSeen) -> None:
        self.contracts |= other.contracts
        _merge(self.endpoints, other.endpoints, Facts)


@dataclass(slots=True)
class Observed:
    """All that was seen, by API version."""

    apis: dict[str, ApiSeen] = field(default_factory=dict)

    def merge(self, other: Observed) -> None:
        """Add what was seen in other exchanges. Associative and commutative."""
        _merge(self.apis, other.apis, ApiSeen)

    @property
    def exchanges(self) -> int:
        """How many exchanges it was made of."""
        return sum(e.exchanges for api in self.apis.values() for e in api.endpoints.values())

    def texts(self) -> Iterable[str]:
        """Every fact that is kept."""
        for api in self.apis.values():
            for facts in api.endpoints.values():
                yield from facts.counts

    def to_json(self) -> dict[str, Any]:
        """The document of `observed.json` (results/observed.schema.json)."""
        return {
            "format": FORMAT,
            "apis": {
                api: {
                    "contracts": sorted(seen.contracts),
                    "endpoints": {
                        name: facts.to_json() for name, facts in sorted(seen.endpoints.items())
                    },
                }
                for api, seen in sorted(self.apis.items())
            },
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Observed:
        """Read back what `to_json` gave. The document must meet its schema.

        Raises NoDataError for one of an older format, whose counts say less.
        """
        if document["format"] != FORMAT:
            raise NoDataError(
                f"observed.json has format {document['format']}, which is read no more; the"
                " transcripts of that run can be read with `soundstage schema --observed`"
            )
        return cls(
            {
                api: ApiSeen(
                    set(seen["contracts"]),
                    {name: Facts.of(each) for name, each in seen["endpoints"].items()},
                )
                for api, seen in document["apis"].items()
            }
        )


def _merge(mine: dict[str, Any], others: Mapping[str, Any], new: Callable[[], Any]) -> None:
    for name, other in others.items():
        if name not in mine:
            mine[name] = new()
        mine[name].merge(other)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), _hash(path)
