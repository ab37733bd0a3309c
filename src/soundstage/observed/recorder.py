"""Takes what an exchange showed into `Observed`: chunks by stage, order, times, tracks, index.

Pure: chunks in, facts out. What the contract says decides which stage and track a chunk is of, and
what of its values may be kept; never what is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from soundstage.contract import Contract
from soundstage.contract.protocol import MOST_TRACKS, Endpoint, Protocol
from soundstage.observed.documented import documented
from soundstage.observed.facts import MOST_UNKNOWN, OTHER, RESULT, UNKNOWN, Fact, Facts, Observed
from soundstage.observed.shapes import LONGEST_VALUE, ShapeReader
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
#: Different names of stages that the contract does not know, in one exchange: order is looked at
#: for every pair of them.
_MOST_NAMES = 4 * MOST_UNKNOWN


def observe_result(contract: Contract, endpoint: Endpoint, value: Any) -> Observed:
    """What one body of an endpoint that does not stream shows."""
    facts = Facts()
    facts.show(("exchanges//", "whole//", f"stage/{RESULT}/", f"ended/{RESULT}/"))
    _look(facts, contract, endpoint, {RESULT: [value]})
    return Observed({contract.api: {endpoint.name: facts}})


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
    protocol, facts = endpoint.protocol or contract.protocol, Facts()
    named = list(_with_stages(protocol, chunks))
    by_stage: dict[str, list[Any]] = {}
    for name, chunk in named:
        by_stage.setdefault(name, []).append(chunk)
    _look(facts, contract, endpoint, by_stage)
    facts.show(("exchanges//", *(f"stage/{name}/" for name in by_stage)))
    if framing is not None:
        facts.show((f"framing//{framing}",))
    prefix = f"{contract.api}/{endpoint.name}/"
    rules = (each.removeprefix(prefix) for each in broken)
    facts.show(Fact("rule", "", each).key for each in rules if each.startswith(ACROSS))
    steps = [(name, _track(protocol, chunk)) for name, chunk in named]
    per_track = {stage.name for stage in protocol.stages if stage.per_track}
    facts.show(f"order/{a}/{b}" for a, b in _ordered(steps, per_track))
    facts.show(_of_index(protocol, [chunk for _, chunk in named]))
    if whole:
        facts.show(("whole//", *(f"ended/{name}/" for name in by_stage)))
        facts.show(f"last//{name}" for name, _ in steps[-1:])
        for name, track in steps:
            facts.show(f"track/{of}/{track}" for of in ("", name) if track is not None)
        times = Counter((name, track if name in per_track else None) for name, track in steps)
        for (name, _), many in times.items():
            facts.show((f"times/{name}/{many if many <= _MOST_TIMES else 'more'}",))
    return Observed({contract.api: {endpoint.name: facts}})


def _look(
    facts: Facts, contract: Contract, endpoint: Endpoint, by_stage: dict[str, list[Any]]
) -> None:
    """Look at the shapes of all chunks, those of stages that the contract knows first."""
    left = MOST_NODES
    for name in sorted(by_stage, key=lambda each: each.startswith(UNKNOWN)):
        # Whoever sends unknown names shall not fill the cache of what is documented.
        stage = UNKNOWN if name.startswith(UNKNOWN) else name
        reader = ShapeReader(facts, name, documented(contract, endpoint.name, stage))
        for value in by_stage[name]:
            if left <= 0:
                break
            left -= reader.look(value)
        reader.end()


def _with_stages(
    protocol: Protocol, chunks: Iterable[Chunk]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The chunks, with what to call the stage of each: of one that no stage of the contract fits by
    its mark, if that is one short word, and if there were not too many before.
    """
    unknown: set[str] = set()
    for stage, chunk in chunks:
        if stage is not None:
            yield stage, chunk
            continue
        mark = chunk.get(_marking(protocol))
        short = isinstance(mark, str) and len(mark) <= LONGEST_VALUE and is_token(mark)
        name = f"{UNKNOWN}{mark}" if short else UNKNOWN
        if name not in unknown and len(unknown) >= _MOST_NAMES:
            name = UNKNOWN
        unknown.add(name)
        yield name, chunk


def _marking(protocol: Protocol) -> str:
    """The field by which most stages are told apart."""
    marks = Counter(mark for each in protocol.stages for mark in each.when.get("properties", ()))
    return marks.most_common(1)[0][0] if marks else ""


def _track(protocol: Protocol, chunk: Mapping[str, Any]) -> str | None:
    """The track that a chunk names, "other" for one that the contract has not, None for none."""
    if protocol.tracks is None or (value := protocol.tracks.field.of(chunk)) is None:
        return None
    # With its type, as true is no 1.
    tracks = protocol.tracks
    known = any(type(each) is type(value) and each == value for each in tracks.values)
    if not tracks.fixed and tracks.start is not None:
        known = type(value) is int and tracks.start <= value < tracks.start + MOST_TRACKS
    return str(value) if known else OTHER


def _ordered(steps: list[tuple[str, str | None]], per_track: set[str]) -> Iterator[tuple[str, str]]:
    """The pairs of stages of which the first of one came before the first of the other: of the same
    track, where both count by track.
    """
    firsts: dict[str, int] = {}
    on_track: dict[str, dict[str, int]] = {}
    for number, (name, track) in enumerate(steps):
        firsts.setdefault(name, number)
        if name in per_track and track is not None:
            on_track.setdefault(track, {}).setdefault(name, number)
    for places in (firsts, *on_track.values()):
        for a, at in places.items():
            for b, bt in places.items():
                if at < bt and not (places is firsts and a in per_track and b in per_track):
                    yield a, b


def _of_index(protocol: Protocol, chunks: list[Mapping[str, Any]]) -> Iterator[str]:
    index = protocol.index
    values = [index.field.of(chunk) for chunk in chunks] if index is not None else []
    if index is None or not values:
        return
    if values[0] is not None:  # that it is absent is told of the field
        yield f"index.start//{_number(values[0], index.start)}"
    for before, after in pairwise(values):
        if before is not None and after is not None:
            both = type(before) is int and type(after) is int
            yield f"index.step//{_number(after - before if both else None, index.step)}"


def _number(value: Any, due: int) -> str:
    """What is due, and any small integer, as it is; anything else is "other"."""
    small = type(value) is int and (value == due or abs(value) <= _LARGEST_INDEX)
    return str(value) if small else OTHER
