"""Ways to break a valid exchange on purpose, one named thing at a time.

Lists of chunks in, lists of chunks out; after a chunk was taken out or moved the index is
numbered anew, so that nothing but the named thing is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from soundstage.contract import Contract
from soundstage.errors import UsageError
from soundstage.generation.walk import Payload, Step, Story, Track

#: The kinds of fault, and what each is told.
KINDS: Mapping[str, tuple[str, ...]] = {
    "drop-field": ("STAGE", "FIELD"),
    "swap-stages": ("STAGE", "STAGE"),
    "lose-track": ("TRACK",),
}
FORMS = tuple(":".join((kind, *parts)) for kind, parts in KINDS.items())

Chunks = list[tuple[Step, Payload]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault and what it was told."""

    kind: str
    operands: tuple[str, ...]


def parse(text: str) -> Fault:
    """`drop-field:STAGE:FIELD`, `swap-stages:STAGE:STAGE` or `lose-track:TRACK`."""
    kind, *operands = text.split(":")
    if kind not in KINDS or len(operands) != len(KINDS[kind]):
        raise UsageError(f"no such fault: {text!r}; it must be {' or '.join(FORMS)}")
    return Fault(kind, tuple(operands))


def concerns(fault: Fault, contract: Contract) -> bool:
    """Whether a contract has all that the fault names."""
    operands = fault.operands
    if fault.kind == "lose-track":
        return operands[0] in map(str, _tracks(contract))
    if fault.kind == "swap-stages":
        return set(operands) <= contract.protocol.by_name.keys()
    return operands[1] in _fields(contract).get(operands[0], ())


def check(faults: Sequence[Fault], contracts: Sequence[Contract]) -> None:
    """Raise UsageError for a fault that no contract has the stage, field or track for."""
    for fault in faults:
        if not any(concerns(fault, contract) for contract in contracts):
            text = ":".join((fault.kind, *fault.operands))
            raise UsageError(f"the fault {text} fits no contract: {_choice(fault, contracts)}")


def break_stream(chunks: Chunks, faults: Sequence[Fault], contract: Contract) -> Chunks:
    """The chunks of a stream with the faults that concern its contract."""
    for fault in faults:
        if concerns(fault, contract):
            chunks = _apply(chunks, fault, contract)
    return chunks


def break_story(story: Story, faults: Sequence[Fault], contract: Contract) -> Story:
    """The story of which a synchronous result tells when a track is lost."""
    for fault in faults:
        if fault.kind == "lose-track" and concerns(fault, contract):
            keep = [
                n for n, value in enumerate(_tracks(contract)) if str(value) != fault.operands[0]
            ]
            story = replace(
                story,
                audio_urls=tuple(story.audio_urls[n] for n in keep),
                stream_urls=tuple(story.stream_urls[n] for n in keep),
            )
    return story


def break_result(result: Payload, faults: Sequence[Fault], contract: Contract) -> Payload:
    """A synchronous result without the fields that a fault drops from it."""
    endpoint = contract.endpoint_of_kind("sync")
    dropped = {
        fault.operands[1]
        for fault in faults
        if endpoint and fault.kind == "drop-field" and fault.operands[0] == endpoint.name
    }
    return {name: value for name, value in result.items() if name not in dropped}


def _apply(chunks: Chunks, fault: Fault, contract: Contract) -> Chunks:
    if fault.kind == "drop-field":
        stage, field = fault.operands
        return [
            (step, {n: v for n, v in payload.items() if step.stage != stage or n != field})
            for step, payload in chunks
        ]
    if fault.kind == "lose-track":
        kept = [chunk for chunk in chunks if str(chunk[0].track) != fault.operands[0]]
        flag = contract.protocol.completion
        if kept and flag and flag.field in kept[-1][1]:
            kept[-1][1][flag.field] = chunks[-1][1].get(flag.field, True)
        return _renumbered(kept, contract)
    names = [step.stage for step, _ in chunks]
    one, other = fault.operands
    if one in names and other in names:
        chunks = list(chunks)
        here, there = names.index(one), names.index(other)
        chunks[here], chunks[there] = chunks[there], chunks[here]
    return _renumbered(chunks, contract)


def _renumbered(chunks: Chunks, contract: Contract) -> Chunks:
    index = contract.protocol.index
    for number, (_, payload) in enumerate(chunks):
        if index and index.field in payload:
            payload[index.field] = index.start + number * index.step
    return chunks


def _tracks(contract: Contract) -> tuple[Track, ...]:
    return contract.protocol.tracks.values if contract.protocol.tracks else ()


def _fields(contract: Contract) -> dict[str, tuple[str, ...]]:
    """The fields that can be dropped: of each stage, and of a synchronous result."""
    fields = {s.name: tuple(s.schema.get("properties", ())) for s in contract.protocol.stages}
    endpoint = contract.endpoint_of_kind("sync")
    if endpoint and endpoint.response:
        fields[endpoint.name] = tuple(endpoint.response.get("properties", ()))
    return fields


def _choice(fault: Fault, contracts: Sequence[Contract]) -> str:
    """What there is instead, in words."""
    lists = []
    for contract in contracts:
        fields = _fields(contract)
        if fault.kind == "lose-track":
            there = ", ".join(map(str, _tracks(contract))) or "no tracks"
        elif fault.kind == "drop-field" and fault.operands[0] in fields:
            there = f"{fault.operands[0]} with {', '.join(fields[fault.operands[0]])}"
        elif fault.kind == "swap-stages":
            there = ", ".join(contract.protocol.by_name)
        else:
            there = ", ".join(fields)
        lists.append(f"{contract.api} has {there}")
    return "; ".join(lists)
