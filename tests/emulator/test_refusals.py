"""A refusal says why: which field, what was expected, what came; which path or method there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulated import served
from tests.support.refused_answers import assert_error

from soundstage.contract import Contract, load, load_all
from soundstage.emulator import Options, running
from soundstage.emulator.generations.body_problems import MOST_NAMED
from soundstage.emulator.generations.request_reader import BadBody, RequestReader
from soundstage.emulator.service.nearest_place import nearest_place
from soundstage.errors import ContractDataError

V6 = load("v6")
STREAM = "/v6/generate/song"
KEY = "a-key-that-is-secret"
SHOP = {
    "type": "object",
    "additionalProperties": False,
    "required": ["prompt", "size"],
    "properties": {
        "prompt": {"type": "string", "minLength": 3, "x-role": "prompt"},
        "size": {"enum": ["small", "large"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 4},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "stream": {"const": True},
    },
    "dependentRequired": {"tags": ["count"]},
}
GOOD = {"prompt": "a song", "size": "small"}


@pytest.fixture
def client(instant: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=instant, headers=headers) as client:
        yield client


class Shop:
    """An endpoint with every kind of constraint, as far as a reader of requests looks at it."""

    request = SHOP


def said(body: Any, schema: dict[str, Any] | None = None) -> list[str]:
    shop: Any = Shop()
    if schema is not None:
        shop.request = schema
    found = RequestReader(shop).read(json.dumps(body).encode(), KEY)
    assert isinstance(found, BadBody), found
    return [str(each) for each in found.problems.named]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prompt": ...}, "prompt: missing, expected a text, of at least 3 characters"),
        ({"prompt": 7}, "prompt: expected a text, got the number 7"),
        (
            {"prompt": "no"},
            "prompt: expected a text of at least 3 characters, got a text of 2 characters",
        ),
        ({"prompt": ""}, "prompt: expected a text of at least 3 characters, got an empty text"),
        ({"size": "big"}, 'size: expected "small" or "large", got "big"'),
        ({"size": "x" * 500}, 'size: expected "small" or "large", got a text of 500 characters'),
        ({"size": KEY}, 'size: expected "small" or "large", got a text of 20 characters'),
        ({"count": 9}, "count: expected at most 4, got the number 9"),
        ({"count": 1.5}, "count: expected an integer, got the number 1.5"),
        ({"count": True}, "count: expected an integer, got true"),
        ({"count": 10**400}, "count: expected at most 4, got a very large integer"),
        ({"count": 1, "tags": ["a", 2]}, "tags/1: expected a text, got the number 2"),
        (
            {"count": 1, "tags": [*"abc"]},
            "tags: expected an array of at most 2 items, got an array of 3 items",
        ),
        ({"tags": []}, "count: missing, expected an integer, at least 1, at most 4"),
        ({"stream": False}, "stream: expected true, got false"),
        ({"prompts": 1}, "prompts: no such field; did you mean prompt?"),
        ({"q": 1}, "q: no such field; there are prompt, size, count, tags, stream"),
        ({"size": None}, 'size: expected "small" or "large", got null'),
    ],
)  # fmt: skip
def test_a_problem_names_the_field_and_what_was_expected(
    changes: dict[str, Any], problem: str
) -> None:
    body = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    assert said(body) == [problem]


def test_all_problems_of_a_body_are_named_but_no_more_than_anybody_reads() -> None:
    assert len(said({"prompt": 1, "count": 0, "tags": 3, "q": 1})) == 5
    many = {f"field{number}": 1 for number in range(5000)}
    shop: Any = Shop()
    found = RequestReader(shop).read(json.dumps({**GOOD, **many}).encode(), KEY)
    assert isinstance(found, BadBody)
    assert len(found.problems.named) == MOST_NAMED
    assert found.why.endswith("; and more")
    assert len(found.why) < 5_000


@pytest.mark.parametrize("name", [f"x{KEY}", "\x1b[31m\r\nSet-Cookie: a", "n" * 10_000])
def test_the_name_of_a_field_is_shown_harmlessly(client: httpx.Client, name: str) -> None:
    (problem,) = said({**GOOD, name: 1})
    assert KEY not in problem
    assert problem.isprintable()
    assert len(problem) < 500


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "the text is empty"),
        (b"{'prompt': 1}", "expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"prompt": "a secret song"} x', "more text after the value at line 1, column 29"),
        (b'{"prompt": NaN}', "NaN is not a number of JSON"),
        (b'{"a": 1, "a": 2}', 'the key "a" comes more than once in an object'),
    ],
)
def test_a_body_that_is_not_json_says_where_it_breaks(
    client: httpx.Client, raw: bytes, why: str
) -> None:
    answer = client.post(STREAM, content=raw, headers={"Content-Type": "application/json"})
    assert_error(answer, V6, "broken_json")
    assert answer.headers["soundstage-refused"] == why
    assert answer.json()["detail"].endswith(f": {why}")


@pytest.mark.parametrize(
    ("headers", "error", "why"),
    [
        ({"Content-Type": "text/plain"}, "wrong_media_type",
         "the Content-Type is text/plain; expected application/json, in UTF-8"),
        ({"Content-Type": ""}, "wrong_media_type",
         "there is no Content-Type; expected application/json"),
        ({"Content-Encoding": "gzip"}, "wrong_media_type",
         "the Content-Encoding is gzip; expected none"),
        ({"Authorization": "Basic x"}, "unauthorized",
         "the header Authorization has another form; expected Authorization: Bearer KEY"),
        ({"Authorization": "Bearer key-unknown"}, "unauthorized",
         "the key is not one of those that are accepted"),
    ],
)  # fmt: skip
def test_headers_that_are_wrong_are_named(
    client: httpx.Client, headers: dict[str, str], error: str, why: str
) -> None:
    answer = client.post(
        STREAM, content=b"{}", headers={"Content-Type": "application/json", **headers}
    )
    assert_error(answer, V6, error)
    assert answer.headers["soundstage-refused"] == why


def test_a_printed_body_is_sent_to_the_letter(client: httpx.Client) -> None:
    """And says why in the header alone."""
    answer = client.post(STREAM, json={"prompt": " "})
    assert answer.json() == V6.errors.named("invalid_prompt").body
    assert answer.headers["soundstage-refused"].startswith("prompt: expected a prompt that is not")


def test_an_error_that_was_asked_for_says_no_more_than_the_contract(client: httpx.Client) -> None:
    answer = client.post(STREAM, json={}, headers={"Soundstage-Error": "wrong_types"})
    assert answer.json() == V6.errors.named("wrong_types").body
    assert "Soundstage-Error" in answer.headers["soundstage-refused"]


def test_a_key_is_never_repeated(client: httpx.Client) -> None:
    bodies = ({KEY: KEY}, {"prompt": [KEY]}, {"reference_url": KEY, "prompt": KEY}, KEY)
    for body in bodies:
        answer = client.post(STREAM, json=body)
        assert KEY not in answer.text
        assert KEY not in str(answer.headers)
    answer = client.get(f"/{KEY}")
    assert KEY not in answer.text


def examples() -> dict[str, Contract]:
    places = sorted(Path("examples/contracts").iterdir())
    return {**load_all(), **{each.name: load(each.name, each.parent) for each in places}}


@pytest.mark.parametrize("name", examples())
def test_every_contract_refuses_with_the_field_and_within_its_words(name: str) -> None:
    contract = examples()[name]
    headers = {contract.auth.header: contract.auth.value(KEY)}
    with running(Options(profile="instant"), contracts={name: contract}) as emulator:
        for endpoint in contract.endpoints.values():
            if endpoint.request is None:
                continue
            url = emulator.url + endpoint.path
            answer = httpx.post(url, json=[1], headers=headers)
            assert 400 <= answer.status_code < 500
            assert "expected an object" in answer.headers["soundstage-refused"]
            printed = contract.errors.matching(answer.json())
            assert printed or "expected an object" in answer.text
            lost = httpx.get(f"{emulator.url}/nowhere/at/all", headers=headers)
            assert lost.status_code == 404
            assert "no such path" in lost.headers["soundstage-refused"]
            wrong = httpx.request("PATCH", url, headers=headers)
            assert (wrong.status_code, wrong.headers["allow"]) == (405, endpoint.method)
        refused = emulator.asked(failed=True)
    assert refused
    assert all(each["why"] and each["reason"] for each in refused)
    assert any(each["problems"] for each in refused)


def test_an_added_contract_says_where_its_errors_explain(tmp_path: Path) -> None:
    from tests.support import small_contract

    small_contract.write(tmp_path, [small_contract.STREAM])
    body = {"error": {"message": "Bad.", "code": "bad_request"}}
    known = {"name": "wrong_types", "title": "Bad", "status": 400, "body": body}
    errors = {
        "statuses": {"minimum": 400, "maximum": 599},
        "server_error": {"severity": "error"},
        "printed": [],
        "unprinted": [{**known, "explained_at": "/error/message"}],
    }
    (tmp_path / "tales" / "errors.json").write_text(json.dumps(errors))
    contract = load("tales", tmp_path)
    (endpoint,) = (each for each in contract.endpoints.values() if each.request)
    with running(Options(profile="instant"), contracts={"tales": contract}) as emulator:
        headers = {"Authorization": "Bearer k"}
        answer = httpx.post(emulator.url + endpoint.path, json=[], headers=headers)
    assert answer.status_code == 400
    said = answer.json()["error"]
    assert said == {
        "message": "Bad: the body: expected an object, got an array of 0 items",
        "code": "bad_request",
    }


PLACES = {
    "/v5/generate/song-gen": ["POST"],
    "/v6/generate/song": ["POST"],
    "/v6/generate/song/sync": ["POST"],
    "/status/generation/{message_id}": ["GET", "HEAD"],
    "/": ["GET"],
}


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/v6/generate/song/", "POST /v6/generate/song?"),
        ("//v6/generate/song", "POST /v6/generate/song?"),
        ("/V6/Generate/Song", "POST /v6/generate/song?"),
        ("/generate/song", "POST /v6/generate/song"),
        ("/api/v6/generate/song", "POST /v6/generate/song?"),
        ("/v6/generate/songs", "POST /v6/generate/song?"),
        ("/v6/status/generation/x", "GET /status/generation/{message_id}?"),
        ("/" + "x" * 10_000, "there are POST /v5/generate/song-gen"),
        ("", "there are POST /v5/generate/song-gen"),
        ("/nothing", "there are POST /v5/generate/song-gen"),
    ],
)
def test_a_wrong_path_is_told_the_nearest(path: str, near: str) -> None:
    assert near in nearest_place(path, PLACES)


def test_head_and_options_are_answered_as_they_should(client: httpx.Client) -> None:
    made = client.post("/v6/generate/song/sync", json={"prompt": "a song"}).json()
    status = f"/status/generation/{made['message_id']}"
    head = client.head(status)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(client.get(status).content))
    assert client.options(STREAM).headers["allow"] == "POST"
    assert client.head(STREAM).status_code == 405


def test_a_page_of_another_origin_gets_to_read_what_is_wrong(client: httpx.Client) -> None:
    """A preflight that was refused would hide the refusal from it."""
    origin = {"Origin": "http://page.example"}
    asking = {**origin, "Access-Control-Request-Method": "PUT"}
    for path in (STREAM, "/v6/generate/sing"):
        preflight = client.options(path, headers=asking)
        assert preflight.status_code == 200
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        refused = client.put(path, headers=origin)
        assert refused.status_code in (404, 405)
        assert refused.headers["access-control-allow-origin"] == "*"
        assert "soundstage-refused" in refused.headers["access-control-expose-headers"]


def test_what_accept_asks_for_changes_nothing(client: httpx.Client) -> None:
    for accept in ("text/html", "application/xml", "*/*", "nonsense"):
        answer = client.post(STREAM, json={"prompt": "a song"}, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")


def test_who_tests_a_client_sees_what_it_asked() -> None:
    with running(Options(profile="instant", seed=1)) as emulator:
        headers = {"Authorization": f"Bearer {KEY}"}
        httpx.post(emulator.url + STREAM, json={"prompt": "a song"}, headers=headers)
        httpx.post(emulator.url + STREAM, json={"lyrics": 1}, headers=headers)
        first, second = emulator.asked()
        assert (first["status"], json.loads(first["body"])) == (200, {"prompt": "a song"})
        assert emulator.asked(failed=True) == [second]
        assert emulator.asked(failed=False) == [first]
        assert [each["field"] for each in second["problems"]] == ["/prompt", "/lyrics"]
        with pytest.raises(Exception, match="no_such"):
            emulator.asked(no_such=1)


def test_what_cannot_be_read_as_a_request_stands_in_the_journal() -> None:
    import socket

    with served(Options(profile="instant", seed=1)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"GARBAGE\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
        (entry,) = httpx.get(f"{url}/_emulator/journal").json()["entries"]
        assert (entry["status"], entry["reason"]) == (400, "unreadable")
        assert "cannot be read" in entry["why"]


@pytest.mark.parametrize(
    ("part", "place", "said"),
    [
        ("printed", "message", "a body that is printed is exact"),
        ("unprinted", "no_such", "there is no text in the body at this place"),
        ("unprinted", "/code", "there is no text in the body at this place"),
    ],
)
def test_a_contract_that_explains_nowhere_is_refused(
    tmp_path: Path, part: str, place: str, said: str
) -> None:
    from tests.support import small_contract

    small_contract.write(tmp_path, [small_contract.STREAM])
    error = {"name": "wrong_types", "title": "Bad", "status": 400, "explained_at": place}
    errors: dict[str, Any] = {
        "statuses": {"minimum": 400, "maximum": 599},
        "server_error": {"severity": "error"},
        "printed": [],
        "unprinted": [],
    }
    errors[part] = [{**error, "body": {"message": "Bad.", "code": 1}}]
    (tmp_path / "tales" / "errors.json").write_text(json.dumps(errors))
    with pytest.raises(ContractDataError, match=said):
        load("tales", tmp_path)
