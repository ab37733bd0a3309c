"""Faults of order: stages that are skipped, swapped, repeated, too early, too late or after the
end, and streams that stop short.

A change is made, everything else is put right again (index, completion flag, rising values), and
the reference (`legality`) says whether the result is forbidden, and by what.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator

from soundstage.contract import Contract
from soundstage.contract.protocol import Protocol, Stage
from soundstage.generation.faults.fault import Chunks, Fault
from soundstage.generation.faults.legality import (
    TRACKS,
    broken_order,
    ends_at,
    stream_rule,
    tracks_of,
)
from soundstage.generation.story import Step, Track

#: All ways in which a change can be made to one stream; the reference picks the fitting one.
Variants = Callable[[Chunks, random.Random], Iterable[Chunks]]


def settled(contract: Contract, chunks: Chunks) -> Chunks:
    """A copy in which index, completion flag and rising values are as the new order asks."""
    protocol = contract.protocol
    result = [(step, copy.copy(payload)) for step, payload in chunks]
    index, flag = protocol.index, protocol.completion
    end = ends_at(protocol, [step for step, _ in chunks])
    said = any(flag is not None and flag.field.of(payload) is True for _, payload in chunks)
    said = said or (flag is not None and flag.last.severity != "info")
    counted = 0
    for number, (step, payload) in enumerate(result):
        if index is not None and step.stage not in index.without and index.field.is_in(payload):
            payload = index.field.put(payload, index.start + counted * index.step)
            counted += 1
        if flag is not None and flag.field.is_in(payload):
            payload = flag.field.put(payload, said and number == end)
        result[number] = step, payload
    for rising in protocol.never_decrease:
        by_track: dict[Track | None, list[int]] = {}
        for number, (step, payload) in enumerate(result):
            if step.stage in rising.stages and rising.field.is_in(payload):
                by_track.setdefault(step.track if rising.per_track else None, []).append(number)
        for holders in by_track.values():
            values = sorted(rising.field.of(result[number][1]) for number in holders)
            for number, value in zip(holders, values, strict=True):
                step, payload = result[number]
                result[number] = step, rising.field.put(payload, value)
    return result


def _at(chunks: Chunks, stage: str, track: Track | None) -> list[int]:
    return [number for number, (step, _) in enumerate(chunks) if step == Step(stage, track)]


def _moved(chunks: Chunks, at: int, to: int) -> Chunks:
    """The chunk at `at` taken out and put before what stood at `to`."""
    rest = [*chunks[:at], *chunks[at + 1 :]]
    to -= to > at
    return [*rest[:to], chunks[at], *rest[to:]]


def values_of(protocol: Protocol) -> tuple[Track, ...]:
    """The tracks of a stream that is broken."""
    if protocol.tracks is None:
        return ()
    return protocol.tracks.values if protocol.tracks.fixed else protocol.tracks.numbered(TRACKS)


class OrderFaults:
    """Makes the faults of one contract; each is kept only if a sample stream has a place for it."""

    def __init__(self, contract: Contract, samples: list[Chunks]) -> None:
        self.contract = contract
        self.protocol = tracks_of(contract)
        self.samples = samples
        self.stages = [
            stage for stage in self.protocol.stages if not (stage.failure or stage.anywhere)
        ]

    def fault(
        self, name: str, codes: set[str], rule: str, says: str, variants: Variants
    ) -> Iterator[Fault]:
        contract, protocol = self.contract, self.protocol

        def apply(chunks: Chunks, rng: random.Random) -> Chunks | None:
            best: tuple[int, Chunks] | None = None
            for variant in variants(chunks, rng):
                broken = broken_order(protocol, [step for step, _ in variant])
                if broken & codes and (best is None or len(broken) < best[0]):
                    best = len(broken), variant
            return None if best is None else settled(contract, best[1])

        if any(apply(each, random.Random(0)) is not None for each in self.samples):
            severity = stream_rule(contract, rule)
            yield Fault(name, "payloads", "stream", frozenset(codes), severity, says, apply)

    def tracks_of(self, stage: Stage) -> tuple[Track | None, ...]:
        return values_of(self.protocol) if stage.per_track else (None,)

    def dependents(self, stage: Stage) -> list[Stage]:
        return [
            each
            for each in self.stages
            if any(stage.name in group for group in (*each.after, *each.after_all))
        ]

    # --- stages -----------------------------------------------------------------------------------

    def skipped(self, stage: Stage) -> Iterator[Fault]:
        if stage.ends in ("track", "stream") or not (stage.times[0] or self.dependents(stage)):
            return

        def variants(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
            tracks = list(self.tracks_of(stage))
            rng.shuffle(tracks)
            for track in tracks:
                yield [each for each in chunks if each[0] != Step(stage.name, track)]

        rule = f"times/{stage.name}" if stage.times[0] else self.order_rule(stage)
        says = f"{stage.name} never comes"
        codes = {"stage.missing", "stage.order"}
        yield from self.fault(f"order/{stage.name}/skipped", codes, rule, says, variants)

    def order_rule(self, stage: Stage) -> str:
        """The rule by which another stage must come after this one."""
        for other in self.dependents(stage):
            for word, groups in (("after", other.after), ("after_all", other.after_all)):
                for group in groups:
                    if stage.name in group:
                        return f"order/{other.name}/{word}/{'|'.join(group)}"
        return "end/reached"

    def swapped(self, stage: Stage) -> Iterator[Fault]:
        for group in stage.after:
            for before in group:
                other = self.protocol.by_name.get(before)
                if other is None or other.failure:
                    continue

                def variants(
                    chunks: Chunks, rng: random.Random, other: Stage = other
                ) -> Iterator[Chunks]:
                    tracks = list(self.tracks_of(stage if stage.per_track else other))
                    rng.shuffle(tracks)
                    for track in tracks:
                        first = _at(chunks, other.name, track if other.per_track else None)
                        second = _at(chunks, stage.name, track if stage.per_track else None)
                        if first and second and first[0] < second[0]:
                            result = list(chunks)
                            result[first[0]], result[second[0]] = (
                                result[second[0]],
                                result[first[0]],
                            )
                            yield result
                            yield _moved(chunks, second[0], first[0])

                yield from self.fault(
                    f"order/{before}-{stage.name}/swapped",
                    {"stage.order"},
                    f"order/{stage.name}/after/{'|'.join(group)}",
                    f"{stage.name} comes before {before}",
                    variants,
                )

    def repeated(self, stage: Stage) -> Iterator[Fault]:
        most = stage.times[1]
        if most is None or stage.ends == "stream":
            return

        def variants(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
            tracks = list(self.tracks_of(stage))
            rng.shuffle(tracks)
            for track in tracks:
                places = _at(chunks, stage.name, track)
                if not places:
                    continue
                copies = [chunks[places[-1]]] * (most + 1 - len(places))
                for place in {places[-1] + 1, rng.randint(places[-1] + 1, len(chunks))}:
                    yield [*chunks[:place], *copies, *chunks[place:]]

        yield from self.fault(
            f"order/{stage.name}/repeated",
            {"stage.repeated"},
            stage.most_rule,
            f"{stage.name} comes more than {most} times",
            variants,
        )

    def too_early(self, stage: Stage) -> Iterator[Fault]:
        if stage.after:
            code, rule = "stage.order", f"order/{stage.name}/after/{'|'.join(stage.after[0])}"
        elif stage.after_all:
            rule = f"order/{stage.name}/after_all/{'|'.join(stage.after_all[0])}"
            code = "stage.order"
        elif stage.ends == "stream":
            code, rule = "stream.after_end", "end/nothing_after"
        elif stage.ends == "track":
            code, rule = "track.after_end", "tracks/ended"
        else:
            return

        def variants(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
            for track in self.tracks_of(stage):
                places = _at(chunks, stage.name, track)
                if places and places[0]:
                    yield _moved(chunks, places[0], 0)
                    yield _moved(chunks, places[0], rng.randrange(places[0]))

        says = f"{stage.name} comes too early"
        yield from self.fault(f"order/{stage.name}/too_early", {code}, rule, says, variants)

    def too_late(self, stage: Stage) -> Iterator[Fault]:
        if not self.dependents(stage):
            return

        def variants(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
            tracks = list(self.tracks_of(stage))
            rng.shuffle(tracks)
            for track in tracks:
                places = _at(chunks, stage.name, track)
                late = [chunks[place] for place in places]
                rest = [each for number, each in enumerate(chunks) if number not in places]
                if late:
                    yield [*rest[:-1], *late, *rest[-1:]]

        rule, says = self.order_rule(stage), f"{stage.name} comes too late"
        yield from self.fault(f"order/{stage.name}/too_late", {"stage.order"}, rule, says, variants)

    def after_end(self, stage: Stage) -> Iterator[Fault]:
        def variants(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
            same = [each for each in chunks if each[0].stage == stage.name]
            if same:
                yield [*chunks, rng.choice(same)]

        yield from self.fault(
            f"order/{stage.name}/after_end",
            {"stream.after_end"},
            "end/nothing_after",
            f"a chunk of {stage.name} comes after the last one",
            variants,
        )

    def after_track(self, stage: Stage) -> Iterator[Fault]:
        if not stage.per_track or stage.ends:
            return

        def variants(chunks: Chunks, rng: random.Random) -> Iterator[Chunks]:
            for track in self.tracks_of(stage):
                same = _at(chunks, stage.name, track)
                ends = [n for e in self.protocol.ending for n in _at(chunks, e.name, track)]
                if same and ends and ends[-1] < len(chunks) - 1:
                    yield [*chunks[: ends[-1] + 1], chunks[same[-1]], *chunks[ends[-1] + 1 :]]

        yield from self.fault(
            f"track/{stage.name}/after_end",
            {"track.after_end", "stage.repeated"},
            "tracks/ended",
            f"a chunk of {stage.name} comes after the last one of its track",
            variants,
        )

    # --- truncation -------------------------------------------------------------------------------

    def truncated(self) -> Iterator[Fault]:
        for stage in self.stages:

            def variants(
                chunks: Chunks, rng: random.Random, name: str = stage.name
            ) -> Iterator[Chunks]:
                places = [n for n, (step, _) in enumerate(chunks) if step.stage == name]
                rng.shuffle(places)
                for place in places:
                    yield chunks[: place + 1]

            yield from self.fault(
                f"truncated/after/{stage.name}",
                {"stream.truncated"},
                "end/reached",
                f"the stream ends after a chunk of {stage.name}",
                variants,
            )
        codes = {"stream.truncated"}
        says = "the stream ends before its first chunk"
        yield from self.fault("truncated/empty", codes, "end/reached", says, lambda *_: [[]])


def of_order(contract: Contract, samples: list[Chunks]) -> Iterator[Fault]:
    """Faults of order and truncation; `samples` are valid streams."""
    family = OrderFaults(contract, samples)
    for stage in family.stages:
        yield from family.skipped(stage)
        yield from family.swapped(stage)
        yield from family.repeated(stage)
        yield from family.too_early(stage)
        yield from family.too_late(stage)
        yield from family.after_end(stage)
        yield from family.after_track(stage)
    yield from family.truncated()
