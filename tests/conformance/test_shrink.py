"""The smallest part of a stream that shows a violation."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundstage.conformance.engine import StreamCheck
from soundstage.conformance.shrink import (
    EventStream,
    Passage,
    Shrunk,
    cut_trace,
    shrink,
    stream_of,
    trace_text,
)
from soundstage.contract import Contract, load_all
from soundstage.generation import walk

Chunks = list[dict[str, Any]]


def stream(chunks: Iterable[Any], **facts: Any) -> EventStream:
    data = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in chunks)
    return EventStream(tuple(data), "sse", **facts)


def codes(contract: Contract, events: Iterable[bytes], unterminated: bool) -> set[tuple[str, str]]:
    """What the engine says of these events as a stream of their own."""
    check = StreamCheck(contract)
    check.framed("sse")
    for event in events:
        check.event(event)
    check.close(unterminated=unterminated)
    return {(each.code, each.rule) for each in check.violations}


def shown(contract: Contract, whole: EventStream, rule: str, **which: Any) -> Shrunk:
    found = shrink(contract, "stream", whole, f"{contract.api}/stream/{rule}", **which)
    assert found is not None
    assert found.minimal
    kept = [whole.events[number] for number in found.kept]
    target = (found.violation.code, found.violation.rule)
    assert target in codes(contract, kept, whole.unterminated)
    return found


def renumbered(chunks: Chunks) -> Chunks:
    return [{**chunk, "chunkIndex": number} for number, chunk in enumerate(chunks)]


def test_a_broken_field_needs_its_chunk_alone(v6: Contract, song: Chunks) -> None:
    song[5]["progress"] = "fifty"
    found = shown(v6, stream(song), "running/field/progress/type")
    assert (found.kept, found.at, found.due) == ((5,), 5, ())
    assert found.expected == "In a chunk of running, progress is of type integer."


def test_an_index_violation_keeps_the_two_neighbours(v6: Contract, song: Chunks) -> None:
    del song[4]
    found = shown(v6, stream(song), "index/consecutive")
    assert (found.kept, found.at) == ((3, 4), 4)
    assert found.violation.message == "chunkIndex is 5 after 3; expected 4"


def test_a_changed_identity_keeps_the_change(v6: Contract, song: Chunks) -> None:
    song[9]["message_id"] = "another"
    song[8]["message_id"] = song[7]["message_id"]
    assert len(shown(v6, stream(song), "constant/message_id").kept) == 2


def test_an_order_violation_keeps_what_leads_up_to_it_and_nothing_else(
    v6: Contract, song: Chunks
) -> None:
    without = renumbered([*song[:8], *song[9:]])  # no completed
    found = shown(v6, stream(without), "order/uploading/after/completed")
    assert found.kept == (0, 1, 2, 6, 8)
    assert found.at == 8
    assert found.due[0] == "completed"
    assert found.expected == "uploading comes after completed for each track."
    kept = [stream(without).events[number] for number in found.kept]
    story = {code for code, _ in codes(v6, kept, False) if code.startswith("stage.")}
    assert story == {"stage.order"}, "nothing else about the story of the stream is broken"


def test_a_truncated_stream_keeps_the_story_up_to_its_end(v6: Contract, song: Chunks) -> None:
    song[4:6] = [song[4]] * 40
    cut = renumbered(song[:44])
    found = shown(v6, stream(cut), "end/reached")
    assert found.at is None
    assert len(found.kept) == 4
    assert found.due[:2] == ("streaming_ready (track 1)", "streaming_ready (track 2)")
    assert trace_text(found.trace) == (
        "initializing, validated, streaming, processing, running x40, >> end <<"
    )


def test_a_lost_track_keeps_the_story_of_the_other(v6: Contract, song: Chunks) -> None:
    one = renumbered([chunk for chunk in song if chunk.get("version") != 2])
    found = shown(v6, stream(one), "tracks/all")
    stages = [json.loads(stream(one).events[number])["status"] for number in found.kept]
    assert stages == [
        *("initializing", "validated", "streaming", "streaming", "completed"),
        *("uploading", "completed"),
    ]


def test_a_chunk_after_the_end_keeps_a_whole_stream_and_the_chunk(
    v5: Contract, song_v5: Chunks
) -> None:
    extra = [*song_v5, song_v5[-1]]
    found = shown(v5, stream(extra), "end/nothing_after")
    assert (found.kept, found.at) == ((3, 4), 4)


def test_an_event_without_its_end_needs_no_chunk(v6: Contract, song: Chunks) -> None:
    found = shown(v6, stream(song, unterminated=True), "framing")
    assert (found.kept, found.at) == ((), None)


def test_what_cannot_be_read_is_shown_by_itself(v6: Contract, song: Chunks) -> None:
    found = shown(v6, stream([*song[:3], b'{"status": NaN}', *song[3:]]), "json", chunk=3)
    assert found.kept == (3,)
    assert "(unreadable)" in trace_text(found.trace)


def test_of_several_places_the_asked_one_is_shown(v6: Contract, song: Chunks) -> None:
    song[4]["progress"] = song[5]["progress"] = None
    for chunk in (4, 5):
        assert shown(v6, stream(song), "running/field/progress/type", chunk=chunk).at == chunk
    assert shown(v6, stream(song), "running/field/progress/type", chunk=11).at == 4


def test_what_the_engine_does_not_say_cannot_be_shown(v6: Contract, song: Chunks) -> None:
    assert shrink(v6, "stream", stream(song), "v6/stream/http/body") is None
    assert shrink(v6, "stream", stream(song), "v6/stream/index/start") is None


def test_ten_thousand_events_shrink_in_a_few_runs(v6: Contract, song: Chunks) -> None:
    song[4:6] = [song[4]] * 10_000
    del song[-1]
    found = shown(v6, stream(renumbered(song)), "end/reached")
    assert len(found.kept) == 9
    assert found.runs < 200


def test_limits_end_the_search_with_something_that_still_shows_it(
    v6: Contract, song: Chunks
) -> None:
    whole = stream(song[:-1])
    found = shrink(v6, "stream", whole, "v6/stream/end/reached", runs=3)
    assert found is not None
    assert not found.minimal
    assert found.runs <= 4
    kept = [whole.events[number] for number in found.kept]
    assert ("stream.truncated", "v6/stream/end/reached") in codes(v6, kept, False)


def test_a_long_trace_keeps_its_beginning_the_place_and_its_end() -> None:
    trace = [Passage("ab"[number % 2], number, 1, number == 500) for number in range(1000)]
    cut = cut_trace(trace)
    assert len(cut) <= 44
    assert [each.first for each in cut[:3]] == [0, 1, 2]
    assert [each for each in cut if each.here] == [trace[500]]
    assert cut[-1] == trace[-1]
    assert sum(each.count for each in cut) == 1000
    assert "… x" in trace_text(trace)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'data: {"a": 1}\n\ndata: {"a"', EventStream((b'{"a": 1}',), "sse", True)),
        (b'{"a": 1}\n{"a": 2}', EventStream((b'{"a": 1}', b'{"a": 2}'), "lines", False)),
        (b"<html>", EventStream(())),
        (b"", EventStream(())),
    ],
)
def test_the_events_of_a_body_are_those_that_lint_sees(body: bytes, expected: EventStream) -> None:
    assert stream_of(body) == expected


_Break = Callable[[Chunks, random.Random], Chunks]


def _drop(chunks: Chunks, rng: random.Random) -> Chunks:
    at = rng.randrange(len(chunks))
    return [*chunks[:at], *chunks[at + 1 :]]


def _swap(chunks: Chunks, rng: random.Random) -> Chunks:
    one, other = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    swapped = list(chunks)
    swapped[one], swapped[other] = chunks[other], chunks[one]
    return swapped


def _repeat(chunks: Chunks, rng: random.Random) -> Chunks:
    at = rng.randrange(len(chunks))
    return [*chunks[: at + 1], *chunks[at:]]


def _spoil(chunks: Chunks, rng: random.Random) -> Chunks:
    at = rng.randrange(len(chunks))
    field = rng.choice(sorted(chunks[at]))
    value = rng.choice([None, -1, "x", True, [], 3.5])
    return [*chunks[:at], {**chunks[at], field: value}, *chunks[at + 1 :]]


def _cut(chunks: Chunks, rng: random.Random) -> Chunks:
    return chunks[: rng.randrange(len(chunks))]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    api=st.sampled_from(sorted(load_all())),
    seed=st.integers(0, 10**6),
    ways=st.lists(st.sampled_from([_drop, _swap, _repeat, _spoil, _cut]), min_size=1, max_size=3),
    unterminated=st.booleans(),
)
def test_what_is_kept_shows_it_is_no_larger_and_can_spare_nothing(
    api: str, seed: int, ways: list[_Break], unterminated: bool
) -> None:
    contract, rng = load_all()[api], random.Random(seed)
    steps = walk.plan(contract, rng)
    chunks: Chunks = list(walk.payloads(contract, steps, walk.random_story(rng), rng))
    for way in ways:
        if chunks:
            chunks = way(chunks, rng)
    whole = stream(chunks, unterminated=unterminated)
    for code, rule in sorted(codes(contract, whole.events, unterminated)):
        found = shrink(contract, "stream", whole, rule, code=code)
        assert found is not None
        assert found.minimal
        assert len(found.kept) <= len(whole.events)
        assert list(found.kept) == sorted(set(found.kept))
        kept = EventStream(
            tuple(whole.events[number] for number in found.kept), "sse", unterminated
        )
        assert (code, rule) in codes(contract, kept.events, unterminated)
        # What it says is what the whole stream says, at the same chunk.
        again = shrink(contract, "stream", kept, rule, code=code)
        assert again is not None
        assert again.violation.message == found.violation.message
        assert len(again.kept) == len(kept.events), "it could be smaller still"
        assert sum(passage.count for passage in found.trace if passage.label != "end") == len(
            whole.events
        )
