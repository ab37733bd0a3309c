"""Walks hold what the contract's data asks, checked here straight from that data."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema
import jsonschema_rs
import pytest

from soundstage.contract import Contract, load_all
from soundstage.generation.drawn_numbers import drawn_numbers
from soundstage.generation.walk import Step, Story, payloads, plan, random_story, sync_result

SEEDS = range(300)
CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)


def drawn(contract: Contract, seed: int, **how: Any) -> tuple[list[Step], list[dict[str, Any]]]:
    rng = random.Random(seed)
    steps = plan(contract, rng, fails=how.pop("fails", False))
    return steps, payloads(contract, steps, random_story(rng), rng, **how)


def order_faults(contract: Contract, steps: list[Step]) -> Iterator[str]:
    """What a sequence of stages breaks of after, times, per_track and ends."""
    protocol = contract.protocol
    tracks: list[Any] = list(protocol.tracks.values) if protocol.tracks else [None]
    ended: set[Any] = set()
    for number, (name, track) in enumerate(steps):
        stage = protocol.by_name[name]
        if stage.per_track != (track is not None):
            yield f"{number}: {name} with track {track}"
        if track in ended or len(ended) == len(tracks):
            yield f"{number}: {name} comes after the end"
        before = [
            step
            for step in steps[:number]
            if track is None or step.track is None or step.track == track
        ]
        for group in stage.after:
            if not any(step.stage in group for step in before):
                yield f"{number}: {name} without {group}"
        if stage.ends == "track":
            ended.add(track)
        elif stage.ends == "stream":
            ended.update(tracks)
    if len(ended) != len(tracks):
        yield "the stream does not end"
    counts = Counter(steps)
    for stage in protocol.stages:
        least, most = stage.times
        for track in tracks if stage.per_track else [None]:
            came = counts[Step(stage.name, track)]
            if came < least or (most is not None and came > most):
                yield f"{stage.name} of track {track} comes {came} times"


@each_contract
def test_every_plan_keeps_order_times_tracks_and_end(contract: Contract) -> None:
    for seed in SEEDS:
        steps = plan(contract, random.Random(seed))
        assert list(order_faults(contract, steps)) == [], f"seed {seed}: {steps}"


@each_contract
@pytest.mark.parametrize("optional", [0.0, 0.5])
def test_every_chunk_meets_its_stage_and_is_recognised_as_it(
    contract: Contract, optional: float
) -> None:
    stages = contract.protocol.stages
    schemas = {s.name: jsonschema_rs.validator_for(s.schema) for s in stages}
    whens = {s.name: jsonschema_rs.validator_for(s.when) for s in stages}
    for seed in SEEDS:
        steps, chunks = drawn(contract, seed, optional=optional)
        for step, chunk in zip(steps, chunks, strict=True):
            assert list(schemas[step.stage].iter_errors(chunk)) == [], f"seed {seed}: {chunk}"
            seen = next(name for name, when in whens.items() if when.is_valid(chunk))
            assert seen == step.stage, f"seed {seed}: {chunk}"


@each_contract
def test_the_reference_validator_agrees(contract: Contract) -> None:
    for seed in range(20):
        for step, chunk in zip(*drawn(contract, seed), strict=True):
            jsonschema.Draft202012Validator(contract.protocol.by_name[step.stage].schema).validate(
                chunk
            )


@each_contract
def test_what_holds_across_chunks_holds(contract: Contract) -> None:
    protocol = contract.protocol
    for seed in SEEDS:
        steps, chunks = drawn(contract, seed)
        if (index := protocol.index) is not None:
            due = [index.start + index.step * number for number in range(len(chunks))]
            assert [chunk[index.field.name] for chunk in chunks] == due
        for constant in protocol.constant:
            known = [chunk.get(constant.field.name) for chunk in chunks]
            since = [value for value in known if value is not None]
            assert len(set(since)) <= 1
            listing = [
                value for chunk in chunks for value in [chunk.get(constant.field.name, "absent")]
            ]
            listing = [value for value in listing if value != "absent"]
            if since:
                assert None not in listing[listing.index(since[0]) :], "known, then null again"
        for rising in protocol.never_decrease:
            values = [
                chunk[rising.field.name]
                for step, chunk in zip(steps, chunks, strict=True)
                if step.stage in rising.stages
            ]
            assert values == sorted(values)
        if (flag := protocol.completion) is not None:
            said = [chunk[flag.field.name] for chunk in chunks]
            assert not any(said[:-1])
            assert said[-1] or flag.last.severity == "info"
        if (tracks := protocol.tracks) is not None:
            for step, chunk in zip(steps, chunks, strict=True):
                assert step.track is None or chunk[tracks.field.name] == step.track


@each_contract
def test_the_same_seed_gives_the_same_stream_and_others_differ(contract: Contract) -> None:
    assert drawn(contract, 7) == drawn(contract, 7)
    assert len({tuple(drawn(contract, seed)[0]) for seed in range(50)}) > 5


def test_tracks_interleave_and_either_may_lead() -> None:
    contract = next(c for c in CONTRACTS.values() if c.protocol.tracks)
    orders = Counter(
        tuple(step.track for step in plan(contract, random.Random(seed)) if step.track is not None)
        for seed in SEEDS
    )
    assert {order[0] for order in orders} == set(contract.protocol.tracks.values)  # type: ignore[union-attr]
    assert {order[-1] for order in orders} == set(contract.protocol.tracks.values)  # type: ignore[union-attr]
    assert len(orders) > 8


@each_contract
def test_bounded_stages_reach_both_bounds_and_optional_ones_are_left_out(
    contract: Contract,
) -> None:
    counts = [Counter(s.stage for s in plan(contract, random.Random(seed))) for seed in SEEDS]
    for stage in contract.protocol.stages:
        if stage.failure or stage.per_track:
            continue
        seen = {count[stage.name] for count in counts}
        least, most = stage.times
        assert (max(least, 1) if stage.charges else least) in seen
        assert max(seen) == most if most is not None else max(seen) >= 3


@each_contract
def test_a_failing_plan_is_cut_and_ends_in_the_failure(contract: Contract) -> None:
    failure = next(stage for stage in contract.protocol.stages if stage.failure)
    for seed in range(100):
        steps, chunks = drawn(contract, seed, fails=True)
        assert [step.stage == failure.name for step in steps] == [False] * (len(steps) - 1) + [True]
        assert jsonschema_rs.validator_for(failure.schema).is_valid(chunks[-1])
        whens = [s for s in contract.protocol.stages if jsonschema_rs.is_valid(s.when, chunks[-1])]
        assert whens[0] is failure
        listed = {**contract.protocol.fields}
        assert chunks[-1].keys() <= listed.keys()


@each_contract
def test_the_synchronous_result_meets_its_schema_with_one_item_a_track(contract: Contract) -> None:
    endpoint = contract.endpoint_of_kind("sync")
    assert endpoint is not None
    for seed in range(20):
        story = random_story(random.Random(seed))
        result = sync_result(contract, story)
        jsonschema.Draft202012Validator(endpoint.response).validate(result)
        urls = [url for url in story.audio_urls if url in repr(result)]
        tracks = contract.protocol.tracks
        assert urls == list(story.audio_urls[: len(tracks.values) if tracks else 1])


@each_contract
def test_chunks_tell_the_story(contract: Contract) -> None:
    story = Story(
        message_id="an-id",
        task_id="a-task",
        song_name="A name",
        album_art="http://host/art.webp",
        audio_urls=("http://host/one.mp3", "http://host/two.mp3"),
        stream_urls=("http://host/1", "http://host/2"),
        lyrics_sections=[{"name": "Verse 1", "lines": ["la"]}],
    )
    rng = random.Random(1)
    text = repr(payloads(contract, plan(contract, rng), story, rng))
    assert story.song_name in text
    assert story.album_art in text
    assert story.audio_urls[0] in text or story.audio_urls[1] in text
    if contract.protocol.tracks:
        assert all(url in text for url in story.stream_urls)
        assert "la" in text


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 99), (5, 200), (-3, 4), (0, 127), (0, 128)])
@pytest.mark.parametrize("kind", [random.Random, type("Another", (random.Random,), {})])
def test_many_numbers_are_drawn_as_one_by_one(kind, low, high):
    one, many = kind(5), kind(5)
    expected = [one.randint(low, high) for _ in range(300)]
    assert drawn_numbers(many, low, high, 300) == expected
    assert many.random() == one.random()
