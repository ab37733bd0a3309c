"""Faults of tracks: lost, strange, counted wrongly, mixed up, or never brought to their end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from soundstage.contract import Contract
from soundstage.contract.protocol import Tracks
from soundstage.generation.faults.fault import Chunk, Chunks, Fault
from soundstage.generation.faults.fault_order import OrderFaults, Variants, values_of
from soundstage.generation.story import Step, Track


def on_track(contract: Contract, chunk: Chunk, track: Track) -> Chunk:
    """A copy of a chunk that speaks of another track."""
    tracks = contract.protocol.tracks
    assert tracks is not None
    (stage, _), payload = chunk
    return Step(stage, track), tracks.field.put(payload, track)


def of_tracks(contract: Contract, samples: list[Chunks]) -> Iterator[Fault]:
    """Faults of tracks; `samples` are valid streams."""
    family = OrderFaults(contract, samples)
    tracks = family.protocol.tracks
    if tracks is None:
        return
    yield from _lost(contract, family, tracks)
    yield from _unknown(contract, family, tracks)
    if len(values_of(family.protocol)) > 1:
        yield from _confused(contract, family, tracks)


def _lost(contract: Contract, family: OrderFaults, tracks: Tracks) -> Iterator[Fault]:
    """A track that never comes, or never comes to its end."""
    ending = {stage.name for stage in contract.protocol.ending}

    def without(test: Callable[[Step, Track], bool]) -> Variants:
        def variants(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
            values = values_of(family.protocol)
            for track in rng.sample(values, len(values)):
                yield [each for each in chunks if not test(each[0], track)]

        return variants

    yield from family.fault(
        "track/lost",
        {"track.missing"},
        "tracks/all",
        f"no chunk of one {tracks.field} comes",
        without(lambda step, track: step.track == track),
    )
    if any(stage.ends == "track" for stage in contract.protocol.ending):
        ends_it = contract.protocol.by_tracks
        ending = {stage.name for stage in contract.protocol.ending if stage.ends == "track"}
        yield from family.fault(
            "track/without_final",
            {"stream.truncated"} if ends_it else {"stage.missing", "stage.order"},
            "end/reached",
            f"the last chunk of one {tracks.field} never comes",
            without(lambda step, track: step.track == track and step.stage in ending),
        )


def _unknown(contract: Contract, family: OrderFaults, tracks: Tracks) -> Iterator[Fault]:
    """A track that the contract does not know: one more, counted from another number, or named in
    a single chunk.
    """
    values = values_of(family.protocol)
    unknown: Track
    if tracks.start is not None:
        unknown = tracks.start - 1 if tracks.most is None else tracks.start + tracks.most
    elif all(isinstance(value, int) for value in values):
        unknown = max(int(value) for value in values) + 1
    else:
        unknown = "".join(map(str, values))

    def fault(name: str, says: str, variants: Variants) -> Iterator[Fault]:
        return family.fault(name, {"track.unknown"}, "tracks/values", says, variants)

    def third(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
        track = rng.choice(values)
        yield [
            part
            for each in chunks
            for part in (
                [on_track(contract, each, unknown), each] if each[0].track == track else [each]
            )
        ]

    says = f"the chunks of one {tracks.field} come for {unknown} as well"
    yield from fault("track/third", says, third)
    below = [value - 1 if isinstance(value, int) else value for value in values]
    if not set(below) <= set(values):
        names = dict(zip(values, below, strict=True))
        says = f"{tracks.field} counts from {min(map(str, below))}"
        yield from fault(
            "track/zero_based", says, lambda chunks, rng: [_renamed(contract, chunks, names)]
        )
    for stage in family.stages:
        if not stage.per_track:
            continue

        def strange(chunks: Chunks, rng: random.Random, name: str = stage.name) -> Iterator[Chunks]:
            places = [n for n, (step, _) in enumerate(chunks) if step.stage == name]
            if places:
                at = rng.choice(places)
                other = on_track(contract, chunks[at], unknown)
                yield [*chunks[:at], other, *chunks[at + 1 :]]

        says = f"in a chunk of {stage.name}, {tracks.field} is {unknown}"
        yield from fault(f"track/{stage.name}/unknown", says, strange)


def _confused(contract: Contract, family: OrderFaults, tracks: Tracks) -> Iterator[Fault]:
    """Known tracks that are taken for each other."""
    values = values_of(family.protocol)
    turned = dict(zip(values, (*values[1:], values[0]), strict=True))
    one = dict.fromkeys(values, values[0])

    def swapped(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
        for start in rng.sample(range(1, len(chunks)), len(chunks) - 1):
            yield _renamed(contract, chunks, turned, start)

    codes = {"stage.order", "stage.repeated", "track.after_end"}
    rule = next((f"times/{s.name}" for s in family.stages if s.per_track), "tracks/all")
    says = f"from a chunk on {tracks.field} names another track"
    yield from family.fault("track/swapped_midway", codes, rule, says, swapped)
    says = f"every chunk says that {tracks.field} is {values[0]}"
    codes = {"stage.repeated", "track.after_end", "track.missing"}
    yield from family.fault(
        "track/merged", codes, rule, says, lambda chunks, _: [_renamed(contract, chunks, one)]
    )


def _renamed(
    contract: Contract, chunks: Chunks, names: dict[Track, Track], start: int = 0
) -> Chunks:
    """The chunks, from number `start` on with the tracks that have a new name under it."""
    return [
        on_track(contract, each, names[each[0].track])
        if number >= start and each[0].track in names
        else each
        for number, each in enumerate(chunks)
    ]
