"""Jobs on the emulator, over sockets: accepted, asked for, charged for, failed; and streams whose
reader has gone, which go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.small_api import small_job

from soundstage.contract import Contract, load
from soundstage.contract.json_schema import patterns
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator
from soundstage.emulator.service.server import running
from soundstage.errors import UsageError

GALLERY = Path(__file__).parents[2] / "examples/contracts"
SONGS, PICTURES, CHAT = (load(api, GALLERY) for api in ("songs", "pictures", "chat"))
PROMPT = {"prompt": "a song"}


@contextmanager
def emulated(*contracts: Contract, key: str | None = "any-key", **options: Any) -> Iterator[Any]:
    """A client of an emulator of these contracts."""
    asked = Options(**{"profile": "instant", "seed": 3, **options})
    served = {contract.api: contract for contract in contracts}
    with (
        running(asked, contracts=served) as emulator,
        httpx.Client(base_url=emulator.url) as client,
    ):
        if key is not None:
            client.headers["Authorization"] = f"Bearer {key}"
        yield client


def charges(client: httpx.Client) -> int:
    return int(client.get("/_emulator/health").json()["charges"])


def meets(contract: Contract, name: str, body: Any) -> bool:
    schema = next(stage.schema for stage in contract.stages if stage.name == name)
    return bool(patterns.validator(schema).is_valid(body))


def looks(client: httpx.Client, url: str, last: set[str], **query: str) -> list[dict[str, Any]]:
    """Looks until one shows a last state; of very many the test is wrong."""
    found = []
    for _ in range(20_000):
        answer = client.get(url, params=query or None)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        if found[-1]["status"] in last:
            return found
    raise AssertionError(found[-1])


# --- accepted -------------------------------------------------------------------------------------


def test_a_job_is_accepted_with_the_status_and_the_body_that_its_contract_says() -> None:
    with emulated(PICTURES) as client:
        answer = client.post("/v1/pictures", json=PROMPT)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    response = PICTURES.endpoints["job"].response
    assert patterns.validator(response).is_valid(answer.json())


def test_two_jobs_have_two_ids_and_the_same_seed_the_same() -> None:
    with emulated(PICTURES) as client, emulated(PICTURES) as other:
        ids = [client.post("/v1/pictures", json=PROMPT).json()["job_id"] for _ in range(2)]
        again = [other.post("/v1/pictures", json=PROMPT).json()["job_id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert ids == again


@pytest.mark.parametrize("header", ["Location", "X-Job"])
def test_a_header_that_gives_the_id_leads_to_the_state(tmp_path: Path, header: str) -> None:
    contract = small_job(tmp_path, job={"gives": {"id": {"header": header}}})
    with emulated(contract) as client:
        answer = client.post("/j", json={})
        where = answer.headers[header]
        assert where.startswith("/j/") is (header == "Location")
        look = client.get(where if header == "Location" else f"/j/{where}")
    assert (look.status_code, look.json()["t"]) == (200, "queued")


# --- asked for ------------------------------------------------------------------------------------


def test_an_instant_job_goes_one_state_further_with_each_look() -> None:
    with emulated(PICTURES) as client:
        job = client.post("/v1/pictures", json=PROMPT).json()["job_id"]
        states = [client.get(f"/v1/pictures/{job}").json() for _ in range(5)]
    names = [state["status"] for state in states]
    assert names == ["queued", "running", "succeeded", "succeeded", "succeeded"]
    assert all(meets(PICTURES, state["status"], state) for state in states)
    assert {state["job_id"] for state in states} == {job}


def test_a_state_is_asked_for_by_a_query_too() -> None:
    with emulated(SONGS) as client:
        job = client.post("/songs", json=PROMPT).json()["job_id"]
        seen = looks(client, "/songs/status", {"done"}, job_id=job)
    assert [state["status"] for state in seen] == ["queued", "working", "done"]
    assert all(meets(SONGS, state["status"], state) for state in seen)


def test_two_jobs_are_looked_at_each_by_itself() -> None:
    with emulated(PICTURES) as client:
        first, second = (client.post("/v1/pictures", json=PROMPT).json()["job_id"] for _ in "ab")
        looks(client, f"/v1/pictures/{first}", {"succeeded"})
        look = client.get(f"/v1/pictures/{second}").json()
    assert (look["status"], look["job_id"]) == ("queued", second)


def test_states_of_a_job_that_takes_time_go_forward_however_often_it_is_asked_for() -> None:
    with emulated(PICTURES, profile="fast", speed=10) as client:
        job = client.post("/v1/pictures", json=PROMPT).json()["job_id"]
        seen = looks(client, f"/v1/pictures/{job}", {"succeeded"})
    order = [state.name for state in PICTURES.protocol.stages]
    places = [order.index(state["status"]) for state in seen]
    assert places == sorted(places)
    shares = [state["progress"] for state in seen if "progress" in state]
    assert shares == sorted(shares)
    assert all(meets(PICTURES, state["status"], state) for state in seen)


@pytest.mark.parametrize(
    "url", ["/v1/pictures/job_000000000000", "/v1/pictures/..%2f..", "/v1/pictures/%00"]
)
def test_an_id_that_was_never_given_is_unknown(url: str) -> None:
    with emulated(PICTURES) as client:
        client.post("/v1/pictures", json=PROMPT)
        assert client.get(url).status_code == 404


@pytest.mark.parametrize("query", ["", "?job_id=", "?job_id=x", "?id=x", "?job_id=%ff", "?a&b&&="])
def test_a_query_without_an_id_that_was_given_is_unknown(query: str) -> None:
    with emulated(SONGS) as client:
        answer = client.get(f"/songs/status{query}")
    assert answer.status_code == 404
    assert answer.json() == SONGS.errors.named("not_found").body


def test_an_id_of_one_api_is_unknown_to_another(tmp_path: Path) -> None:
    with emulated(PICTURES, small_job(tmp_path)) as client:
        job = client.post("/v1/pictures", json=PROMPT).json()["job_id"]
        assert client.get(f"/j/{job}").status_code == 404


def test_what_is_given_to_ask_with_is_never_asked_for_by_another_method() -> None:
    with emulated(PICTURES) as client:
        job = client.post("/v1/pictures", json=PROMPT).json()["job_id"]
        answer = client.post(f"/v1/pictures/{job}", json=PROMPT)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


# --- charged for, and failed ----------------------------------------------------------------------


def test_a_job_is_charged_for_once_however_often_it_is_asked_for() -> None:
    with emulated(SONGS) as client:
        before = charges(client)
        job = client.post("/songs", json=PROMPT).json()["job_id"]
        for _ in range(3):
            looks(client, "/songs/status", {"done"}, job_id=job)
        assert charges(client) - before == 1


def test_a_generation_that_fails_shows_its_failed_state_and_stays_there() -> None:
    with emulated(PICTURES) as client:
        body = {"prompt": "failing-test-word"}
        job = client.post("/v1/pictures", json=body).json()["job_id"]
        seen = looks(client, f"/v1/pictures/{job}", {"failed", "succeeded"})
        after = client.get(f"/v1/pictures/{job}").json()
    assert seen[-1]["status"] == after["status"] == "failed"
    assert meets(PICTURES, "failed", after)
    assert after["error"]


def test_a_job_without_balance_is_refused_and_makes_nothing() -> None:
    with emulated(SONGS, key="key-without-balance") as client:
        answer = client.post("/songs", json=PROMPT)
        assert (answer.status_code, charges(client)) == (402, 0)
    assert answer.json() == SONGS.errors.named("insufficient_balance").body


@pytest.mark.parametrize("body", [{}, [], "a song", {"prompt": 7}])
def test_a_job_whose_request_is_none_is_refused(body: Any) -> None:
    with emulated(SONGS) as client:
        assert 400 <= client.post("/songs", json=body).status_code < 500


# --- beside a stream ------------------------------------------------------------------------------


def test_a_stream_whose_reader_has_gone_goes_on_as_a_state() -> None:
    with emulated(SONGS, profile="fast", speed=10) as client:
        before = charges(client)
        with client.stream("POST", "/songs/stream", json=PROMPT) as answer:
            first = next(line for line in answer.iter_lines() if line.startswith("data: "))
        job = httpx.Response(200, text=first.removeprefix("data: ")).json()["job_id"]
        seen = looks(client, "/songs/status", {"done", "lost"}, job_id=job)
        assert seen[-1]["status"] == "done"
        assert {state["job_id"] for state in seen} == {job}
        assert charges(client) - before == 1


def test_a_stream_that_was_heard_to_its_end_is_done() -> None:
    with emulated(SONGS) as client:
        text = client.post("/songs/stream", json=PROMPT).text
        chunks = [httpx.Response(200, text=part[6:]).json() for part in text.split("\n\n") if part]
        (look,) = looks(client, "/songs/status", {"done"}, job_id=chunks[0]["job_id"])
    told = {chunk["audio_url"] for chunk in chunks if "audio_url" in chunk}
    assert {track["audio_url"] for track in look["tracks"]} == told


# --- keys, and places -----------------------------------------------------------------------------


def test_a_key_is_taken_from_the_header_that_the_contract_says(tmp_path: Path) -> None:
    contract = small_job(tmp_path, words={"auth": {"header": "X-Api-Key"}})
    with emulated(contract, key=None) as client:
        assert client.post("/j", json={}).status_code == 401
        wrong = {"Authorization": "Bearer any-key"}
        assert client.post("/j", json={}, headers=wrong).status_code == 401
        mine = {"X-Api-Key": "any-key"}
        job = client.post("/j", json={}, headers=mine).json()["id"]
        assert client.get(f"/j/{job}").status_code == 401
        assert client.get(f"/j/{job}", headers=mine).status_code == 200


def test_of_two_modes_on_one_path_each_request_gets_the_one_it_asks_for() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    with emulated(CHAT) as client:
        stream = client.post("/v1/chat/completions", json={**body, "stream": True})
        once = client.post("/v1/chat/completions", json={**body, "stream": False})
        left_out = client.post("/v1/chat/completions", json=body)
        nonsense = client.post("/v1/chat/completions", content=b"{")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.endswith("data: [DONE]\n\n")
    for answer in (once, left_out):
        assert answer.headers["content-type"] == "application/json"
        assert patterns.validator(CHAT.endpoints["sync"].response).is_valid(answer.json())
    assert 400 <= nonsense.status_code < 500


def test_two_apis_on_one_path_are_refused_with_what_to_do(tmp_path: Path) -> None:
    first, second = small_job(tmp_path / "a"), small_job(tmp_path / "b")
    with pytest.raises(UsageError) as refused:
        Emulator(Options(), {"first": first, "second": second})
    assert str(refused.value).endswith("both answer POST /s: say with --api which is to be served")
