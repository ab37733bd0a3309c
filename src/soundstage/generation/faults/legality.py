"""What the data forbids, found out in the plainest way: the reference that the fault catalogue asks
whether a change breaks anything at all, and what.

Written from the contract's data alone, and slow. It shares nothing with the conformance engine,
which is held against it by the kill matrix.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import jsonschema_rs

from soundstage.contract import Contract
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema, required_basis
from soundstage.contract.protocol import MOST_TRACKS, Endpoint, Protocol, Stage
from soundstage.generation.story import Payload, Step, Track

SEVERITY_OF_BASIS = {"documented": "error", "exemplified": "error", "inferred": "warning"}
#: So many tracks have streams that are broken, where their number is not fixed.
TRACKS = 2
_CODES = {"required": "field.missing", "type": "field.type"}

Path = tuple[str | int, ...]


class Illegality(NamedTuple):
    """What is broken: the code that says so, and how much it weighs."""

    code: str
    severity: str


class _LegalValues(NamedTuple):
    whens: tuple[tuple[jsonschema_rs.Draft202012Validator, Stage], ...]
    schemas: dict[str, Schema]


@cache
def _known(contract: Contract) -> _LegalValues:
    protocol = contract.protocol
    return _LegalValues(
        tuple((patterns.validator(s.when), s) for s in protocol.stages),
        {
            s.name: {**s.schema, "properties": {**protocol.fields, **s.schema["properties"]}}
            for s in protocol.stages
        },
    )


def stage_of(contract: Contract, payload: Payload, meant: str | None = None) -> Stage | None:
    """The stage that a chunk is of: the first whose `when` it meets; None if there is none.
    `meant`: the stage whose event name it has, which speaks for stages of that name first.
    """
    whens = _known(contract).whens
    if meant is None or (event := contract.protocol.by_name[meant].event) is None:
        return next((stage for when, stage in whens if when.is_valid(payload)), None)
    name = event.name or ""
    fitting = [each for each in whens if each[1].event is None or each[1].event.takes(name)]
    for when, stage in fitting:
        if when.is_valid(payload):
            return stage
    for when, stage in whens:
        if stage.when and when.is_valid(payload):
            return stage
    return next((s for _, s in fitting if name and s.event is not None), None)


def tracks_of(contract: Contract) -> Protocol:
    """The protocol by which streams are judged that the catalogue breaks: where the request says
    how many tracks there are, it has said `TRACKS`.
    """
    tracks = contract.protocol.tracks
    if tracks is None or tracks.asked is None:
        return contract.protocol
    return contract.protocol.for_tracks(TRACKS)


def schema_of(contract: Contract, stage: str) -> Schema:
    """What is asked of a stage's chunks, documented fields that it does not list included."""
    return _known(contract).schemas[stage]


def told_by(contract: Contract) -> Endpoint:
    """The endpoint whose protocol is the contract's: a stream, or one that shows states.

    Raises LookupError if nothing comes in order there.
    """
    if contract.told is None:
        raise LookupError(f"{contract.api} has neither a stream nor states")
    return contract.told


def stream_rule(contract: Contract, rule: str) -> str:
    """The severity of a rule of the endpoint that tells a generation."""
    endpoint = told_by(contract)
    return contract.rules[f"{contract.api}/{endpoint.name}/{rule}"].severity


def broken_in_chunk(
    contract: Contract, stage: str, payload: Payload, path: Path
) -> Illegality | None:
    """What a chunk that is meant to be of `stage` breaks at `path`. None if it breaks nothing
    there, or is a documented chunk of another stage.
    """
    seen = stage_of(contract, payload, stage)
    if seen is None:
        return Illegality("stage.unknown", stream_rule(contract, "stages"))
    if seen.name != stage:
        return None
    return broken_at(schema_of(contract, stage), payload, path)


def broken_at(schema: Schema, value: Any, path: Path) -> Illegality | None:
    """What a value breaks of a schema at `path`: of several the weightiest, a missing field or a
    wrong type before all."""
    found = []
    for keyword, where, basis, holder in _errors(schema, value):
        code = _CODES.get(keyword, "field.value")
        if keyword == "required":
            hit = where == path[:-1] and not _has(value, path)
        else:
            hit = where == path
        if hit:
            grounds = _basis_of(keyword, holder, path, basis)
            found.append(Illegality(code, SEVERITY_OF_BASIS[grounds]))
    order = ("field.missing", "field.type", "field.value")
    return min(found, key=lambda each: (order.index(each.code), each.severity), default=None)


def is_legal(schema: Schema, value: Any) -> bool:
    """Whether a value meets a schema."""
    return _validator(schema).is_valid(value)


def _validator(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    return _compiled(json.dumps(schema))


@lru_cache(maxsize=256)
def _compiled(schema: str) -> jsonschema_rs.Draft202012Validator:
    # The same few schemas are asked thousands of times, and to compile one takes longer than all
    # that is then asked of it.
    return patterns.validator(json.loads(schema))


def _errors(schema: Schema, value: Any) -> Iterator[tuple[str, Path, str, Schema]]:
    """(keyword, place in the value, basis, the schema that holds the keyword) of each error."""
    for error in _validator(schema).iter_errors(value):
        if patterns.gave_up(error):
            continue
        place: Any = schema
        holder = schema
        basis = schema.get("x-basis", "documented")
        for part in error.schema_path:
            place = place[part]
            if isinstance(place, dict):
                holder = place
                basis = place.get("x-basis", basis)
        keyword = next(str(part) for part in reversed(error.schema_path) if isinstance(part, str))
        yield keyword, tuple(error.instance_path), basis, holder


def _basis_of(keyword: str, holder: Schema, path: Path, basis: str) -> str:
    """On what grounds a keyword holds at `path`: a field may be required on lesser ones."""
    field = holder.get("properties", {}).get(path[-1]) if keyword == "required" and path else None
    return basis if field is None else required_basis(field, basis)


def _has(value: Any, path: Path) -> bool:
    for part in path:
        if isinstance(value, dict) and part not in value:
            return False
        value = value[part]
    return True


# --- order ----------------------------------------------------------------------------------------


def ends_at(protocol: Protocol, steps: Sequence[Step]) -> int | None:
    """The number of the chunk with which the stream is over; None if it goes on, or if nothing but
    its close or a text tells.
    """
    tracks: set[Track] = set(protocol.tracks.values) if protocol.tracks else set()
    found = None
    for number, (name, track) in enumerate(steps):
        stage = protocol.by_name[name]
        if found is not None:
            # What may be last, and need not: the stream is over with it.
            if protocol.may_follow_the_end(stage) and steps[found].stage != name:
                return number
            if not stage.anywhere:
                return found
        elif stage.ends == "track" and track is not None:
            tracks.discard(track)
            if protocol.by_tracks and not tracks:
                return number
        elif stage.ends == "stream":
            if stage.failure:
                return number
            found = number
    return found


def known_tracks(protocol: Protocol, steps: Iterable[Step]) -> tuple[Track, ...]:
    """The tracks that there are: those of the contract, or, where it does not fix their number,
    those up to the highest that came.
    """
    tracks = protocol.tracks
    if tracks is None:
        return ()
    if tracks.fixed or tracks.start is None:
        return tracks.values
    most = min(tracks.most or MOST_TRACKS, MOST_TRACKS)
    fitting = (
        step.track - tracks.start + 1
        for step in steps
        if isinstance(step.track, int) and tracks.start <= step.track < tracks.start + most
    )
    return tracks.numbered(max([*fitting, len(tracks.values)]))


def broken_order(protocol: Protocol, steps: Sequence[Step]) -> set[str]:
    """The codes of all that a sequence of stages breaks of after, times, per_track and ends."""
    steps = [step for step in steps if not protocol.by_name[step.stage].anywhere]
    codes: set[str] = set()
    last = ends_at(protocol, steps)
    failed = last is not None and protocol.by_name[steps[last].stage].failure
    heard = steps if last is None else steps[: last + 1]
    if last is not None and len(steps) > last + 1:
        codes.add("stream.after_end")
    values = known_tracks(protocol, heard)
    counts: Counter[Step] = Counter()
    ended: set[Track] = set()
    for number, step in enumerate(heard):
        stage = protocol.by_name[step.stage]
        if stage.per_track and step.track not in values:
            codes.add("track.unknown")
            continue
        counts[step] += 1
        most = stage.times[1]
        if most is not None and counts[step] > most:
            codes.add("stage.repeated")
        elif step.track in ended:
            codes.add("track.after_end")
        before = heard[:number]
        if any(not _came(group, step, before) for group in _groups(protocol, stage.after)):
            codes.add("stage.order")
        # Of tracks that came by then: one that comes later is one that nobody could miss yet.
        there = known_tracks(protocol, before)
        if any(
            not _came(group, Step(step.stage, track), before)
            for group in _groups(protocol, stage.after_all)
            for track in there
        ):
            codes.add("stage.order")
        if stage.ends == "track" and step.track is not None:
            ended.add(step.track)
    return codes if failed else codes | _at_the_end(protocol, heard, values, counts, ended, last)


def _at_the_end(
    protocol: Protocol,
    heard: Sequence[Step],
    values: tuple[Track, ...],
    counts: Counter[Step],
    ended: set[Track],
    last: int | None,
) -> set[str]:
    """What is broken once nothing more comes."""
    codes: set[str] = set()
    seen = {step.track for step in heard if step.track in values}
    closed = any(protocol.by_name[step.stage].ends == "close" for step in heard)
    sentinel = protocol.sentinel is not None and protocol.sentinel.required
    if last is None and not closed and not (sentinel and not protocol.closing):
        if protocol.by_tracks and ended and seen == ended:
            codes.add("track.missing")
        else:
            return {"stream.truncated"}
    elif set(values) - seen:
        codes.add("track.missing")
    for stage in protocol.stages:
        for track in seen if stage.per_track else [None]:
            if counts[Step(stage.name, track)] < stage.times[0]:
                codes.add("stage.missing")
    return codes


def _groups(protocol: Protocol, groups: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The groups without stages that never come here."""
    for group in groups:
        yield tuple(name for name in group if name in protocol.by_name)


def _came(group: Iterable[str], step: Step, before: Sequence[Step]) -> bool:
    return any(
        other.stage in group and (None in (step.track, other.track) or step.track == other.track)
        for other in before
    )
