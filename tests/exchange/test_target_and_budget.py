"""Where the requests go, with which key, and how many may be paid for."""

from __future__ import annotations

import gzip
import socket
import time

import pytest

from soundstage.errors import BudgetError, TargetError, UsageError
from soundstage.exchange.budget import Budget, is_loopback
from soundstage.exchange.target import KEY_VARIABLE, Target, find, read_key
from soundstage.wire.transport import Limits, Transport, TransportSettings

LIVE = "https://api.example"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:1", True),
        ("http://api.localhost", True),
        ("http://127.0.0.1", True),
        ("http://127.8.9.1:80/x", True),
        ("http://[::1]:80", True),
        ("http://0.0.0.0", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://127.0.0.1@api.example", False),
        ("https://api.example", False),
        ("nonsense", False),
    ],
)
def test_only_this_machine_is_free(url, here):
    assert is_loopback(url) is here


def test_without_a_budget_only_this_machine_gets_billable_requests():
    free = Budget(None, free=True)
    for _ in range(3):
        free.take()
    assert (free.spent, free.left) == (3, None)
    live = Budget(None, free=False)
    assert live.left == 0
    with pytest.raises(BudgetError, match="needs --budget N"):
        live.take()
    assert live.spent == 0
    assert BudgetError.exit_code == 6


def test_a_budget_that_is_missing_is_told_from_one_that_is_used_up():
    for nothing in (Budget(None, free=False), Budget(0, free=True)):
        with pytest.raises(BudgetError) as refused:
            nothing.take()
        assert refused.value.missing
    one = Budget(1, free=True)
    one.take()
    with pytest.raises(BudgetError) as refused:
        one.take()
    assert not refused.value.missing


@pytest.mark.parametrize("free", [True, False])
def test_a_budget_is_never_exceeded(free):
    budget = Budget(2, free=free)
    budget.take()
    assert budget.left == 1
    budget.take()
    with pytest.raises(BudgetError, match="the budget of 2 billable requests is spent"):
        budget.take()
    assert (budget.spent, budget.left) == (2, 0)
    assert Budget(0, free=free).left == 0


def test_the_key_comes_from_a_file_or_else_from_the_environment(tmp_path):
    file = tmp_path / "key"
    file.write_text("  from-file\n")
    environ = {KEY_VARIABLE: " from-env "}
    assert read_key(str(file), environ) == "from-file"
    assert read_key(None, environ) == "from-env"
    assert read_key(None, {}) is None
    assert read_key(None, {KEY_VARIABLE: "  "}) is None


@pytest.mark.parametrize("content", ["two words", "a\nb", "schlüssel", "bell\x07"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(tmp_path, content):
    file = tmp_path / "key"
    file.write_text(content)
    for arguments in ((str(file), {}), (None, {KEY_VARIABLE: content})):
        with pytest.raises(UsageError) as caught:
            read_key(*arguments)
        assert "one word of printable ASCII" in str(caught.value)
        assert content not in str(caught.value)


def test_a_key_file_that_is_empty_or_not_there_is_refused(tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="the file is empty"):
        read_key(str(tmp_path / "empty"), {})
    for name in ("none", "binary", "."):
        with pytest.raises(UsageError, match="--key-file"):
            read_key(str(tmp_path / name), {})


def test_a_target_never_shows_its_key():
    target = Target(LIVE, "live", "sk-secret", (("X-Token", "t0ken"),))
    assert "sk-secret" not in repr(target)
    assert "t0ken" not in repr(target)
    assert "sk-secret" not in str(target.to_json())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:8000", "not an http"),
        ("ftp://a", "not an http"),
        ("", "not an http"),
        ("http://", "not an http"),
        ("http://u:p@a", "no user"),
        ("http://a?b=c", "no user"),
    ],
)
def test_what_is_no_base_url_is_refused(url, says):
    with pytest.raises(UsageError, match=says):
        find(url, Transport(TransportSettings()))


def answer(body, status=b"200 OK"):
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return [("send", head % (status, len(body)) + body)]


def test_an_emulator_says_what_it_is(raw_server):
    about = b'{"emulator": "soundstage", "profile": "realistic", "speed": 10, "seed": 1}'
    server = raw_server(answer(about))
    target = find(server.url("/"), Transport(TransportSettings()))
    assert target.kind == "emulator"
    assert target.url == server.url("").rstrip("/")
    assert target.to_json() == {
        "url": target.url, "kind": "emulator", "profile": "realistic", "speed": 10, "seed": 1,
    }  # fmt: skip
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/_emulator/health")
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{}", b"200 OK"), (b"[]", b"200 OK"), (b"<html>", b"200 OK"), (b"no", b"404 Not Found"),
     (b'{"emulator": "soundstage"}', b"503 Busy"), (b'{"emulator": "other"}', b"200 OK")],
)  # fmt: skip
def test_anything_else_on_this_machine_is_local(raw_server, body, status):
    server = raw_server(answer(body, status))
    assert find(server.url(""), Transport(TransportSettings())).kind == "local"


def test_nothing_is_sent_to_a_host_that_is_live_by_definition():
    target = find(
        "https://api.example/base/", Transport(TransportSettings()), live_hosts=["api.example"]
    )
    assert (target.kind, target.url) == ("live", "https://api.example/base")


def test_a_target_that_does_not_answer_is_a_failure_of_the_target(raw_server):
    server = raw_server()
    url = server.url("")
    server.stop()
    with pytest.raises(TargetError, match=f"{url} does not answer: "):
        find(url, Transport(TransportSettings(limits=Limits(connect_s=2))))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ABOUT = b'{"emulator": "soundstage"}'
LARGE = b'{"emulator": "soundstage", "more": "' + b" " * 100_000 + b'"}'
BOMB = gzip.compress(b'{"emulator": "soundstage", "more": "' + b" " * 10**7 + b'"}')


@pytest.mark.parametrize(
    "steps",
    [
        [("hold",)],
        [("send", HEAD), ("hold",)],
        [("drip", HEAD + b"Content-Length: 26\r\n\r\n" + ABOUT, 0.2)],
        [("drip", HEAD + b"X: " + b"y" * 1000, 0.01)],
        [("send", HEAD + b"\r\n" + b"data: {}\n\n" * 10_000), ("hold",)],
        [("send", HEAD + b"\r\ndata: {}\n\n"), ("hold",)],
        [("send", HEAD + b"X: " + b"y" * 200_000), ("hold",)],
        [("send", HEAD + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE)],
        [("send", HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
          % (len(BOMB), BOMB))],
        [("send", HEAD + b"Content-Length: 500\r\n\r\n" + ABOUT), ("close",)],
        [("send", b"HTTP/1.1 307 Away\r\nLocation: /_emulator/health\r\n\r\n")],
        [("send", b"HTTP/1.1 307 Away\r\nLocation: /elsewhere\r\n\r\n")],
        [("send", b"SSH-2.0-OpenSSH_9.6\r\n")],
        [("rst",)],
        [("close",)],
    ],
    ids=[
        "never answers", "stops after half a head", "drips a body", "drips a head", "streams",
        "streams a little", "endless head", "large", "gzip bomb", "cut", "redirect loop",
        "redirect", "no HTTP", "reset", "closed",
    ],
)  # fmt: skip
def test_whatever_is_no_answer_to_the_question_means_that_it_is_no_emulator(raw_server, steps):
    server = raw_server(steps, repeat=True)
    began = time.monotonic()
    assert find(server.url(""), Transport(TransportSettings())).kind == "local"
    assert time.monotonic() - began < 2.9


def test_what_an_emulator_says_of_itself_is_taken_as_far_as_it_is_well_said(raw_server):
    about = (
        b'{"emulator": "soundstage", "profile": {"a": 1}, "speed": "fast", "seed": true, '
        b'"charges": 3, "more": [1]}'
    )
    target = find(raw_server(answer(about)).url(""), Transport(TransportSettings()))
    assert (target.kind, target.about) == ("emulator", {"charges": 3})


def test_nobody_at_the_port_and_a_name_that_nobody_has_are_failures_of_the_target():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        with pytest.raises(TargetError, match="does not answer"):
            find(url, Transport(TransportSettings()))
