"""Who may use the admin API, and whose pages may call the API itself."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulated import served

from soundstage.contract import load
from soundstage.emulator.http.guard import TOKEN_VARIABLE, Guard
from soundstage.emulator.options import Options
from soundstage.emulator.service.app import Emulator
from soundstage.errors import UsageError

CONTRACT = load("v6")
SYNC = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "sync")
STREAM = next(e.path for e in CONTRACT.endpoints.values() if e.kind == "stream")
BODY = {"prompt": "a song"}
TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(Options(profile="instant", seed=1)) as url:
        yield url


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
            assert nothing.json() == httpx.get(f"{url}/nothing").json()


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
