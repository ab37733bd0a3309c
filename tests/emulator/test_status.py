"""Where a generation is: the same for whoever asks, and however it is kept."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace

import httpx
import orjson
import pytest

from soundstage.contract import Contract, load_all
from soundstage.emulator.generations.factory import Factory, SongEndpoint, course_of
from soundstage.emulator.generations.generations import Generation, status_of
from soundstage.emulator.generations.request_reader import BadBody, RequestReader
from soundstage.emulator.generations.store import Store
from soundstage.emulator.options import Options
from soundstage.emulator.pace.profiles import profile
from soundstage.emulator.service.app import Emulator

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)


def generations(contract: Contract, fails: bool) -> list[Generation]:
    """Some that were made as requests make them."""
    factory = Factory(11, profile("realistic"), 1.0)
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    place = SongEndpoint.of(contract, endpoint, "sse")
    raw = orjson.dumps(next(e.payload for e in contract.examples if e.of == "request"))
    asked = RequestReader(endpoint).read(raw)
    assert not isinstance(asked, BadBody)
    return [
        factory.make(
            place, asked, course_of(11, number, contract.api, raw), "http://h", 100.0, fails=fails
        )
        for number in range(1, 21)
    ]


@each_contract
@pytest.mark.parametrize("fails", [False, True])
def test_a_generation_that_nobody_hears_any_more_answers_as_before(
    contract: Contract, fails: bool
) -> None:
    for made, left in zip(generations(contract, fails), generations(contract, fails), strict=True):
        left.drop_chunks()
        moments = [99.0, 100.0, made.end, made.end + 1, *(100.0 + due for due in made.schedule)]
        assert (left.end, left.billed_with) == (made.end, made.billed_with)
        for now in moments:
            assert status_of(left, now) == status_of(made, now)
            for url in made.urls:
                assert left.offers(url, now) == made.offers(url, now)
        for url in made.urls:
            assert left.told_at(url) == made.told_at(url)


@each_contract
def test_a_status_never_goes_back_and_ends_whole(contract: Contract) -> None:
    for made in generations(contract, False):
        seen = [status_of(made, 100.0 + due) for due in (-1.0, *made.schedule)]
        assert seen[0]["status"] == "queued"
        assert seen[0]["progress"] == 0
        told = [sum(t["audio_url"] is not None for t in each["tracks"]) for each in seen]
        assert told == sorted(told)
        progress = [each["progress"] for each in seen]
        assert progress == sorted(progress)
        assert [each["isComplete"] for each in seen] == [False] * (len(seen) - 1) + [True]
        assert progress[-1] == 100


@each_contract
def test_a_failed_generation_is_over_but_has_no_more_files(contract: Contract) -> None:
    for made in generations(contract, True):
        status = status_of(made, made.end)
        assert status["isComplete"]
        assert contract.protocol.by_name[status["status"]].failure
        assert status_of(made, made.end + 1000) == status
        assert {url for url in made.urls if made.offers(url, made.end + 1000)} == {
            url for url in made.urls if made.told_at(url) is not None
        }


def begun(first: Generation, number: int, started: float) -> Generation:
    """A generation like another, with an id of its own."""
    made = copy.copy(first)
    made.story = replace(first.story, message_id=f"{number:024x}")
    made.started = started
    return made


def kept_in(store: Store, made: Generation, number: int, text: int = 100) -> None:
    store.add(made, number=number, endpoint="stream", account="account", text=text)


def test_what_a_generation_leaves_is_kept_by_age() -> None:
    [first, *_] = generations(next(iter(CONTRACTS.values())), False)
    store, lasts = Store(kept_s=900.0), first.end - first.started
    for number in range(1, 101):
        kept_in(store, begun(first, number, number * 10.0), number)
    for now in (500.0, 1000.0 + lasts, 1500.0 + lasts):
        store.prune(now)
        alive = [n for n in range(1, 101) if n * 10.0 + lasts > now - 900.0]
        assert len(store) == len(alive)
        assert all(store.get(f"{n:024x}") is not None for n in alive)
    store.prune(1e9)
    assert len(store) == 0


def test_beyond_a_number_or_a_size_the_oldest_that_have_ended_go_first() -> None:
    [first, *_] = generations(next(iter(CONTRACTS.values())), False)
    for store in (Store(most=100), Store(most_text=100 * 100)):
        for number in range(1, 1101):
            runs = number in (5, 50)
            kept_in(store, begun(first, number, 1e6 if runs else 100 + number / 1e3), number)
        store.prune(1000.0)
        assert len(store) == 100
        left = [kept.number for kept in store.newest()]
        assert left == [*range(1100, 1002, -1), 50, 5]
        assert store.get(f"{5:024x}") is not None
        assert store.get(f"{51:024x}") is None
        store.clear()
        assert len(store) == 0


def test_there_is_room_for_so_many_bytes_of_songs_that_are_being_told() -> None:
    [song, *_] = generations(next(iter(CONTRACTS.values())), False)
    size = song.size
    store = Store(most_told=2 * size)
    told = [begun(song, number, 0.0) for number in (1, 2)]
    for number, each in enumerate(told, start=1):
        assert not store.crowded
        kept_in(store, each, number)
    assert store.crowded
    store.leave(told[0])
    store.leave(told[0])
    assert not store.crowded
    kept_in(store, begun(song, 3, 0.0), 3)
    assert store.crowded


def test_songs_that_go_on_without_their_clients_do_not_fill_memory_with_words() -> None:
    [song, *_] = generations(next(iter(CONTRACTS.values())), False)
    store = Store(most_text=1000)
    kept_in(store, begun(song, 1, 0.0), 1, text=2000)
    assert not store.crowded
    kept_in(store, begun(song, 2, 0.0), 2, text=1)
    store.prune(0.0)
    assert store.crowded
    store.prune(1e6)
    assert not store.crowded, "they have ended, and are forgotten for it"


def test_what_has_ended_makes_room_for_the_next_request_at_once() -> None:
    contract = next(iter(CONTRACTS.values()))
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    body = next(each.payload for each in contract.examples if each.of == "request")
    app = Emulator(Options(profile="instant", seed=1))
    app.store._most_text = 10

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
            client.headers["Authorization"] = "Bearer k"
            return [(await client.post(endpoint.path, json=body)).status_code for _ in range(3)]

    assert asyncio.run(ask()) == [200] * 3
