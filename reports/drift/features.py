"""What can differ between two sides that were observed: features, each with the exchanges that
showed it on either side and with what the contract says about it.

Every comparison, of two runs or of a run with its contract, walks these and adds nothing of its
own. A feature is a fact (`observed.facts`) of both sides beside what it could have been seen in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from soundstage.conformance.violations import Severity
from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint, Stage
from soundstage.observed.facts import RESULT, UNKNOWN, Facts
from soundstage.observed.text_classes import SPECIFIC
from soundstage.reports.drift.documented import (
    ALLOWED,
    SILENT,
    Documented,
    Said,
    Stance,
    before,
    documented,
    firm,
)
from soundstage.reports.drift.presence import Presence

#: In so few exchanges an undocumented value is not taken for one of an enumeration.
_ENOUGH_FOR_ENUM: Final = 20
_MOST_IN_ENUM: Final = 8
#: How many exchanges of the base, and of the candidate.
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that exchanges show or do not. `kind` is what sort of thing it is, `detail` which
    one (a type, a value, another stage; of a range, what was seen of the candidate); `was`
    describes the base where that helps. `said`: what the contract says about its being seen. Of
    `KIND.limit`, `seen` counts one exchange for "at least one went beyond".
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
    sides = _Sides(base, candidate)
    if endpoint.kind == "stream":
        yield from _of_stream(contract, endpoint, sides)
    for stage in sides.stages():
        if not stage.startswith(UNKNOWN):
            yield from _of_places(contract, endpoint, stage, sides)


class _Sides:
    """The facts of base and candidate, read together."""

    def __init__(self, base: Facts, candidate: Facts) -> None:
        self.base, self.candidate = base, candidate
        self.every: Pair = base.exchanges, candidate.exchanges

    def pair(self, facet: str, stage: str = "", detail: str = "", path: str = "") -> Pair:
        """In how many exchanges of each a fact was shown."""
        return (
            self.base.count(facet, stage, detail, path),
            self.candidate.count(facet, stage, detail, path),
        )

    def seen(self, pair: Pair, of: Pair) -> Presence:
        """A file of others may count more than there are."""
        return Presence(min(pair[0], of[0]), of[0], min(pair[1], of[1]), of[1])

    def details(self, facet: str, stage: str = "", path: str = "") -> set[str]:
        return {*self.base.details(facet, stage, path), *self.candidate.details(facet, stage, path)}

    def was(self, facet: str, stage: str = "", path: str = "", word: str = ", ") -> str:
        return word.join(sorted(self.base.details(facet, stage, path)))

    def stages(self) -> list[str]:
        return sorted({*self.base.stages(), *self.candidate.stages()})

    def around(self, stage: str, path: str) -> Pair:
        return self.base.around(stage, path), self.candidate.around(stage, path)


# --- the protocol ---------------------------------------------------------------------------------


def _said(good: bool, grounds: Any) -> Said:
    stance = Stance.ALLOWED if good else Stance.FORBIDDEN
    return Said(stance, firm(grounds), grounds.source)


def _of_stream(contract: Contract, endpoint: Endpoint, sides: _Sides) -> Iterator[Feature]:
    protocol, whole = contract.protocol, sides.pair("whole")

    def each(
        kind: str, facet: str, of: Pair, said: Callable[[str], Said], more: Iterable[str] = ()
    ) -> Iterator[Feature]:
        for detail in sorted({*more, *sides.details(facet)}):
            seen = sides.seen(sides.pair(facet, detail=detail), of)
            yield Feature(kind, None, "", detail, said(detail), seen, sides.was(facet))

    framings = endpoint.framings
    yield from each(
        "framing",
        "framing",
        sides.every,
        lambda d: _said(d in framings, endpoint.grounds),
        framings,
    )
    if (tracks := protocol.tracks) is not None:
        due = Said(Stance.REQUIRED, firm(tracks.grounds), tracks.grounds.source)
        wrong = Said(Stance.FORBIDDEN, firm(tracks.grounds), tracks.grounds.source)
        known = [*map(str, tracks.values)]
        yield from each("track", "tracks", whole, lambda d: due if d in known else wrong, known)
    if (index := protocol.index) is not None:
        for facet, right in (("start", index.start), ("step", index.step)):
            yield from each(
                f"index.{facet}",
                facet,
                sides.every,
                lambda d, right=right: _said(d == str(right), index.grounds),  # type: ignore[misc]
            )
    ending = {stage.name for stage in protocol.stages if stage.ends}
    grounds = protocol.ending[0].grounds
    yield from each("last", "last", whole, lambda d: _said(d in ending, grounds))
    for path in sorted(sides.details("broken")):
        rule = contract.rules.rules.get(f"{contract.api}/{endpoint.name}/{path}")
        if rule is not None and rule.severity != Severity.INFO:
            said = Said(Stance.FORBIDDEN, rule.severity == Severity.ERROR, rule.source)
            seen = sides.seen(sides.pair("broken", detail=path), sides.every)
            yield Feature("rule", None, "", path, said, seen, rule.text)
    for name in sorted({*protocol.by_name, *sides.stages()}):
        known_stage = protocol.by_name.get(name)
        if known_stage is None:
            seen = sides.seen(sides.pair("stage", name), sides.every)
            said = Said(Stance.FORBIDDEN, firm(grounds))
            yield Feature("stage", name, "", name, said, seen)
        elif not known_stage.failure:  # how often songs fail is no matter of the contract
            yield from _of_stage(contract, known_stage, sides, whole)
    yield from _of_order(contract, sides)


def _of_stage(contract: Contract, stage: Stage, sides: _Sides, whole: Pair) -> Iterator[Feature]:
    (least, most), name, source = stage.times, stage.name, stage.grounds.source
    stance = Stance.REQUIRED if least else Stance.ALLOWED
    complete = sides.pair("complete", name)
    seen = sides.seen(complete, whole)
    yield Feature("stage", name, "", name, Said(stance, firm(stage.grounds), source), seen)
    if (least, most) != (0, None):
        for detail in sorted(sides.details("times", name)):
            times = int(detail) if detail.isdigit() else None
            good = most is None if times is None else least <= times <= (most or times)
            seen = sides.seen(sides.pair("times", name, detail), complete)
            was = sides.was("times", name)
            yield Feature("times", name, "", detail, _said(good, stage.grounds), seen, was)
    tracks = contract.protocol.tracks
    if stage.per_track and tracks is not None:
        said = Said(stance, firm(tracks.grounds), tracks.grounds.source)
        for detail in map(str, tracks.values):
            seen = sides.seen(sides.pair("track", name, detail), complete)
            yield Feature("track", name, "", detail, said, seen)


def _of_order(contract: Contract, sides: _Sides) -> Iterator[Feature]:
    """One feature for each pair of stages: that they came in the order in which they should not
    (or, where the contract leaves it open, did not in most of the base).
    """
    must, by_name = before(contract), contract.protocol.by_name
    names = [name for name in sides.stages() if name in must and not by_name[name].failure]
    for first in names:
        for second in names:
            if first >= second:
                continue
            wrong, said = (first, second), ALLOWED
            if second in must[first]:
                said = _said(False, by_name[first].grounds)
            elif first in must[second]:
                wrong, said = (second, first), _said(False, by_name[second].grounds)
            elif sides.base.count("order", first, second) >= sides.base.count(
                "order", second, first
            ):
                wrong = (second, first)
            counts = []
            for side in (sides.base, sides.candidate):
                k, other = side.count("order", *wrong), side.count("order", wrong[1], wrong[0])
                both = min(side.count("stage", name) for name in wrong)
                counts += [k, max(k, min(k + other, both))]
            yield Feature("order", wrong[0], "", wrong[1], said, Presence(*counts))


# --- places ---------------------------------------------------------------------------------------


def _of_places(
    contract: Contract, endpoint: Endpoint, stage: str, sides: _Sides
) -> Iterator[Feature]:
    said = documented(contract, endpoint.name, stage)
    listed = [path for path, each in said.items() if path and each.listed and "*" not in path]
    places = {*listed, *sides.base.places(stage), *sides.candidate.places(stage)} - {""}
    protocol = contract.protocol
    counting = {f"/{each.field}" for each in (protocol.index, protocol.tracks) if each is not None}
    for path in sorted(places):
        at = _Place(sides, stage, path, said.get(path))
        around = sides.around(stage, path)
        if path.endswith("/*"):
            grounds = SILENT if at.about is None else ALLOWED
            yield at.feature("items", "", grounds, sides.seen(at.of, around))
        else:
            yield from at.presence(around)
        # The index and the tracks are features of their own.
        content = at.content(counted=path in counting and stage != RESULT)
        if at.of[0]:
            yield from content
            continue
        # Of what is new only what the contract rules out is worth a word of its own.
        for each in content:
            if each.said.stance is Stance.FORBIDDEN and each.seen.candidate:
                yield replace(each, seen=each.seen._replace(base_n=around[0]))


@dataclass(frozen=True, slots=True)
class _Place:
    """A place of a stage's chunks, or of a result, and what is documented `about` it."""

    sides: _Sides
    stage: str
    path: str
    about: Documented | None

    @property
    def of(self) -> Pair:
        """In how many exchanges there was a value."""
        return self.sides.pair("at", self.stage, path=self.path)

    def feature(self, kind: str, detail: str, said: Said, seen: Presence, was: str = "") -> Feature:
        stage = None if self.stage == RESULT else self.stage
        return Feature(kind, stage, self.path, detail, said, seen, was)

    def each(
        self, facet: str, said: Callable[[str], Said], more: Iterable[str] = (), word: str = ", "
    ) -> Iterator[Feature]:
        """A feature for each detail of a facet at this place."""
        was = self.sides.was(facet, self.stage, self.path, word)
        for detail in sorted({*more, *self.sides.details(facet, self.stage, self.path)}):
            pair = self.sides.pair(facet, self.stage, detail, self.path)
            yield self.feature(facet, detail, said(detail), self.sides.seen(pair, self.of), was)

    def presence(self, around: Pair) -> Iterator[Feature]:
        said = self.about.presence() if self.about is not None else SILENT
        detail = "documented" if self.about is not None and self.about.listed else ""
        always = self.sides.pair("always", self.stage, path=self.path)
        was = "always" if always[0] == around[0] else "sometimes"
        if all(self.of):
            yield self.feature("always", detail, said, self.sides.seen(always, around), was)
        if not all(self.of) or not any(always):
            yield self.feature("field", detail, said, self.sides.seen(self.of, around), was)

    def content(self, *, counted: bool) -> Iterator[Feature]:
        about = self.about
        empty = {"null"} if about is not None and about.nullable() else set()
        types = about.type if about is not None else _silent
        yield from self.each("type", types, empty, " or ")
        if counted:
            return
        yield from self.values()
        formats = self.sides.base.details("format", self.stage, self.path)
        specific = len(formats) == 1 and set(formats) <= SPECIFIC
        for each in self.each("format", about.format if about is not None else _silent):
            if each.said.stance is Stance.FORBIDDEN or specific:
                yield each
        if about is not None:
            low, high, hard = about.limits("minItems", "maxItems")
            if low is not None or high is not None:

                def size(detail: str) -> Said:
                    many = float(detail) if detail.isdigit() else float("inf")
                    good = (low or 0) <= many <= (float("inf") if high is None else high)
                    stance = Stance.ALLOWED if good else Stance.FORBIDDEN
                    return Said(stance, hard, about.source)

                yield from self.each("size", size)
        yield from self.range("number", "minimum", "maximum")
        yield from self.range("length", "minLength", "maxLength")

    def values(self) -> Iterator[Feature]:
        about, sides = self.about, (self.sides.base, self.sides.candidate)
        printed = about.constants() if about is not None else []
        many = [side.many(self.stage, self.path) for side in sides]
        found = [
            {} if many[n] else side.details("value", self.stage, self.path)
            for n, side in enumerate(sides)
        ]
        if not printed and not all(
            0 < len(values) <= _MOST_IN_ENUM and of >= max(_ENOUGH_FOR_ENUM, 4 * len(values))
            for values, of in zip(found, self.of, strict=True)
        ):
            return  # no enumeration: that would have few values, each seen again
        if (
            about is not None
            and not printed
            and not any('"' in key for each in found for key in each)
        ):
            return  # documented as what may vary
        texts = {json.dumps(value) for value in printed if len(printed) > 1 and value is not None}
        was = ", ".join(sorted(found[0]))
        for key in sorted({*found[0], *found[1], *texts}):
            pair = (found[0].get(key, 0), found[1].get(key, 0))
            said = value_said(about, key)
            yield self.feature("value", key, said, self.sides.seen(pair, self.of), was)
        if printed and many[1]:
            pair = (self.of[0] if many[0] else 0, self.of[1])
            said = Said(Stance.FORBIDDEN)
            yield self.feature("value", "many", said, self.sides.seen(pair, self.of), was)

    def range(self, kind: str, least: str, most: str) -> Iterator[Feature]:
        base, candidate = self.sides.base, self.sides.candidate
        mine = base.range(kind, self.stage, self.path)
        theirs = candidate.range(kind, self.stage, self.path)
        if theirs is None:
            return
        was, detail = "" if mine is None else _spanned(mine), _spanned(theirs)
        low, high, hard = self.about.limits(least, most) if self.about else (None, None, True)
        if low is not None or high is not None:
            outside = [
                side is not None
                and ((low is not None and side[0] < low) or (high is not None and side[1] > high))
                for side in (mine, theirs)
            ]
            said = Said(Stance.FORBIDDEN, hard, self.about.source if self.about else "")
            seen = Presence(int(outside[0]), self.of[0], int(outside[1]), self.of[1])
            yield self.feature(f"{kind}.limit", detail, said, seen, was)
        if kind == "length" and self.sides.details("format", self.stage, self.path) <= {"uri"}:
            return  # hosts and signatures differ from run to run
        # `apart` takes exchanges for independent. They are not quite: the exchanges of one run
        # share prompts and hour, and what one request settles (a title) is echoed in six stages, so
        # that chance tells it six times. A gap wider than either range is left of it only where the
        # values are others altogether.
        widest = 0.0 if mine is None else max(mine[1] - mine[0], theirs[1] - theirs[0])
        if mine is not None and max(mine[0] - theirs[1], theirs[0] - mine[1]) > widest:
            seen = Presence(0, self.of[0], self.of[1], self.of[1])
            yield self.feature(f"{kind}.moved", detail, SILENT, seen, was)


def _silent(detail: str) -> Said:
    return SILENT


def value_said(about: Documented | None, key: str) -> Said:
    """What is said about a value that was kept as a candidate of an enumeration."""
    if about is None or key.startswith("#"):
        return SILENT
    # A class of texts is kept only where names are due: it is none of them.
    if key.startswith("<"):
        return about.value(key)
    try:
        return about.value(json.loads(key))
    except ValueError:  # whoever wrote the file wrote no JSON there
        return SILENT


def _spanned(span: tuple[float, float]) -> str:
    low, high = (f"{end:.15g}" for end in span)
    return low if low == high else f"{low} to {high}"
