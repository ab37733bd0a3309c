"""The course of a generation: an answer names it, and a request that names it gets it again."""

from __future__ import annotations

import httpx
import pytest

from soundstage.emulator.options import Options
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
