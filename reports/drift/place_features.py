"""What can differ at the places of a stage's chunks, or of a result: presence, types, values,
classes of text, sizes and ranges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.observed.key_tally import KeyTally
from soundstage.observed.observation import RESULT, StageSeen
from soundstage.observed.shapes import PlaceShape, exchanges_around
from soundstage.observed.text_classes import SPECIFIC
from soundstage.reports.drift.documented import (
    ALLOWED,
    SILENT,
    Documented,
    Said,
    Stance,
    documented,
)
from soundstage.reports.drift.feature import Feature
from soundstage.reports.drift.presence import Presence

#: In so few exchanges an undocumented value is not taken for one of an enumeration.
_ENOUGH_FOR_ENUM = 20
_MOST_IN_ENUM = 8
_NO_PLACE = PlaceShape()


def of_places(
    contract: Contract, endpoint: Endpoint, name: str, base: StageSeen, candidate: StageSeen
) -> Iterator[Feature]:
    said = documented(contract, endpoint.name, name)
    stage = None if name == RESULT else name
    listed = [where for where, each in said.items() if where and each.listed and "*" not in where]
    for where in sorted({*listed, *base.places, *candidate.places}):
        if not where:
            continue
        mine, theirs = base.places.get(where, _NO_PLACE), candidate.places.get(where, _NO_PLACE)
        around = (_around(base, where), _around(candidate, where))
        about = said.get(where)
        if where.endswith("/*"):
            seen = Presence(mine.exchanges, around[0], theirs.exchanges, around[1])
            yield Feature("items", stage, where, "", SILENT if about is None else ALLOWED, seen)
        else:
            yield from _presence(stage, where, about, mine, theirs, around)
        content = _content(contract, stage, where, about, mine, theirs)
        if mine.exchanges:
            yield from content
            continue
        # Of what is new only what the contract rules out is worth a word of its own.
        for each in content:
            if each.said.stance is Stance.FORBIDDEN and each.seen.candidate:
                yield replace(each, seen=each.seen._replace(base_n=around[0]))


def _around(side: StageSeen, where: str) -> int:
    if not side.places:
        return 0
    if where in side.places or where.rpartition("/")[0] in side.places:
        return exchanges_around(side.places, where)
    return 0


def _presence(
    stage: str | None,
    where: str,
    about: Documented | None,
    base: PlaceShape,
    candidate: PlaceShape,
    around: tuple[int, int],
) -> Iterator[Feature]:
    said = about.presence() if about is not None else SILENT
    detail = "documented" if about is not None and about.listed else ""
    ever = Presence(base.exchanges, around[0], candidate.exchanges, around[1])
    always = Presence(base.always, around[0], candidate.always, around[1])
    was = "always" if base.always == around[0] else "sometimes"
    if base.exchanges and candidate.exchanges:
        yield Feature("always", stage, where, detail, said, always, was)
    if not (base.exchanges and candidate.exchanges) or base.always == candidate.always == 0:
        yield Feature("field", stage, where, detail, said, ever, was)


def _content(
    contract: Contract,
    stage: str | None,
    where: str,
    about: Documented | None,
    base: PlaceShape,
    candidate: PlaceShape,
) -> Iterator[Feature]:
    of = (base.exchanges, candidate.exchanges)

    def feature(
        kind: str, key: str, said: Said, mine: KeyTally, theirs: KeyTally, was: str
    ) -> Feature:
        seen = Presence(mine.exchanges(key), of[0], theirs.exchanges(key), of[1])
        return Feature(kind, stage, where, key, said, seen, was)

    was = " or ".join(sorted(base.types))
    empty = {"null"} if about is not None and about.nullable() else set()
    for name in sorted({*base.types, *candidate.types, *empty}):
        said = about.type(name) if about is not None else SILENT
        yield feature("type", name, said, base.types, candidate.types, was)
    protocol = contract.protocol
    counting = {each.field for each in (protocol.index, protocol.tracks) if each is not None}
    if where[1:] in counting and stage is not None:
        return  # the index and the tracks are features of their own
    yield from _values(stage, where, about, base, candidate)
    was = ", ".join(sorted(base.formats))
    specific = set(base.formats) <= SPECIFIC and len(base.formats) == 1
    for name in sorted({*base.formats, *candidate.formats}):
        said = about.format(name) if about is not None else SILENT
        if said.stance is Stance.FORBIDDEN or specific:
            yield feature("format", name, said, base.formats, candidate.formats, was)
    if about is not None:
        low, high, hard = about.limits("minItems", "maxItems")
        if low is not None or high is not None:
            for key in sorted({*base.sizes, *candidate.sizes}):
                many = float(key) if key.isdigit() else float("inf")
                good = (low or 0) <= many <= (float("inf") if high is None else high)
                said = Said(Stance.ALLOWED if good else Stance.FORBIDDEN, hard, about.source)
                sizes = ", ".join(sorted(base.sizes))
                yield feature("size", key, said, base.sizes, candidate.sizes, sizes)
    for kind, least, most in (
        ("number", "minimum", "maximum"),
        ("length", "minLength", "maxLength"),
    ):
        yield from _range(stage, where, about, base, candidate, (kind, least, most))


def _values(
    stage: str | None, where: str, about: Documented | None, base: PlaceShape, candidate: PlaceShape
) -> Iterator[Feature]:
    printed = about.constants() if about is not None else []
    if not printed and not (_is_enum(base) and _is_enum(candidate)):
        return
    if about is not None and not printed and not _has_names(base, candidate):
        return  # documented as what may vary
    texts = {json.dumps(value) for value in printed if len(printed) > 1 and value is not None}
    for key in sorted({*base.values, *candidate.values, *texts}):
        said = _of_value(about, key)
        seen = Presence(
            base.values.exchanges(key),
            base.exchanges,
            candidate.values.exchanges(key),
            candidate.exchanges,
        )
        yield Feature("value", stage, where, key, said, seen, ", ".join(sorted(base.values)))
    if printed and candidate.values.many:
        said = Said(Stance.FORBIDDEN)
        mine = base.exchanges if base.values.many else 0
        seen = Presence(mine, base.exchanges, candidate.exchanges, candidate.exchanges)
        yield Feature("value", stage, where, "many", said, seen, ", ".join(sorted(base.values)))


def _of_value(about: Documented | None, key: str) -> Said:
    if about is None or key.startswith("#"):
        return SILENT
    # A class of texts is kept only where names are due: it is none of them.
    if key.startswith("<"):
        return about.value(key)
    try:
        return about.value(json.loads(key))
    except ValueError:  # whoever wrote the file wrote no JSON there
        return SILENT


def _has_names(*places: PlaceShape) -> bool:
    return any(key.startswith('"') for place in places for key in place.values)


def _is_enum(place: PlaceShape) -> bool:
    """Whether an undocumented place looks like an enumeration: few values, each seen again."""
    few = not place.values.many and 0 < len(place.values) <= _MOST_IN_ENUM
    return few and place.exchanges >= max(_ENOUGH_FOR_ENUM, 4 * len(place.values))


def _range(
    stage: str | None,
    where: str,
    about: Documented | None,
    base: PlaceShape,
    candidate: PlaceShape,
    names: tuple[str, str, str],
) -> Iterator[Feature]:
    kind, least, most = names
    mine = base.numbers if kind == "number" else base.lengths
    theirs = candidate.numbers if kind == "number" else candidate.lengths
    if theirs is None:
        return
    was = "" if mine is None else _spanned(mine)
    detail = _spanned(theirs)
    low, high, hard = about.limits(least, most) if about is not None else (None, None, True)
    if low is not None or high is not None:
        outside = []
        for side in (mine, theirs):
            below = side is not None and low is not None and side[0] < low
            above = side is not None and high is not None and side[1] > high
            outside.append(int(below or above))
        said = Said(Stance.FORBIDDEN, hard, about.source if about is not None else "")
        seen = Presence(outside[0], base.exchanges, outside[1], candidate.exchanges)
        yield Feature(f"{kind}.limit", stage, where, detail, said, seen, was)
    if kind == "length" and {*base.formats, *candidate.formats} <= {"uri"}:
        return  # hosts and signatures differ from run to run
    # `apart` takes exchanges for independent. They are not quite: the exchanges of one run share
    # prompts and hour, and what one request settles (a title) is echoed in six stages, so that
    # chance tells it six times. A gap wider than either range is left of it only where the values
    # are others altogether.
    widest = 0.0 if mine is None else max(mine[1] - mine[0], theirs[1] - theirs[0])
    if mine is not None and max(mine[0] - theirs[1], theirs[0] - mine[1]) > widest:
        seen = Presence(0, base.exchanges, candidate.exchanges, candidate.exchanges)
        yield Feature(f"{kind}.moved", stage, where, detail, SILENT, seen, was)


def _spanned(span: tuple[float, float]) -> str:
    low, high = (f"{end:.15g}" for end in span)
    return low if low == high else f"{low} to {high}"
