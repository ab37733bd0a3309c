"""What was received stands in the journal, with what came of it, and without any key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from emulated import served

from soundstage.contract import load_all
from soundstage.emulator.accounts.accounts import account_of
from soundstage.emulator.http.journal import BODY_KEPT, KEPT, Journal
from soundstage.emulator.options import Options

CONTRACTS = load_all()
CONTRACT = CONTRACTS["v6"]
PATHS = {kind: e.path for e in CONTRACT.endpoints.values() for kind in [e.kind]}
BODY = {"prompt": "a song"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An emulator of this module's own."""
    with served(Options(profile="instant", seed=1)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    """A client of an emulator whose journal is empty."""
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer my-key"}) as client:
        client.delete("/_emulator/journal")
        yield client


def entries(client: httpx.Client, **filters: Any) -> list[dict[str, Any]]:
    answer = client.get("/_emulator/journal", params=filters)
    assert answer.status_code == 200, answer.text
    found = answer.json()["entries"]
    assert isinstance(found, list)
    return found


def test_every_request_is_entered_with_its_answer(client: httpx.Client) -> None:
    streamed = client.post(PATHS["stream"], json=BODY)
    result = client.post(PATHS["sync"], json=BODY).json()
    client.post(PATHS["sync"], json={"prompt": ""})
    client.post(PATHS["sync"], json=BODY, headers={"Authorization": "Basic x"})
    client.get(PATHS["status"].replace("{message_id}", result["message_id"]))
    client.get("/assets/a/b")
    client.get("/nothing")
    client.options(PATHS["stream"])
    client.get(PATHS["status"].replace("{message_id}", "nobody"))
    client.get(PATHS["status"], headers={"Authorization": "Basic x"})
    client.post(PATHS["sync"], json=BODY, headers={"Soundstage-Fault": "no/such"})
    found = entries(client)
    mine = account_of("my-key")
    assert [(e["status"], e["endpoint"], e["reason"], e["account"]) for e in found] == [
        (200, "stream", None, mine),
        (200, "sync", None, mine),
        (CONTRACT.errors.named("invalid_prompt").status, "sync", "invalid_prompt", mine),
        (401, "sync", "unauthorized", None),
        (200, "status", None, mine),
        (404, None, "not_found", None),
        (404, None, "not_found", None),
        (405, None, "method_not_allowed", None),
        (404, "status", "not_found", mine),
        (401, "status", "unauthorized", None),
        (400, "sync", "unknown_fault", None),
    ]
    stream, sync = found[:2]
    assert json.loads(stream["body"]) == BODY
    assert stream["body_bytes"] == len(stream["body"])
    assert stream["chunks"] == streamed.text.count("data: ")
    assert all(entry["seconds"] >= 0 for entry in found)
    assert sync["message_id"] == result["message_id"] == found[4]["message_id"]
    assert [int(entry["id"]) for entry in found] == sorted(int(entry["id"]) for entry in found)


def test_the_journal_can_be_filtered(client: httpx.Client) -> None:
    for contract in CONTRACTS.values():
        body = next(each.payload for each in contract.examples if each.of == "request")
        for endpoint in contract.endpoints.values():
            if endpoint.request:
                client.post(endpoint.path, json=body)
                client.post(endpoint.path, json={**body, "prompt": ""})
    client.post(PATHS["sync"], json=BODY, headers={"Authorization": "Bearer other"})
    whole = entries(client)
    assert len(whole) == 9
    assert {e["api"] for e in entries(client, api="v5")} == {"v5"}
    assert len(entries(client, endpoint="stream")) == 4
    assert len(entries(client, path=PATHS["stream"])) == 2
    assert len(entries(client, path=PATHS["stream"] + "*")) == 5
    assert len(entries(client, reason="invalid_prompt")) == 4
    assert len(entries(client, status=200, method="POST")) == 5
    assert len(entries(client, account=account_of("other"))) == 1
    one = entries(client, message_id=whole[0]["message_id"])
    assert [entry["id"] for entry in one] == [whole[0]["id"]]
    assert entries(client, since=whole[6]["id"]) == whole[7:]
    assert entries(client, limit=2) == whole[7:]
    assert entries(client, method="PUT") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "since=x", "status=1000",
     "account=my-key", "nonsense=1", "key=my-key", "limit=" + "9" * 400],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/_emulator/journal?{query}")
    assert answer.status_code == 400
    assert answer.json().keys() == {"detail"}
    assert "my-key" not in answer.text


def test_bodies_are_cut_and_bad_ones_are_shown_as_far_as_possible(client: httpx.Client) -> None:
    client.post(PATHS["sync"], json={"prompt": "x" * 10_000})
    client.post(
        PATHS["sync"], content=b'{"prompt": "\xff"}', headers={"Content-Type": "application/json"}
    )
    large, bad = entries(client)
    assert (len(large["body"]), large["body_cut"]) == (BODY_KEPT, True)
    assert large["body_bytes"] == len('{"prompt":""}') + 10_000
    assert bad["body"] == '{"prompt": "\ufffd"}'


def test_no_key_is_shown_anywhere() -> None:
    secret = "a-secret-key-that-must-not-stay"
    options = Options(profile="instant", keys=(secret,))
    with served(options) as url:
        headers = {"Authorization": f"Bearer {secret}"}
        answer = httpx.post(url + PATHS["sync"], json=BODY, headers=headers)
        assert answer.status_code == 200
        shown = [
            httpx.get(f"{url}/_emulator/{what}").text for what in ("state", "journal", "accounts")
        ]
        assert not any(secret in text for text in shown)
        assert account_of(secret) in shown[1]


def test_the_journal_keeps_the_newest_and_is_bounded() -> None:
    journal = Journal()
    for number in range(KEPT + 1200):
        journal.begin("GET", f"/{number}")
    newest = journal.read({}, limit=3)
    assert [entry["path"] for entry in newest] == [f"/{KEPT + n}" for n in (1197, 1198, 1199)]
    assert journal.read({"path": "/1199"}) == []
    assert len(journal.read({"path": "/1200"})) == 1


def test_ids_grow_however_fast_requests_come() -> None:
    journal = Journal()
    ids = [journal.begin("GET", "/").id for _ in range(10_000)]
    assert ids == sorted(set(ids))
