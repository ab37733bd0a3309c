"""Takes what an exchange showed into `Observed`: chunks by stage, order, times, tracks, index.

Pure: chunks in, counts out. What the contract says decides which stage and track a chunk is of, and
what of its values may be kept; never what is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.protocol import Endpoint, Protocol
from soundstage.observed import shapes
from soundstage.observed.documented_fields import (
    LONGEST_VALUE,
    NOTHING_KNOWN,
    DocumentedPlace,
    constants,
    known_of,
)
from soundstage.observed.observation import (
    MOST_UNKNOWN,
    OTHER,
    RESULT,
    UNKNOWN,
    ApiSeen,
    EndpointSeen,
    Observed,
    StageSeen,
)
from soundstage.observed.text_classes import is_token

#: The rules across chunks whose breaking is noted, since no shape shows it.
ACROSS = ("constant/", "never_decrease/", "completion/", "end/nothing_after")
#: The stage of a chunk (None where no stage fits), and the chunk.
Chunk = tuple[str | None, Mapping[str, Any]]
#: Values that are looked at in one exchange; chunks beyond this count, but have no shape.
MOST_NODES = 50_000
#: A stage that came more often than this in one exchange came "more".
_MOST_TIMES = 100
_LARGEST_INDEX = 100
#: Different names of stages that the contract does not know, in one exchange.
_MOST_NAMES = 4 * MOST_UNKNOWN


@dataclass(frozen=True, slots=True)
class _Guide:
    """What observing streams of a contract needs to know of it."""

    mark: str | None
    stages: Mapping[str, DocumentedPlace]
    other: DocumentedPlace
    per_track: frozenset[str]
    tracks: Mapping[tuple[type, Any], str]
    track_field: str | None


@cache
def _guide(contract: Contract) -> _Guide:
    protocol = contract.protocol
    names = _named(protocol)
    stages = {
        stage.name: known_of(
            {"properties": {**protocol.fields, **stage.schema.get("properties", {})}}, names
        )
        for stage in protocol.stages
    }
    marks = Counter(mark for each in protocol.stages for mark in each.when.get("properties", ()))
    tracks = protocol.tracks
    return _Guide(
        mark=marks.most_common(1)[0][0] if marks else None,
        stages=stages,
        other=known_of({"properties": protocol.fields}, names),
        per_track=frozenset(stage.name for stage in protocol.stages if stage.per_track),
        tracks={(type(value), value): str(value) for value in tracks.values} if tracks else {},
        track_field=tracks.field if tracks else None,
    )


def _named(protocol: Protocol) -> frozenset[str]:
    """The fields for which some stage prints the text that they hold."""
    return frozenset(
        name
        for stage in protocol.stages
        for name, schema in stage.schema.get("properties", {}).items()
        if any(isinstance(value, str) for value in constants(schema))
    )


@cache
def _known_result(contract: Contract, endpoint: str) -> DocumentedPlace:
    response = contract.endpoints[endpoint].response
    return known_of(response, _named(contract.protocol)) if response else NOTHING_KNOWN


def observe_result(contract: Contract, endpoint: Endpoint, value: Any) -> Observed:
    """What one body of an endpoint that does not stream shows."""
    stage = StageSeen()
    stage.chunks = stage.exchanges = stage.whole = 1
    stage.times.note("1")
    _look(stage, [value], _known_result(contract, endpoint.name), MOST_NODES)
    return _one(contract, endpoint, {RESULT: stage}, framing=None, whole=True)[0]


def observe_stream(
    contract: Contract,
    endpoint: Endpoint,
    chunks: Iterable[Chunk],
    *,
    framing: str | None,
    whole: bool,
    broken: Iterable[str] = (),
) -> Observed:
    """What one stream shows. `chunks`: (stage, chunk) as they came, None where no stage fits.
    `whole`: nothing cut it short, neither we nor the network nor a failure that the API reported,
    so that what did not come was not sent. `broken`: the ids of the rules that it broke.
    """
    guide = _guide(contract)
    found = list(_with_stages(guide, chunks))
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    tracks = []
    for name, chunk in found:
        by_stage.setdefault(name, []).append(chunk)
        tracks.append(_track(guide, chunk))
    stages: dict[str, StageSeen] = {}
    left = MOST_NODES
    for name in sorted(by_stage, key=lambda each: each.startswith(UNKNOWN)):
        stage = stages[name] = StageSeen()
        stage.chunks, stage.exchanges = len(by_stage[name]), 1
        stage.whole = int(whole)
        left -= _look(stage, by_stage[name], guide.stages.get(name, guide.other), left)
    of_stage: Counter[tuple[str, str | None]] = Counter()
    for (name, _), track in zip(found, tracks, strict=True):
        if track is not None:
            stages[name].tracks.note(track)
        of_stage[name, track if name in guide.per_track else None] += 1
    if whole:
        for (name, _), times in of_stage.items():
            stages[name].times.note(str(times) if times <= _MOST_TIMES else "more")
    seen, of_endpoint = _one(contract, endpoint, stages, framing=framing, whole=whole)
    names = [name for name, _ in found]
    if whole and names:
        of_endpoint.last.note(names[-1])
        for track in tracks:
            if track is not None:
                of_endpoint.tracks.note(track)
    prefix = f"{contract.api}/{endpoint.name}/"
    for rule in {each.removeprefix(prefix) for each in broken}:
        if rule.startswith(ACROSS):
            of_endpoint.broken.note(rule)
    _note_order(of_endpoint, guide, names, tracks)
    _note_index(of_endpoint, contract, [chunk for _, chunk in found])
    of_endpoint.bound()
    return seen


def _with_stages(guide: _Guide, chunks: Iterable[Chunk]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The chunks, with what to call the stage of each. Of names that the contract does not know the
    first few are told apart: order is looked at for every pair of them.
    """
    unknown: set[str] = set()
    for stage, chunk in chunks:
        name = stage
        if name is None:
            name = _unknown(guide, chunk)
            if name not in unknown and len(unknown) >= _MOST_NAMES:
                name = UNKNOWN
            unknown.add(name)
        yield name, chunk


def _one(
    contract: Contract,
    endpoint: Endpoint,
    stages: dict[str, StageSeen],
    *,
    framing: str | None,
    whole: bool,
) -> tuple[Observed, EndpointSeen]:
    seen = EndpointSeen()
    seen.exchanges, seen.whole, seen.stages = 1, int(whole), stages
    if framing is not None:
        seen.framings.note(framing)
    return Observed({contract.api: ApiSeen({contract.sha256}, {endpoint.name: seen})}), seen


def _look(stage: StageSeen, values: Iterable[Any], known: DocumentedPlace, left: int) -> int:
    looked = 0
    for value in values:
        if looked >= left:
            break
        looked += shapes.observe(stage.places, value, known)
    shapes.settle(stage.places)
    shapes.bound(stage.places)
    return looked


def _unknown(guide: _Guide, chunk: Mapping[str, Any]) -> str:
    """What to call the stage of a chunk that no stage of the contract fits."""
    mark = chunk.get(guide.mark) if guide.mark is not None else None
    short = isinstance(mark, str) and len(mark) <= LONGEST_VALUE and is_token(mark)
    return f"{UNKNOWN}{mark}" if short else UNKNOWN


def _track(guide: _Guide, chunk: Mapping[str, Any]) -> str | None:
    """The track that a chunk names, "other" for one that the contract has not, None for none."""
    value = chunk.get(guide.track_field) if guide.track_field is not None else None
    if value is None:
        return None
    # With its type, as true is no 1.
    return guide.tracks.get((type(value), value), OTHER) if type(value) in (int, str) else OTHER


def _note_order(
    seen: EndpointSeen, guide: _Guide, names: list[str], tracks: list[str | None]
) -> None:
    firsts: dict[str, int] = {}
    on_track: dict[str | None, dict[str, int]] = {}
    for number, (name, track) in enumerate(zip(names, tracks, strict=True)):
        firsts.setdefault(name, number)
        if name in guide.per_track and track is not None:
            on_track.setdefault(track, {}).setdefault(name, number)
    pairs = set()
    for a, at in firsts.items():
        for b, bt in firsts.items():
            if at < bt and not (a in guide.per_track and b in guide.per_track):
                pairs.add(f"{a}>{b}")
    for places in on_track.values():
        pairs |= {f"{a}>{b}" for a, at in places.items() for b, bt in places.items() if at < bt}
    for pair in pairs:
        seen.order.note(pair)


def _note_index(seen: EndpointSeen, contract: Contract, chunks: list[Mapping[str, Any]]) -> None:
    index = contract.protocol.index
    if index is None or not chunks:
        return
    values = [chunk.get(index.field) for chunk in chunks]
    if values[0] is not None:  # that it is absent is told of the field
        seen.starts.note(_number(values[0], index.start))
    for before, after in pairwise(values):
        if before is not None and after is not None:
            both = type(before) is int and type(after) is int
            seen.steps.note(_number(after - before if both else None, index.step))


def _number(value: Any, due: int) -> str:
    """What is due, and any small integer, as it is; anything else is "other"."""
    small = type(value) is int and (value == due or abs(value) <= _LARGEST_INDEX)
    return str(value) if small else OTHER
