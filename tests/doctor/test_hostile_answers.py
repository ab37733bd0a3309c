"""Targets that mean ill: what they send is bounded, made harmless, and gets no key out of us."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.conftest import RawServer, RecordedRequest
from tests.support.asking_doctor import JSON, KEY, answer, as_the_api, doctor
from tests.support.command_run import run_here

Host = Callable[..., RawServer]


@pytest.mark.parametrize(
    "evil", ["\x1b[2J\x1b]0;owned\x07", "::error::owned", "\u202eevil", "a\rb", "\u2028two"]
)
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.usefixtures("impatient")
def test_what_a_target_sends_gives_no_orders(evil: str, form: str, host: Host) -> None:
    def says(request: RecordedRequest) -> bytes:
        if request.method == "POST":
            body = b'{"success":false,"message":"Rate limits have been passed for the user.","x":"'
            return answer(400, JSON, body + evil.encode().replace(b"\x1b", b"\\u001b") + b'"}')
        where = f"Location: http://x/{evil}".replace("\r", "")
        return answer(302, JSON, b"", where)

    ran = run_here(
        *("doctor", "--target", host(says).url(""), "--api", "v6", "--format", form),
        env={"SOUNDVERSE_API_KEY": KEY},
    )
    shown = ran.stdout + ran.stderr
    assert ran.returncode == 6
    assert not any(sign in shown for sign in "\x1b\x07\u202e\r\u2028")
    assert not any(line.lstrip().startswith("::") for line in shown.splitlines())


def test_a_key_that_is_sent_back_is_not_shown(host: Host) -> None:
    def says(request: RecordedRequest) -> bytes:
        if request.method == "GET" and "authorization" in request.headers:
            return answer(302, JSON, b"", f"Location: https://evil.example/{KEY}?k={KEY}")
        return as_the_api(request)

    found = doctor(host(says).url(""))  # which looks for the key in all that is printed
    assert found.cause == "http.redirect"


def test_a_body_without_end_is_cut(host: Host) -> None:
    big = b"x" * 2_000_000
    assert doctor(host(answer(401, "text/plain", big)).url("")).code == 6


def test_a_head_without_end_is_cut(host: Host) -> None:
    found = doctor(host(b"HTTP/1.1 200 OK\r\n" + b"X-Pad: " + b"y" * 200_000).url(""))
    assert (found.code, found.cause) == (6, "http.none")


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_drips_is_given_up(raw_server: Host) -> None:
    head = b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
    server = raw_server([("send", head), ("drip", b" " * 9999, 0.02)], repeat=True)
    began = time.monotonic()
    found = doctor(server.url(""))
    assert (found.code, found.cause) == (6, "http.no_answer")
    assert len(server.requests) == 1
    assert time.monotonic() - began < 5


def test_headers_that_may_carry_a_key_go_with_no_post(host: Host) -> None:
    server = host(as_the_api)
    given = (f"Authorization: Bearer {KEY}", f"X-Mine: {KEY}", "Cookie: a=b", "X-Team: songs")
    doctor(server.url(""), *(word for each in given for word in ("--header", each)))
    for request in server.requests:
        looks_up = "authorization" in request.headers
        assert request.headers["x-team"] == "songs"
        assert ("x-mine" in request.headers) is looks_up
        assert ("cookie" in request.headers) is looks_up
        assert not (looks_up and request.method == "POST")


@pytest.mark.parametrize("url", ["http://user:pass@127.0.0.1:1", "ftp://x", "http://x/?k=1"])
def test_a_url_that_is_none_of_an_api_is_misuse(url: str) -> None:
    ran = run_here("doctor", "--target", url)
    assert ran.returncode == 2
    assert "pass" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
