"""The admin API: what it shows and changes, to whom, and that it is as its document says."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from emulated import served
from late_import import LateModule

from soundstage.contract import load_all
from soundstage.emulator.accounts.accounts import account_of
from soundstage.emulator.http.guard import TOKEN_VARIABLE, Guard
from soundstage.emulator.options import Options
from soundstage.emulator.service.admin import document
from soundstage.emulator.service.app import Emulator
from soundstage.emulator.service.server import running
from soundstage.errors import UsageError

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


# --- who may --------------------------------------------------------------------------------------


def scope(method: str = "GET", **headers: str) -> dict[str, Any]:
    named = {"host": "127.0.0.1:8000", **{n.replace("_", "-"): v for n, v in headers.items()}}
    return {
        "type": "http",
        "method": method,
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }


def refused(guard: Guard, asked: dict[str, Any]) -> int | None:
    answer = guard.refuses(asked)
    return None if answer is None else answer.status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"host": "localhost:1"}, None),
        ({"host": "[::1]:8000"}, None),
        ({"host": "rebound.example:8000"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "localhost@evil.example"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://127.0.0.1:8000"}, None),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "same-origin"}, None),
    ],
)
def test_no_page_of_another_origin_gets_in_on_loopback(
    headers: dict[str, str], status: int | None
) -> None:
    assert refused(Guard(Options(), {}), scope(**headers)) == status


_GOOD = ("host", "127.0.0.1:8000")


@pytest.mark.parametrize(
    "headers",
    [
        [_GOOD, ("origin", "http://127.0.0.1:8000"), ("origin", "http://evil.example")],
        [_GOOD, ("origin", "http://evil.example"), ("origin", "http://127.0.0.1:8000")],
        [_GOOD, ("origin", "http://evil.example"), ("origin", "http://evil.example")],
        [_GOOD, ("origin", "http://127.0.0.1:8000, http://evil.example")],
        [_GOOD, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [_GOOD, ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "cross-site")],
        [_GOOD, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"),
         ("sec-fetch-dest", "document")],
        [_GOOD, ("host", "evil.example")],
        [("host", "evil.example"), _GOOD],
        [("host", "127.0.0.1:8000, evil.example")],
        [("host", "evil.example@127.0.0.1")],
        [("host", "127.0.0.1:8000:80")],
        [("host", "127.0.0.1:99999")],
        [("host", "[::1%25evil.example]:8000")],
        [("host", "2130706433:8000")],
        [("host", "127.1")],
        [("host", "localhost.evil.example")],
        [("host", "localhost"), ("origin", "http://localhost:80@evil.example")],
        [("host", "localhost"), ("origin", "http://localhost/")],
        [],
    ],
)  # fmt: skip
def test_of_doubled_headers_the_worse_counts_and_a_host_is_no_more_than_one(
    headers: list[tuple[str, str]],
) -> None:
    asked = scope()
    asked["headers"] = [(name.encode(), value.encode()) for name, value in headers]
    assert refused(Guard(Options(), {}), asked) == 403


def test_a_form_without_an_origin_is_known_by_its_page() -> None:
    guard = Guard(Options(), {})
    json_kind = {"content_type": "application/json"}
    assert refused(guard, scope("PUT", referer="http://evil.example/", **json_kind)) == 403
    assert refused(guard, scope("PUT", referer="http://127.0.0.1:8000/", **json_kind)) is None
    assert refused(guard, scope("GET", referer="https://chat.example/")) is None


@pytest.mark.parametrize("name", ["authorization", "content-type", "content-encoding"])
def test_a_doubled_token_kind_or_coding_is_the_worse_of_both(name: str) -> None:
    values = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json",
              "content-encoding": "identity"}  # fmt: skip
    worse = {"authorization": "Bearer x", "content-type": "text/plain", "content-encoding": "gzip"}
    guard = Guard(Options(), {TOKEN_VARIABLE: TOKEN})
    asked = scope("PUT")
    asked["headers"] += [(key.encode(), value.encode()) for key, value in values.items()]
    assert refused(guard, asked) is None
    for order in (1, -1):
        doubled = [(name.encode(), each[name].encode()) for each in (values, worse)][::order]
        others = [(key, value) for key, value in asked["headers"] if key != name.encode()]
        assert refused(guard, {**asked, "headers": others + doubled}) in (401, 415)


def test_another_server_may_listen_elsewhere_than_the_options_say() -> None:
    guard = Guard(Options(), {})
    for address, status in {"10.1.2.3": 403, "::ffff:10.1.2.3": 403, "127.0.0.1": None,
                            "::1": None, "emulator": None}.items():  # fmt: skip
        assert refused(guard, {**scope(), "server": (address, 8000)}) == status
    assert refused(guard, {**scope(), "server": None}) is None
    with_token = Guard(Options(), {TOKEN_VARIABLE: TOKEN})
    asked = {**scope(authorization=f"Bearer {TOKEN}"), "server": ("10.1.2.3", 8000)}
    assert refused(with_token, asked) is None


@pytest.mark.parametrize(
    ("host", "on"),
    [("127.0.0.1", True), ("127.1", True), ("localhost", True), ("::1", True),
     ("0:0:0:0:0:0:0:1", True), ("127.evil.example", False), ("127", False), ("0.0.0.0", False),
     ("", False), ("::", False), ("localhost.evil.example", False)],
)  # fmt: skip
def test_loopback_is_what_the_address_says_and_not_how_it_begins(host: str, on: bool) -> None:
    assert Guard(Options(host=host), {}).on is on


@pytest.mark.parametrize(
    ("request_line", "host"),
    [
        ("GET http://{here}/_emulator/state HTTP/1.1", "evil.example"),
        ("GET http://evil.example/_emulator/state HTTP/1.1", "{here}"),
        ("GET http://{here}@evil.example/_emulator/state HTTP/1.1", "{here}"),
        ("GET /_emulator/state HTTP/1.1", "{here}\r\nHost: evil.example"),
        ("GET /_emulator/state HTTP/1.1", "{here}\r\n .evil.example"),
        ("GET /_emulator/state HTTP/1.1", "{here}\r\nOrigin: http://{here}\r\nOrigin: null"),
        ("GET /_emulator/state HTTP/1.0", ""),
        ("POST /_emulator/reset HTTP/1.1", "{here}\r\nContent-Length: 2\r\nContent-Length: 9"),
        ("POST /_emulator/reset HTTP/1.1",
         "{here}\r\nContent-Length: 2\r\nTransfer-Encoding: chunked"),
    ],
)  # fmt: skip
def test_over_the_wire_nobody_gets_in_by_naming_two(url: str, request_line: str, host: str) -> None:
    here = url.removeprefix("http://")
    name, port = here.split(":")
    text = f"{request_line}\r\nHost: {host}\r\nConnection: close\r\n\r\n{{}}"
    text = text.replace("{here}", here)
    with socket.create_connection((name, int(port)), timeout=10) as client:
        client.sendall(text.encode())
        status = client.recv(65536).split(b" ")[1]
    assert status in (b"400", b"403"), status


def test_writes_must_be_json_so_that_no_form_can_send_them() -> None:
    guard = Guard(Options(), {})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert refused(guard, scope("POST", content_type=kind)) == 415
    assert refused(guard, scope("POST")) == 415
    assert refused(guard, scope("PUT", content_type="application/json")) is None


def test_there_is_no_cors_for_the_admin_api(url: str) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    for method in ("OPTIONS", "GET"):
        answer = httpx.request(method, f"{url}/_emulator/state", headers=headers)
        assert answer.status_code == 403
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_beyond_loopback_it_is_off_unless_asked_for() -> None:
    assert not Guard(Options(host="0.0.0.0"), {TOKEN_VARIABLE: TOKEN}).on
    with pytest.raises(UsageError, match="token"):
        Guard(Options(host="0.0.0.0", admin=True), {})
    guard = Guard(Options(host="0.0.0.0", admin=True), {TOKEN_VARIABLE: TOKEN})
    assert guard.on
    assert refused(guard, scope(host="emulator.example")) == 401
    assert refused(guard, scope(authorization=f"Bearer {TOKEN}x")) == 401
    assert refused(guard, scope(authorization="Bearer any-key")) == 401
    asked = scope(host="emulator.example", authorization=f"Bearer {TOKEN}")
    assert refused(guard, asked) is None


@pytest.mark.parametrize("text", ["", "short", "ä" * 20, "has a space in the middle"])
def test_a_token_that_is_none_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    for path in (file, tmp_path / "absent"):
        with pytest.raises(UsageError, match="--admin-token-file") as said:
            Guard(Options(admin_token_file=path), {})
        assert not text or text not in str(said.value)


def test_the_token_guards_over_the_wire_and_health_is_for_everybody(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    options = Options(host="0.0.0.0", profile="instant", admin=True, admin_token_file=file)
    with served(options) as url:
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/_emulator/health").status_code == 200
        refusal = httpx.get(f"{url}/_emulator/state")
        assert refusal.status_code == 401
        assert refusal.headers["www-authenticate"] == "Bearer"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{url}/_emulator/state", headers=headers).status_code == 200
    with served(Options(host="0.0.0.0", profile="instant")) as url:
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/_emulator/health").status_code == 200
        for path in ("state", "journal", "openapi.json", "reset"):
            nothing = httpx.get(f"{url}/_emulator/{path}", headers=headers)
            assert nothing.status_code == httpx.get(f"{url}/nothing").status_code
            assert "--admin" in nothing.json()["detail"]


def test_the_environment_is_not_asked_where_a_file_is_given(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    guard = Guard(Options(admin_token_file=file), {**os.environ, TOKEN_VARIABLE: "x" * 30})
    assert refused(guard, scope(authorization=f"Bearer {TOKEN}")) is None
    assert refused(guard, scope(authorization=f"Bearer {'x' * 30}")) == 401


# --- pages of other origins, for the API itself ---------------------------------------------------


def test_pages_of_any_origin_may_call_the_api_unless_told_otherwise(client: httpx.Client) -> None:
    origin = "https://player.example"
    asked = client.options(
        STREAM,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert asked.status_code == 200
    assert asked.headers.get_list("access-control-allow-origin") == ["*"]
    assert asked.headers["access-control-allow-methods"] == "POST"
    assert asked.headers["access-control-allow-headers"] == "authorization,content-type"
    for path, body in ((STREAM, BODY), (SYNC, BODY), (SYNC, {"prompt": ""})):
        answer = client.post(path, json=body, headers={"Origin": origin})
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert "retry-after" in answer.headers["access-control-expose-headers"]
    plain = client.post(SYNC, json=BODY)
    assert not any(name.startswith("access-control") for name in plain.headers)
    assert client.options(STREAM, headers={"Origin": origin}).status_code == 405


@pytest.mark.proof
def test_origins_can_be_named_or_refused() -> None:
    def allowed(cors: tuple[str, ...], origin: str) -> str | None:
        with served(Options(profile="instant", cors=cors)) as url:
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            asked = httpx.options(url + STREAM, headers=headers)
            given = asked.headers.get("access-control-allow-origin")
            assert asked.status_code == (405 if given is None else 200)
            return given

    mine = ("https://mine.example", "http://localhost:3000")
    assert allowed(mine, "http://localhost:3000") == "http://localhost:3000"
    assert allowed(mine, "https://other.example") is None
    assert allowed(("none",), "https://mine.example") is None
    with pytest.raises(UsageError, match="no origin"):
        Emulator(Options(cors=("mine.example",)))
