"""Each refusal by its trigger, and which comes first, over real sockets."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.support.refused_answers import assert_error

from soundstage.contract import Contract, load_all
from soundstage.emulator.accounts.triggers import triggers
from soundstage.emulator.http.asgi import bearer_key, is_json
from soundstage.emulator.http.replies import BODY_LIMIT

CONTRACTS = load_all()
ENDPOINTS = [
    (contract, endpoint)
    for contract in CONTRACTS.values()
    for endpoint in contract.endpoints.values()
    if endpoint.request
]
each_endpoint = pytest.mark.parametrize(
    ("contract", "path"),
    [(contract, endpoint.path) for contract, endpoint in ENDPOINTS],
    ids=[endpoint.path for _, endpoint in ENDPOINTS],
)


def body_of(contract: Contract, **changes: Any) -> dict[str, Any]:
    """The request that the page prints, changed."""
    example = next(each.payload for each in contract.examples if each.of == "request")
    return {**example, **changes}


@each_endpoint
@pytest.mark.parametrize("key", triggers().keys)
def test_each_documented_key_does_what_it_says(
    client: httpx.Client, contract: Contract, path: str, key: str
) -> None:
    trigger = triggers().keys[key]
    headers = {"Authorization": f"Bearer {key}"}
    response = client.post(path, json=body_of(contract), headers=headers)
    if trigger.error:
        assert_error(response, contract, trigger.error)
    elif trigger.balance == 0:
        assert_error(response, contract, "insufficient_balance")
    else:
        again = client.post(path, json=body_of(contract), headers=headers)
        assert_error(again, contract, "insufficient_balance")


@each_endpoint
@pytest.mark.parametrize("word", triggers().words)
def test_each_documented_word_does_what_it_says(
    client: httpx.Client, contract: Contract, path: str, word: str
) -> None:
    trigger = triggers().words[word]
    response = client.post(path, json=body_of(contract, prompt=f"A song, {word.upper()}!"))
    streams = any(e.path == path and e.kind == "stream" for e in contract.endpoints.values())
    if trigger.error:
        assert_error(response, contract, trigger.error)
    elif streams:
        assert response.status_code == 200
        last = json.loads(response.text.strip().splitlines()[-1].removeprefix("data: "))
        assert last["error"]
    else:
        assert_error(response, contract, "service_unavailable")


@each_endpoint
def test_words_count_in_the_lyrics_too_but_only_whole(
    client: httpx.Client, contract: Contract, path: str
) -> None:
    refused = client.post(path, json=body_of(contract, lyrics="la\nnsfw-test-word\nla"))
    assert_error(refused, contract, "nsfw")
    assert client.post(path, json=body_of(contract, lyrics="nsfw-test-words")).status_code == 200


@each_endpoint
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Basic abc", "abc", "Bearer two words", "Bearer \u00e9"],
)
def test_a_missing_or_malformed_key_is_unauthorized(
    instant: str, contract: Contract, path: str, authorization: str | None
) -> None:
    given = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    response = httpx.post(instant + path, json=body_of(contract), headers=given)
    assert_error(response, contract, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


#: Bodies and the error that each deserves; `...` stands for the rest of a valid request.
BODIES: list[tuple[str, Any, str]] = [
    ("no prompt", {"prompt": ...}, "invalid_prompt"),
    ("empty prompt", {"prompt": ""}, "invalid_prompt"),
    ("blank prompt", {"prompt": " \t\n"}, "invalid_prompt"),
    ("null prompt", {"prompt": None}, "wrong_types"),
    ("numeric prompt", {"prompt": 7}, "wrong_types"),
    ("empty prompt and wrong lyrics", {"prompt": "", "lyrics": []}, "wrong_types"),
    ("wrong lyrics", {"lyrics": 1}, "wrong_types"),
]


@each_endpoint
@pytest.mark.parametrize(("what", "changes", "error"), BODIES, ids=[what for what, *_ in BODIES])
def test_bodies_get_the_error_that_they_deserve(
    client: httpx.Client, contract: Contract, path: str, what: str, changes: Any, error: str
) -> None:
    body = {k: v for k, v in body_of(contract, **changes).items() if v is not ...}
    assert_error(client.post(path, json=body), contract, error)


@each_endpoint
@pytest.mark.parametrize("raw", ["[]", '"text"', "null", "1"])
def test_a_body_that_is_no_object_has_wrong_types(
    client: httpx.Client, contract: Contract, path: str, raw: str
) -> None:
    response = client.post(path, content=raw, headers={"Content-Type": "application/json"})
    assert_error(response, contract, "wrong_types")


@each_endpoint
@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"prompt": NaN}', b'{"a":1,"a":2}', b'{"prompt":"\xff"}', b"[" * 5000]
)
def test_a_body_that_is_not_strict_json_is_broken(
    client: httpx.Client, contract: Contract, path: str, raw: bytes
) -> None:
    response = client.post(path, content=raw, headers={"Content-Type": "application/json"})
    assert_error(response, contract, "broken_json")


def test_other_required_fields_and_all_types_are_asked_for(client: httpx.Client) -> None:
    for contract, endpoint in ENDPOINTS:
        assert endpoint.request is not None
        for name, schema in endpoint.request["properties"].items():
            wrong = body_of(contract, **{name: {} if schema["type"] != "object" else []})
            assert_error(client.post(endpoint.path, json=wrong), contract, "wrong_types")
            if name in endpoint.request["required"] and schema.get("x-role") != "prompt":
                lacking = {k: v for k, v in body_of(contract).items() if k != name}
                assert_error(client.post(endpoint.path, json=lacking), contract, "wrong_types")
            if schema.get("x-role") == "reference_audio":
                for url in ("", "no url", "file:///etc/passwd", "http://"):
                    wrong = body_of(contract, **{name: url})
                    assert_error(client.post(endpoint.path, json=wrong), contract, "wrong_types")


@each_endpoint
@pytest.mark.parametrize(
    "media_type",
    [None, "text/plain", "application/jsonx", "application/json; charset=latin-1", "multipart/x"],
)
def test_another_media_type_is_refused(
    client: httpx.Client, contract: Contract, path: str, media_type: str | None
) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    response = client.post(path, content=json.dumps(body_of(contract)), headers=headers)
    assert_error(response, contract, "wrong_media_type")


def test_media_types_are_read_as_the_standard_writes_them() -> None:
    for good in (b"application/json", b"Application/JSON;charset=UTF-8", b"application/json ;"):
        assert is_json([(b"content-type", good)])
    coded = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    assert not is_json(coded)


def test_two_keys_are_no_key() -> None:
    assert bearer_key([(b"authorization", b"bearer  a")]) == "a"
    assert bearer_key([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]) is None


@each_endpoint
def test_a_body_over_the_cap_is_refused(
    client: httpx.Client, contract: Contract, path: str
) -> None:
    response = client.post(path, json=body_of(contract, lyrics="x" * BODY_LIMIT))
    assert response.status_code == 413
    assert response.json().keys() == {"detail"}


def test_unknown_paths_and_methods_get_json(client: httpx.Client) -> None:
    for contract, endpoint in ENDPOINTS:
        for path in (endpoint.path + "/", endpoint.path + "/other", endpoint.path.upper()):
            assert_error(client.post(path), contract, "not_found")
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            response = client.request(method, endpoint.path)
            assert_error(response, contract, "method_not_allowed")
            assert response.headers["allow"] == endpoint.method
    assert client.get("/nothing").status_code == 404


@each_endpoint
def test_every_known_error_can_be_asked_for(
    client: httpx.Client, contract: Contract, path: str
) -> None:
    for error in contract.errors.known:
        response = client.post(path, headers={"Soundstage-Error": error.name})
        assert_error(response, contract, error.name)
    unknown = client.post(path, headers={"Soundstage-Error": "nonsense"})
    assert unknown.status_code == 400
    assert "rate_limit" in unknown.json()["detail"]
    unknown = client.post(path, headers={"Soundstage-Fault": "drop-field"})
    assert unknown.status_code == 400


#: Everything that can be wrong at once, in order of precedence: what to change to deserve it.
TROUBLES: list[tuple[str, dict[str, Any]]] = [
    ("unauthorized", {"key": "key-unknown"}),
    ("wrong_media_type", {"media": "text/plain"}),
    ("broken_json", {"suffix": "}"}),
    ("wrong_types", {"body": {"lyrics": 1}}),
    ("nsfw", {"words": "nsfw-test-word"}),
    ("rate_limit", {"key": "key-over-rate-limit"}),
    ("insufficient_balance", {"key": "key-without-balance"}),
    ("service_unavailable", {"words": "unavailable-test-word"}),
]


@each_endpoint
@pytest.mark.parametrize("first", range(len(TROUBLES)), ids=[name for name, _ in TROUBLES])
def test_of_several_errors_the_first_is_given(
    client: httpx.Client, contract: Contract, path: str, first: int
) -> None:
    wanted: dict[str, Any] = {
        "key": "any-key",
        "media": "application/json",
        "suffix": "",
        "body": {},
    }
    words = ["A song"]
    for _, change in reversed(TROUBLES[first:]):
        words.append(change.get("words", ""))
        wanted.update(change)
    raw = json.dumps(body_of(contract, **{"prompt": " ".join(words), **wanted["body"]}))
    headers = {"Authorization": f"Bearer {wanted['key']}", "Content-Type": wanted["media"]}
    response = client.post(path, content=raw + wanted["suffix"], headers=headers)
    assert_error(response, contract, TROUBLES[first][0])
