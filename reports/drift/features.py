"""What can differ between two sides that were observed: features, each with the exchanges that
showed it on either side and with what the contract says about it.

A feature is a fact of either side, or one that the contract names (`due`), about which it can say
something (`said_of`), and which says something by itself (`_tells`). Beside them stand the order of
stages and the ranges, which are no single facts. Every comparison, of two runs or of a run with its
contract, walks these and adds nothing of its own. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.observed.documented import ALLOWED, SILENT, Documented, Said, Stance, documented
from soundstage.observed.facts import MANY, RESULT, UNKNOWN, Fact, Facts, Range
from soundstage.observed.text_classes import SPECIFIC
from soundstage.reports.drift.documented_facts import before, named, said_of
from soundstage.reports.drift.presence import Presence

#: In so few exchanges an undocumented value is not taken for one of an enumeration.
_ENOUGH_FOR_ENUM = 20
_MOST_IN_ENUM = 8


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that exchanges show or do not. `kind` is the facet of its fact, "items" for what is
    in a list, `number.limit` or `number.moved` for what is told of a range; `detail` which one it
    is (a type, a value, another stage; of a range, what was seen of the candidate); `was` describes
    the base where that helps. `said`: what the contract says about its being seen. Of `KIND.limit`,
    `seen` counts one exchange for "at least one went beyond".
    """

    kind: str
    stage: str | None
    path: str
    detail: str
    said: Said
    seen: Presence
    was: str = ""


@dataclass(frozen=True, slots=True)
class _Sides:
    """Two sides that were observed, and the contract and the endpoint that they are of."""

    contract: Contract
    endpoint: Endpoint
    base: Facts
    candidate: Facts

    def presence(self, fact: Fact) -> Presence:
        """In how many exchanges a fact was seen on either side."""
        n, m = self.base.around(fact), self.candidate.around(fact)
        return Presence(min(self.base.count(fact), n), n, min(self.candidate.count(fact), m), m)

    def both(self, fact: Fact) -> list[Mapping[str, int]]:
        """What either side had at the place of a fact."""
        sides = (self.base, self.candidate)
        return [side.details(fact.facet, fact.stage, fact.path) for side in sides]

    def about(self, fact: Fact) -> Documented | None:
        """What the page says about the place of a fact."""
        return documented(self.contract, self.endpoint.name, fact.stage).get(fact.path)


def features(
    contract: Contract, endpoint: Endpoint, base: Facts, candidate: Facts
) -> Iterator[Feature]:
    """All features of an endpoint."""
    sides = _Sides(contract, endpoint, base, candidate)
    for fact in sorted({*base, *candidate, *_due(sides)}):
        said = said_of(contract, endpoint, fact)
        if said is not None and (not fact.path or _tells(sides, fact, said)):
            yield _feature(sides, fact, said)
    if endpoint.protocol is not None:
        yield from _of_order(sides)
    for fact in candidate:
        counted = _counted(contract, fact) or fact.stage.startswith(UNKNOWN)
        if fact.facet == "field" and fact.path and not counted:
            yield from _of_range(sides, fact, "number")
            yield from _of_range(sides, fact, "length")


def _feature(sides: _Sides, fact: Fact, said: Said) -> Feature:
    kind, stage, detail, path = fact
    there, was = sides.presence(fact), ", ".join(sides.both(fact)[0])
    if kind in ("stage", "ended"):
        kind, detail = "stage", stage
    elif kind == "rule":
        rule = f"{sides.contract.api}/{sides.endpoint.name}/{detail}"
        was = sides.contract.rules.rules[rule].text
    elif kind == "type":
        was = was.replace(", ", " or ")
    elif kind in ("field", "always"):
        about, always = sides.about(fact), sides.presence(fact._replace(facet="always"))
        was = "always" if always.base == always.base_n else "sometimes"
        kind = "items" if path.endswith("/*") else kind
        detail = "documented" if about is not None and about.listed and kind != "items" else ""
    if path and not there.base_n:  # so is the place
        around = sides.base.around(Fact("field", stage, "", path))
        there = there._replace(base_n=around)
    return Feature(kind, stage or None, path, detail, said, there, was)


def _due(sides: _Sides) -> Iterator[Fact]:
    """The facts that the contract names, whether they were seen or not; and of each place that was
    seen, that it was never left out.
    """
    contract, endpoint = sides.contract, sides.endpoint
    if endpoint.protocol is not None:
        for (facet, stage), (details, _, _) in named(contract, endpoint.name).items():
            yield from (Fact(facet, stage, detail) for detail in details)
    for facet, stage, _, path in {*sides.base, *sides.candidate}:
        if stage.startswith(UNKNOWN):
            continue
        if facet == "stage":
            for where, about in documented(contract, endpoint.name, stage).items():
                if about.listed and "*" not in where:
                    yield Fact("field", stage, "", where)
        elif facet == "field":
            place = Fact("always", stage, "", path)
            yield place
            if (known := sides.about(place)) is not None:
                nullable = known.said("type", "null").stance is Stance.ALLOWED
                if nullable and "null" in known.types():
                    yield Fact("type", stage, "null", path)
                printed = known.constants()
                for value in printed if len(printed) > 1 else ():
                    if value is not None:
                        yield Fact("value", stage, json.dumps(value), path)


# ------------------------------------------------------------------ what says something by itself


def _counted(contract: Contract, fact: Fact) -> bool:
    """Whether it is of the field of the index or the track, which are facts of their own."""
    counting = (contract.protocol.index, contract.protocol.tracks)
    places = {each.field.pointer for each in counting if each is not None}
    return fact.path in places and fact.stage != RESULT


def _tells(sides: _Sides, fact: Fact, said: Said) -> bool:
    """Whether a fact about a place says something by itself."""
    facet, stage, _, path = fact
    there = sides.presence(Fact("field", stage, "", path))
    if facet in ("field", "always"):
        always = sides.presence(fact._replace(facet="always"))
        on_both = bool(there.base and there.candidate) and not path.endswith("/*")
        return (
            on_both if facet == "always" else not on_both or not (always.base or always.candidate)
        )
    ruled_out = said.stance is Stance.FORBIDDEN
    if not there.base and not (ruled_out and sides.candidate.count(fact)):
        return False  # of what is new only what the contract rules out is worth a word of its own
    if facet == "type":
        return True
    if _counted(sides.contract, fact):
        return False
    if facet == "size":
        return said.stance is not Stance.SILENT
    if facet == "format":
        formats = sides.both(fact)[0]
        return ruled_out or (len(formats) == 1 and set(formats) <= SPECIFIC)
    return _may_be_enum(sides, fact, there)


def _may_be_enum(sides: _Sides, fact: Fact, there: Presence) -> bool:
    """Whether values are names: printed ones, or few, each of which was seen again."""
    about, both = sides.about(fact), sides.both(fact)
    if about is not None and about.constants():
        return True
    if about is not None and not any(key.startswith('"') for values in both for key in values):
        return False  # documented as what may vary
    return all(
        0 < len(values) <= _MOST_IN_ENUM
        and MANY not in values
        and many >= max(_ENOUGH_FOR_ENUM, 4 * len(values))
        for values, many in zip(both, (there.base, there.candidate), strict=True)
    )


# ------------------------------------------------------------------ order and ranges


def _of_order(sides: _Sides) -> Iterator[Feature]:
    """One feature for each pair of stages: that they came in the order in which they should not
    (or, where the contract leaves it open, did not in most of the base).
    """
    protocol = sides.endpoint.protocol
    assert protocol is not None
    must, known = before(protocol), protocol.by_name
    seen = {*sides.base.stages(), *sides.candidate.stages()}
    names = sorted(name for name in seen if name in must and not known[name].failure)
    for a, b in ((a, b) for a in names for b in names if a < b):
        if b in must[a] or a in must[b]:
            wrong = (a, b) if b in must[a] else (b, a)
            said = Said.by(known[wrong[0]].grounds, Stance.FORBIDDEN)
        else:
            usual = [sides.base.count(Fact("order", *pair)) for pair in ((a, b), (b, a))]
            wrong, said = (b, a) if usual[0] >= usual[1] else (a, b), ALLOWED
        counts = []
        for side in (sides.base, sides.candidate):
            k, other = side.count(Fact("order", *wrong)), side.count(Fact("order", *wrong[::-1]))
            together = min(side.count(Fact("stage", name)) for name in wrong)
            counts += [k, min(k + other, together)]
        yield Feature("order", wrong[0], "", wrong[1], said, Presence(*counts))


def _of_range(sides: _Sides, place: Fact, kind: str) -> Iterator[Feature]:
    """That a range of the candidate goes beyond what is documented; that it has moved."""
    _, stage, _, path = place
    about, there = sides.about(place), sides.presence(place)
    mine, theirs = (side.range(kind, stage, path) for side in (sides.base, sides.candidate))
    if theirs is None:
        return
    was, detail = "" if mine is None else _spanned(mine), _spanned(theirs)
    beyond = _beyond(about, kind, theirs)
    if beyond is not None:
        base = int(_beyond(about, kind, mine) is not None)
        seen = Presence(base, there.base or there.base_n, 1, there.candidate)
        yield Feature(f"{kind}.limit", stage or None, path, detail, beyond, seen, was)
    formats = {name for each in sides.both(place._replace(facet="format")) for name in each}
    if mine is None or (kind == "length" and formats <= {"uri"}):
        return  # hosts and signatures differ from run to run
    # The test takes exchanges for independent. They are not quite: the exchanges of one run share
    # prompts and hour, and what one request settles (a title) is echoed in six stages, so that
    # chance tells it six times. A gap wider than either range is left of it only where the values
    # are others altogether.
    widest = max(mine[1] - mine[0], theirs[1] - theirs[0])
    if max(mine[0] - theirs[1], theirs[0] - mine[1]) > widest:
        seen = Presence(0, there.base, there.candidate, there.candidate)
        yield Feature(f"{kind}.moved", stage or None, path, detail, SILENT, seen, was)


def _beyond(about: Documented | None, kind: str, ends: Range | None) -> Said | None:
    """What is said about the end of a range that is ruled out."""
    said = [about.said(kind, end) for end in ends or ()] if about is not None else []
    return next((each for each in said if each.stance is Stance.FORBIDDEN), None)


def _spanned(span: Range) -> str:
    low, high = (f"{end:.15g}" for end in span)
    return low if low == high else f"{low} to {high}"
