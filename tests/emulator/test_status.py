"""Where a generation is: the same for whoever asks, and however it is kept."""

from __future__ import annotations

import asyncio
import random

import orjson
import pytest

from soundstage.contract import Contract, load_all
from soundstage.emulator.app import Emulator
from soundstage.emulator.generations import Generation
from soundstage.emulator.options import Options
from soundstage.emulator.requests import Reader
from soundstage.emulator.state import State
from soundstage.emulator.status import status_of
from soundstage.emulator.store import Store

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)


def generations(contract: Contract, fails: bool) -> list[Generation]:
    """Some that were made as requests make them."""
    factory = Emulator(Options(seed=11))._factory
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    raw = orjson.dumps(next(e.payload for e in contract.examples if e.of == "request"))
    asked = Reader(endpoint).read(raw)
    assert not isinstance(asked, str)
    return [
        factory.make(
            contract, endpoint, asked, raw, "http://h", "sse", 100.0, number=number, fails=fails
        )
        for number in range(1, 21)
    ]


@each_contract
@pytest.mark.parametrize("fails", [False, True])
def test_a_restored_generation_answers_as_the_one_that_is_told(
    contract: Contract, fails: bool
) -> None:
    state = State(None)
    store, other = (Store(state, CONTRACTS) for _ in range(2))
    for number, made in enumerate(generations(contract, fails), start=1):
        with state.transaction():
            store.add(number, made, number, "stream", "account")
        message_id = made.story.message_id
        assert store.get(message_id) is made
        restored = other.get(message_id)
        assert restored is not None
        assert restored is not made
        assert other.get(message_id) is restored
        for name in ("contract", "story", "schedule", "started", "failed", "seconds", "pace"):
            assert getattr(restored, name) == getattr(made, name), name
        assert list(restored.steps) == list(made.steps)
        assert (restored.end, restored.charged_with) == (made.end, made.charged_with)
        moments = [99.0, 100.0, made.end, made.end + 1, *(100.0 + due for due in made.schedule)]
        for now in moments:
            assert status_of(restored, now) == status_of(made, now)
            for url in made.urls:
                assert restored.offers(url, now) == made.offers(url, now)
        for url in made.urls:
            assert restored.told_at(url) == made.told_at(url)
        store.leave(number)
        assert store.get(message_id) is not made


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


def test_the_newest_generations_are_remembered_and_all_that_run() -> None:
    state = State(None)
    store = Store(state, CONTRACTS, remembered=100)
    contract = next(iter(CONTRACTS.values()))
    [first, *_] = generations(contract, False)
    rng = random.Random(1)
    with state.transaction():
        for number in range(1, 1101):
            record = orjson.loads(orjson.dumps(first.record()))
            record["story"]["message_id"] = f"{number:024x}"
            runs = number in (5, 50)
            made = Generation.from_record(
                contract, record, first.steps, first.schedule, 1e6 if runs else rng.random()
            )
            store.add(number, made, number, "stream", "account")
    store.prune(1000.0)
    assert len(store) == 100
    for number in (5, 50):
        assert store.get(f"{number:024x}") is not None
    assert store.ended(1000.0) == {first.steps[-1].stage: 98}
    assert store.running(1000.0, 0, 10) == [(5, "queued"), (50, "queued")]
    assert [facts["number"] for facts, _ in store.latest(1)]


def test_no_more_bytes_are_remembered_than_there_is_room_for() -> None:
    store = Store(State(None), CONTRACTS, remembered_bytes=8 * 2**20)
    contract = next(iter(CONTRACTS.values()))
    [first, *_] = generations(contract, False)
    for number in range(1, 41):
        record = orjson.loads(orjson.dumps(first.record()))
        record["story"]["message_id"] = f"{number:024x}"
        record["story"]["prompt"] = "la" * 2**19
        made = Generation.from_record(contract, record, first.steps, first.schedule, float(number))
        store.add(number, made, number, "stream", "account")
    store.prune(1000.0)
    assert len(store) == 7
    assert store.get(f"{40:024x}") is not None


def test_there_is_room_for_so_many_bytes_of_songs_that_are_being_told() -> None:
    [song, *_] = generations(next(iter(CONTRACTS.values())), False)
    store = Store(State(None), CONTRACTS, told_bytes=2 * sum(map(len, song.chunks)))
    for row in (1, 2):
        assert store.has_room(song)
        store.add(row, song, row, "stream", "account")
    assert not store.has_room(song)
    store.leave(1)
    store.leave(1)
    assert store.has_room(song)


def test_counting_running_generations_lets_the_event_loop_go_on() -> None:
    async def count() -> tuple[dict[str, int], int]:
        emulator = Emulator(Options(seed=1))
        made = generations(next(iter(CONTRACTS.values())), False)
        loop = asyncio.get_running_loop()
        store = emulator._store
        with emulator._state.transaction():
            for number in range(1, 1001):
                each = made[number % 20]
                record = orjson.loads(orjson.dumps(each.record()))
                record["story"]["message_id"] = f"{number:024x}"
                running = Generation.from_record(
                    each.contract, record, each.steps, each.schedule, loop.time()
                )
                store.add(number, running, number, "stream", "account")
        turns = 0

        async def watch() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        watching = asyncio.ensure_future(watch())
        state = await emulator.control.state()
        watching.cancel()
        return state["generations"]["running"], turns

    running, turns = asyncio.run(count())
    assert sum(running.values()) == 1000
    assert turns >= 5
