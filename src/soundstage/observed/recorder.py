"""Takes what an exchange showed as facts: of the values in its chunks, and of the order, times,
tracks and index of a stream.

Pure: chunks in, facts out. What the contract says decides which stage and track a chunk is of, and
what of its values may be kept; never what is right.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import islice, pairwise
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.contract.field_schemas import pointer, type_name
from soundstage.contract.protocol import Endpoint, Protocol
from soundstage.observed.documented_fields import (
    LARGEST_UNKNOWN,
    LONGEST_VALUE,
    NOTHING_KNOWN,
    DocumentedPlace,
    constants,
    kept_value,
    known_of,
)
from soundstage.observed.facts import (
    MOST_UNKNOWN,
    OTHER,
    RESULT,
    UNKNOWN,
    ApiSeen,
    Facts,
    Observed,
)
from soundstage.observed.text_classes import format_of, is_token, name_of
from soundstage.output.redact import PRIVATE_FIELDS

#: The rules across chunks whose breaking is noted, since no shape shows it.
ACROSS: Final = ("constant/", "never_decrease/", "completion/", "end/nothing_after")
#: The stage of a chunk (None where no stage fits), and the chunk.
Chunk = tuple[str | None, Mapping[str, Any]]
#: Objects and arrays below this are not entered.
DEEPEST: Final = 6
#: Values that are looked at in one exchange, in one chunk or result of it, and items of one array.
MOST_NODES, MOST_IN_CHUNK, MOST_ITEMS = 50_000, 2_000, 50
#: A stage that came more often than this in one exchange came "more", and so with items.
_MOST_TIMES: Final = 100
_LARGEST_INDEX: Final = 100
#: Different names of stages that the contract does not know, in one exchange.
_MOST_NAMES: Final = 4 * MOST_UNKNOWN
_UNKNOWN_PRIVATE: Final = DocumentedPlace(private=True)
_KINDS: Final = {
    str: "string", int: "integer", bool: "boolean", type(None): "null", dict: "object"
}  # fmt: skip
_FLOAT_MAX: Final = 1.7976931348623157e308


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
    facts = Facts(1)
    facts.show("whole")
    facts.show("stage", RESULT)
    facts.show("complete", RESULT)
    _look(facts, RESULT, [value], _known_result(contract, endpoint.name), MOST_NODES)
    return _one(contract, endpoint, facts)


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
    guide, facts = _guide(contract), Facts(1)
    show = facts.show
    found = [(name, _track(guide, chunk), chunk) for name, chunk in _with_stages(guide, chunks)]
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    times: Counter[tuple[str, str | None]] = Counter()
    for name, track, chunk in found:
        by_stage.setdefault(name, []).append(chunk)
        times[name, track if name in guide.per_track else None] += 1
        if track is not None:
            show("track", name, track)
    left = MOST_NODES
    for name in sorted(by_stage, key=lambda each: each.startswith(UNKNOWN)):
        show("stage", name)
        left -= _look(facts, name, by_stage[name], guide.stages.get(name, guide.other), left)
    if framing is not None:
        show("framing", framing)
    if whole:
        show("whole")
        for (name, _), many in times.items():
            show("complete", name)
            show("times", name, str(many) if many <= _MOST_TIMES else "more")
        for _, track, _ in found:
            if track is not None:
                show("tracks", track)
        if found:
            show("last", found[-1][0])
    prefix = f"{contract.api}/{endpoint.name}/"
    for rule in {each.removeprefix(prefix) for each in broken}:
        if rule.startswith(ACROSS):
            show("broken", rule)
    for pair in _in_order(guide, [(name, track) for name, track, _ in found]):
        show("order", *pair)
    _note_index(facts, contract, [chunk for _, _, chunk in found])
    return _one(contract, endpoint, facts)


def _one(contract: Contract, endpoint: Endpoint, facts: Facts) -> Observed:
    facts.bound()
    return Observed({contract.api: ApiSeen({contract.sha256}, {endpoint.name: facts})})


# --- the protocol ---------------------------------------------------------------------------------


def _with_stages(guide: _Guide, chunks: Iterable[Chunk]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The chunks, with what to call the stage of each. Of names that the contract does not know the
    first few are told apart: order is looked at for every pair of them.
    """
    unknown: set[str] = set()
    for stage, chunk in chunks:
        name = stage
        if name is None:
            mark = chunk.get(guide.mark) if guide.mark is not None else None
            short = isinstance(mark, str) and len(mark) <= LONGEST_VALUE and is_token(mark)
            name = f"{UNKNOWN}{mark}" if short else UNKNOWN
            if name not in unknown and len(unknown) >= _MOST_NAMES:
                name = UNKNOWN
            unknown.add(name)
        yield name, chunk


def _track(guide: _Guide, chunk: Mapping[str, Any]) -> str | None:
    """The track that a chunk names, "other" for one that the contract has not, None for none."""
    value = chunk.get(guide.track_field) if guide.track_field is not None else None
    if value is None:
        return None
    # With its type, as true is no 1.
    return guide.tracks.get((type(value), value), OTHER) if type(value) in (int, str) else OTHER


def _in_order(guide: _Guide, chunks: list[tuple[str, str | None]]) -> set[tuple[str, str]]:
    """The pairs of stages of which the first came before the second, for the first time; of two
    that count by track, on the same one.
    """
    firsts: dict[str, int] = {}
    on_track: dict[str, dict[str, int]] = {}
    for number, (name, track) in enumerate(chunks):
        firsts.setdefault(name, number)
        if name in guide.per_track and track is not None:
            on_track.setdefault(track, {}).setdefault(name, number)
    pairs = {
        (a, b)
        for a, at in firsts.items()
        for b, bt in firsts.items()
        if at < bt and not {a, b} <= guide.per_track
    }
    for places in on_track.values():
        pairs |= {(a, b) for a, at in places.items() for b, bt in places.items() if at < bt}
    return pairs


def _note_index(facts: Facts, contract: Contract, chunks: list[Mapping[str, Any]]) -> None:
    index = contract.protocol.index
    if index is None or not chunks:
        return
    values = [chunk.get(index.field) for chunk in chunks]
    if values[0] is not None:  # that it is absent is told of the field
        facts.show("start", _number(values[0], index.start))
    for before, after in pairwise(values):
        if before is not None and after is not None:
            both = type(before) is int and type(after) is int
            facts.show("step", _number(after - before if both else None, index.step))


def _number(value: Any, due: int) -> str:
    """What is due, and any small integer, as it is; anything else is "other"."""
    small = type(value) is int and (value == due or abs(value) <= _LARGEST_INDEX)
    return str(value) if small else OTHER


# --- values ---------------------------------------------------------------------------------------


def _look(
    facts: Facts, stage: str, values: Iterable[Any], known: DocumentedPlace, left: int
) -> int:
    """Take the chunks of a stage in. Returns how many values were looked at, `left` at most and
    what the last chunk has.
    """
    seen: Counter[str] = Counter()
    objects: Counter[str] = Counter()
    looked = 0
    for value in values:
        if looked >= left:
            break
        looked += _observe(facts, stage, value, known, seen, objects)
    for path, times in seen.items():
        facts.show("at", stage, path)
        if not path or path.endswith("/*") or times >= objects[path.rpartition("/")[0]]:
            facts.show("always", stage, path)
    return looked


def _observe(
    facts: Facts,
    stage: str,
    value: Any,
    known: DocumentedPlace,
    seen: Counter[str],
    objects: Counter[str],
) -> int:
    """Take one chunk or result in. Breadth first and what is documented first, so that the caps cut
    what matters least.
    """
    queue: deque[tuple[str, Any, DocumentedPlace, int]] = deque([("", value, known, 0)])
    looked = 0
    while queue and looked < MOST_IN_CHUNK:
        path, found, about, depth = queue.popleft()
        looked += 1
        seen[path] += 1
        kind = _note(facts, stage, path, found, about)
        objects[path] += kind == "object"
        if depth >= DEEPEST:
            continue
        left = max(0, MOST_IN_CHUNK - looked - len(queue))
        for name, inner, below in islice(_children(found, about), left):
            plain = "/" not in name and "~" not in name
            queue.append(
                (f"{path}/{name}" if plain else path + pointer(name), inner, below, depth + 1)
            )
    return looked


def _note(facts: Facts, stage: str, path: str, value: Any, known: DocumentedPlace) -> str:
    """Note one value: the facts of its place. Returns its type."""
    show = facts.show
    kind = _KINDS.get(type(value)) or type_name(value)
    if kind == "number" and isinstance(value, float) and value.is_integer():
        kind = "integer"  # 2.0 is one, says JSON Schema
    show("type", stage, kind, path)
    if path and not known.documented:
        show("extra", stage, path)
    if kind == "array":
        show("size", stage, str(len(value)) if len(value) <= _MOST_TIMES else "more", path)
    if kind in ("array", "object"):
        return kind
    if kind == "string":
        show("format", stage, format_of(value), path)
        facts.widen("length", stage, path, float(len(value)), float(len(value)))
    elif kind in ("integer", "number") and not known.private:
        number = _plain_number(value)
        facts.widen(
            "number", stage, path, *((number, number) if known.documented else _rounded(number))
        )
    kept = kept_value(value, kind, known)
    if kept is not None:
        show("value", stage, kept, path)
    elif kind == "string":
        show("unkept", stage, path)
    return kind


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
