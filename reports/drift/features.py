"""What can differ between two sides that were observed: features, each with the exchanges that
showed it on either side and with what the contract says about it.

A feature is a fact of either side, or one that the contract names (`due`), about which it can say
something (`said_of`), and which says something by itself (`_tells`). Beside them stand the order of
stages and the ranges, which are no single facts. Every comparison, of two runs or of a run with its
contract, walks these and adds nothing of its own. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from soundstage.conformance.violations import Severity
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint
from soundstage.observed.documented import (
    ALLOWED,
    SILENT,
    Documented,
    Said,
    Stance,
    before,
    documented,
)
from soundstage.observed.facts import MANY, RESULT, UNKNOWN, Fact, Facts
from soundstage.observed.text_classes import SPECIFIC
from soundstage.reports.drift.presence import Presence

#: In so few exchanges an undocumented value is not taken for one of an enumeration.
_ENOUGH_FOR_ENUM = 20
_MOST_IN_ENUM = 8
#: A range, the keywords of its limits.
_RANGES = (("number", "minimum", "maximum"), ("length", "minLength", "maxLength"))


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
        counts = []
        for side in (self.base, self.candidate):
            around = side.around(fact)
            counts += [min(side.count(fact), around), around]
        return Presence(*counts)

    def about(self, fact: Fact) -> Documented | None:
        return documented(self.contract, self.endpoint.name, fact.stage).get(fact.path)


def features(
    contract: Contract, endpoint: Endpoint, base: Facts, candidate: Facts
) -> Iterator[Feature]:
    """All features of an endpoint."""
    sides = _Sides(contract, endpoint, base, candidate)
    seen = {*base, *candidate}
    for fact in sorted({*seen, *_due(sides, seen)}):
        facet, stage, detail, path = fact
        said = said_of(contract, endpoint, fact)
        if said is None or not _tells(sides, fact, said):
            continue
        presence, kind = sides.presence(fact), facet
        if facet in ("stage", "ended"):
            kind, detail = "stage", stage
        elif facet in ("field", "always"):
            about = sides.about(fact)
            kind = "items" if path.endswith("/*") else facet
            detail = "documented" if about is not None and about.listed and kind == facet else ""
        elif path and not presence.base_n:  # the place is new
            around = base.around(Fact("field", stage, "", path))
            presence = presence._replace(base_n=around)
        yield Feature(kind, stage or None, path, detail, said, presence, _was(sides, fact))
    if endpoint.kind == "stream":
        yield from _of_order(sides)
    for fact in sorted(fact for fact in candidate if fact.facet == "field" and fact.path):
        if not fact.stage.startswith(UNKNOWN) and not _counts(contract, fact):
            yield from _of_ranges(sides, fact)


def _due(sides: _Sides, seen: set[Fact]) -> Iterator[Fact]:
    """The facts that the contract names, whether they were seen or not; and of each place that was
    seen, that it was never left out.
    """
    contract, endpoint, protocol = sides.contract, sides.endpoint, sides.contract.protocol
    if endpoint.kind == "stream":
        yield from (Fact("framing", "", each) for each in endpoint.framings)
        yield from (Fact("ended", name) for name in protocol.by_name)
        for name in ("", *protocol.by_name):
            for value in protocol.tracks.values if protocol.tracks is not None else ():
                yield Fact("track", name, str(value))
    for facet, stage, _, path in seen:
        if stage.startswith(UNKNOWN):
            continue
        if facet == "stage":
            for where, about in documented(contract, endpoint.name, stage).items():
                if about.listed and "*" not in where:
                    yield Fact("field", stage, "", where)
        elif facet == "field":
            place = Fact("field", stage, "", path)
            yield place._replace(facet="always")
            about = sides.about(place)
            if about is not None and about.nullable():
                yield Fact("type", stage, "null", path)
            printed = about.constants() if about is not None else []
            for value in printed if len(printed) > 1 else ():
                if value is not None:
                    yield Fact("value", stage, json.dumps(value), path)


# ------------------------------------------------------------------ what the contract says


def said_of(contract: Contract, endpoint: Endpoint, fact: Fact) -> Said | None:
    """What the contract says about a fact; None of what it can say nothing about, as how often
    songs fail.
    """
    facet, stage, detail, path = fact
    if path and stage.startswith(UNKNOWN):
        return None
    if path:
        return _said_of_place(fact, documented(contract, endpoint.name, stage).get(path))
    protocol = contract.protocol
    index, tracks, known = protocol.index, protocol.tracks, protocol.by_name.get(stage)
    if endpoint.kind != "stream" or (known is not None and known.failure):
        return None
    least, most = known.times if known is not None else (1, None)
    wanted = Stance.REQUIRED if least else Stance.ALLOWED
    match facet:
        case "framing":
            return _only(detail in endpoint.framings, endpoint.grounds)
        case "index.start" if index is not None:
            return _only(detail == str(index.start), index.grounds)
        case "index.step" if index is not None:
            return _only(detail == str(index.step), index.grounds)
        case "last":
            ending = {stage.name for stage in protocol.stages if stage.ends}
            return _only(detail in ending, protocol.ending[0].grounds)
        case "rule":
            rule = contract.rules.rules.get(f"{contract.api}/{endpoint.name}/{detail}")
            if rule is not None and rule.severity != Severity.INFO:
                return Said(Stance.FORBIDDEN, rule.severity == Severity.ERROR, rule.source)
        case "track" if tracks is not None:
            if detail not in map(str, tracks.values):
                return None if stage else Said.by(tracks.grounds, Stance.FORBIDDEN)
            if not stage or (known is not None and known.per_track):
                return Said.by(tracks.grounds, wanted)
        case "stage" if known is None:
            return Said(Stance.FORBIDDEN, Said.by(protocol.ending[0].grounds, wanted).firm)
        case "ended" if known is not None:
            return Said.by(known.grounds, wanted)
        case "times" if known is not None and (least, most) != (0, None):
            times = float(detail) if detail.isdigit() else float("inf")
            return _only(least <= times <= (float("inf") if most is None else most), known.grounds)
    return None


def _only(good: bool, grounds: Any) -> Said:
    return Said.by(grounds, Stance.ALLOWED if good else Stance.FORBIDDEN)


def _said_of_place(fact: Fact, about: Documented | None) -> Said | None:
    facet, _, detail, path = fact
    match facet:
        case "field" | "always" if about is None:
            return SILENT
        case "field" | "always":
            return ALLOWED if path.endswith("/*") else about.presence()
        case "type":
            return about.type(detail) if about is not None else SILENT
        case "format":
            return about.format(detail) if about is not None else SILENT
        case "value":
            return said_of_value(about, detail)
        case "size" if about is not None:
            low, high, hard = about.limits("minItems", "maxItems")
            many = float(detail) if detail.isdigit() else float("inf")
            good = (low or 0) <= many <= (float("inf") if high is None else high)
            stance = Stance.ALLOWED if good else Stance.FORBIDDEN
            return None if low is high is None else Said(stance, hard, about.source)
    return None


def said_of_value(about: Documented | None, value: str) -> Said:
    """What is said about a value as it is kept. Many are more than any page prints, and a class of
    texts is kept only where names are due: it is none of them.
    """
    if about is None or value.startswith("#"):
        return SILENT
    if value == MANY:
        return Said(Stance.FORBIDDEN)
    try:
        return about.value(value if value.startswith("<") else json.loads(value))
    except ValueError:  # whoever wrote the file wrote no JSON there
        return SILENT


# ------------------------------------------------------------------ what says something by itself


def _counts(contract: Contract, fact: Fact) -> bool:
    """Whether it is of the field of the index or the track, which are facts of their own."""
    counting = (contract.protocol.index, contract.protocol.tracks)
    names = {each.field for each in counting if each is not None}
    return fact.path[1:] in names and fact.stage != RESULT


def _tells(sides: _Sides, fact: Fact, said: Said) -> bool:
    """Whether a fact about a place says something by itself."""
    facet, stage, _, path = fact
    if not path:
        return True
    there = sides.presence(Fact("field", stage, "", path))
    if facet in ("field", "always"):
        on_both = bool(there.base and there.candidate) and not path.endswith("/*")
        if facet == "always":
            return on_both
        always = sides.presence(fact._replace(facet="always"))
        return not on_both or always.base == always.candidate == 0
    ruled_out = said.stance is Stance.FORBIDDEN
    if facet != "type" and _counts(sides.contract, fact):
        return False
    if not there.base and not (ruled_out and sides.candidate.count(fact)):
        return False  # of what is new only what the contract rules out is worth a word of its own
    if facet == "format":
        formats = sides.base.details("format", stage, path)
        return ruled_out or (len(formats) == 1 and set(formats) <= SPECIFIC)
    return facet != "value" or _may_be_enum(sides, fact)


def _may_be_enum(sides: _Sides, fact: Fact) -> bool:
    """Whether values are names: printed ones, or few, each of which was seen again."""
    about = sides.about(fact)
    if about is not None and about.constants():
        return True
    both = [side.details("value", fact.stage, fact.path) for side in (sides.base, sides.candidate)]
    if about is not None and not any(key.startswith('"') for values in both for key in values):
        return False  # documented as what may vary
    there = sides.presence(Fact("field", fact.stage, "", fact.path))
    return all(
        0 < len(values) <= _MOST_IN_ENUM
        and MANY not in values
        and many >= max(_ENOUGH_FOR_ENUM, 4 * len(values))
        for values, many in zip(both, (there.base, there.candidate), strict=True)
    )


def _was(sides: _Sides, fact: Fact) -> str:
    """What the base had in place of a fact, in words."""
    facet, stage, detail, path = fact
    if facet == "rule":
        return sides.contract.rules.rules[
            f"{sides.contract.api}/{sides.endpoint.name}/{detail}"
        ].text
    if facet in ("field", "always"):
        always = sides.presence(fact._replace(facet="always"))
        return "always" if always.base == always.base_n else "sometimes"
    return (" or " if facet == "type" else ", ").join(sides.base.details(facet, stage, path))


# ------------------------------------------------------------------ order and ranges


def _of_order(sides: _Sides) -> Iterator[Feature]:
    """One feature for each pair of stages: that they came in the order in which they should not
    (or, where the contract leaves it open, did not in most of the base).
    """
    must, known = before(sides.contract), sides.contract.protocol.by_name
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


def _of_ranges(sides: _Sides, place: Fact) -> Iterator[Feature]:
    _, stage, _, path = place
    about, there = sides.about(place), sides.presence(place)
    for kind, least, most in _RANGES:
        mine, theirs = (side.range(kind, stage, path) for side in (sides.base, sides.candidate))
        if theirs is None:
            continue
        was, detail = "" if mine is None else _spanned(mine), _spanned(theirs)
        low, high, hard = about.limits(least, most) if about is not None else (None, None, True)
        if about is not None and (low is not None or high is not None):
            said = Said(Stance.FORBIDDEN, hard, about.source)
            outside = [
                side is not None
                and ((low is not None and side[0] < low) or (high is not None and side[1] > high))
                for side in (mine, theirs)
            ]
            if there.base or outside[1]:
                around = there.base or there.base_n
                seen = Presence(int(outside[0]), around, int(outside[1]), there.candidate)
                yield Feature(f"{kind}.limit", stage or None, path, detail, said, seen, was)
        formats = {
            f for s in (sides.base, sides.candidate) for f in s.details("format", stage, path)
        }
        if mine is None or (kind == "length" and formats <= {"uri"}):
            continue  # hosts and signatures differ from run to run
        # `apart` takes exchanges for independent. They are not quite: the exchanges of one run
        # share prompts and hour, and what one request settles (a title) is echoed in six stages, so
        # that chance tells it six times. A gap wider than either range is left of it only where
        # the values are others altogether.
        widest = max(mine[1] - mine[0], theirs[1] - theirs[0])
        if max(mine[0] - theirs[1], theirs[0] - mine[1]) > widest:
            seen = Presence(0, there.base, there.candidate, there.candidate)
            yield Feature(f"{kind}.moved", stage or None, path, detail, SILENT, seen, was)


def _spanned(span: tuple[float, float]) -> str:
    low, high = (f"{end:.15g}" for end in span)
    return low if low == high else f"{low} to {high}"
