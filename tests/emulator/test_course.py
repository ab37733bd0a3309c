"""The course of a generation: an answer names it, and a request that names it gets it again."""

from __future__ import annotations

import httpx
import pytest

from soundstage.contract import load
from soundstage.emulator.generations.factory import Factory, GenerationRequest, SongEndpoint
from soundstage.emulator.generations.store import KEPT_S, Store
from soundstage.emulator.options import Options
from soundstage.emulator.pace.profiles import profile
from soundstage.emulator.service.server import running

COURSE = "soundstage-course"
STREAM, RESULT = "/v6/generate/song", "/v6/generate/song/sync"
#: Where nothing else of an answer depends on the address.
KEY = {"Authorization": "Bearer any-key"}


def asked(url: str, path: str, prompt: str = "a song", **headers: str) -> httpx.Response:
    return httpx.post(url + path, json={"prompt": prompt}, headers={**KEY, **headers})


def told(answer: httpx.Response, url: str) -> str:
    return answer.text.replace(url, "")


@pytest.mark.parametrize("path", [STREAM, RESULT])
@pytest.mark.parametrize("faults", [(), ("index/gap:0.5", "order/streaming/skipped")])
def test_a_request_that_names_a_course_gets_the_same_answer_whatever_came_before(
    path: str, faults: tuple[str, ...]
) -> None:
    options = Options(profile="instant", seed=5, faults=faults)
    with running(options) as first:
        for _ in range(3):
            before = asked(first.url, path)
        wanted = told(before, first.url)
        another = asked(first.url, path)
        again = asked(first.url, path, "other words", **{COURSE: before.headers[COURSE]})
    # Only what stands in the lyrics is of the words that were sent.
    assert told(again, first.url).replace("other words", "a song") == wanted
    assert told(another, first.url) != wanted
    assert again.headers[COURSE] == before.headers[COURSE] != another.headers[COURSE]
    with running(options) as second:
        fresh = asked(second.url, path, **{COURSE: before.headers[COURSE]})
    assert told(fresh, second.url) == wanted


def test_a_course_that_comes_a_thousand_times_is_kept_once() -> None:
    """Under load the same answer may be asked for all day long."""
    store = Store(most_text=100)
    contract = load("v6")
    factory = Factory(1, profile("instant"), 1.0)
    place = SongEndpoint.of(contract, contract.endpoints["sync"], None)
    wanted = GenerationRequest("a song", None, {"prompt": "a song"})
    for number in range(1000):
        made = factory.make(place, wanted, bytes(16), "http://x", float(number), fails=False)
        store.add(made, number=number, endpoint="sync", account="a", text=6)
        store.leave(made)
        store.prune(made.end)
    assert len(store) == 1
    assert store.get(made.story.message_id) is made
    assert not store.crowded
    assert len(store._ends) < 100
    store.prune(made.end + KEPT_S)
    assert (len(store), len(store._named), store._text, store._told) == (0, 0, 0, 0)


@pytest.mark.parametrize("named", ["", "none", "0" * 31, "0" * 33, "G" * 32])
def test_what_is_no_course_is_refused_in_words(named: str) -> None:
    with running() as emulator:
        answer = asked(emulator.url, STREAM, **{COURSE: named})
    assert answer.status_code == 400
    assert "32 hexadecimal digits" in answer.text


def test_a_page_of_another_origin_may_read_it() -> None:
    with running() as emulator:
        answer = asked(emulator.url, STREAM, origin="http://page.example")
    assert COURSE in answer.headers["access-control-expose-headers"]
