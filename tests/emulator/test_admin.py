"""The admin API: what it shows and changes, to whom, and that it is as its document says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from emulated import served
from late_import import LateModule

from soundstage.contract import load_all
from soundstage.emulator.accounts.accounts import account_of
from soundstage.emulator.options import Options
from soundstage.emulator.service.admin import document
from soundstage.emulator.service.server import running

openapi_spec_validator = LateModule("openapi_spec_validator")

CONTRACTS = load_all()
CONTRACT = CONTRACTS["v6"]
SYNC = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "sync")
STREAM = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "stream")
BODY = {"prompt": "a song"}
TOKEN = "a-token-that-is-long-enough"

OPERATIONS = [
    (path, method, data)
    for path, methods in document()["paths"].items()
    for method, data in methods.items()
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An emulator of this module's own: what is set in it disturbs nobody."""
    with served(Options(profile="instant", seed=1)) as url:
        yield url


@pytest.fixture
def admin(url: str) -> Iterator[httpx.Client]:
    """A client, and an emulator that has just begun."""
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer my-key"}) as client:
        assert client.post("/_emulator/reset", json={}).status_code == 200
        yield client


def meets(schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": document()["components"]}
    jsonschema_rs.validate(whole, value)


def test_the_document_is_openapi_and_is_served(admin: httpx.Client) -> None:
    openapi_spec_validator.validate(document())
    assert admin.get("/_emulator/openapi.json").json() == document()


@pytest.mark.parametrize(
    ("path", "method", "data"), OPERATIONS, ids=[f"{m} {p}" for p, m, _ in OPERATIONS]
)
def test_each_operation_answers_as_the_document_says(
    admin: httpx.Client, path: str, method: str, data: dict[str, Any]
) -> None:
    examples: dict[str, Any] = {
        "set_balance": {"key": "my-key", "balance": 5},
        "set_limit": {"key": "my-key", "rate_limit": "5/second"},
        "set_profile": {"profile": "fast"},
        "set_faults": {"faults": ["index/gap"]},
        "add_faults": {"faults": ["index/gap:0.5"]},
        "set_error": {"error": "nsfw"},
        "reset": {},
    }
    assert admin.post(SYNC, json=BODY).status_code == 200
    body = examples.get(data["operationId"])
    answer = admin.request(method, path, **({} if body is None else {"json": body}))
    assert answer.status_code == 200, answer.text
    meets(data["responses"]["200"]["content"]["application/json"]["schema"], answer.json())
    if method == "get":
        assert admin.head(path).status_code == 200
    wrong = admin.request("PATCH", path, json={})
    assert wrong.status_code == 405
    assert method.upper() in wrong.headers["allow"]
    if body is not None:
        for raw in (b"", b"[]", b'{"nonsense": 1}', b"{", b'{"a":1,"a":1}', b"\xff"):
            answer = admin.request(
                method, path, content=raw, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 400, raw
            assert answer.json().keys() == {"detail"}
        assert admin.request(method, path, content=b"{}").status_code == 415
        large = b'{"x": "' + b"x" * 1_100_000 + b'"}'
        answer = admin.request(
            method, path, content=large, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
    else:
        assert admin.request(method, path + "?nonsense=1").status_code in (400, 200)


def test_state_counts_what_there_is(admin: httpx.Client) -> None:
    for _ in range(3):
        admin.post(STREAM, json=BODY)
    admin.post(SYNC, json={**BODY, "prompt": ""})
    state = admin.get("/_emulator/state").json()
    assert state["number"] == 3
    assert state["generations"] == {"running": {}, "ended": {"final": 3}}
    assert state["charges"]["charged"] == {"number": 3, "credits": 3}
    assert state["refusals"] == {"invalid_prompt": 1}


def test_a_generation_is_queued_until_its_first_chunk() -> None:
    with (
        running(Options(speed=1e-4, seed=4)) as emulator,
        httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer my-key"}) as client,
        client.stream("POST", STREAM, json=BODY),
    ):
        state = httpx.get(f"{emulator.url}/_emulator/state").json()["generations"]
        assert state == {"running": {"queued": 1}, "ended": {}}


def test_a_generation_is_shown_with_its_stage_while_it_runs() -> None:
    options = Options(speed=0.5, seed=4)
    with (
        served(options) as url,
        httpx.Client(base_url=url, headers={"Authorization": "Bearer my-key"}) as client,
        client.stream("POST", STREAM, json={"prompt": "<b>bold</b>"}) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        state = httpx.get(f"{url}/_emulator/state").json()["generations"]
        assert state == {"running": {"initializing": 1}, "ended": {}}
        [made] = httpx.get(f"{url}/_emulator/generations").json()["generations"]
        assert made["prompt"] == "<b>bold</b>"
        assert made["status"] == "initializing"
        assert made["account"] == account_of("my-key")
        assert made["message_id"]
        held = httpx.get(f"{url}/_emulator/state").json()["charges"]["held"]
        assert held == {"number": 1, "credits": 1}


def test_balances_can_be_set_also_of_keys_that_nobody_used(admin: httpx.Client) -> None:
    answer = admin.put("/_emulator/accounts", json={"key": "other", "balance": 1})
    assert answer.json() == {
        "account": account_of("other"),
        "balance": 1,
        "held": 0,
        "charged": 0,
    }
    headers = {"Authorization": "Bearer other"}
    asked = [admin.post(SYNC, json=BODY, headers=headers).status_code for _ in range(2)]
    assert asked == [200, 402]
    admin.put("/_emulator/accounts", json={"account": account_of("other"), "balance": 9})
    assert admin.post(SYNC, json=BODY, headers=headers).status_code == 200
    [first] = admin.get("/_emulator/accounts").json()["accounts"]
    assert (first["balance"], first["charged"]) == (8, 2)


def test_limits_can_be_set_for_one_and_for_all_and_lifted(admin: httpx.Client) -> None:
    def asked(key: str, times: int) -> list[int]:
        headers = {"Authorization": f"Bearer {key}"}
        return [admin.post(SYNC, json=BODY, headers=headers).status_code for _ in range(times)]

    admin.put("/_emulator/limits", json={"rate_limit": "2/day"})
    admin.put("/_emulator/limits", json={"key": "special", "rate_limit": None})
    assert asked("plain", 3) == [200, 200, 429]
    assert asked("special", 3) == [200, 200, 200]
    admin.delete("/_emulator/limits")
    assert asked("plain", 2) == [200, 200]
    bad = admin.put("/_emulator/limits", json={"rate_limit": "2/blink"})
    assert bad.status_code == 400
    assert "rate_limit" in bad.json()["detail"]


def test_a_profile_can_be_named_or_sent_but_no_file_is_read(admin: httpx.Client) -> None:
    assert admin.put("/_emulator/profile", json={"profile": "steady"}).json()["profile"] == "steady"
    assert admin.get("/_emulator/health").json()["profile"] == "steady"
    own = {"description": "mine", "default": {"constant": 0.0}, "slots": 1, "queue": 0}
    assert admin.put("/_emulator/profile", json={"data": own}).status_code == 200
    assert admin.post(SYNC, json=BODY).status_code == 200
    for wrong in ({"profile": "/etc/passwd"}, {"profile": "x.json"}, {"data": {"nonsense": 1}}):
        answer = admin.put("/_emulator/profile", json=wrong)
        assert answer.status_code == 400
        assert admin.get("/_emulator/profile").json()["description"] == "mine"
    assert admin.delete("/_emulator/profile").json()["profile"] == "instant"


def test_faults_can_be_set_added_and_cleared(admin: httpx.Client) -> None:
    put = admin.put("/_emulator/faults", json={"faults": ["index/gap"]}).json()
    assert put["faults"] == ["index/gap"]
    broken = admin.post(STREAM, json=BODY)
    indices = [json.loads(line[6:])["chunkIndex"] for line in broken.text.splitlines() if line]
    assert indices != list(range(len(indices)))
    assert admin.get("/_emulator/faults").json()["counts"]["index/gap"]["applied"] == 1
    added = admin.post("/_emulator/faults", json={"faults": ["track/lost"]}).json()
    assert added["faults"] == ["index/gap", "track/lost"]
    answer = admin.put("/_emulator/faults", json={"faults": ["index/gaps"]})
    assert answer.status_code == 400
    assert "index/gap" in answer.json()["detail"]
    assert admin.delete("/_emulator/faults").json()["faults"] == []
    whole = admin.post(STREAM, json=BODY)
    indices = [json.loads(line[6:])["chunkIndex"] for line in whole.text.splitlines() if line]
    assert indices == list(range(len(indices)))


def test_an_error_can_be_forced_and_lifted(admin: httpx.Client) -> None:
    admin.put("/_emulator/error", json={"error": "nsfw"})
    assert admin.post(SYNC, json=BODY).json() == CONTRACT.errors.named("nsfw").body
    assert admin.put("/_emulator/error", json={"error": "nonsense"}).status_code == 400
    admin.put("/_emulator/error", json={"error": None})
    assert admin.post(SYNC, json=BODY).status_code == 200


def test_a_reset_begins_anew(admin: httpx.Client) -> None:
    def said() -> list[bytes]:
        return [admin.post(path, json=BODY).content for path in (STREAM, SYNC, STREAM)]

    first = said()
    message_id = json.loads(first[1])["message_id"]
    admin.put("/_emulator/accounts", json={"key": "my-key", "balance": 0})
    admin.put("/_emulator/faults", json={"faults": ["index/gap"]})
    assert admin.post(SYNC, json=BODY).status_code == 402
    assert admin.post("/_emulator/reset", json={}).json() == {"done": True}
    status = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "status")
    assert admin.get(status.replace("{message_id}", message_id)).status_code == 404
    assert admin.get("/_emulator/accounts").json() == {"accounts": []}
    assert len(admin.get("/_emulator/journal").json()["entries"]) == 1  # the status asked for
    assert said() == first


def test_a_running_answer_survives_a_reset_and_charges_nobody_after_it() -> None:
    with (
        served(Options(profile="fast", speed=2, seed=4)) as url,
        httpx.Client(base_url=url, headers={"Authorization": "Bearer my-key"}) as client,
        client.stream("POST", STREAM, json=BODY) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        httpx.post(f"{url}/_emulator/reset", json={})
        assert '"isComplete":true' in [line for line in lines if line][-1]
        assert httpx.get(f"{url}/_emulator/health").json()["charges"] == 0
