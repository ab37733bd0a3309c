"""What can differ between two sides that were observed: features, each with the exchanges that
showed it on either side and with what the contract says about it.

Every comparison, of two runs or of a run with its contract, walks these and adds nothing of its
own. A feature is a fact of either side, or one that the contract names; what says nothing by itself
(a value where values vary, a class of text among many) is none. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

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


def features(
    contract: Contract, endpoint: Endpoint, base: Facts, candidate: Facts
) -> Iterator[Feature]:
    """All features of an endpoint, those of the protocol first."""
    both = Sides(base, candidate)
    if endpoint.kind == "stream":
        yield from _of_stream(contract, endpoint, both)
    for stage in sorted({*base.stages(), *candidate.stages()}):
        if not stage.startswith(UNKNOWN):
            yield from _of_places(contract, endpoint.name, stage, both)


@dataclass(frozen=True, slots=True)
class Sides:
    """Two sides, asked the same."""

    base: Facts
    candidate: Facts

    def presence(self, fact: Fact) -> Presence:
        """In how many exchanges a fact was seen on either side."""
        counts = []
        for side in (self.base, self.candidate):
            around = side.around(fact)
            counts += [min(side.count(fact), around), around]
        return Presence(*counts)

    def details(self, facet: str, stage: str = "", path: str = "") -> list[str]:
        """All details that either side has of a facet at a place."""
        sides = (self.base, self.candidate)
        return sorted({each for side in sides for each in side.details(facet, stage, path)})

    def was(self, facet: str, stage: str = "", path: str = "") -> str:
        """Those of the base, in words."""
        return ", ".join(self.base.details(facet, stage, path))

    def feature(self, fact: Fact, said: Said, was: str = "") -> Feature:
        facet, stage, detail, path = fact
        return Feature(facet, stage or None, path, detail, said, self.presence(fact), was)


# ------------------------------------------------------------------ the protocol


def _of_stream(contract: Contract, endpoint: Endpoint, both: Sides) -> Iterator[Feature]:
    protocol = contract.protocol
    ending = {stage.name for stage in protocol.stages if stage.ends}
    allowed = [("framing", set(endpoint.framings), endpoint.grounds)]
    if protocol.index is not None:
        grounds = protocol.index.grounds
        allowed.append(("index.start", {str(protocol.index.start)}, grounds))
        allowed.append(("index.step", {str(protocol.index.step)}, grounds))
    allowed.append(("last", ending, protocol.ending[0].grounds))
    for facet, good, grounds in allowed:
        due = good if facet == "framing" else set()
        for detail in sorted({*due, *both.details(facet)}):
            stance = Stance.ALLOWED if detail in good else Stance.FORBIDDEN
            said = Said.by(grounds, stance)
            yield both.feature(Fact(facet, "", detail), said, both.was(facet))
    if protocol.tracks is not None:
        due = set(map(str, protocol.tracks.values))
        for detail in sorted({*due, *both.details("track")}):
            stance = Stance.REQUIRED if detail in due else Stance.FORBIDDEN
            yield both.feature(Fact("track", "", detail), Said.by(protocol.tracks.grounds, stance))
    for detail in both.details("rule"):
        rule = contract.rules.rules.get(f"{contract.api}/{endpoint.name}/{detail}")
        if rule is not None and rule.severity != Severity.INFO:
            said = Said(Stance.FORBIDDEN, rule.severity == Severity.ERROR, rule.source)
            yield both.feature(Fact("rule", "", detail), said, rule.text)
    for name in sorted({*protocol.by_name, *both.base.stages(), *both.candidate.stages()}):
        yield from _of_stage(contract, name, both)
    yield from _of_order(contract, both)


def _of_stage(contract: Contract, name: str, both: Sides) -> Iterator[Feature]:
    known, tracks = contract.protocol.by_name.get(name), contract.protocol.tracks
    if known is None:
        said = Said.by(contract.protocol.ending[0].grounds, Stance.FORBIDDEN)
        unknown = both.feature(Fact("stage", name), replace(said, source=""))
        yield replace(unknown, detail=name)
        return
    if known.failure:
        return  # how often songs fail is no matter of the contract
    least, most = known.times
    stance = Stance.REQUIRED if least else Stance.ALLOWED
    came = both.feature(Fact("ended", name), Said.by(known.grounds, stance))
    yield replace(came, kind="stage", detail=name)
    if (least, most) != (0, None):
        for times in both.details("times", name):
            many = int(times) if times.isdigit() else float("inf")
            good = least <= many and (most is None or many <= most)
            said = Said.by(known.grounds, Stance.ALLOWED if good else Stance.FORBIDDEN)
            yield both.feature(Fact("times", name, times), said, both.was("times", name))
    if known.per_track and tracks is not None:
        for value in map(str, tracks.values):
            yield both.feature(Fact("track", name, value), Said.by(tracks.grounds, stance))


def _of_order(contract: Contract, both: Sides) -> Iterator[Feature]:
    """One feature for each pair of stages: that they came in the order in which they should not
    (or, where the contract leaves it open, did not in most of the base).
    """
    must, known = before(contract), contract.protocol.by_name
    seen = {*both.base.stages(), *both.candidate.stages()}
    names = sorted(name for name in seen if name in must and not known[name].failure)
    for first, second in ((a, b) for a in names for b in names if a < b):
        if second in must[first]:
            wrong, said = (first, second), Said.by(known[first].grounds, Stance.FORBIDDEN)
        elif first in must[second]:
            wrong, said = (second, first), Said.by(known[second].grounds, Stance.FORBIDDEN)
        else:
            ways = [
                both.base.count(Fact("order", *pair)) for pair in ((first, second), (second, first))
            ]
            wrong, said = (second, first) if ways[0] >= ways[1] else (first, second), ALLOWED
        counts = []
        for side in (both.base, both.candidate):
            k, other = side.count(Fact("order", *wrong)), side.count(Fact("order", *wrong[::-1]))
            together = min(side.count(Fact("stage", name)) for name in wrong)
            counts += [k, min(k + other, together)]
        yield Feature("order", wrong[0], "", wrong[1], said, Presence(*counts))


# ------------------------------------------------------------------ the places of chunks


def _of_places(contract: Contract, endpoint: str, stage: str, both: Sides) -> Iterator[Feature]:
    known = documented(contract, endpoint, stage)
    listed = [where for where, each in known.items() if each.listed and "*" not in where]
    for where in sorted({*listed, *both.base.paths(stage), *both.candidate.paths(stage)}):
        if not where:
            continue
        about, place = known.get(where), Fact("field", stage, "", where)
        there = both.presence(place)
        yield from _of_presence(place, about, there, both)
        content = _of_content(contract, place, about, both)
        if there.base:
            yield from content
            continue
        # Of what is new only what the contract rules out is worth a word of its own.
        for each in content:
            if each.said.stance is Stance.FORBIDDEN and each.seen.candidate:
                yield replace(each, seen=each.seen._replace(base_n=there.base_n))


def _of_presence(
    place: Fact, about: Documented | None, there: Presence, both: Sides
) -> Iterator[Feature]:
    _, stage, _, path = place
    if path.endswith("/*"):
        said = SILENT if about is None else ALLOWED
        yield Feature("items", stage or None, path, "", said, there)
        return
    said = about.presence() if about is not None else SILENT
    detail = "documented" if about is not None and about.listed else ""
    always = both.presence(place._replace(facet="always"))
    was = "always" if always.base == always.base_n else "sometimes"
    on_both = there.base and there.candidate
    if on_both:
        yield Feature("always", stage or None, path, detail, said, always, was)
    if not on_both or always.base == always.candidate == 0:
        yield Feature("field", stage or None, path, detail, said, there, was)


def _of_content(
    contract: Contract, place: Fact, about: Documented | None, both: Sides
) -> Iterator[Feature]:
    _, stage, _, path = place
    was = " or ".join(both.base.details("type", stage, path))
    empty = {"null"} if about is not None and about.nullable() else set()
    for name in sorted({*both.details("type", stage, path), *empty}):
        said = about.type(name) if about is not None else SILENT
        yield both.feature(Fact("type", stage, name, path), said, was)
    protocol = contract.protocol
    counting = {each.field for each in (protocol.index, protocol.tracks) if each is not None}
    if path[1:] in counting and stage != RESULT:
        return  # the index and the tracks are features of their own
    yield from _of_values(stage, path, about, both)
    formats = both.base.details("format", stage, path)
    specific = set(formats) <= SPECIFIC and len(formats) == 1
    for name in both.details("format", stage, path):
        said = about.format(name) if about is not None else SILENT
        if said.stance is Stance.FORBIDDEN or specific:
            yield both.feature(Fact("format", stage, name, path), said, ", ".join(formats))
    low, high, hard = about.limits("minItems", "maxItems") if about else (None, None, True)
    if about is not None and (low is not None or high is not None):
        for size in both.details("size", stage, path):
            many = float(size) if size.isdigit() else float("inf")
            good = (low or 0) <= many <= (float("inf") if high is None else high)
            said = Said(Stance.ALLOWED if good else Stance.FORBIDDEN, hard, about.source)
            was = both.was("size", stage, path)
            yield both.feature(Fact("size", stage, size, path), said, was)
    for names in _RANGES:
        yield from _of_range(stage, path, about, both, names)


def _of_values(stage: str, path: str, about: Documented | None, both: Sides) -> Iterator[Feature]:
    printed = about.constants() if about is not None else []
    values = both.details("value", stage, path)
    if not printed:
        if about is not None and not any(key.startswith('"') for key in values):
            return  # documented as what may vary
        if not all(_is_enum(side, stage, path) for side in (both.base, both.candidate)):
            return
    due = {json.dumps(value) for value in printed if len(printed) > 1 and value is not None}
    there = both.presence(Fact("field", stage, "", path))
    for value in sorted({*values, *due}):
        mine, theirs = (
            side.details("value", stage, path).get(value, 0) for side in (both.base, both.candidate)
        )
        seen = there._replace(base=mine, candidate=theirs)
        yield Feature("value", stage or None, path, value, said_of_value(about, value), seen)


def said_of_value(about: Documented | None, value: str) -> Said:
    """What is said about a value as it is kept. Many are more than any page prints, and a class of
    texts is kept only where names are due: it is none of them.
    """
    if about is None or value.startswith("#"):
        return SILENT
    if value == MANY:
        return Said(Stance.FORBIDDEN)
    if value.startswith("<"):
        return about.value(value)
    try:
        return about.value(json.loads(value))
    except ValueError:  # whoever wrote the file wrote no JSON there
        return SILENT


def _is_enum(side: Facts, stage: str, path: str) -> bool:
    """Whether an undocumented place looks like an enumeration: few values, each seen again."""
    values = side.details("value", stage, path)
    few = 0 < len(values) <= _MOST_IN_ENUM and MANY not in values
    enough = max(_ENOUGH_FOR_ENUM, 4 * len(values))
    return few and side.count(Fact("field", stage, "", path)) >= enough


def _of_range(
    stage: str, path: str, about: Documented | None, both: Sides, names: tuple[str, str, str]
) -> Iterator[Feature]:
    kind, least, most = names
    mine, theirs = (side.range(kind, stage, path) for side in (both.base, both.candidate))
    if theirs is None:
        return
    was = "" if mine is None else _spanned(mine)
    there = both.presence(Fact("field", stage, "", path))

    def feature(sort: str, said: Said, base: int, candidate: int) -> Feature:
        seen = there._replace(base=base, candidate=candidate)
        return Feature(f"{kind}.{sort}", stage or None, path, _spanned(theirs), said, seen, was)

    low, high, hard = about.limits(least, most) if about is not None else (None, None, True)
    if about is not None and (low is not None or high is not None):
        outside = [
            side is not None
            and ((low is not None and side[0] < low) or (high is not None and side[1] > high))
            for side in (mine, theirs)
        ]
        yield feature("limit", Said(Stance.FORBIDDEN, hard, about.source), *map(int, outside))
    if kind == "length" and set(both.details("format", stage, path)) <= {"uri"}:
        return  # hosts and signatures differ from run to run
    # `apart` takes exchanges for independent. They are not quite: the exchanges of one run share
    # prompts and hour, and what one request settles (a title) is echoed in six stages, so that
    # chance tells it six times. A gap wider than either range is left of it only where the values
    # are others altogether.
    widest = 0.0 if mine is None else max(mine[1] - mine[0], theirs[1] - theirs[0])
    if mine is not None and max(mine[0] - theirs[1], theirs[0] - mine[1]) > widest:
        yield feature("moved", SILENT, 0, there.candidate)


def _spanned(span: tuple[float, float]) -> str:
    low, high = (f"{end:.15g}" for end in span)
    return low if low == high else f"{low} to {high}"
