"""Putting a session together: keys, budgets, headers, and what must not leak."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import jsonschema_rs
import pytest
from emulated import served

from soundstage.contract import load_all
from soundstage.emulator.options import Options
from soundstage.errors import BudgetError, TargetError
from soundstage.exchange.client import Call
from soundstage.exchange.requests import request_body
from soundstage.exchange.session import EMULATOR_KEY, open_session
from soundstage.exchange.spawn import spawned_emulator
from soundstage.exchange.target import KEY_VARIABLE

_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_HEALTHY = b'{"emulator": "soundstage", "speed": 2.0}'
_EMULATOR = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_HEALTHY), _HEALTHY)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def test_an_emulator_needs_no_key(raw_server: Callable[..., Any]) -> None:
    session = open_session(raw_server([("send", _EMULATOR)]).url(""))
    assert session.target.kind == "emulator"
    assert session.target.key == EMULATOR_KEY
    assert session.target.about["speed"] == 2.0
    assert EMULATOR_KEY not in repr(session)


def test_anything_else_needs_one_and_says_where_to_put_it(raw_server: Callable[..., Any]) -> None:
    with pytest.raises(TargetError, match=f"set {KEY_VARIABLE}"):
        open_session(raw_server([("send", _NOT_FOUND)]).url(""))


def test_the_live_api_is_not_contacted_to_find_out_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sk-live-1")
    contract = next(iter(load_all().values()))
    session = open_session(contract.base_url)
    assert session.target.kind == "live"
    with pytest.raises(BudgetError, match="--budget"):
        session.client.exchange(Call(contract, contract.endpoints["stream"], {}))


def test_keys_and_secret_headers_are_redacted(
    raw_server: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("sk-from-a-file\n")
    given = [("X-Gate-Token", "open-sesame"), ("X-Stage", "blue")]
    url = raw_server([("send", _NOT_FOUND)]).url("")
    session = open_session(url, key_file=str(file), headers=given)
    assert session.target.key == "sk-from-a-file"
    said = session.redactor.text("sk-from-a-file open-sesame blue")
    assert said == "[redacted] [redacted] blue"
    assert session.redactor.headers(given) == [
        ("X-Gate-Token", "[redacted]"),
        ("X-Stage", "[redacted]"),
    ]


@pytest.mark.timeout(20)
def test_a_cut_ends_what_is_in_flight_with_what_was_seen(raw_server: Callable[..., Any]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    server = raw_server([("send", _EMULATOR)], [("send", head), ("hold",)])
    session = open_session(server.url(""), watched=True)
    contract = next(iter(load_all().values()))
    endpoint = contract.endpoint_of_kind("stream")
    assert endpoint is not None
    threading.Timer(0.3, session.cut).start()
    exchange = session.client.exchange(Call(contract, endpoint, {"prompt": "x"}))
    assert exchange.outcome == "cut"
    assert exchange.reason == "harness.cancelled"
    assert "accepted" in exchange.milestones


@pytest.mark.parametrize("api", load_all())
def test_request_bodies_are_valid_vary_and_repeat_with_their_seed(api: str) -> None:
    contract = load_all()[api]
    for endpoint in contract.endpoints.values():
        if endpoint.request is None:
            assert request_body(contract, endpoint, Random(1)) == {}
            continue
        rng = Random(1)
        bodies = [request_body(contract, endpoint, rng) for _ in range(50)]
        validator = jsonschema_rs.Draft202012Validator(endpoint.request)
        assert all(validator.is_valid(body) for body in bodies)
        assert len({body["prompt"] for body in bodies}) > 45, "a cache must not flatter"
        assert request_body(contract, endpoint, Random(1)) == bodies[0]


def test_an_emulator_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(TargetError, match="unrecognized arguments: --sped"),
        spawned_emulator(["--sped", "2"]),
    ):
        pass


@pytest.fixture
def elsewhere() -> str:
    """An address of this machine that is not loopback, as another container would have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a source
        except OSError:
            pytest.skip("this machine has no address but loopback")
        host: str = probe.getsockname()[0]
    return host


def test_an_emulator_elsewhere_is_free_as_long_as_no_key_of_the_users_goes_there(
    elsewhere: str, tmp_path: Path
) -> None:
    contract = next(iter(load_all().values()))
    stream = contract.endpoints["stream"]
    file = tmp_path / "key"
    file.write_text("sk-of-the-user-0123")
    with served(Options(profile="instant", host=elsewhere)) as url:
        free = open_session(url)
        assert (free.target.kind, free.target.key) == ("emulator", EMULATOR_KEY)
        assert free.budget.left is None
        body = request_body(contract, stream, Random(1))
        assert free.client.exchange(Call(contract, stream, body)).outcome == "ok"
        # Any host can call itself an emulator.
        paid = open_session(url, key_file=str(file))
        assert paid.target.key == "sk-of-the-user-0123"
        with pytest.raises(BudgetError, match="--budget"):
            paid.client.exchange(Call(contract, stream, body))
        assert open_session(url, key_file=str(file), budget=1).budget.left == 1
        rehearsal = open_session(url, treat_as_live=True)
        assert rehearsal.budget.left == 0
        assert (rehearsal.target.kind, rehearsal.target.as_live) == ("emulator", True)
        assert rehearsal.target.to_json()["rehearsal"] is True
        assert "rehearsal" not in free.target.to_json()
        file.write_text(EMULATOR_KEY)
        assert open_session(url, key_file=str(file)).budget.left is None, "everybody knows it"
