"""The shapes of JSON values: at each place of an object, which types, values, formats and sizes
were seen there, and how often. Counts and classes, never anybody's words.

Bounded whatever comes: places, depth, kept values and the work spent on one value have caps.
Merging is associative and commutative, so parts can be put together in any order.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from soundstage.contract.field_schemas import pointer, type_name
from soundstage.observed.documented_fields import (
    LARGEST_UNKNOWN,
    NOTHING_KNOWN,
    DocumentedPlace,
    kept_value,
)
from soundstage.observed.key_tally import KeyTally
from soundstage.observed.text_classes import format_of, name_of
from soundstage.output.redact import PRIVATE_FIELDS

#: Undocumented places that are kept of one kind of object; documented ones always are.
MOST_PLACES = 400
#: Distinct values that may still be an enumeration.
MOST_VALUES = 24
#: Objects and arrays below this are not entered.
DEEPEST = 6
#: Values that are looked at in one chunk or result; items of one array.
MOST_NODES = 2_000
MOST_ITEMS = 50

_LARGEST_SIZE = 100
_UNKNOWN_PRIVATE = DocumentedPlace(private=True)
_KINDS = {str: "string", int: "integer", bool: "boolean", type(None): "null", dict: "object"}
_FLOAT_MAX = 1.7976931348623157e308

Range = tuple[float, float] | None


def _wider(a: Range, b: Range) -> Range:
    if a is None or b is None:
        return a or b
    return (min(a[0], b[0]), max(a[1], b[1]))


class PlaceShape:
    """What was seen at one place. `seen` counts occurrences, `exchanges` those with at least one,
    `always` those in which no object around it was without it.
    """

    __slots__ = (
        "always", "documented", "exchanges", "formats", "lengths", "numbers", "seen", "sizes",
        "types", "values",
    )  # fmt: skip

    def __init__(self, *, documented: bool = False) -> None:
        self.documented = documented
        self.seen = self.exchanges = self.always = 0
        self.types = KeyTally()
        self.values = KeyTally(MOST_VALUES)
        self.formats = KeyTally()
        self.sizes = KeyTally()
        self.numbers: Range = None
        self.lengths: Range = None

    def note(self, value: Any, known: DocumentedPlace) -> None:
        """Take in one value of the one exchange that is being looked at."""
        self.seen += 1
        self.exchanges = 1
        kind = _KINDS.get(type(value)) or type_name(value)
        if kind == "number" and isinstance(value, float) and value.is_integer():
            kind = "integer"  # 2.0 is one, says JSON Schema
        self.types.note(kind)
        if kind == "string":
            length = float(len(value))
            self.lengths = _wider(self.lengths, (length, length))
            self.formats.note(format_of(value))
        elif kind in ("array", "object"):
            if kind == "array":
                self.sizes.note(str(len(value)) if len(value) <= _LARGEST_SIZE else "more")
            return
        elif kind in ("integer", "number") and not known.private:
            number = _plain_number(value)
            near = (number, number) if known.documented else _rounded(number)
            self.numbers = _wider(self.numbers, near)
        kept = kept_value(value, kind, known)
        if kept is not None:
            self.values.note(kept)

    def merge(self, other: PlaceShape) -> None:
        self.documented = self.documented or other.documented
        self.seen += other.seen
        self.exchanges += other.exchanges
        self.always += other.always
        for name in ("types", "values", "formats", "sizes"):
            getattr(self, name).merge(getattr(other, name))
        self.numbers = _wider(self.numbers, other.numbers)
        self.lengths = _wider(self.lengths, other.lengths)

    def to_json(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "seen": self.seen,
            "exchanges": self.exchanges,
            "always": self.always,
            "documented": self.documented,
            "types": self.types.to_json(),
            "values": self.values.to_json(),
            "many_values": self.values.many,
            "formats": self.formats.to_json(),
            "sizes": self.sizes.to_json(),
            "numbers": list(self.numbers) if self.numbers else None,
            "lengths": list(self.lengths) if self.lengths else None,
        }
        kept = ("seen", "exchanges", "always", "types")
        return {name: fact for name, fact in facts.items() if fact or name in kept}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> PlaceShape:
        place = cls(documented=data.get("documented", False))
        place.seen, place.exchanges = data["seen"], data["exchanges"]
        place.always = data["always"]
        place.types = KeyTally.of(data["types"])
        many = data.get("many_values", False)
        place.values = KeyTally.of(data.get("values", {}), many=many, most=MOST_VALUES)
        place.formats = KeyTally.of(data.get("formats", {}))
        place.sizes = KeyTally.of(data.get("sizes", {}))
        place.numbers = _pair(data.get("numbers"))
        place.lengths = _pair(data.get("lengths"))
        return place


def _pair(data: Any) -> Range:
    return (float(data[0]), float(data[1])) if data else None


def _plain_number(value: int | float | Decimal) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return max(-_FLOAT_MAX, min(_FLOAT_MAX, number))


def _rounded(number: float) -> tuple[float, float]:
    """A number of nobody knows what: only its neighbourhood, one digit of it."""
    if number == 0 or abs(number) < LARGEST_UNKNOWN:
        return (float(math.floor(number)), float(math.ceil(number)))
    unit = 10.0 ** min(307, math.floor(math.log10(abs(number))))
    low, high = math.floor(number / unit) * unit, math.ceil(number / unit) * unit
    return (max(-_FLOAT_MAX, low), min(_FLOAT_MAX, high))


Places = dict[str, PlaceShape]


def observe(places: Places, value: Any, known: DocumentedPlace) -> int:
    """Take one chunk or result into `places`, which is of one exchange. Breadth first and what is
    documented first, so that the caps cut what matters least. Returns how many values it looked at.
    """
    queue: deque[tuple[str, Any, DocumentedPlace, int]] = deque([("", value, known, 0)])
    looked = 0
    while queue and looked < MOST_NODES:
        where, found, about, depth = queue.popleft()
        looked += 1
        place = places.get(where)
        if place is None:
            place = places[where] = PlaceShape(documented=about.documented)
        place.note(found, about)
        if depth >= DEEPEST:
            continue
        left = max(0, MOST_NODES - looked - len(queue))
        for name, inner, below in islice(_children(found, about), left):
            plain = "/" not in name and "~" not in name
            step = f"{where}/{name}" if plain else where + pointer(name)
            queue.append((step, inner, below, depth + 1))
    return looked


def _children(value: Any, known: DocumentedPlace) -> Iterator[tuple[str, Any, DocumentedPlace]]:
    unknown = _UNKNOWN_PRIVATE if known.private else NOTHING_KNOWN
    if isinstance(value, dict):
        for name, below in known.fields.items():
            if name in value:
                yield name, value[name], below
        for key, inner in value.items():
            if key not in known.fields:
                yield name_of(key), inner, _UNKNOWN_PRIVATE if key in PRIVATE_FIELDS else unknown
    elif isinstance(value, list):
        for inner in value[:MOST_ITEMS]:
            yield "*", inner, known.items or unknown


def settle(places: Places) -> None:
    """End the one exchange that `places` is of: say which places were never left out."""
    for where, place in places.items():
        around = parent_of(places, where)
        place.always = int(place.seen >= around)


def parent_of(places: Mapping[str, PlaceShape], where: str) -> int:
    """How many objects (or items of arrays) there were for a place to be in."""
    if not where:
        return places[""].seen
    around = where.rpartition("/")[0]
    if where.endswith("/*"):
        return places[where].seen
    return places[around].types.counts.get("object", [0, 0])[0] if around in places else 0


def exchanges_around(places: Mapping[str, PlaceShape], where: str) -> int:
    """In how many exchanges there was an object (or a list) for a place to be in."""
    if not where:
        return places[""].exchanges
    around = where.rpartition("/")[0]
    kind = "array" if where.endswith("/*") else "object"
    return places[around].types.exchanges(kind) if around in places else 0


def merge(mine: Places, others: Mapping[str, PlaceShape]) -> None:
    """Add what was seen in other exchanges; then keep what the cap allows.

    Of undocumented places the shallowest are kept, and of those as deep the ones whose hash is
    smallest. Whatever is kept in the end was kept all along, so its counts are whole, in whatever
    order parts were merged.
    """
    for where, place in others.items():
        if where not in mine:
            mine[where] = PlaceShape(documented=place.documented)
        mine[where].merge(place)
    bound(mine)


def bound(places: Places) -> None:
    """Drop the undocumented places beyond the cap."""
    extra = [where for where, place in places.items() if where and not place.documented]
    if len(extra) > MOST_PLACES:
        for where in sorted(extra, key=_rank)[MOST_PLACES:]:
            del places[where]


def _rank(where: str) -> tuple[int, str]:
    digest = hashlib.sha256(where.encode("utf-8", "replace")).hexdigest()
    return (where.count("/"), digest)
